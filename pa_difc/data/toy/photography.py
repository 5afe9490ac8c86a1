"""Simulates a camera: light, colour, blur, noise."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from .identity import CHUNK


def photograph(rgb: np.ndarray, face: SimpleNamespace, rng: np.random.Generator) -> np.ndarray:
    """Applies light, lens and sensor: turns images ``(3, N, P, P)`` in full light into ``(N, 3, P, P)`` uint8."""
    _, n, size_px, _ = rgb.shape
    x = np.linspace(-1, 1, size_px, dtype=np.float32)
    y = x[:, None]
    light = 1 + face.light * (np.cos(face.light_angle) * x + np.sin(face.light_angle) * y)
    across = np.cos(face.shadow_angle) * x + np.sin(face.shadow_angle) * y
    light *= 1 - face.shadow * np.clip(0.5 + (across - face.shadow_offset) / 0.2, 0, 1)
    rgb = rgb * (light * face.exposure)
    rgb *= face.cast
    rgb = _blur(rgb, face.blur * np.float32(size_px / 1000))
    _coarsen(rgb, face.coarse[:, 0, 0] > 0, face.coarseness * np.float32(size_px / 48))
    rgb -= 0.5
    rgb *= face.contrast
    rgb += 0.5
    noise = rng.standard_normal((CHUNK, 3, size_px, size_px), np.float32)[:n]
    rgb += face.noise * noise.swapaxes(0, 1)
    _decolour(rgb, np.flatnonzero(face.gray))
    np.clip(rgb, 0, 1, out=rgb)
    rgb *= 255
    images: np.ndarray = np.rint(rgb, out=rgb).astype(np.uint8).swapaxes(0, 1)
    return images


def _blur(rgb: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Gaussian blur of each image by its own standard deviation in pixels."""
    reach = int(np.ceil(2.5 * sigma.max()))
    if reach == 0:
        return rgb
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / np.maximum(sigma, 0.05)) ** 2) * (np.abs(offsets) <= 2.5 * sigma)
    weights = (weights / weights.sum(-1, keepdims=True)).astype(np.float32)  # (N, 1, offsets)
    size_px = rgb.shape[-1]
    for axis in (3, 2):
        margin = [(0, 0)] * 4
        margin[axis] = (reach, reach)
        padded = np.pad(rgb, margin, mode="edge")
        shifted = [(slice(None),) * axis + (slice(k, k + size_px),) for k in range(2 * reach + 1)]
        rgb = weights[..., [0]] * padded[shifted[0]]
        for k in range(1, 2 * reach + 1):
            rgb += weights[..., [k]] * padded[shifted[k]]
    return rgb


def _coarsen(rgb: np.ndarray, chosen: np.ndarray, block_px: np.ndarray) -> None:
    """Coarsens the chosen images to one sample per block with a side of ``block_px`` pixels."""
    size_px = rgb.shape[-1]
    for i in np.flatnonzero(chosen):
        block = block_px[i, 0, 0]
        centre = (np.floor(np.arange(size_px) / block) + 0.5) * block
        index = np.minimum(centre.astype(int), size_px - 1)
        rgb[:, i] = rgb[:, i, index[:, None], index]


def _decolour(rgb: np.ndarray, chosen: np.ndarray) -> None:
    """Makes the chosen images gray."""
    red, green, blue = rgb[:, chosen]
    rgb[:, chosen] = 0.299 * red + 0.587 * green + 0.114 * blue
