"""Reads images without labels."""

from __future__ import annotations

from pathlib import Path

from ...util.errors import UserError
from ..files import find_images, left_out_clause
from .listing import BOTH, Listing, Sample


def read_images(root: Path) -> Listing:
    """Reads every image below a folder, at any depth, without a label; folder names do not matter.

    They form a single split: nothing can be scored on them, so nothing has to be held out.

    Raises:
        UserError: there is no image below the folder.
    """
    found = find_images(root)
    samples = [Sample(p.relative_to(root).as_posix(), None, BOTH, p) for p in found.paths]
    if not samples:
        raise UserError(f"{root}: no images below it{left_out_clause(found.left_out)}")
    return Listing(samples, found.left_out)
