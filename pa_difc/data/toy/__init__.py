"""Synthetic faces with seven expressions, in two domains that need no download.

A face is drawn from the facial action units of its expression (Ekman & Friesen, 1978) over a random identity, in a
scene that the domain describes. All geometry is in face units: the head is about 1.4 wide and 1.8 high around (0, 0),
x to the right, y down, and at scale 1 it just fits the image, which spans -1..1. A face depends only on the seed, its
index and its label, and is the same at every size.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .canvas import face_landmarks
from .domains import TOY_DOMAINS, ToyDomain, class_counts
from .drawing import draw_face
from .identity import CHUNK, EXPRESSIONS, random_faces
from .photography import photograph

__all__ = ["TOY_DOMAINS", "ToyDomain", "draw_faces", "toy_dataset"]


def draw_faces(labels: np.ndarray, domain: ToyDomain, seed: int, size_px: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Draws one face per label.

    Args:
        labels: ``(N,)`` integers, classes 0..6.
        domain: the scene; its counts and proportions have no effect here.
        seed: of the random streams, not negative. Appending labels does not change the first faces.
        size_px: the side of the images.

    Returns:
        Images ``(N, 3, size_px, size_px)`` uint8 RGB, and landmarks ``(N, 5, 2)`` float32: (x, y) in pixels of left
        eye, right eye, nose tip, left and right mouth corner as seen in the image. The image's left edge is at 0, so
        that the first pixel's centre is at 0.5. Landmarks are the true places, even behind an occluder.

    Raises:
        ValueError: a label is not a class, or ``size_px`` is not positive.
    """
    labels = np.asarray(labels)
    wrong = [k for k in np.unique(labels).tolist() if k not in range(len(EXPRESSIONS))]
    if wrong:
        raise ValueError(f"labels contain {wrong[0]!r}: must be 0..{len(EXPRESSIONS) - 1}")
    if size_px < 1:
        raise ValueError(f"{size_px=}: must be at least 1")
    images = np.empty((len(labels), 3, size_px, size_px), dtype=np.uint8)
    landmarks = np.empty((len(labels), 5, 2), dtype=np.float32)

    def draw(start: int) -> None:
        chunk = slice(start, start + CHUNK)
        rng = np.random.default_rng((seed, start // CHUNK))
        face = random_faces(labels[chunk].astype(np.int64), domain, rng)
        images[chunk] = photograph(draw_face(face, size_px), face, rng)
        landmarks[chunk] = (face_landmarks(face) + 1) * (size_px / 2)

    # Threads are enough, because numpy releases the interpreter's lock while it computes.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(draw, range(0, len(labels), CHUNK)))
    return images, landmarks


def toy_dataset(name: str, split: str, size_px: int = 48) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A split of a toy domain, the same at every call.

    Args:
        name: a key of :data:`TOY_DOMAINS`.
        split: "train" or "test"; they share no random stream.
        size_px: the side of the images.

    Returns:
        Images and landmarks as from :func:`draw_faces`, and labels ``(N,)`` int64 in random order.

    Raises:
        ValueError: there is no such domain or split.
    """
    if name not in TOY_DOMAINS:
        raise ValueError(f"unknown toy domain {name!r}: must be one of {', '.join(TOY_DOMAINS)}")
    if split not in ("train", "test"):
        raise ValueError(f"unknown split {split!r}: must be one of train, test")
    domain = TOY_DOMAINS[name]
    seed = zlib.crc32(f"{name}/{split}".encode())
    counts = class_counts(domain, split)
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int64)
    return *draw_faces(labels, domain, seed, size_px), labels
