"""The tables of an error page."""

from __future__ import annotations

import numpy as np

from .errors_style import bdi, scrolling, table
from .mistakes import by_confidence
from .reviewed import Reviewed
from .words import share


def matrix(r: Reviewed) -> str:
    """The confusion matrix: counts, coloured by their share of the true class."""
    assert r.labels is not None
    k = len(r.classes)
    counts = np.zeros((k, k), dtype=int)
    np.add.at(counts, (r.labels, r.predicted), 1)
    head = "".join(f"<th scope='col'>{bdi(name)}</th>" for name in r.classes)
    rows = []
    for i, name in enumerate(r.classes):
        shares = 100 * counts[i] / max(1, counts[i].sum())
        cells = "".join(
            f"<td style='--share:{shares[j]:.0f}'{' class=right' if i == j else ''}>{counts[i, j]:,}</td>"
            for j in range(k)
        )
        rows.append(f"<tr><th scope='row'>{bdi(name)}</th>{cells}<td>{counts[i].sum():,}</td></tr>")
    caption = "<p>Faces by true class (rows) and predicted class (columns), coloured by their share of the row.</p>"
    head = f"<thead><tr><th>true</th>{head}<th>all</th></tr></thead>"
    return caption + scrolling(f"<table class='matrix'>{head}<tbody>{''.join(rows)}</tbody></table>", "All pairs")


def confidences(r: Reviewed) -> str:
    """Faces by confidence and, with labels, how many of them are right."""
    rows = []
    for row in by_confidence(r.probs, r.labels):
        cells = [f"{row.low:.0%} to {row.high:.0%}", f"{row.faces:,}", share(row.faces / len(r.probs))]
        if row.right is not None:
            cells += [f"{row.faces - row.right:,}", share(row.right / row.faces) if row.faces else "–"]
        rows.append(cells)
    if r.labels is None:
        return table([["confidence", "faces", "of all"], *rows], "How sure")
    said = "<p>If confidence were calibrated, the last column would lie within the first.</p>"
    return said + table([["confidence", "faces", "of all", "wrong", "right"], *rows], "How sure")


def predicted(r: Reviewed) -> str:
    """How often each class was predicted, and with what confidence."""
    rows = [["predicted", "faces", "of all", "mean confidence"]]
    for k, name in enumerate(r.classes):
        mine = r.predicted == k
        sure = share(float(r.confidence[mine].mean())) if mine.any() else "–"
        rows.append([name, f"{int(mine.sum()):,}", share(float(mine.mean())), sure])
    return table(rows, "What was predicted")
