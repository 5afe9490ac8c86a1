"""Photographs of drawn faces, and what preparing them leaves."""

import zlib
from functools import cache

import numpy as np
from PIL import Image

from pa_difc.data.labels import SEVEN
from pa_difc.data.toy import TOY_DOMAINS, draw_faces, toy_dataset


@cache
def drawn_faces(n, side):
    """The first faces that are drawn for toy_studio's test, with their points and labels, and none of the others."""
    labels = toy_dataset("toy_studio", "test", 1)[2][:n]
    seed = zlib.crc32(b"toy_studio/test")
    return *draw_faces(labels, TOY_DOMAINS["toy_studio"], seed, side), labels


def photographs(root, n=39, side=96):
    """Class folders of drawn faces in wider gray pictures; returns where each face's points are."""
    faces, points, labels = drawn_faces(n, side)
    where = {}
    for i in range(n):
        split, left, top = "train" if i % 3 else "test", 20 + i % 5, 10 + i % 7
        canvas = np.full((side + 40, side + 60, 3), 190, dtype=np.uint8)
        canvas[top : top + side, left : left + side] = faces[i].transpose(1, 2, 0)
        path = root / split / SEVEN[labels[i]] / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(canvas).save(path)
        where[path.relative_to(root).as_posix()] = points[i] + [left, top]
    return where


def content(path):
    """The files of a folder, by name."""
    return {p.name: p.read_bytes() for p in sorted(path.iterdir())}
