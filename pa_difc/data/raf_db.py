"""Reading RAF-DB (Li et al. 2017), the paper's source."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from .readers import Listing, Sample

LABELS = Path("basic") / "EmoLabel" / "list_patition_label.txt"  # spelt so in the distribution
ALIGNED = Path("basic") / "Image" / "aligned"


def read_raf_db(root: Path) -> Listing:
    """RAF-DB's basic set: the list of labels and the aligned 100×100 faces.

    A line of the list is ``train_00001.jpg 5``; the class is the number minus one, in this package's own order. The
    prefix of the name is the official split: 12,271 train, 3,068 test.
    """
    path = root / LABELS
    if not path.is_file():
        raise UserError(f"{root}: no RAF-DB here (looked for {LABELS} and {ALIGNED}/)")
    samples = [
        _sample(root, f"{path}:{number}", line)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if line.strip()
    ]
    if not samples:
        raise UserError(f"{path}: the list is empty")
    if len({s.name for s in samples}) < len(samples):
        raise UserError(f"{path}: an image is listed twice")
    return Listing(samples)


def _sample(root: Path, where: str, line: str) -> Sample:
    words = line.split()
    split, _, rest = words[0].partition("_")
    stem, dot, suffix = words[0].rpartition(".")
    if len(words) != 2 or split not in ("train", "test") or not rest or not dot or "/" in words[0] or "\\" in words[0]:
        raise UserError(f"{where}: {line.strip()[:60]!r} must be like 'train_00001.jpg 5'")
    if words[1] not in "1234567" or len(words[1]) != 1:
        raise UserError(f"{where}: label {words[1]!r} must be 1..7")
    return Sample(words[0], int(words[1]) - 1, split, root / ALIGNED / f"{stem}_aligned.{suffix}")
