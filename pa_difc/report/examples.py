"""Faces whose prediction DIFC changed (the paper's Table 6), from the user's own data; only with --with-images."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data.labels import LabelSet
from ..util.errors import UserError
from ..util.spacing import evenly_spaced
from .grid import DIFC, Grid
from .run import Array
from .tables import both_outputs

if TYPE_CHECKING:
    from ..data.faces import FaceSet

_SHOWN, _SIDE, _LINES = 8, 110, 32  #: most faces of a kind; pixels of a face's side, and of the two lines below it


def changed_faces(grid: Grid, data_root: Path) -> dict[str, str]:
    """For each method, faces that DIFC put right and faces that it put wrong, as an ``<img>`` by title.

    Raises:
        UserError: the target has no labels, can't be loaded, or is not the data of the runs.
    """
    if not grid.labelled:
        raise UserError(f"--with-images: {grid.target} has no labels to tell which predictions were put right")
    faces = _target_faces(grid, data_root)
    pictures: dict[str, str] = {}
    for method, loss in ((m, k) for m in grid.methods for k in grid.variants(DIFC)):
        pair = next(both_outputs(grid, method, loss), None)
        if pair is None:
            continue
        seed, before, after = pair
        y, p, q = before["target_labels"], before["target_probs"].argmax(1), after["target_probs"].argmax(1)
        for title, rows in (("put right", (p != y) & (q == y)), ("put wrong", (p == y) & (q != y))):
            chosen = np.flatnonzero(rows)
            chosen = chosen[evenly_spaced(len(chosen), _SHOWN)]
            if len(chosen):
                name = "DIFC" if loss == DIFC else loss
                full = f"{method}, seed {seed}: {title} by {name}, {len(chosen)} of {rows.sum():,}"
                said = [f"{grid.classes[p[row]]} → {grid.classes[q[row]]}" for row in chosen]
                pictures[full] = _sheet([faces.image(int(row)) for row in chosen], said, full)
    return pictures


def _target_faces(grid: Grid, data_root: Path) -> FaceSet:
    """The target's test split.

    Raises:
        UserError: it is not the one that the runs were scored on.
    """
    from ..data.faces import FaceSet
    from ..data.loading import load_domain

    run = grid.runs[0]
    settings, labels = run.settings["data"], LabelSet.from_dict(run.record["labels"])
    names = ("on_bad_image", "deduplicate", "group_by", "near_duplicates")
    options = {name: settings[name] for name in names if name in settings}
    faces = load_domain(grid.target, data_root, size_px=settings["crop_px"], labels=labels, **options).test
    known = run.record["data"]["target"]["test_fingerprint"]
    if not isinstance(faces, FaceSet) or faces.fingerprint != known:
        raise UserError(f"{grid.target} in {data_root} is not the data that these runs were scored on")
    return faces


def _sheet(faces: Sequence[Array], said: Sequence[str], title: str) -> str:
    """Faces ``(3, P, P)`` side by side, each with its predictions before and after, as an embedded image."""
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", (_SIDE * 4, (_SIDE + _LINES) * -(-len(faces) // 4)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (pixels, text) in enumerate(zip(faces, said, strict=True)):
        x, y = _SIDE * (i % 4), (_SIDE + _LINES) * (i // 4)
        face = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        sheet.paste(face.resize((_SIDE, _SIDE)), (x, y))
        draw.text((x + 2, y + _SIDE + 2), text.replace(" → ", "\n→ "), fill="black")
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='{html.escape(title)}' src='data:image/png;base64,{data}'>"
