"""Opens a study, checks its identity, and makes the final choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from ..evaluation import CRITERIA
from ..evaluation.criteria import CONSENSUS, consensus, ensemble_agreement
from ..util.errors import UserError
from .objective import unpack
from .sampler import make_sampler

#: The choice by target labels.
ORACLE = "oracle"

#: How this package's EnsV differs from the published one.
ENSV = "EnsV differs from the paper (Hu et al. 2024): it measures agreement by mean recall, not by accuracy."

#: The ways to make the final choice, with their known weaknesses.
SELECTIONS: dict[str, str] = {
    "consensus": "mean rank by im, class_ami and ensv, among trials that keep the source's recall",
    **{name: criterion.about for name, criterion in CRITERIA.items()},
    "ensv": (
        "agreement with the mean of all trials, by mean recall (in the paper by accuracy); a pool that mostly fails "
        "agrees with the failure"
    ),
    ORACLE: "target test labels: FOR REFERENCE ONLY, an upper bound (needs --allow-target-labels)",
}

#: Errors list at most so many differing settings; what a setting that was not there is called.
_LISTED, _NONE = 8, "not set"


def objective_criterion(selection: str) -> str:
    """The criterion that trials maximise: the selection itself if it scores single trials, else IM."""
    return selection if selection in CRITERIA else "im"


def open_study(
    storage: optuna.storages.BaseStorage,
    name: str,
    identity: dict[str, Any],
    *,
    sampler: str,
    pruner: str,
    seed: int,
    must_exist: bool,
) -> optuna.Study:
    """Opens a study by name, and makes it if it does not exist.

    Args:
        storage: from :func:`.storage.open_storage`.
        name: of the study.
        identity: plain values that the trials' values depend on; a study with another identity is refused.
        sampler, pruner: keys of :data:`pa_difc.tuning.SAMPLERS` and :data:`pa_difc.tuning.PRUNERS`.
        seed: of the sampler.
        must_exist: refuse to begin a new one.

    Raises:
        UserError: the study was made with other settings, or must exist and does not.
    """
    if must_exist:
        try:
            storage.get_study_id_from_name(name)
        except KeyError:
            raise UserError(f"--resume: there is no study {name!r} in this storage") from None
    optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    study = attach(storage, name, sampler=sampler, pruner=pruner, seed=seed)
    if "identity" not in study.user_attrs:
        study.set_user_attr("identity", identity)
    then = study.user_attrs["identity"]  # another worker's, if that was faster
    if then != identity:
        how = "give this one a name of its own, --study NAME"
        raise UserError(f"study {name!r} was made under other settings ({_differing(then, identity)}): {how}")
    return study


def _differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The values that differ between two identities, such as "settings.run.epochs was 2, is 3"."""
    a, b = (dict(_leaves(values)) for values in (then, now))
    keys = [key for key in sorted({*a, *b}) if a.get(key, _NONE) != b.get(key, _NONE)]
    shown = [f"{key} was {a.get(key, _NONE)}, is {b.get(key, _NONE)}" for key in keys[:_LISTED]]
    more = [f"{len(keys) - _LISTED} more"] if len(keys) > _LISTED else []
    return "; ".join([*shown, *more])


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings by dotted keys."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def attach(storage: optuna.storages.BaseStorage, name: str, *, sampler: str, pruner: str, seed: int) -> optuna.Study:
    """Opens an existing study; see :func:`open_study`."""
    return optuna.load_study(
        storage=storage, study_name=name, sampler=make_sampler(sampler, seed), pruner=_pruner(pruner)
    )


@dataclass(frozen=True)
class Choice:
    """The chosen trial, and every candidate's score by every criterion."""

    chosen: FrozenTrial
    candidates: list[FrozenTrial]
    scores: dict[str, list[float]]  #: by criterion, one per candidate; larger is better
    feasible: list[bool]  #: whether a candidate keeps the source's recall

    def pick(self, criterion: str) -> int:
        """The index of a criterion's pick, among the candidates that keep the source's recall."""
        return best(self.scores[criterion], self.feasible)

    def rank(self, candidate: int) -> float:
        """The mean rank of a candidate, by its index, over the criteria of consensus; 1 is the best by all of them."""
        return len(self.candidates) + 1 - self.scores["consensus"][candidate]


def choose(study: optuna.Study, selection: str, oracle_scores: Sequence[float] | None = None) -> Choice:
    """Makes the final choice.

    Args:
        study: with at least one complete trial.
        selection: a key of :data:`SELECTIONS`.
        oracle_scores: one per complete trial; only for "oracle".

    Raises:
        UserError: no trial is complete.
    """
    candidates = complete_trials(study)
    if not candidates:
        raise UserError("no trial is complete: nothing to choose from")
    scores: dict[str, list[float]] = {name: [t.user_attrs["criteria"][name] for t in candidates] for name in CRITERIA}
    scores["ensv"] = ensemble_agreement([unpack(t.user_attrs["target_probs"]).astype(np.float64) for t in candidates])
    scores["consensus"] = consensus([scores[name] for name in CONSENSUS])
    feasible = [all(value <= 0 for value in t.constraints.values()) for t in candidates]
    if selection == ORACLE and oracle_scores is not None:
        chosen = best(oracle_scores, [True] * len(candidates))
    else:
        chosen = best(scores[selection], feasible)
    return Choice(candidates[chosen], candidates, scores, feasible)


def best(scores: Sequence[float], allowed: Sequence[bool]) -> int:
    """The index of the highest allowed score; of the highest score if none is allowed."""
    return max((i for i, ok in enumerate(allowed) if ok or not any(allowed)), key=lambda i: scores[i])


def complete_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The complete trials, in order."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _pruner(name: str) -> optuna.pruners.BasePruner:
    if name == "median":
        return optuna.pruners.MedianPruner()
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner()
    return optuna.pruners.NopPruner()
