"""Finds near duplicates: the same picture saved again, in another size or mirrored; needs imagehash."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..util.bars import tqdm
from ..util.errors import DiskError, UserError
from ..util.installed import installed_version
from .crops import pad_box, whole_image
from .decode import photograph_of
from .readers.listing import Sample

NEEDS = "pip install 'pa-difc[duplicates]'"

_SIDE = 16  #: a hash has 16 × 16 bits
#: Two images are near duplicates if at most this many of the 256 bits differ. On two sets of web photographs, copies
#: saved as JPEG with quality 40, or scaled by 0.6 or 2, differed by up to 20 bits, seldom by more. Inspected by eye,
#: all pairs up to 40 bits were one picture, and from 42 on some were two pictures of one person.
MOST_BITS = 40
_FLAT = 2.0  #: an image whose gray values have a smaller standard deviation shows nothing
_NEAR_PX = 256  #: images are decoded near this size
_BLOCK = 1024


def can_find_near() -> bool:
    """Whether imagehash is installed."""
    return installed_version("imagehash") is not None


def find_near(samples: Sequence[Sample], title: str = "near duplicates") -> list[list[int]]:
    """Finds groups of samples that show the same picture, by position.

    Two images are near duplicates if their perceptual hashes, or that of one and of the other's mirror image, differ by
    at most :data:`MOST_BITS` bits; groups are connected components. Rotated copies and other crops are not found.

    Args:
        samples: those with a box are compared by the box's content.
        title: of the progress bar.

    Raises:
        UserError: imagehash is not installed.
        DiskError: the disk failed.
    """
    if not can_find_near():
        raise UserError(f"near duplicates need imagehash: {NEEDS}")

    def hashes(sample: Sample) -> Any:
        try:
            photograph, upright = photograph_of(sample)
            box = whole_image(photograph) if upright.box is None else pad_box(upright.box, *photograph.size)
            return perceptual_hashes(photograph.near(_NEAR_PX, box).image)
        except DiskError:
            raise
        except ValueError:  # unreadable, or a box outside the image
            return None

    with ThreadPoolExecutor() as pool:
        results = pool.map(hashes, samples, chunksize=64)
        found = list(tqdm(results, total=len(samples), desc=title, unit="face", disable=None, leave=False))
    known = [i for i, bits in enumerate(found) if bits is not None]
    if not known:
        return []
    bits = np.stack([found[i] for i in known])  # type: ignore[arg-type]
    return [[known[i] for i in group] for group in _groups(bits)]


def perceptual_hashes(image: Image.Image) -> Any:
    """The hashes ``(2, 256)`` bool of an image and its mirror image; None if it shows nothing."""
    import imagehash  # type: ignore[import-not-found,import-untyped]

    gray = image.convert("L")
    if np.asarray(gray.resize((_SIDE, _SIDE), Image.Resampling.BOX)).std() < _FLAT:
        return None
    both = (gray, ImageOps.mirror(gray))
    return np.stack([np.asarray(imagehash.phash(side, hash_size=_SIDE).hash).ravel() for side in both])


def _groups(bits: NDArray[np.bool_]) -> list[list[int]]:
    """Connected components of near hashes.

    Args:
        bits: ``(N, 2, 256)``.
    """
    # For vectors of ±1, the dot product gives the number of differing bits.
    signs = bits.astype(np.float32) * 2 - 1
    plain, mirrored = signs[:, 0], signs[:, 1]
    nearest = plain.shape[1] - 2 * MOST_BITS
    parent = list(range(len(bits)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for start in range(0, len(bits), _BLOCK):
        rows = plain[start : start + _BLOCK]
        for column in range(0, start + _BLOCK, 16 * _BLOCK):
            stop = min(column + 16 * _BLOCK, start + _BLOCK)
            others = slice(column, stop)
            near = (rows @ plain[others].T >= nearest) | (rows @ mirrored[others].T >= nearest)
            for row, other in zip(*(side.tolist() for side in np.nonzero(near)), strict=True):
                a, b = root(start + row), root(column + other)
                parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for i in range(len(bits)):
        groups.setdefault(root(i), []).append(i)
    return [members for members in groups.values() if len(members) > 1]
