"""Reads weights in TensorFlow.js format: a manifest that names tensors, and files with their bytes.

The concatenated files of a group hold its tensors in order: float32, or a byte per value with
value = byte · scale + min.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..util.errors import UserError
from ..util.shapes import COUNT, NUMBER, TEXT, mismatch
from .places import manifest_groups

#: By the last part of a tensor's TensorFlow name: its PyTorch name, and the order of its dimensions.
_LAYOUTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "filters": ("weight", (3, 2, 0, 1)),  # HWIO → OIHW
    "pointwise_filter": ("pointwise.weight", (3, 2, 0, 1)),
    "depthwise_filter": ("depthwise.weight", (2, 3, 0, 1)),  # HWCM → CMHW, with one filter for each channel
    "weights": ("weight", (1, 0)),
    "bias": ("bias", (0,)),
}


def read_tfjs(manifest: Path) -> dict[str, Tensor]:
    """Reads the tensors of a TensorFlow.js network, with the names and layouts of PyTorch layers.

    ``dense1/conv0/depthwise_filter`` becomes ``dense1.conv0.depthwise.weight``, ``fc/weights`` becomes ``fc.weight``;
    the bias of a separable convolution goes to its pointwise convolution.

    Args:
        manifest: a file ending in ``weights_manifest.json``; the binary files must be next to it.

    Raises:
        UserError: a file can't be read, is incomplete, or has another layout.
    """
    found: dict[str, Tensor] = {}
    for group in manifest_groups(manifest):
        content = _bytes(manifest, group["paths"])
        place = 0
        for name, shape, quantization in _entries(manifest, group["weights"]):
            kind = np.dtype("u1") if quantization else np.dtype("<f4")
            end = place + prod(shape) * kind.itemsize
            if end > len(content):
                raise _of_another_length(manifest, group["paths"], len(content), f"more, for {name}")
            values = np.frombuffer(content[place:end], kind).astype(np.float32).reshape(shape)
            if quantization:
                values = values * np.float32(quantization["scale"]) + np.float32(quantization["min"])
            found[name] = torch.from_numpy(values)
            place = end
        if place != len(content):
            raise _of_another_length(manifest, group["paths"], len(content), f"{place:,}")
    separable = {name.rpartition("/")[0] for name in found if name.endswith("/depthwise_filter")}
    return {key: tensor for name, x in found.items() for key, tensor in [_translated(manifest, name, x, separable)]}


def _bytes(manifest: Path, paths: list[str]) -> bytes:
    content = b""
    for path in paths:
        if Path(path).name != path:
            raise UserError(f"{manifest}: the file {path!r} must be next to it")
        try:
            content += (manifest.parent / path).read_bytes()
        except OSError as error:
            raise UserError(f"cannot read weights {manifest.parent / path}: {error.strerror or error}") from None
    return content


def _entries(manifest: Path, weights: list[Any]) -> Iterator[tuple[str, list[int], dict[str, float] | None]]:
    for number, entry in enumerate(weights):
        shape: dict[str, Any] = {"name": TEXT, "shape": [COUNT], "dtype": TEXT, "quantization?": _QUANTIZATION}
        if problem := mismatch(entry, shape, f"weights[{number}]"):
            raise UserError(f"{manifest} is not a TensorFlow.js manifest ({problem})")
        quantization = entry.get("quantization")
        stored = quantization["dtype"] if quantization else entry["dtype"]
        if entry["dtype"] != "float32" or stored not in ("float32", "uint8"):
            raise UserError(f"{manifest}: {entry['name']} is {stored}: must be float32, or float32 stored as uint8")
        yield entry["name"], entry["shape"], quantization


_QUANTIZATION = {"dtype": TEXT, "scale": NUMBER, "min": NUMBER}


def _of_another_length(manifest: Path, paths: list[str], found: int, wanted: str) -> UserError:
    files = ", ".join(str(manifest.parent / path) for path in paths) or "no file"
    return UserError(f"cannot read weights {files}: {found:,} bytes, but {manifest.name} describes {wanted}")


def _translated(manifest: Path, name: str, tensor: Tensor, separable: set[str]) -> tuple[str, Tensor]:
    """Converts a tensor to its PyTorch name and layout."""
    layer, _, last = name.rpartition("/")
    own, order = _LAYOUTS.get(last, (last, tuple(range(tensor.dim()))))
    if len(order) != tensor.dim():
        raise UserError(f"{manifest}: {name} has {tensor.dim()} dimensions, must have {len(order)}")
    if last == "bias" and layer in separable:
        own = f"pointwise.{own}"
    return f"{layer}/{own}".lstrip("/").replace("/", "."), tensor.permute(order).contiguous()
