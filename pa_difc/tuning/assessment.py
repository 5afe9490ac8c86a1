"""Assesses a choice afterwards: reads target test labels once, to judge the choice and what tuning gained."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial
from scipy.stats import spearmanr

from ..data.domains import Domain
from ..evaluation.criteria import macro_recall
from ..evaluation.metrics import METRICS, score
from ..training.build import load_pair
from ..training.frozen import source_only
from ..training.settings import Settings
from ..util.numbers import spread
from .objective import Task, unpack
from .space import Space, candidate, defaults
from .study import Choice

#: Trains cells by name on source and target below a folder, in parallel if asked for; returns their records, in order.
TrainAll = Callable[[Mapping[str, Settings], Domain, Domain, Path], list[dict[str, Any]]]


@dataclass(frozen=True)
class Line:
    """A configuration over its seeds, as a line of the main table."""

    name: str
    values: dict[str, list[float]]  #: by metric, one per seed, in [0, 1]; empty for a mean recall over no class
    recall: list[float | None]  #: per class, of the first seed
    predicted: list[int]  #: per class, of the first seed
    collapsed: bool

    def cell(self, metric: str) -> str:
        return spread([100 * value for value in self.values[metric]])


@dataclass(frozen=True)
class Assessment:
    """Scores by target test labels, read once the choice was fixed; in [0, 1]."""

    lines: list[Line]  #: retrained, over seeds
    pool: list[Line]  #: the trials themselves, on one seed
    recalls: list[float]  #: mean recall on the target's test split, per candidate
    regret: dict[str, float]  #: by criterion: the best candidate's mean recall minus that of the criterion's pick
    correlation: dict[str, float]  #: by criterion: Spearman's correlation with the candidates' mean recall


def test_recalls(candidates: Sequence[FrozenTrial], target: Domain) -> list[float]:
    """Every candidate's mean recall on the target's test split, from its kept predictions; reads target labels."""
    return [macro_recall(target.test.labels, unpack(t.user_attrs["test_predictions"])) for t in candidates]


def assess(
    choice: Choice,
    task: Task,
    target: Domain,
    space: Space,
    train_all: TrainAll,
    *,
    seeds: Sequence[int],
    confirm: int,
) -> Assessment:
    """Scores all candidates, and retrains the choice, the defaults and source-only over seeds.

    Args:
        choice: already made and written.
        task: of the study; its target has no labels.
        target: the faces with their labels.
        space: the searched space.
        train_all: trains cells as one grid.
        seeds: of retraining.
        confirm: number of best candidates to retrain with the whole network.
    """
    recalls = test_recalls(choice.candidates, target)
    hidden: Any = task.target.test  # faces or features, both dataclasses
    labelled = replace(task.target, test=replace(hidden, labels=target.test.labels))
    wanted = {
        "chosen": candidate(task.settings, choice.chosen.params),
        "defaults": candidate(task.settings, defaults(task.settings, space)),
        "source-only": source_only(task.settings),
    }
    lines = _lines(wanted, task.source, labelled, task.out, seeds, train_all)
    if confirm:
        lines += _confirm(choice, task, seeds, confirm, train_all)
    best = max(recalls)
    return Assessment(
        lines=lines,
        pool=_pool(choice, recalls, target),
        recalls=recalls,
        regret={name: best - recalls[choice.pick(name)] for name in choice.scores},
        correlation={name: _spearman(scores, recalls) for name, scores in choice.scores.items()},
    )


def _confirm(choice: Choice, task: Task, seeds: Sequence[int], number: int, train_all: TrainAll) -> list[Line]:
    """Retrains the best candidates, the defaults and source-only with the whole network, even after frozen features."""
    source, target = load_pair(task.settings)
    ranking = sorted(range(len(choice.candidates)), key=lambda i: -choice.scores["consensus"][i])
    best = [choice.candidates[i] for i in ranking[:number]]
    configs = {f"full network: trial {t.number}": candidate(task.settings, t.params) for t in best}
    configs["full network: defaults"] = task.settings
    configs["full network: source-only"] = source_only(task.settings)
    return _lines(configs, source, target, task.out, seeds, train_all)


def _lines(
    wanted: dict[str, Settings], source: Domain, target: Domain, out: Path, seeds: Sequence[int], train_all: TrainAll
) -> list[Line]:
    """Trains configurations over seeds; identical ones are trained once."""
    cells = {name: [settings.but(seed=seed) for seed in seeds] for name, settings in wanted.items()}
    different: dict[str, tuple[list[str], Settings]] = {}
    for name in cells:
        for cell in cells[name]:
            different.setdefault(_key(cell), ([], cell))[0].append(name)
    named = {f"{', '.join(names)} · seed {cell.run.seed}": cell for names, cell in different.values()}
    records = dict(zip(different, train_all(named, source, target, out / "after"), strict=True))
    return [_scored(name, [records[_key(cell)]["scores"]["target"] for cell in cells[name]]) for name in cells]


def _key(cell: Settings) -> str:
    return json.dumps(cell.to_dict(), sort_keys=True, default=str)


def _pool(choice: Choice, recalls: Sequence[float], target: Domain) -> list[Line]:
    """The chosen, default, worst and best trials, each on one seed, and so apart from means over seeds."""
    worst, oracle = (int(pick(recalls)) for pick in (np.argmin, np.argmax))
    wanted = {"chosen": choice.chosen}
    if own := next((t for t in choice.candidates if t.user_attrs.get("origin") == "defaults"), None):
        wanted["defaults"] = own
    wanted["worst of all trials"] = choice.candidates[worst]
    wanted["best by target labels"] = choice.candidates[oracle]
    return [_pooled(f"{name} (trial {t.number})", t, target) for name, t in wanted.items()]


def _pooled(name: str, trial: FrozenTrial, target: Domain) -> Line:
    """A candidate's line, from the predictions that its trial kept."""
    predicted = unpack(trial.user_attrs["test_predictions"])
    return _scored(name, [score(target.test.labels, np.eye(len(target.label_set))[predicted])])


def _scored(name: str, scores: list[dict[str, Any]]) -> Line:
    return Line(
        name=name,
        values={metric: [s[metric] for s in scores if s[metric] is not None] for metric in METRICS},
        recall=scores[0]["recall"],
        predicted=scores[0]["predicted"],
        collapsed=any(s["collapsed"] for s in scores),
    )


def _spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation; 0 if one side is constant."""
    if len(set(a)) < 2 or len(set(b)) < 2:
        return 0.0
    return float(spearmanr(a, b).statistic)
