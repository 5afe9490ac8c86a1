"""The suite's own arithmetic: what it would report if it knew the answer."""

import json
import time

import pytest
import torch

from . import measure
from .measure import Figure, exponent, interleaved, ratio
from .report import markdown, setting, to_dict


def test_a_side_that_works_twice_as_long_costs_twice():
    def busy(seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    seconds = interleaved({"long": lambda: busy(0.02), "short": lambda: busy(0.01)}, rounds=7)
    figure = ratio("s", "long over short", seconds["long"], seconds["short"])
    assert figure.value == pytest.approx(2, rel=0.1) and figure.rounds == 7


def test_sides_take_turns_and_the_order_turns_around(monkeypatch):
    calls = []
    monkeypatch.setattr(measure, "now", lambda device: float(len(calls)))
    seconds = interleaved({name: lambda n=name: calls.append(n) for name in "ab"}, rounds=4, warmup=1)
    assert "".join(calls) == "ab" + "abbaabba" and seconds == {"a": [1.0] * 4, "b": [1.0] * 4}


def test_a_slow_minute_of_the_machine_does_not_move_the_ratio():
    slow = [1, 1, 5, 9, 1]
    figure = ratio("s", "n", [3 * s for s in slow], [2 * s for s in slow])
    assert figure.value == pytest.approx(1.5) and figure.quartiles == pytest.approx((1.5, 1.5))
    skewed = ratio("s", "n", [1, 1, 1, 1, 100], [1, 1, 1, 1, 1])
    assert skewed.value == 1  # one bad round is not the figure


@pytest.mark.parametrize(("sign", "value", "held"), [("≤", 1.04, True), ("≤", 1.06, False), ("≥", 1.06, True)])
def test_bounds(sign, value, held):
    assert Figure("s", "n", value, bound=(sign, 1.05)).held is held
    assert Figure("s", "n", value).held is None


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_exponents(power):
    sizes = [10, 100, 1000]
    assert exponent(sizes, [3.0 * n**power for n in sizes]) == pytest.approx(power, abs=1e-9)


def test_a_miss_is_marked_and_the_json_says_so():
    figures = [Figure("s", "n", 1.2, bound=("≤", 1.05), note="slow"), Figure("s", "m", 1.0, bound=("≤", 1.05))]
    table = markdown({**setting("cpu"), "sections": ["s"]}, figures)
    missed, kept = (line for line in table.splitlines() if line.startswith(("| n", "| m")))
    assert "**missed**" in missed and "missed" not in kept
    assert [json.loads(json.dumps(to_dict(f)))["held"] for f in figures] == [False, True]


def test_peak_memory_is_the_most_at_a_time():
    from .cost import peak_bytes

    def run():
        a = torch.ones(1024, 1024)  # 4 MiB
        del a
        return torch.ones(1024, 512)  # 2 MiB, when the first is gone

    assert peak_bytes(run, "cpu") == pytest.approx(4 * 2**20, rel=0.01)
