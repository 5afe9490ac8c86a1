"""Faces that tests are made of: tiny, seeded, no downloads."""

import numpy as np
import pytest
import torch

from pa_difc.data import Domain, FaceSet

torch.set_num_threads(1)  # the batches are tiny; threads would wait for each other


def random_faces(n, seed, size_px=32, prefix="face"):
    """Faces of noise whose brightness tells the class, all seven present."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 7
    rng.shuffle(labels)
    images = rng.integers(0, 120, (n, 3, size_px, size_px)) + 18 * labels[:, None, None, None]
    landmarks = rng.uniform(4, size_px - 4, (n, 5, 2)).astype(np.float32)
    return FaceSet(images.astype(np.uint8), landmarks, labels, tuple(f"{prefix}{i}" for i in range(n)))


@pytest.fixture
def source():
    return Domain("bright", random_faces(45, 1), random_faces(14, 2))


@pytest.fixture
def target():
    return Domain("dim", random_faces(61, 3), random_faces(21, 4))
