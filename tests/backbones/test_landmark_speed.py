"""The gather against a loop of slices, at the size the training step has."""

import statistics
import time

import pytest
import torch
from benchmarks.vision import LAYOUTS, loop_of_slices

from pa_difc.backbones.landmarks import landmark_windows


def seconds(windows_of, repeats, feature_map, landmarks, gradient):
    """CPU time of one forward and backward pass, the least of some: other work on the machine counts little.

    All tests run on one thread, so no second one spins and the CPU time is the time that a pass takes.
    """
    times = []
    for _ in range(repeats):
        feature_map.grad = None
        start = time.process_time()
        windows_of(feature_map, landmarks, 112).backward(gradient)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "at_least"), [("channels last", 50), ("channels first", 20)])
def test_one_gather_is_many_times_faster_than_a_loop_of_slices(layout, at_least):
    torch.manual_seed(0)
    arguments = (
        torch.randn(32, 128, 28, 28).to(memory_format=LAYOUTS[layout]).requires_grad_(),
        torch.rand(32, 5, 2) * 112,
        torch.randn(32, 5, 128, 7, 7),
    )
    assert torch.equal(landmark_windows(*arguments[:2], 112), loop_of_slices(*arguments[:2], 112))
    pairs = [(seconds(loop_of_slices, 3, *arguments), seconds(landmark_windows, 15, *arguments)) for _ in range(7)]
    ratio = statistics.median(loop / gather for loop, gather in pairs)
    loop, gather = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{layout}: loop {loop:.1f} ms, gather {gather:.1f} ms, {ratio:.0f} times faster")
    assert ratio >= at_least
