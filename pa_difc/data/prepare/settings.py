"""Settings of ``prepare``: how a store's faces are detected and cropped."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...util.options import Options, option
from ..protocol import CROPS, DETECT_PX, NEAR_DUPLICATES


@dataclass(frozen=True)
class PrepareSettings(Options):
    """How a store's faces are detected and cropped.

    Raises:
        UserError: a value is not valid.
    """

    crop: str = option(
        "cdfer",
        "cdfer: the box and about 10 % around it (the paper's protocol); arcface: aligned by the five points; "
        "none: the whole image",
        choices=CROPS,
    )
    crop_px: int = option(112, "side of a stored face", unit="pixels", at_least=16, at_most=1024)
    on_missing: str = option(
        "drop",
        "images without a face: drop (leave them out and list them; the CD-FER benchmark drops them silently), whole "
        "(keep the image, or the dataset's box, with typical points) or error (stop)",
        choices=("drop", "whole", "error"),
    )
    on_bad_image: str = option(
        "skip",
        "images that can't be read, or don't fit the dataset's box or points: skip (leave them out and list them) or "
        "error (stop)",
        choices=("skip", "error"),
    )
    face: str = option(
        "probable",
        "which of several faces: probable (most likely a face) or largest; if the dataset has a "
        "box, the one that overlaps it most",
        choices=("probable", "largest"),
    )
    detect_px: int = option(
        DETECT_PX,
        "longer side to which images are scaled for face detection; more finds smaller faces, but is slower",
        unit="pixels",
        at_least=64,
        at_most=4096,
    )
    deduplicate: bool = option(False, "leave out exact duplicates first, also across splits")
    group_by: str | None = option(
        None,
        "keep samples in the same split if they share this: a column of the set's list, or what a regular expression "
        r"finds in their names, such as 'P\d+'",
    )
    near_duplicates: str | None = option(
        None,
        "find re-saved, scaled or mirrored pictures: keep (count them only), group (keep them in the same split) or "
        "drop (all but one)",
        choices=NEAR_DUPLICATES,
    )

    def to_dict(self) -> dict[str, Any]:
        """All values except None, for manifests: an unused option leaves a store's identity as it was before it."""
        return {name: value for name, value in asdict(self).items() if value is not None}
