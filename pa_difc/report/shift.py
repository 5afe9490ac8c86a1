"""The scores of a label-shift sweep: each method and loss over Dirichlet draws with several α."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
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
    variants: tuple[str, ...]  #: corrections for label shift: several if all of them gave the same scores
    scores: dict[Alpha, dict[Draw, dict[str, Any]]] = field(default_factory=dict)  #: on the test split, by α and draw
    refused: int = 0  #: runs whose prior estimate was refused, so that their predictions stayed as they were

    @property
    def variant(self) -> str:
        """Its corrections in words, such as "none" or "none or pseudo-balanced"."""
        return " or ".join(self.variants)

    @property
    def plain(self) -> bool:
        """Whether these are the scores without a correction."""
        return PLAIN in self.variants

    @property
    def name(self) -> str:
        """How sentences name it, such as "dann + difc (adjusted)"."""
        return f"{self.method} + {self.loss}" + ("" if self.plain else f" ({self.variant})")

    def draws(self, alpha: Alpha, metric: str) -> list[Draw]:
        """The draws with a score at α, in ascending order."""
        return sorted(draw for draw, s in self.scores.get(alpha, {}).items() if s[metric] is not None)

    def values(self, alpha: Alpha, metric: str, draws: Iterable[Draw] | None = None) -> list[float]:
        """The scores at α in %, one for each draw that has one, or for each of some of these draws."""
        chosen = self.draws(alpha, metric) if draws is None else draws
        return [100 * self.scores[alpha][draw][metric] for draw in chosen]

    def outcome(self, alpha: Alpha, draw: Draw) -> Hashable:
        """What is equal for runs with the same scores and confusion matrix."""
        scores = self.scores[alpha][draw]
        return (*(scores[metric] for metric in METRICS), tuple(map(tuple, scores["confusion"])))


def lines_from_records(records: Iterable[Record], asked: Sequence[str] = ()) -> list[Line]:
    """The lines of a sweep by method and loss, those without a correction first.

    A run with prior correction counts in two lines, before and after correction; corrections that gave the same scores
    in all runs have one line. Of several records of the same experiment, the last one counts.

    Args:
        records: in the order in which they finished.
        asked: the runs' keys in the order in which methods and losses are listed; that of the records if empty.
    """
    lines: dict[tuple[str, str, str], Line] = {}
    places = {key: i for i, key in enumerate(asked)}
    newest = sorted(newest_runs(list(records)).items(), key=lambda found: places.get(found[1]["key"], len(places)))
    for (method, loss, _, alpha, draw), record in newest:
        scores, correction = record["scores"], record["model"]["adjustment"]
        sampler = record["settings"]["data"]["target_sampler"]
        base = () if sampler == "shuffled" else (BALANCED if sampler == "pseudo_balanced" else sampler,)
        found: dict[tuple[str, ...], dict[str, Any]] = {base: scores.get("target_unadjusted", scores["target"])}
        if correction is not None:
            corrected = (*base, CORRECTED)
            found[corrected] = scores["target"]
        for words, score in found.items():
            key = (method, loss, " + ".join(words) or PLAIN)
            line = lines.setdefault(key, Line(method, loss, key[2:]))
            line.scores.setdefault(alpha, {})[draw] = score
            line.refused += CORRECTED in words and correction["refused"] is not None
    methods, losses = (list(dict.fromkeys(key[i] for key in lines)) for i in (0, 1))

    def place(line: Line) -> tuple[int, int, bool, bool, str]:
        corrected = CORRECTED in line.variant
        sampled = line.variants[0] not in (PLAIN, CORRECTED)
        return methods.index(line.method), losses.index(line.loss), sampled, corrected, line.variant

    return _merged(sorted(lines.values(), key=place))


def _merged(lines: Sequence[Line]) -> list[Line]:
    """The lines, with one for a method and loss's corrections that gave the same scores on every draw."""
    found: dict[Hashable, Line] = {}
    for line in lines:
        runs = {(alpha, draw): line.outcome(alpha, draw) for alpha, draws in line.scores.items() for draw in draws}
        same = found.setdefault((line.method, line.loss, frozenset(runs.items())), line)
        if same is not line:
            same.variants += line.variants
            same.refused = max(same.refused, line.refused)
    return list(found.values())


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
    bases = [x for x in lines if (x.method, x.loss) == (line.method, BASE) and x.plain]
    return bases[0] if bases and bases[0] is not line else None


def every_draw(lines: Iterable[Line], alpha: Alpha, metric: str) -> set[Draw]:
    """The draws at α on which any line has a score."""
    return {draw for line in lines for draw in line.draws(alpha, metric)}


def named(draws: Iterable[Draw]) -> str:
    """Draws in words, such as "draws 0, 1"; with its seed where that is not the draw's number."""
    found = [f"{draw}" if draw == seed else f"{draw} with seed {seed}" for draw, seed in sorted(draws)]
    return f"draw{'s' * (len(found) > 1)} {', '.join(found)}"


def draws_of(lines: Sequence[Line], alpha: Alpha) -> dict[Draw, list[int]]:
    """The number of test faces of each class, by draw."""
    found = {draw: score["confusion"] for line in lines for draw, score in line.scores.get(alpha, {}).items()}
    return {draw: [sum(row) for row in found[draw]] for draw in sorted(found)}


def over_draws(lines: Sequence[Line]) -> str:
    """How many draws scores are over, such as "3 draws"; "up to 3 draws" if some have fewer."""
    counts = {len(scores) for line in lines for scores in line.scores.values()}
    most = max(counts)
    return f"{'up to ' * (len(counts) > 1)}{most} draw{'s' * (most > 1)}"
