"""Rows of a mapped array are asked for where they lie."""

import numpy as np
import pytest
import torch

from pa_difc.data import FaceSet
from pa_difc.data.mapped import ask_for, page_ranges


@pytest.fixture
def path(tmp_path):
    """A file of 300 rows of 3,000 bytes, each filled with its number."""
    rows = np.broadcast_to((np.arange(300) % 256).astype(np.uint8)[:, None], (300, 3000))
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path / "rows.npy"


@pytest.mark.parametrize("cut", [slice(None), slice(40, 290)])
@pytest.mark.parametrize("row", [0, 7, 249])
def test_the_range_holds_the_row_and_little_else(path, cut, row):
    array = np.load(path, mmap_mode="r")[cut]
    ((start, length),) = page_ranges(array, np.array([row]))
    asked = path.read_bytes()[start : start + length]
    assert start % 4096 == 0 and length < 3000 + 4096 and len(asked) == length
    assert asked.endswith(array[row].tobytes())


def test_batches_are_the_same_from_memory_and_from_a_map(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 40, 40), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    rest = (np.zeros((50, 5, 2), np.float32), np.zeros(50, np.int64), tuple(map(str, range(50))))
    indices = np.array([49, 0, 3, 3])
    a, b = (
        FaceSet(x, *rest).batch(indices, torch.device("cpu")).image
        for x in (images, np.load(tmp_path / "images.npy", mmap_mode="r"))
    )
    assert torch.equal(a, b)
    ask_for(images, indices)  # nothing to do
