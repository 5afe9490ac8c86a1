"""The main result of a label-shift sweep in sentences, and notes on how to read its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..evaluation.metrics import ENOUGH_FACES
from ..util.names import listed
from .compared import equals
from .shift import (
    BALANCED,
    CORRECTED,
    METRICS,
    Alpha,
    Line,
    alpha_name,
    draws_of,
    every_draw,
    named,
    over_draws,
    severities,
)
from .shift_statistics import Gain, over_base, to_best
from .shift_tables import MARK, gain_of, spread
from .statistics import FEWEST_SEEDS

METRIC = "macro_recall"
#: At most so many lines or draws are listed in a sentence.
_LISTED = 4

#: What all differences are from.
FROM = "the same method with cross-entropy and no correction"


def lead(lines: Sequence[Line]) -> str:
    """The main result: the best line under the strongest shift, its gain over cross-entropy, and its equals."""
    alpha = severities(lines)[-1]
    found = to_best(lines, alpha, METRIC)
    if found is None:
        return f"At {alpha_name(alpha)}, nothing was scored."
    best, values = found.line, found.line.values(alpha, METRIC, found.draws)
    among = f" of the cells with {named(found.draws)}" if found.partial else ""
    text = f"At {alpha_name(alpha)}, {best.name} has the highest mean recall{among}, {spread(values)} %"
    text += f" over {_draws(values)}."
    gains = [d for d in over_base(lines, METRIC) if d.line is best and d.alpha == alpha]
    gained = [f"That is {gain_of(d)} points over {FROM}{_evidence(d)}." for d in gains]
    return " ".join([text, *_not_told(found.others, len(values)), *gained, *_named_alike(found.others, len(values))])


def notes(lines: Sequence[Line], names: Sequence[str], records: Sequence[dict[str, Any]]) -> list[str]:
    """How the tables were made and how to read them, the most important first.

    Args:
        lines: of the sweep.
        names: of the classes.
        records: of its runs.
    """
    return [
        f"In %, target test split, last epoch. ± is the standard deviation over {over_draws(lines)}, each with its own "
        "seed and its own class proportions. Draws differ a lot, so that bars overlap even where a difference is "
        f"clear: differences are taken within each draw, from {FROM}.",
        f"From {_number(FEWEST_SEEDS)} draws on, p and the 95 % interval are those of a paired t-test over draws, "
        "unless all draws differ by the same. p (Holm) is corrected for all comparisons by that metric, with "
        f"every α, of which corrections that gave the same scores count as one; {MARK} marks those below 0.05. The "
        "best line's comparisons have a correction of their own.",
        *_on_draws(lines),
        *_on_rows(lines),
        *_all_alike(lines),
        _on_classes(lines, len(names)),
        *_without_enough(lines),
        "Each draw takes the target's class proportions from Dirichlet(α · K · p) around its own p, and resamples both "
        "of its splits to them (RLSbench's protocol). The smaller α, the stronger the shift. Target labels are used to "
        "shift and to score, never in training, in selection or for the estimated proportions.",
        *_on_corrections(lines, records),
    ]


def _draws(values: Sequence[float]) -> str:
    return f"{len(values)} draw{'s' * (len(values) > 1)}"


def _evidence(d: Gain) -> str:
    return "" if d.p is None else f" ({equals(d.p)}, {equals(d.holm_p)} by Holm)"


def _not_told(others: Sequence[Gain], draws: int) -> list[str]:
    """A sentence on the lines that can't be told from the best one."""
    if not others:
        return []
    if draws < FEWEST_SEEDS:
        few = f"{_number(draws).capitalize()} draw{'s' * (draws > 1)}"
        return [f"{few} cannot tell it from the others: that takes {_number(FEWEST_SEEDS)} or more (--draws)."]
    alike = _alike(others)
    if not alike:
        return [f"A paired test tells it from {'all others' if others[1:] else others[0].over.name}."]
    if len(alike) == len(others):
        return [f"But it cannot be told from {f'any of the {len(others)} others' if others[1:] else alike[0]}."]
    return [f"It cannot be told from {len(alike)} of the {len(others)} others."]


def _named_alike(others: Sequence[Gain], draws: int) -> list[str]:
    """A sentence with the names of these lines, unless the first one names the only other line."""
    alike = _alike(others)
    if draws < FEWEST_SEEDS or not alike or not others[1:]:
        return []
    shown = alike if len(alike) <= _LISTED else [*alike[: _LISTED - 1], f"{len(alike) - _LISTED + 1} more"]
    return [f"Not told from it: {listed(shown)}."]


def _alike(others: Sequence[Gain]) -> list[str]:
    """The names of the lines that can't be told from the best one, the nearest on the draws that both have first."""
    ranked = sorted(others, key=lambda d: d.points)
    return [d.over.name for d in ranked if not d.told_apart]


def _all_alike(lines: Sequence[Line]) -> list[str]:
    """The same in full, where the first sentence names only some of them."""
    alpha = severities(lines)[-1]
    found = to_best(lines, alpha, METRIC)
    if found is None or len(found.draws) < FEWEST_SEEDS:
        return []
    alike = _alike(found.others)
    if len(alike) <= _LISTED or len(alike) == len(found.others):
        return []
    return [f"At {alpha_name(alpha)}, {found.line.name} cannot be told by mean recall from {listed(alike)}."]


def _on_draws(lines: Sequence[Line]) -> list[str]:
    """A note on numbers that are over fewer draws than others."""
    fewer = any(
        0 < len(line.draws(alpha, metric)) < len(every)
        for metric in METRICS
        for alpha in severities(lines)
        for every in [every_draw(lines, alpha, metric)]
        for line in lines
    )
    return ["Numbers over fewer draws than others name them: compare them on these draws alone."] if fewer else []


def _on_rows(lines: Sequence[Line]) -> list[str]:
    """A note on rows of several corrections."""
    several = [line.variant for line in lines if line.variants[1:]]
    if not several:
        return []
    return [f'A row of several corrections, such as "{several[0]}": all of them gave the same scores in every run.']


def _number(n: int) -> str:
    return ["no", "one", "two", "three"][n] if n <= 3 else str(n)


def _on_classes(lines: Sequence[Line], k: int) -> str:
    """Over how many classes mean recall is taken, which a draw may lack."""
    there: dict[tuple[Alpha, int], int] = {}
    for alpha in severities(lines):
        for (draw, _), counts in draws_of(lines, alpha).items():
            there[alpha, draw] = sum(map(bool, counts))
    fewer = [key for key, n in there.items() if n < k]
    text = "Mean recall is over the classes of a draw's test faces"
    if not fewer:
        return f"{text}: all {k} in every draw."
    if len(fewer) > _LISTED:
        return f"{text}, fewer than {k} in {len(fewer)} of {len(there)} draws: the table of classes lists them."
    each = [f"{there[key]} {_in_draw(*key)}" for key in fewer]
    rest = "" if len(fewer) == len(there) else f"{k}, but "
    return f"{text}: {rest}{listed(each)}. Draws with other classes are other tasks."


def _without_enough(lines: Sequence[Line]) -> list[str]:
    """A note on draws that have no class of enough faces, so that one of the metrics leaves them out."""
    scores = [one["macro_recall_20"] for line in lines for draws in line.scores.values() for one in draws.values()]
    if None not in scores or not any(score is not None for score in scores):
        return []
    return [
        f"Mean recall of classes with {ENOUGH_FACES} faces leaves out draws in which fewer than two "
        "classes, or fewer than half, have so many."
    ]


def _in_draw(alpha: Alpha, draw: int) -> str:
    return "without a shift" if alpha is None else f"in draw {draw} at {alpha_name(alpha)}"


def _on_corrections(lines: Sequence[Line], records: Sequence[dict[str, Any]]) -> list[str]:
    """What the names of corrections mean, of those that there are."""
    found, said = {word for line in lines for variant in line.variants for word in variant.split(" + ")}, []
    if BALANCED in found:
        said.append(
            f"{BALANCED}: target batches are balanced by predicted class (--target-sampler pseudo_balanced); "
            "a cell that does not learn from the target has no such row"
        )
    if CORRECTED in found:
        how = dict.fromkeys(r["settings"]["run"]["prior_correction"] for r in records if r["model"]["adjustment"])
        said.append(
            f"{CORRECTED}: predictions are re-weighted by the target's class proportions, as estimated without its "
            f"labels (--prior-correction {', '.join(how)})"
        )
    text = [f"Corrections for label shift. {'; '.join(said)}."] if said else []
    if CORRECTED in found:
        text.append(
            "Runs not adjusted: the estimate was unusable, as when it has too few classes. Their predictions stayed as "
            f'they were, and count as such in the rows "{CORRECTED}".'
        )
    return text
