"""How a store's faces are found and cut out; imports neither numpy nor torch, for commands' help."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from ...util.errors import UserError
from ...util.names import unknown

#: The ways to cut a face out: the paper's protocol, alignment by the points, or the whole image as it is.
CROPS = ("cdfer", "arcface", "none")

#: Sides of images are enlarged to this at most fourfold, and made smaller to it: MTCNN's speed and reach depend on it.
DETECT_PX = 256

#: What becomes of an image in which no face is found.
ON_MISSING = ("drop", "whole", "error")

#: Which face of several is taken.
FACES = ("probable", "largest")


@dataclass(frozen=True)
class Settings:
    """How faces are found and cut out.

    Attributes:
        crop: "cdfer" (the paper's protocol), "arcface" or "none", see :func:`..crops.cut_face`.
        crop_px: the side of a stored face.
        on_missing: "drop" leaves out images without a face and lists them, as the benchmark does silently; "whole"
            takes all of the image (or the box that the dataset gives) and typical points; "error" stops.
        on_bad_image: "skip" lists images that can't be read, "error" stops.
        face: "probable" or "largest"; where the dataset gives a box, the face that overlaps it most.
        detect_px: the longer side of images when faces are looked for.
        deduplicate: whether exact duplicates are left out first.

    Raises:
        UserError: a value is not valid.
    """

    crop: str = "cdfer"
    crop_px: int = 112
    on_missing: str = "drop"
    on_bad_image: str = "skip"
    face: str = "probable"
    detect_px: int = DETECT_PX
    deduplicate: bool = False

    def __post_init__(self) -> None:
        choices = {"crop": CROPS, "on_missing": ON_MISSING, "on_bad_image": ("skip", "error"), "face": FACES}
        for name, valid in choices.items():
            if getattr(self, name) not in valid:
                raise unknown(name.replace("_", "-"), getattr(self, name), valid)
        for name, low, high in (("crop_px", 16, 1024), ("detect_px", 64, 4096)):
            value = getattr(self, name)
            if not (isfinite(value) and low <= value <= high):
                raise UserError(f"{name}={value}: must be {low} to {high}")

    def to_dict(self) -> dict[str, Any]:
        """All values as plain ones, for manifests."""
        return asdict(self)
