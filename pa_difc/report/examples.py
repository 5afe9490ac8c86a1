"""Faces whose prediction DIFC changed (Table 6), from the user's own data and only when asked for."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..data import Domain, load_domain
from ..data.labels import EXPRESSIONS
from ..util.errors import UserError
from .grid import Grid
from .tables import both_outputs

_SHOWN, _SIDE = 8, 96  #: faces of a kind, and pixels of a side


def changed_faces(grid: Grid, data_root: Path) -> dict[str, str]:
    """For each method, faces that DIFC put right and ones that it put wrong: title → an ``<img>``.

    Raises:
        UserError: the target can't be loaded, or is not the data of the runs.
    """
    if not grid.labelled:
        raise UserError(f"--with-images: {grid.target} has no labels to tell which predictions were put right")
    target = _target(grid, data_root)
    pictures: dict[str, str] = {}
    for method in grid.methods:
        pair = next(both_outputs(grid, method), None)
        if pair is None:
            continue
        seed, before, after = pair
        y, p, q = before["target_labels"], before["target_probs"].argmax(1), after["target_probs"].argmax(1)
        for title, rows in (("put right", (p != y) & (q == y)), ("put wrong", (p == y) & (q != y))):
            chosen = np.flatnonzero(rows)
            chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), _SHOWN)).astype(int)]
            if len(chosen):
                full = f"{method}, seed {seed}: {title} by DIFC, {len(chosen)} of {rows.sum():,}"
                pictures[full] = _sheet(target, chosen, p, q, full)
    return pictures


def _target(grid: Grid, data_root: Path) -> Domain:
    run = grid.runs[0]
    config = run.config
    options = {name: config[name] for name in ("on_bad_image", "deduplicate")}
    target = load_domain(config["target"], data_root, size_px=config["crop_px"], **options)
    if target.test.fingerprint != run.record["data"]["target"]["test_fingerprint"]:
        raise UserError(f"{config['target']} in {data_root} is not the data that these runs were scored on")
    return target


def _sheet(target: Domain, rows: np.ndarray, before: np.ndarray, after: np.ndarray, title: str) -> str:
    """Faces side by side with what was said before and after, as an image in the page itself."""
    sheet = Image.new("RGB", (_SIDE * 4, (_SIDE + 16) * -(-len(rows) // 4)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        x, y = _SIDE * (i % 4), (_SIDE + 16) * (i // 4)
        face = Image.fromarray(np.ascontiguousarray(target.test.images[row].transpose(1, 2, 0)))
        sheet.paste(face.resize((_SIDE, _SIDE)), (x, y))
        draw.text((x + 2, y + _SIDE + 2), f"{EXPRESSIONS[before[row]]} → {EXPRESSIONS[after[row]]}", fill="black")
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='{html.escape(title)}' src='data:image/png;base64,{data}'>"
