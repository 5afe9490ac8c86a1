"""A study's report says no more than its numbers do."""

import pytest

from pa_difc.tuning.assessment import Line
from pa_difc.tuning.gain import gain_sentence


def line(*recalls):
    return Line("", {"macro_recall": [recall / 100 for recall in recalls]}, [], [], collapsed=False)


def gained(*points):
    base = (40.0, 50.0, 45.0, 42.0, 48.0)[: len(points)]
    return gain_sentence([line(*(b + g for b, g in zip(base, points, strict=True))), line(*base)], "dim")


def test_a_gain_smaller_than_chance_makes_is_not_called_one():
    """Mean 0.533 and deviation 0.493 over 3 seeds: t = 1.87, p = 0.20; 0.533 ± 4.303 · 0.493 / √3."""
    said = gained(0.3, 0.2, 1.1)
    assert "can't be told from no change (+0.5 points; 95 % interval -0.7 to +1.8, p = 0.202, " in said
    assert "paired t-test over 3 seeds): 45.5 % against 45.0 % with the defaults" in said
    assert "raised" not in said and "lowered" not in said


@pytest.mark.parametrize(("sign", "word"), [(1, "raised"), (-1, "lowered")])
def test_a_gain_that_chance_hardly_makes_is(sign, word):
    """Mean 2 and deviation 0.2 over 3 seeds: t = 17.3, p = 0.0033; 2 ± 4.303 · 0.2 / √3."""
    said = gained(*(sign * gain for gain in (1.8, 2.0, 2.2)))
    assert f"Tuning {word} mean recall on dim by 2.0 points (95 % interval" in said
    assert ("+1.5 to +2.5" if sign > 0 else "-2.5 to -1.5") in said and "p = 0.003" in said


@pytest.mark.parametrize("points", [(1.0,), (2.0, 1.9)])
def test_fewer_than_three_seeds_are_not_tested(points):
    said = gained(*points)
    assert "can't be tested with fewer than 3 seeds: give more to --confirm-seeds" in said
    assert "raised" not in said and "p =" not in said and "interval" not in said


def test_one_difference_on_all_seeds_is_not_tested_either():
    assert "can't be tested with the same difference on every seed" in gained(1.0, 1.0, 1.0)


def test_a_choice_of_the_defaults_changes_nothing():
    assert "Tuning changed nothing on dim" in gained(0.0, 0.0, 0.0)
