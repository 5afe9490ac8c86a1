"""The plan of a study."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.domains import Domain
from ..evaluation import CRITERIA
from ..training.identity import code_digest, fingerprints, plugin_digests, weights_digest
from ..training.resolve import identity
from ..training.settings import Settings
from ..util.errors import UserError
from ..util.names import as_utf8, lookup
from .address import Address
from .space import Space, defaults
from .study import ORACLE, SELECTIONS


@dataclass(frozen=True)
class StudyPlan:
    """Everything that a study is asked to do.

    Attributes:
        settings: resolved; they hold the fixed settings, and the defaults of the searched ones.
        space: the searched space.
        out: the folder above the study's folder.
        trials: their number, over all workers.
        features: "full", or "frozen" for heads on features extracted once.
        select: how the final choice is made; a key of :data:`.study.SELECTIONS`.
        allow_target_labels: permits "oracle" as ``select``.
        storage: an address; None stands for an sqlite file in the study's folder.
        study: the study's name; None derives it from the settings.
        jobs: the number of processes to train in; None trains in this one, with all its threads.
        heartbeat_s: seconds between a worker's heartbeats.
        sampler, pruner: keys of :data:`pa_difc.tuning.SAMPLERS` and :data:`pa_difc.tuning.PRUNERS`.
        confirm: number of best trials to retrain with the whole network.
        seeds: of retraining.
        must_exist: refuse to begin a new study.

    Raises:
        UserError: a value is not valid.
    """

    settings: Settings
    space: Space
    out: Path
    trials: int = 30
    features: str = "full"
    select: str = "consensus"
    allow_target_labels: bool = False
    storage: Address | None = None
    study: str | None = None
    jobs: int | None = None
    heartbeat_s: int = 60
    sampler: str = "tpe"
    pruner: str = "none"
    confirm: int = 0
    seeds: Sequence[int] = (0, 1, 2)
    must_exist: bool = False

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UserError(f"--trials {self.trials}: must be at least 1")
        if self.heartbeat_s < 1:
            raise UserError(f"--heartbeat {self.heartbeat_s}: must be at least 1")
        if self.study is not None and not re.sub(r"[\s.]", "", self.study):
            raise UserError(f"--study {self.study!r}: must be a name")
        lookup("selection", self.select, SELECTIONS)
        if self.select == ORACLE and not self.allow_target_labels:
            raise UserError(
                "--select oracle reads target labels and gives an upper bound only: it needs --allow-target-labels"
            )

    @property
    def name(self) -> str:
        """The study's name, from what is tuned; it says so if target labels make the choice."""
        data, labels = self.settings.data, self.settings.data.labels
        parts = [data.source, data.target, self.settings.method.name, self.settings.model.backbone]
        parts += [self.features, self.select, *([Path(labels).stem] if labels != "expressions" else [])]
        parts = [self.study] if self.study is not None else parts
        mark = "-USES-TARGET-LABELS" if self.select == ORACLE else ""
        return re.sub(r"[:/\\]", "_", as_utf8("-".join(parts))) + mark

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self.out / self.name

    @property
    def address(self) -> Address:
        """The address of the study's storage."""
        return self.storage or Address(f"sqlite:///{self.folder / 'study.db'}")

    def identity(self, source: Domain, hidden: Domain) -> dict[str, object]:
        """Everything that the trials' values depend on.

        Args:
            source: the labelled domain.
            hidden: the target without labels.
        """
        own = defaults(self.settings, self.space)
        return {
            "settings": identity(self.settings),
            "labels": source.label_set.digest,
            "space": {key: d.describe(own[key], self.settings.run.epochs) for key, d in sorted(self.space.items())},
            "select": self.select,
            "sampler": self.sampler,
            "pruner": self.pruner,
            "code": {"pa_difc": code_digest(), **plugin_digests(self.settings)},
            "criteria": {name: digest for name in CRITERIA if (digest := CRITERIA.digest(name))},
            "weights": weights_digest(self.settings),
            "data": fingerprints(source, hidden),
        }
