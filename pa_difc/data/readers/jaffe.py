"""Reads JAFFE (Lyons et al. 1998)."""

from __future__ import annotations

import re
from pathlib import Path

from ..files import find_images, left_out_clause, merged
from .listing import BOTH, Listing, NotHere, Sample

#: The classes by their code in a file name.
CODES = {
    "SU": "surprise",
    "FE": "fear",
    "DI": "disgust",
    "HA": "happy",
    "SA": "sad",
    "AN": "anger",
    "NE": "neutral",
}

#: Person, expression with the number of the take, number of the image; in some copies with dashes, or a second suffix.
_NAME = re.compile(r"^([A-Z]{2})[.-]([A-Z]{2})\d*[.-]\d+(\.tiff?)?$", re.IGNORECASE)


def read_jaffe(root: Path) -> Listing:
    """Reads JAFFE: 213 images such as ``KA.AN1.39.tiff``; the two letters in the middle are the label.

    The file name is the only source of labels: a published list that calls KR.SA3.79 happy is wrong. Every image is in
    both splits: as a target, methods are adapted to and scored on the same faces (CD-FER), and tables say so. Images
    with other names are left out.
    """
    found = find_images(root)
    names = {path: _NAME.match(path.stem) for path in found.paths}
    samples = [
        Sample(path.relative_to(root).as_posix(), CODES[match[2].upper()], BOTH, path, group=match[1].upper())
        for path, match in names.items()
        if match is not None and match[2].upper() in CODES
    ]
    left_out = merged([found.left_out, {"images of other names than JAFFE's": len(names) - len(samples)}])
    if not samples:
        raise NotHere(
            f"{root}: no JAFFE here (looked for files like KA.AN1.39.tiff, with one of {', '.join(CODES)})"
            f"{left_out_clause(left_out)}"
        )
    return Listing(samples, left_out)
