"""The scores of a label-shift sweep: each method and loss over Dirichlet draws with several α."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .grid import BASE
from .variants import variant_names

METRICS = {
    "macro_recall": "mean recall",
    "accuracy": "accuracy",
    "macro_recall_20": "mean recall of classes with 20 faces",
}
#: What is done about label shift: nothing, target batches balanced by predicted class, re-weighted predictions.
PLAIN, BALANCED, CORRECTED = "none", "pseudo-balanced", "adjusted"

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
    refused: int = 0  #: runs whose prior estimate was refused, so that their predictions stayed as they were

    @property
    def name(self) -> str:
        """How sentences name it, such as "dann + difc (adjusted)"."""
        return f"{self.method} + {self.loss}" + ("" if self.variant == PLAIN else f" ({self.variant})")

    def values(self, alpha: Alpha, metric: str) -> list[float]:
        """The scores at α in %, one for each draw."""
        return [100 * s[metric] for s in self.scores.get(alpha, {}).values() if s[metric] is not None]

    def gains(self, base: Line, alpha: Alpha, metric: str) -> list[float]:
        """Differences from another line in points, one for each draw that both have."""
        ours, theirs = self.scores.get(alpha, {}), base.scores.get(alpha, {})
        both = [(ours[draw][metric], theirs[draw][metric]) for draw in ours if draw in theirs]
        return [100 * (a - b) for a, b in both if a is not None and b is not None]


def lines_from_records(records: Iterable[Record]) -> list[Line]:
    """The lines of a sweep by method and loss, those without a correction first.

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


def severities(lines: Sequence[Line]) -> list[Alpha]:
    """All α, from no shift to the most severe."""
    known = {a for line in lines for a in line.scores}
    return sorted(known, key=lambda a: -float("inf") if a is None else -a)


def alpha_name(alpha: Alpha) -> str:
    return "no shift" if alpha is None else f"α = {alpha:g}"


def base_of(lines: Sequence[Line], line: Line) -> Line | None:
    """What a line is compared with: its method's uncorrected cross-entropy; None for that one itself."""
    bases = [x for x in lines if (x.method, x.loss, x.variant) == (line.method, BASE, PLAIN)]
    return bases[0] if bases and bases[0] is not line else None


def draws_of(lines: Sequence[Line], alpha: Alpha) -> dict[Draw, list[int]]:
    """The number of test faces of each class, by draw."""
    found = {draw: score["confusion"] for line in lines for draw, score in line.scores.get(alpha, {}).items()}
    return {draw: [sum(row) for row in found[draw]] for draw in sorted(found)}


def over_draws(lines: Sequence[Line]) -> str:
    """How many draws scores are over, such as "3 draws"; "up to 3 draws" if some have fewer."""
    counts = {len(scores) for line in lines for scores in line.scores.values()}
    most = max(counts)
    return f"{'up to ' * (len(counts) > 1)}{most} draw{'s' * (most > 1)}"
