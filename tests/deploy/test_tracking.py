"""A face keeps its number, and its probabilities tremble less."""

import math

import numpy as np
import pytest

from pa_difc.deploy.smoothing import Ema, OneEuro, smoother_of
from pa_difc.deploy.tracking import Tracker
from pa_difc.util.errors import UserError


def box(x, y=50.0, side=40.0):
    """The box around a middle."""
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def test_faces_are_numbered_from_one_and_known_again_in_any_order():
    tracker = Tracker()
    assert tracker.update([box(50), box(200)], 0.0) == [1, 2]
    assert tracker.update([box(205), box(52), box(400)], 0.1) == [2, 1, 3]
    assert tracker.update([], 0.2) == []
    assert tracker.update([box(402), box(54)], 0.3) == [3, 1]
    assert tracker.given == 3 and tracker.numbers == {1, 2, 3}


def test_the_sum_of_overlaps_decides_not_the_best_pair():
    """The best pair alone, the second face and the first box, would leave the others without each other."""
    tracker = Tracker()
    assert tracker.update([box(100), box(110)], 0.0) == [1, 2]
    assert tracker.update([box(106), box(130)], 0.1) == [1, 2]


@pytest.mark.parametrize("hidden", [0, 3])
def test_faces_that_cross_keep_their_numbers(hidden):
    """At their meeting one may hide the other for some frames."""
    tracker, seen = Tracker(), []
    for i in range(31):
        right, left = box(20 + 10 * i), box(320 - 10 * i, 52)
        together = abs(i - 15) <= hidden // 2 and hidden
        numbers = tracker.update([right] if together else [left, right], i / 25)
        seen.append(numbers[-1])
        assert together or len(set(numbers)) == 2
    assert set(seen) == {seen[0]} and tracker.given == 2


def test_a_short_gap_keeps_the_number_and_a_long_one_does_not():
    for gap_s, same in ((0.9, True), (1.1, False)):
        tracker = Tracker()
        (number,) = tracker.update([box(50)], 0.0)
        assert (tracker.update([box(52)], gap_s) == [number]) is same
    moving = Tracker()
    for i in range(10):
        moving.update([box(50 + 5 * i)], i / 10)  # 50 pixels a second
    assert moving.update([box(50 + 5 * 16)], 1.6) == [1]  # where it would have got to
    assert moving.update([box(50 + 5 * 9)], 1.7) == [2]  # where it was seen last before


@pytest.mark.parametrize(
    ("before", "moved", "same"),
    [
        ([50], 32, True),  # overlap 8·40 / (2·1600 − 320) = 0.111
        ([50], 34, False),  # 6·40 / (3200 − 240) = 0.081
        ([50, 50], 21, True),  # it stood still: 19·40 / (3200 − 760) = 0.311
        ([50, 50], 22, False),  # 18·40 / (3200 − 720) = 0.290
        ([50, 60], 31, True),  # it moved by 10: 0.311
        ([50, 60], 32, False),  # 0.290
    ],
)
def test_a_face_elsewhere_is_another_one(before, moved, same):
    """Where it may be depends on whether it was seen to move."""
    tracker = Tracker()
    for i, x in enumerate(before):
        assert tracker.update([box(x)], i / 10) == [1]
    assert (tracker.update([box(before[-1] + moved)], len(before) / 10) == [1]) is same


def test_ema_is_the_formula_s_whatever_the_rate():
    """s ← s + (1 − exp(−Δt/T))(p − s): after a step from 0 to 1 the rest is exp(−t/T)."""
    for rate in (10, 50):
        smooth = Ema(0.4)
        smooth(np.array([0.0, 1.0]), 0.0)
        for i in range(1, rate + 1):
            s = smooth(np.array([1.0, 0.0]), i / rate)
        np.testing.assert_allclose(s, [1 - math.exp(-1 / 0.4), math.exp(-1 / 0.4)], rtol=1e-12)


def one_euro(points, times, cutoff, beta):
    """The filter of Casiez et al. (2012) in plain Python, with one speed for all numbers."""

    def share(f, dt):
        return 1 / (1 + 1 / (2 * math.pi * f * dt))

    smooth, speeds, out = list(points[0]), [0.0] * len(points[0]), [list(points[0])]
    for i in range(1, len(points)):
        dt = times[i] - times[i - 1]
        for k in range(len(smooth)):
            raw = (points[i][k] - points[i - 1][k]) / dt
            speeds[k] = share(1.0, dt) * raw + (1 - share(1.0, dt)) * speeds[k]
        a = share(cutoff + beta * sum(map(abs, speeds)) / 2, dt)
        smooth = [a * p + (1 - a) * s for p, s in zip(points[i], smooth, strict=True)]
        out.append(smooth)
    return out


def test_one_euro_is_the_paper_s():
    rng = np.random.default_rng(0)
    points = rng.dirichlet(np.ones(4), 12)
    times = np.cumsum(rng.uniform(0.02, 0.2, 12)).tolist()
    smooth = OneEuro(0.7, 3.0)
    found = [smooth(p, t) for p, t in zip(points, times, strict=True)]
    np.testing.assert_allclose(found, one_euro(points.tolist(), times, 0.7, 3.0), rtol=1e-12)


@pytest.mark.parametrize("words", ["ema", "ema:0.2", "one_euro", "one_euro:0.3", "one_euro:0.3:2"])
def test_what_is_smoothed_is_probabilities_that_tremble_less(words):
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.full(5, 20.0), 200)
    smooth = smoother_of(words)()
    found = np.array([smooth(p, i / 25) for i, p in enumerate(probs)])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found >= 0).all() and found[50:].std(axis=0).max() < 0.6 * probs[50:].std(axis=0).min()
    np.testing.assert_array_equal(found[0], probs[0])


def test_one_euro_is_quick_in_a_change():
    slow, quick = OneEuro(0.5, 0.001), OneEuro(0.5, 2.0)
    for i in range(20):
        p = np.array([1.0, 0.0]) if i < 10 else np.array([0.0, 1.0])
        a, b = slow(p, i / 25), quick(p, i / 25)
    assert b[1] > 0.9 > 0.8 > a[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("emma", "unknown filter 'emma': did you mean 'ema'?"),
        ("ema:x", "filter 'ema:x': must be ema:SECONDS"),
        ("ema:0", "must be ema:SECONDS, numbers above 0"),
        ("ema:nan", "must be ema:SECONDS, numbers above 0"),
        ("ema:1:2", "must be ema:SECONDS, numbers above 0"),
        ("one_euro:1:2:3", "must be one_euro:HERTZ:BETA, numbers above 0"),
        ("", "unknown filter ''"),
    ],
)
def test_other_filters_are_refused(words, said):
    with pytest.raises(UserError) as error:
        smoother_of(words)
    assert said in str(error.value)


@pytest.mark.parametrize(("gap_s", "same"), [(0.9, True), (1.1, False)])
def test_a_face_where_another_was_takes_over_its_number_for_a_second(gap_s, same):
    """Appearance is not compared, as docs/using.md says of cuts."""
    tracker = Tracker()
    first = [tracker.update([(100, 80, 180, 170)], i / 25)[0] for i in range(10)]
    (later,) = tracker.update([(104, 82, 183, 175)], 9 / 25 + gap_s)
    assert set(first) == {1} and (later == 1) is same
