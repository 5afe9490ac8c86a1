"""A finished run on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.labels import UNLABELLED
from ..util.errors import UserError
from ..util.files import file_digest, read_arrays
from ..util.names import as_utf8

Array = npt.NDArray[Any]

#: The method that predicts with the pretrained classifier as it is, and all methods that do not use the source.
AS_IS, WITHOUT_SOURCE = "as_is", ("as_is", "source_free")

#: The page of a folder of runs, or of a study.
PAGE = "report.html"
#: Where a study trains its final runs, and the files of which it has at least one.
_AFTER, _OF_STUDY = "after", ("study.db", "trials.csv")

_SIDES, _PARTS = ("source", "target"), ("labels", "probs", "kept", "features")
_OUTPUTS = [f"{side}_{part}" for side in _SIDES for part in _PARTS]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its record, and the names of its method and loss in a table."""

    path: Path
    record: dict[str, Any]
    names: tuple[str, str] | None = None  #: see :func:`.variants.variant_names`; None for the plain names

    @property
    def settings(self) -> dict[str, Any]:
        return self.record["settings"]  # type: ignore[no-any-return]

    @property
    def pair(self) -> tuple[str, str]:
        """Source and target."""
        return self.settings["data"]["source"], self.settings["data"]["target"]

    @property
    def scored(self) -> int:
        """How many of the target's test faces were predicted; 0 if the predictions are gone."""
        return len(self.outputs["target_probs"]) if self.outputs else 0

    @property
    def classes(self) -> list[str]:
        """The names of the classes, by index."""
        return list(map(as_utf8, self.record["labels"]["names"]))

    @property
    def loss(self) -> str:
        """The plain name of the loss."""
        return self.settings["loss"]["name"]  # type: ignore[no-any-return]

    @property
    def method(self) -> str:
        """The plain name of the method."""
        return self.settings["method"]["name"]  # type: ignore[no-any-return]

    @property
    def has_source(self) -> bool:
        """Whether the run had a source dataset."""
        return "source" in self.record["scores"]

    @property
    def uses_source(self) -> bool:
        """Whether its method learns from the source."""
        return self.method.partition("+")[0] not in WITHOUT_SOURCE

    @property
    def cell(self) -> tuple[str, str, int]:
        """Method and loss by their names in the table, and seed."""
        method, loss = self.names or (self.method, self.loss)
        return method, loss, self.settings["run"]["seed"]

    @property
    def scores(self) -> dict[str, Any]:
        """The scores on the target's test split; only for a target with labels."""
        return self.record["scores"]["target"]  # type: ignore[no-any-return]

    @property
    def labelled(self) -> bool:
        """Whether there were target labels to score by."""
        return "target" in self.record["scores"]

    @property
    def states(self) -> list[tuple[int, dict[str, Any]]]:
        """Pairs of an epoch and the loss's state after it; empty for losses without a state."""
        return [(h["epoch"], h["state"]) for h in self.record["history"] if h.get("state")]

    @cached_property
    def outputs(self) -> dict[str, Array] | None:
        """Labels, probabilities and features of both test splits, by name; None if they were not kept.

        Raises:
            UserError: the file is damaged, or not of this run.
        """
        from ..training.record import OUTPUTS

        path = self.path / OUTPUTS
        if not path.exists():
            return None
        known = self.record.get("outputs")  # versions before 0.4 did not write it
        if known is not None and file_digest(path) != known:
            raise UserError(f"{path} is not what this run wrote; delete the run's folder and run it again")
        arrays = read_arrays(path, _OUTPUTS)
        labelled, k = {"source": True, "target": self.labelled}, len(self.classes)
        if not all(_fit_together([arrays[f"{side}_{part}"] for part in _PARTS], k, labelled[side]) for side in _SIDES):
            raise UserError(f"{path}: its arrays do not fit together; delete the run's folder and run it again")
        return arrays


@dataclass(frozen=True)
class Found:
    """What is below a folder."""

    runs: list[Run]  #: in the order in which they finished
    studies: list[Path]  #: folders of hyper-parameter studies, which have pages of their own
    damaged: list[UserError]  #: for each run whose files can't be used


def find_runs(folder: Path) -> Found:
    """All runs below a folder, apart from those that a study trained after its choice."""
    from ..training.record import read_record

    runs, studies, damaged = [], [], []
    for path in sorted(folder.rglob("record.json")):
        if study := _study_of(path):
            studies.append(study)
            continue
        try:
            runs.append(Run(path.parent, read_record(path)))
        except UserError as error:
            damaged.append(error)
    return Found(sorted(runs, key=lambda run: str(run.record["finished"])), list(dict.fromkeys(studies)), damaged)


def all_runs(folder: Path) -> Found:
    """All runs below a folder, those of studies too, in the order in which they finished."""
    from ..training.record import read_record

    runs, damaged = [], []
    for path in sorted(folder.rglob("record.json")):
        try:
            runs.append(Run(path.parent, read_record(path)))
        except UserError as error:
            damaged.append(error)
    return Found(sorted(runs, key=lambda run: str(run.record["finished"])), [], damaged)


def with_whole_outputs(runs: Sequence[Run]) -> tuple[list[Run], list[UserError]]:
    """The runs whose kept outputs can be used, and the errors of the others."""
    whole, damaged = [], []
    for run in runs:
        try:
            _ = run.outputs
            whole.append(run)
        except UserError as error:
            damaged.append(error)
    return whole, damaged


def require_runs(folder: Path, found: Found) -> None:
    """Refuses a folder without a run that can be read.

    Raises:
        UserError: it has none; the error says what it has instead.
    """
    if found.runs:
        return
    if found.damaged:
        raise UserError(_first_and_count(found.damaged))
    if found.studies:
        pages = ", ".join(str(study / PAGE) for study in found.studies)
        raise UserError(f"{folder}: its runs are those of a search, which has a page of its own: {pages}")
    raise UserError(f"{folder}: no record.json below it; train something first (pa-difc compare --out {folder})")


def _first_and_count(errors: Sequence[UserError]) -> str:
    """The first of some errors, and how many more there are."""
    more = f" ({len(errors) - 1} more like this)" if len(errors) > 1 else ""
    return f"{errors[0]}{more}"


def _study_of(record: Path) -> Path | None:
    """The folder of the study that trained a run, STUDY/after/runs/RUN/record.json; None if none did."""
    after = record.parent.parent.parent
    made = any((after.parent / name).exists() for name in _OF_STUDY)
    return after.parent if after.name == _AFTER and made else None


def _fit_together(arrays: Sequence[Array], k: int, labelled: bool) -> bool:
    """Whether a test split's outputs have consistent shapes, types and values, and labels exactly if it is labelled."""
    labels, probs, kept, features = arrays
    n = len(labels) if labels.ndim == 1 else -1
    return bool(
        probs.shape == (n, k)
        and kept.ndim == 1
        and features.ndim == 2
        and len(kept) == len(features)
        and all(np.issubdtype(a.dtype, np.integer) for a in (labels, kept))
        and all(np.issubdtype(a.dtype, np.floating) for a in (probs, features))
        and (((labels >= 0) & (labels < k)) if labelled else labels == UNLABELLED).all()
        and ((kept >= 0) & (kept < n)).all()
        and ((probs >= 0) & (probs <= 1)).all()
        and np.isfinite(features).all()
    )
