"""The main result of a study: whether tuning changed mean recall, by a paired t-test over the seeds of retraining."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from ..report.compared import equals
from ..report.statistics import FEWEST_SEEDS, SIGNIFICANT, paired_p, t_interval
from ..util.numbers import fixed, signed_points
from .assessment import Line


def gain_sentence(lines: Sequence[Line], target: str) -> str:
    """Says how far tuning changed mean recall, and only calls it a change if p < 0.05.

    Args:
        lines: the choice, then the defaults, each with its values over the same seeds.
        target: the target's name.
    """
    chosen, defaults = (line.values["macro_recall"] for line in lines[:2])
    gains = [100 * (a - b) for a, b in zip(chosen, defaults, strict=True)]
    gain, p = mean(gains), paired_p(gains)
    seeds = f"{len(gains)} seed{'s' * (len(gains) > 1)}"
    both = f"{fixed(100 * mean(chosen))} % against {fixed(100 * mean(defaults))} % with the defaults"
    if not any(gains):
        return f"Tuning did not change mean recall on {target}, which is the same on every seed: {both}."
    points = f"{signed_points(gain)} points"
    if p is None:
        few = f"fewer than {FEWEST_SEEDS} seeds" if len(gains) < FEWEST_SEEDS else "the same difference on every seed"
        why = f"This can't be tested with {few}: give more to --confirm-seeds"
        return f"With tuning, mean recall on {target} is {both} ({points}, {seeds}). {why}."
    low, high = t_interval(gains)
    tested = f"95 % interval {signed_points(low)} to {signed_points(high)}, {equals(p)}, paired t-test over {seeds}"
    if p < SIGNIFICANT:
        word = "raised" if gain > 0 else "lowered"
        return f"Tuning {word} mean recall on {target} by {fixed(abs(gain))} points ({tested}): {both}."
    return (
        f"What tuning changed in mean recall on {target} can't be told from no change ({points}; {tested}): {both}. "
        "More seeds narrow the interval: --confirm-seeds."
    )
