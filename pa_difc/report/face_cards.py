"""Faces in a page: small embedded pictures with captions."""

from __future__ import annotations

import base64
import html
import io

import numpy as np

from ..util.names import as_utf8
from .errors_style import bdi
from .mistakes import Committee
from .reviewed import Reviewed
from .run import Array
from .words import share

_MOST_PX = 112  #: longest side of a picture
_QUALITY = 85  #: of the JPEG
_NAME = 40  #: most letters shown of a face's name; the picture's title has all of it


def cards(r: Reviewed, faces: Array, *, short: bool = False, votes: bool = False) -> str:
    """Faces side by side, each with its predicted class and confidence.

    Args:
        r: predictions and their faces.
        faces: indices of the faces to show.
        short: show the confidence alone, because the page names the classes elsewhere.
        votes: also show how many cells predict which class.
    """
    divided = r.committee if votes else None
    return f"<div class='faces'>{''.join(_card(r, int(i), short, divided) for i in faces)}</div>"


def _card(r: Reviewed, i: int, short: bool, divided: Committee | None) -> str:
    said, sure, name = r.classes[r.predicted[i]], share(r.confidence[i]), as_utf8(r.faces.names[i])
    true = None if r.labels is None else r.classes[r.labels[i]]
    lines = [f"<b>{sure}</b>"] if short else [f"<b>{bdi(said)}</b> {sure}"]
    if true is not None and not short:
        lines.append("right" if true == said else f"<span class='true'>is {bdi(true)}</span>")
    if divided is not None:
        lines.append(_votes(r, divided, i))
    shown = name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"
    lines.append(f"<small>{bdi(shown)}</small>")
    alt = f"{said}, {sure}" if true in (None, said) else f"{true}, predicted as {said}, {sure}"
    words = f"alt='{html.escape(alt)}' title='{html.escape(name)}'"
    pixels = r.faces.image(i)
    side = min(pixels.shape[-1], _MOST_PX)  # keeps the place of a picture that is not drawn yet
    picture = f"<img loading='lazy' width='{side}' height='{side}' {words} src='{data_uri(pixels)}'>"
    return f"<figure>{picture}<figcaption>{'<br>'.join(lines)}</figcaption></figure>"


def _votes(r: Reviewed, committee: Committee, i: int) -> str:
    """The cells' votes, as in "happy 4, sad 1 of 5 cells"."""
    votes = committee.votes[i] * committee.cells
    order = [k for k in np.argsort(-votes, kind="stable") if votes[k] > 0]
    said = ", ".join(f"{bdi(r.classes[k])} {votes[k]:.0f}" for k in order)
    return f"{said} of {committee.cells} cells"


def data_uri(pixels: Array) -> str:
    """A face ``(3, P, P)`` as a ``data:`` URI of a JPEG."""
    from PIL import Image

    face = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    if face.width > _MOST_PX:
        face = face.resize((_MOST_PX, _MOST_PX))
    buffer = io.BytesIO()
    face.save(buffer, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
