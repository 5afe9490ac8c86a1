"""Reading images of which nobody said what they show."""

from __future__ import annotations

from pathlib import Path

from ...util.errors import UserError
from .listing import BOTH, Listing, Sample, images_below


def read_images(root: Path) -> Listing:
    """Every image below a folder, at any depth, without a label: names of folders are not looked at.

    All of them are the one split: nothing can be scored on them, so nothing has to be held out.

    Args:
        root: the folder.
    """
    samples = [Sample(p.relative_to(root).as_posix(), None, BOTH, p) for p in images_below(root)]
    if not samples:
        raise UserError(f"{root}: no images below it (looked for .jpg, .png, .bmp, .tif and .webp)")
    return Listing(samples)
