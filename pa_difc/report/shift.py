"""The tables of a label-shift sweep: each method and loss over Dirichlet draws with several α."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

from .grid import BASE
from .table import csv_text
from .variants import variant_names

METRICS = {
    "accuracy": "accuracy",
    "macro_recall": "mean recall",
    "macro_recall_20": "mean recall of classes with 20 faces",
}
PLAIN, BALANCED, CORRECTED = "plain", "pseudo-balanced", "adjusted"
_HEAD = ["method", "loss", "target"]

#: α of a Dirichlet draw; None for no shift.
Alpha = float | None
#: Number of the draw of class proportions, and seed; an unshifted run counts as the draw with its seed's number.
Draw = tuple[int, int]
Record = dict[str, Any]


@dataclass
class Line:
    """The scores of a method and a loss, with or without a target sampler and prior correction, by α and draw."""

    method: str
    loss: str
    variant: str
    scores: dict[Alpha, dict[Draw, dict[str, Any]]] = field(default_factory=dict)  #: on the test split, by α and draw
    refused: int = 0  #: runs whose prior estimate was refused, so that their predictions stayed uncorrected

    def values(self, alpha: Alpha, metric: str) -> list[float]:
        """The scores at α in %, one for each draw."""
        return [100 * s[metric] for s in self.scores.get(alpha, {}).values() if s[metric] is not None]

    def gains(self, base: Line, alpha: Alpha, metric: str) -> list[float]:
        """Differences to another line in points, one for each draw that both have."""
        ours, theirs = self.scores.get(alpha, {}), base.scores.get(alpha, {})
        both = [(ours[draw][metric], theirs[draw][metric]) for draw in ours if draw in theirs]
        return [100 * (a - b) for a, b in both if a is not None and b is not None]


def lines_from_records(records: Iterable[Record]) -> list[Line]:
    """The lines of a sweep by method and loss, plain targets first.

    A run with prior correction counts in two lines, before and after correction. Of several records of the same
    experiment, the last one counts.
    """
    lines: dict[tuple[str, str, str], Line] = {}
    for (method, loss, _, alpha, draw), record in newest_runs(list(records)).items():
        scores, correction = record["scores"], record["model"]["adjustment"]
        sampler = record["settings"]["data"]["target_sampler"]
        base = () if sampler == "shuffled" else (BALANCED if sampler == "pseudo_balanced" else sampler,)
        found: dict[tuple[str, ...], dict[str, Any]] = {base: scores.get("target_unadjusted", scores["target"])}
        if correction is not None:
            corrected = (*base, CORRECTED)
            found[corrected] = scores["target"]
        for words, score in found.items():
            key = (method, loss, " + ".join(words) or PLAIN)
            line = lines.setdefault(key, Line(*key))
            line.scores.setdefault(alpha, {})[draw] = score
            line.refused += CORRECTED in words and correction["refused"] is not None
    methods, losses = (list(dict.fromkeys(key[i] for key in lines)) for i in (0, 1))

    def place(line: Line) -> tuple[int, int, bool, bool, str]:
        corrected = CORRECTED in line.variant
        sampled = line.variant not in (PLAIN, CORRECTED)
        return methods.index(line.method), losses.index(line.loss), sampled, corrected, line.variant

    return sorted(lines.values(), key=place)


def newest_runs(records: Sequence[Record]) -> dict[tuple[str, str, str, Alpha, Draw], Record]:
    """The newest record for each method, loss, target sampler, α and draw.

    Args:
        records: in the order in which they finished.
    """
    found = {}
    for (method, loss), record in zip(variant_names(records), records, strict=True):
        data, seed = record["settings"]["data"], record["settings"]["run"]["seed"]
        alpha = data["target_shift"]
        draw = (seed if alpha is None else data["shift_draw"], seed)
        found[method, loss, data["target_sampler"], alpha, draw] = record
    return found


def table(lines: Sequence[Line], metric: str) -> list[list[str]]:
    """A row per line, a column per α; mean ± standard deviation over draws, in %."""
    alphas = severities(lines)
    rows = [[*_HEAD, *map(alpha_name, alphas), "refused"]]
    for line in lines:
        refused = str(line.refused) if CORRECTED in line.variant else ""
        rows.append([*_names(line), *(_spread(line.values(a, metric)) for a in alphas), refused])
    return rows


def gains_table(lines: Sequence[Line], metric: str) -> list[list[str]]:
    """The same as differences in points from the method's plain cross-entropy, paired because draws differ a lot."""
    alphas = severities(lines)
    bases = {line.method: line for line in lines if (line.loss, line.variant) == (BASE, PLAIN)}
    rows = [[*_HEAD, *map(alpha_name, alphas)]]
    for line in lines:
        base = bases.get(line.method)
        if base is not None and base is not line:
            rows.append([*_names(line), *(_spread(line.gains(base, a, metric), "+.1f") for a in alphas)])
    return rows


def to_csv(lines: Sequence[Line]) -> str:
    """One row for each line, α and draw; scores in [0, 1]."""
    rows: list[list[Any]] = [[*_HEAD, "alpha", "draw", "seed", *METRICS]]
    for line in lines:
        for alpha, scores in line.scores.items():
            name = "none" if alpha is None else f"{alpha:g}"
            rows += [
                [*_names(line), name, *draw, *("" if s[m] is None else f"{s[m]:.6f}" for m in METRICS)]
                for draw, s in scores.items()
            ]
    return csv_text(rows)


def severities(lines: Sequence[Line]) -> list[Alpha]:
    """All α, from no shift to the most severe."""
    known = {a for line in lines for a in line.scores}
    return sorted(known, key=lambda a: -float("inf") if a is None else -a)


def alpha_name(alpha: Alpha) -> str:
    return "no shift" if alpha is None else f"α = {alpha:g}"


def lead(lines: Sequence[Line]) -> str:
    """The main result: the best line under the most severe shift, and its gain over cross-entropy."""
    alpha = severities(lines)[-1]
    known = [line for line in lines if line.values(alpha, "macro_recall")]
    best = max(known, key=lambda line: mean(line.values(alpha, "macro_recall")))
    draws = len(best.scores[alpha])
    variant = "" if best.variant == PLAIN else f" ({best.variant})"
    recall = _spread(best.values(alpha, "macro_recall"))
    text = f"At {alpha_name(alpha)}, {best.method} + {best.loss}{variant} has the highest mean recall, {recall} %"
    bases = [line for line in lines if (line.method, line.loss, line.variant) == (best.method, BASE, PLAIN)]
    if bases and bases[0] is not best and (gains := best.gains(bases[0], alpha, "macro_recall")):
        text += f", {_spread(gains, '+.1f')} points over plain cross-entropy"
    return f"{text}, over {draws} draw{'s' * (draws > 1)}."


def _names(line: Line) -> tuple[str, str, str]:
    return line.method, line.loss, line.variant


def _spread(values: Sequence[float], form: str = ".1f") -> str:
    if not values:
        return ""
    return f"{mean(values):{form}}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
