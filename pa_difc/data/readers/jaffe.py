"""Reading JAFFE (Lyons et al. 1998)."""

from __future__ import annotations

import re
from pathlib import Path

from ...util.errors import UserError
from ..files import find_images
from .listing import BOTH, Listing, Sample

#: The code in a file name.
CODES = {
    "SU": "surprise",
    "FE": "fear",
    "DI": "disgust",
    "HA": "happy",
    "SA": "sad",
    "AN": "anger",
    "NE": "neutral",
}

_NAME = re.compile(r"^[A-Z]{2}\.([A-Z]{2})\d*\.\d+$", re.IGNORECASE)


def read_jaffe(root: Path) -> Listing:
    """JAFFE: one flat folder of 213 images such as ``KA.AN1.39.tiff``; the two letters in the middle are the label.

    The file name is the only source of labels: a published list that calls KR.SA3.79 happy is wrong. Every image is in
    both splits: as a target, the set is adapted to and scored on the same faces (CD-FER), and tables say so.
    """
    samples = []
    found = find_images(root)
    for path in found.paths:
        match = _NAME.match(path.stem)
        if match is None or match[1].upper() not in CODES:
            raise UserError(f"{path}: the name must be like KA.AN1.39.tiff, with one of {', '.join(CODES)}")
        samples.append(Sample(path.relative_to(root).as_posix(), CODES[match[1].upper()], BOTH, path))
    if not samples:
        raise UserError(f"{root}: no JAFFE here (looked for files like KA.AN1.39.tiff)")
    return Listing(samples, found.left_out)
