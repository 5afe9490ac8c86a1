"""How fast a store feeds training: a GPU should not wait for it."""

import time

import numpy as np
import pytest
import torch

from pa_difc.data import FaceSet, PairLoader
from pa_difc.data.augment import PROTOCOL_ZOOM

N = 2000


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "images.npy"
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(N, 3, 112, 112))
    images[:] = np.random.default_rng(0).integers(0, 256, images.shape, dtype=np.uint8)
    images.flush()
    points = np.random.default_rng(1).uniform(10, 100, (N, 5, 2)).astype(np.float32)
    labels = np.arange(N) % 7
    return FaceSet(np.load(path, mmap_mode="r"), points, labels, tuple(map(str, range(N))), "speed")


@pytest.mark.slow
@pytest.mark.parametrize(("options", "bound"), [({"flip": False}, 5000), ({"flip": True, "zoom": PROTOCOL_ZOOM}, 2000)])
def test_faces_a_second_at_112_px(faces, options, bound):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        rates = []
        for seed in range(3):
            loader = PairLoader(faces, faces, batch_size=32, seed=seed, **options)
            start = time.perf_counter()
            seen = sum(len(batch["src_labels"]) + len(batch["target_domain"]) for batch in loader.epoch(0))
            rates.append(seen / (time.perf_counter() - start))
    finally:
        torch.set_num_threads(threads)
    assert max(rates) >= bound, rates
