"""The tables of a label-shift sweep, for people and for programs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ..evaluation.metrics import ENOUGH_FACES
from ..util import numbers
from ..util.numbers import signed, signed_points
from .compared import p_text
from .shift import CORRECTED, METRICS, PLAIN, Alpha, Draw, Line, alpha_name, draws_of, every_draw, named, severities
from .shift_statistics import Gain, over_base
from .table import csv_text

#: Marks a difference that Holm's p tells from chance.
MARK = "*"
#: The columns that name a row.
KEYS = ["method", "loss", "correction"]

Rows = list[list[str]]


def table(lines: Sequence[Line], metric: str) -> Rows:
    """A row per line, a column per α; mean ± standard deviation over draws, in %."""
    alphas = severities(lines)
    adjusted = ["runs not adjusted"] if any(CORRECTED in line.variant for line in lines) else []
    rows = [[*KEYS, *map(alpha_name, alphas), *adjusted]]
    every = {alpha: every_draw(lines, alpha, metric) for alpha in alphas}
    for line in lines:
        refused = [str(line.refused) if CORRECTED in line.variant else ""] if adjusted else []
        rows.append([*_names(line), *(_over_draws(line, a, metric, every[a]) for a in alphas), *refused])
    return rows


def gains_table(lines: Sequence[Line], metric: str) -> Rows:
    """Differences in points from the method's uncorrected cross-entropy, paired by draw, for each α that has any."""
    found = {(id(d.line), d.alpha): d for d in over_base(lines, metric)}
    alphas = [alpha for alpha in severities(lines) if any(alpha == known for _, known in found)]
    rows = [[*KEYS, *map(alpha_name, alphas)]]
    for line in lines:
        gains = [found.get((id(line), alpha)) for alpha in alphas]
        if any(gains):
            shown = ["" if d is None else gain_of(d) + f" {MARK}" * d.told_apart for d in gains]
            rows.append([*_names(line), *shown])
    return rows


def named_rows(rows: Rows) -> Rows:
    """A table with its :data:`KEYS` in one column, which leaves a phone's width to the numbers; others as they are."""
    head, *body = rows
    if head[: len(KEYS)] != KEYS:
        return rows
    found = [["cell", *head[len(KEYS) :]]]
    for method, loss, correction, *values in body:
        several = correction.split(" or ")
        shown = correction if len(several) < 3 else f"{several[0]} or any of {len(several) - 1} others"
        found.append([f"{method} + {loss}" + (f" ({shown})" if correction != PLAIN else ""), *values])
    return found


def evidence_table(lines: Sequence[Line], metric: str) -> Rows:
    """Each of these differences with its 95 % interval, p and Holm's p; only the header if none could be tested."""
    rows = [["cell", "shift", "difference", "95 % interval", "p", "p (Holm)", "draws"]]
    found = over_base(lines, metric)
    if all(d.p is None for d in found):
        return rows
    for d in found:
        interval = "–" if d.interval is None else " to ".join(map(signed_points, d.interval))
        ps = [p_text(d.p), p_text(d.holm_p)]
        rows.append(
            [
                d.line.name,
                alpha_name(d.alpha),
                signed_points(d.points),
                interval,
                *ps,
                f"{len(d.gains)} {d.mark}".strip(),
            ]
        )
    return rows


def classes_table(lines: Sequence[Line], names: Sequence[str]) -> Rows:
    """The classes that mean recall is over in each draw.

    Args:
        lines: of the sweep.
        names: of all classes.
    """
    rows = [["shift", "draw", "test faces", "classes", f"classes with {ENOUGH_FACES} faces", "classes without a face"]]
    for alpha in severities(lines):
        draws = draws_of(lines, alpha)
        for (draw, _), counts in list(draws.items())[
            : 1 if alpha is None else None
        ]:  # without a shift all are the same
            enough = sum(n >= ENOUGH_FACES for n in counts)
            absent = [name for name, n in zip(names, counts, strict=True) if not n]
            shown = [f"{sum(counts):,}", str(len(counts) - len(absent)), str(enough), ", ".join(absent)]
            rows.append([alpha_name(alpha), "all" if alpha is None else str(draw), *shown])
    return rows


def to_csv(lines: Sequence[Line]) -> str:
    """One row for each line, α and draw; scores in [0, 1], and the number of classes that mean recall is over."""
    rows: list[list[Any]] = [[*KEYS, "alpha", "draw", "seed", *METRICS, "classes"]]
    for line in lines:
        for alpha, scores in line.scores.items():
            for draw, s in scores.items():
                scored = ["" if s[m] is None else f"{s[m]:.6f}" for m in METRICS]
                rows.append([*_names(line), _alpha(alpha), *draw, *scored, sum(map(any, s["confusion"]))])
    return csv_text(rows)


def statistics_csv(lines: Sequence[Line]) -> str:
    """One row for each metric and difference from the method's uncorrected cross-entropy; shares in [0, 1]."""
    rows = [["metric", *KEYS, "alpha", "draws", "difference", "low", "high", "p", "p_holm"]]
    for metric in METRICS:
        for d in over_base(lines, metric):
            ends = ["", ""] if d.interval is None else [f"{end / 100:.6f}" for end in d.interval]
            ps = ["" if p is None else f"{p:.6g}" for p in (d.p, d.holm_p)]
            found = [str(len(d.gains)), f"{d.points / 100:.6f}", *ends, *ps]
            rows.append([metric, *_names(d.line), _alpha(d.alpha), *found])
    return csv_text(rows)


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation; empty without a value."""
    return numbers.spread(values) if values else ""


def gain_of(d: Gain) -> str:
    """The same for a difference, with a sign, and its draws if other lines have more."""
    return f"{numbers.spread(d.gains, signed)} {d.mark}".strip()


def _over_draws(line: Line, alpha: Alpha, metric: str, every: Collection[Draw]) -> str:
    """A line's scores at α, with their draws if other lines have more."""
    draws = line.draws(alpha, metric)
    return spread(line.values(alpha, metric)) + (f" ({named(draws)})" if 0 < len(draws) < len(every) else "")


def _names(line: Line) -> tuple[str, str, str]:
    return line.method, line.loss, line.variant


def _alpha(alpha: float | None) -> str:
    return "none" if alpha is None else f"{alpha:g}"
