"""The gather against a loop of slices, at the size the training step has."""

import statistics
import time

import pytest
import torch

from pa_difc.backbones.landmarks import landmark_windows


def loop_of_slices(feature_map, landmarks, width_px):
    faces = []
    for maps, points in zip(feature_map, landmarks.tolist(), strict=True):
        windows = []
        for x, y in points:
            column = min(max(int(x * 28 / width_px), 3), 24)
            row = min(max(int(y * 28 / width_px), 3), 24)
            windows.append(maps[:, row - 3 : row + 4, column - 3 : column + 4])
        faces.append(torch.stack(windows))
    return torch.stack(faces)


def seconds(windows_of, feature_map, landmarks):
    feature_map.grad = None
    start = time.perf_counter()
    windows_of(feature_map, landmarks, 112).sum().backward()
    return time.perf_counter() - start


@pytest.mark.slow
def test_one_gather_is_fifty_times_faster_than_a_loop_of_slices():
    torch.manual_seed(0)
    feature_map = torch.randn(32, 128, 28, 28, requires_grad=True)
    landmarks = torch.rand(32, 5, 2) * 112
    for _ in range(3):  # warm both up
        seconds(loop_of_slices, feature_map, landmarks)
        seconds(landmark_windows, feature_map, landmarks)
    pairs = [
        (seconds(loop_of_slices, feature_map, landmarks), seconds(landmark_windows, feature_map, landmarks))
        for _ in range(15)
    ]
    ratio = statistics.median(loop / gather for loop, gather in pairs)
    loop, gather = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"loop {loop:.1f} ms, gather {gather:.1f} ms, {ratio:.0f} times faster")
    assert ratio >= 50
