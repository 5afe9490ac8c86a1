"""The main table as a paper shows it: some of its columns, under short heads."""

from __future__ import annotations

from collections.abc import Sequence

from .compared import OVER_FACES
from .run import AS_IS
from .tables import AGREES, Rows

#: What the columns of the main table can be chosen by, and how their heads begin.
COLUMNS = {
    "accuracy": ("accuracy",),
    "recall": ("mean recall",),
    "recall20": ("≥ 20 faces",),
    "f1": ("macro-F1",),
    "gain": ("Δ recall vs ce", "p", "p (Holm)", OVER_FACES),
    "as_is": (f"Δ recall vs {AS_IS}", f"p vs {AS_IS}", f"p (Holm) vs {AS_IS}", f"{OVER_FACES} vs {AS_IS}", AGREES),
    "seeds": ("seeds",),
    "published": ("published accuracy",),
}
#: Short heads, and what they stand for if that needs a note.
_SHORT = {
    "accuracy": "Acc.",
    "mean recall": "Recall",
    "≥ 20 faces": "Recall ≥ 20",
    "macro-F1": "F1",
    "Δ recall vs ce": "Δ ce",
    OVER_FACES: "95 % faces",
    f"Δ recall vs {AS_IS}": f"Δ {AS_IS}",
    f"p vs {AS_IS}": "p",
    f"p (Holm) vs {AS_IS}": "p (Holm)",
    f"{OVER_FACES} vs {AS_IS}": "95 % faces",
    AGREES: f"= {AS_IS}",
    "published accuracy": "Publ.",
}


def for_paper(rows: Rows, columns: Sequence[str]) -> tuple[Rows, list[int], str]:
    """The main table with method, loss and some other columns, where each column stood, and a note on its heads.

    Args:
        rows: the main table; the first row is the header.
        columns: names in :data:`COLUMNS`, in the order wanted; none for all, in the table's order.
    """
    wanted = [head for name in dict.fromkeys(columns) for head in COLUMNS[name]]
    known = {head for heads in COLUMNS.values() for head in heads}
    chosen = [head for head in wanted if head in rows[0]] if columns else [h for h in rows[0][2:] if h in known]
    kept = [0, 1, *map(rows[0].index, chosen)]
    heads = [rows[0][j] for j in kept]
    short = [_SHORT.get(head, head) for head in heads]
    said = [f"{new}: {head}" for head, new in zip(heads, short, strict=True) if new != head]
    return [short, *([row[j] for j in kept] for row in rows[1:])], kept, f"{'; '.join(said)}." if said else ""
