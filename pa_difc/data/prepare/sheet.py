"""Draws a contact sheet of the detector's results, to inspect before trusting a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..decode import photograph_of
from ..readers.listing import Sample

_TILE = 144
_COLUMNS = 10
_FINER = 2  #: tiles are made from pictures with at least this many times their resolution
_FOUND, _MISSING = 60, 20  #: most tiles of kept faces, and of images without a face
_POINT_COLORS = ("#ff3b30", "#34c759", "#ffd60a", "#0a84ff", "#ff9f0a")


def draw_sheet(part: Path, samples: Sequence[Sample], kept: Sequence[int], missing: Sequence[int]) -> None:
    """Writes contact_sheet.png.

    It shows faces evenly spaced over the store, each as its image with the box, next to the crop that training sees
    with its points; below them, images in which no face was found.

    Args:
        part: the folder with a store's arrays.
        samples: all samples.
        kept: positions of those in the store, in its order.
        missing: positions of those without a face.
    """
    images, points, boxes, confidence = (
        np.load(part / f"{name}.npy", mmap_mode="r") for name in ("images", "landmarks", "boxes", "confidence")
    )
    tiles = []
    for row in _evenly(len(kept), _FOUND // 2):
        sample = samples[kept[row]]
        trust = "" if np.isnan(confidence[row]) else f" {confidence[row]:.2f}"
        tiles.append(_tile(_image_with_box(sample, boxes[row]), (sample.label or "no label") + trust))
        tiles.append(_tile(_crop_with_points(images[row], points[row]), sample.split))
    for row in _evenly(len(missing), _MISSING):
        sample = samples[missing[row]]
        tiles.append(
            _tile(photograph_of(sample)[0].near(_FINER * _TILE).image, f"no face: {sample.label or 'no label'}")
        )
    rows = -(-len(tiles) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _TILE, rows * (_TILE + 14)), "white")
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (i % _COLUMNS * _TILE, i // _COLUMNS * (_TILE + 14)))
    sheet.save(part / "contact_sheet.png")


def _evenly(total: int, wanted: int) -> list[int]:
    return [i * total // min(total, wanted) for i in range(min(total, wanted))]


def _tile(image: Image.Image, text: str) -> Image.Image:
    tile = Image.new("RGB", (_TILE, _TILE + 14), "white")
    scale = (_TILE - 4) / max(image.size)
    tile.paste(image.resize([max(1, round(s * scale)) for s in image.size], Image.Resampling.BILINEAR), (2, 2))
    ImageDraw.Draw(tile).text((2, _TILE), text, fill="black")
    return tile


def _image_with_box(sample: Sample, box: np.ndarray) -> Image.Image:
    photograph, _ = photograph_of(sample)
    scale = _TILE / max(photograph.size)
    size = [max(1, round(s * scale)) for s in photograph.size]
    image = photograph.near(_FINER * _TILE).image.resize(size, Image.Resampling.BILINEAR)
    left, top, right, bottom = (float(b) * scale for b in box)
    corners = (max(0, left), max(0, top), min(image.width - 1, right), min(image.height - 1, bottom))
    if corners[0] < corners[2] and corners[1] < corners[3]:
        ImageDraw.Draw(image).rectangle(corners, outline="#ff2d55", width=2)
    return image


def _crop_with_points(pixels: np.ndarray, points: np.ndarray) -> Image.Image:
    scale = _TILE / pixels.shape[-1]
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image = image.resize((_TILE, _TILE), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for (x, y), color in zip(points * scale, _POINT_COLORS, strict=True):
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=color, outline="black")
    return image
