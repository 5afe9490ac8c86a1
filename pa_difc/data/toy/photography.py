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
    rgb = rgb * (light * face.exposure) * face.cast
    rgb = _blur(rgb, face.blur * np.float32(size_px / 1000))
    rgb = _coarsen(rgb, np.where(face.coarse, face.coarseness * np.float32(size_px / 48), 1))
    rgb = 0.5 + face.contrast * (rgb - 0.5)
    noise = rng.standard_normal((CHUNK, 3, size_px, size_px), np.float32)[:n]
    rgb += face.noise * noise.swapaxes(0, 1)
    luminance = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
    rgb = np.where(face.gray, luminance, rgb)
    images: np.ndarray = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8).swapaxes(0, 1)
    return images


def _blur(rgb: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Gaussian blur of each image by its own standard deviation in pixels."""
    reach = int(np.ceil(2.5 * sigma.max()))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / np.maximum(sigma, 0.05)) ** 2) * (np.abs(offsets) <= 2.5 * sigma)
    weights = (weights / weights.sum(-1, keepdims=True)).astype(np.float32)  # (N, 1, offsets)
    size_px = rgb.shape[-1]
    for _ in range(2):
        padded = np.pad(rgb, ((0, 0), (0, 0), (0, 0), (reach, reach)), mode="edge")
        blurred = sum(weights[..., [k]] * padded[..., k : k + size_px] for k in range(2 * reach + 1))
        rgb = blurred.swapaxes(2, 3)
    return rgb


def _coarsen(rgb: np.ndarray, block_px: np.ndarray) -> np.ndarray:
    """Coarsens each image to one sample per block with a side of ``block_px`` pixels."""
    n, size_px = rgb.shape[1:3]
    block = block_px[:, 0]  # (N, 1)
    centre = (np.floor(np.arange(size_px) / block) + 0.5) * block
    index = np.minimum(centre.astype(int), size_px - 1)  # (N, P)
    return rgb[:, np.arange(n)[:, None, None], index[:, :, None], index[:, None, :]]
