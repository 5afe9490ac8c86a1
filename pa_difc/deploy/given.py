"""The images that a caller in Python passes to a model: one or many, as files or in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..util.errors import UserError
from ..util.names import address_clause, written
from .arguments import path_of
from .images import find_images

_ONE = (str, os.PathLike, Image.Image, np.ndarray, torch.Tensor, bytes, bytearray, memoryview)
_KINDS = "a path, a PIL image, an array (H, W, 3) or (H, W) of uint8, or a list or iterator of these"


@dataclass(frozen=True)
class Given:
    """An image and its name."""

    source: str
    image: Path | Image.Image | np.ndarray | Callable[[], bytes]  #: a callable returns a file's content

    @classmethod
    def of(cls, x: Any, index: int = 0) -> Given:
        """From a path, a PIL image, an array or a tensor; one without a file is called "image" and its index.

        Raises:
            UserError: ``x`` is something else, a folder, or an array of another shape or type.
        """
        unnamed = f"image {index}"
        if isinstance(x, (str, os.PathLike)):
            path = Path(x)
            if path.is_dir():
                raise UserError(f"{path} is a folder: give it alone, or a list of its images")
            if (clause := address_clause(path)) and not path.exists():
                raise UserError(f"{written(path)}: no such file{clause}")
            return cls.of_file(path)
        if isinstance(x, Image.Image):
            return cls(os.fsdecode(getattr(x, "filename", "") or unnamed), x)
        if isinstance(x, torch.Tensor):
            return cls(unnamed, _of_tensor(x))
        if isinstance(x, np.ndarray):
            return cls(unnamed, _of_array(x))
        if isinstance(x, bytes | bytearray | memoryview):
            raise UserError(
                f"{unnamed} is of type {type(x).__name__}: give Image.open(io.BytesIO(…)), with PIL's Image"
            )
        raise UserError(f"{unnamed} is of type {type(x).__name__}: give {_KINDS}")

    @classmethod
    def of_file(cls, path: Path) -> Given:
        """From a file's path, which is not checked."""
        return cls(str(path), path)


def is_one(x: Any) -> bool:
    """Whether ``x`` is one image rather than many."""
    if isinstance(x, (str, os.PathLike)):
        return not Path(x).is_dir()
    if isinstance(x, np.ndarray) and x.dtype.kind in "OU":  # of paths
        return x.ndim != 1
    return isinstance(x, _ONE)


def many(x: Any) -> Iterator[Given]:
    """The images of a folder or of an iterable, one after the other.

    Raises:
        UserError: ``x`` is neither, an empty path, or the folder has no image.
    """
    if isinstance(x, (str, os.PathLike)):
        x = find_images([path_of("images", x)]).paths
    if hasattr(x, "read"):  # it would be an iterator of lines
        raise UserError(f"an open file ({type(x).__name__}) can't be predicted: give its path, or Image.open(file)")
    if not isinstance(x, Iterable) or isinstance(x, dict):
        raise UserError(f"{type(x).__name__} can't be predicted: give {_KINDS}")
    return (Given.of(one, index) for index, one in enumerate(x))


def _of_array(x: np.ndarray) -> np.ndarray:
    said = f"an array of shape {x.shape} and type {x.dtype}"
    if x.ndim == 3 and x.shape[2] == 1:
        x = x[:, :, 0]
    if x.ndim == 4:
        raise UserError(f"{said}: give the images of a batch as list(array)")
    if x.ndim == 3 and x.shape[2] == 4:
        raise UserError(f"{said}: give an image with alpha as Image.fromarray(array)")
    if x.ndim == 3 and x.shape[2] != 3 and x.shape[0] in (1, 3):
        raise UserError(f"{said}: give colours last, as array.transpose(1, 2, 0)")
    if x.ndim not in (2, 3) or (x.ndim == 3 and x.shape[2] != 3) or 0 in x.shape:
        raise UserError(f"{said}: must be (H, W, 3), RGB, or (H, W), gray")
    if x.dtype != np.uint8:
        raise UserError(f"{said}: must be uint8, {_way(x.dtype.kind, 'array', 'astype(np.uint8)')}")
    return np.ascontiguousarray(x)


def _of_tensor(x: torch.Tensor) -> np.ndarray:
    said = f"a tensor of shape {tuple(x.shape)} and type {x.dtype}"
    if x.ndim == 4:
        raise UserError(f"{said}: give the images of a batch as list(tensor)")
    if x.ndim not in (2, 3) or (x.ndim == 3 and x.shape[0] not in (1, 3)) or 0 in x.shape:
        raise UserError(f"{said}: must be (3, H, W), RGB, or (1, H, W) or (H, W), gray")
    if x.dtype != torch.uint8:
        raise UserError(f"{said}: must be uint8, {_way('f' if x.is_floating_point() else 'i', 'tensor', 'byte()')}")
    pixels: np.ndarray = x.detach().cpu().numpy()
    if x.ndim == 3:
        pixels = pixels[0] if x.shape[0] == 1 else pixels.transpose(1, 2, 0)
    return np.ascontiguousarray(pixels)


def _way(kind: str, name: str, to: str) -> str:
    """A hint on how to convert numbers of another type to uint8."""
    return f"0 to 255; if it is in 0..1: (255 * {name}).round().{to}" if kind == "f" else "0 to 255"
