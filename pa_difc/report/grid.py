"""The runs below a folder, and the grids that they make: methods × losses × seeds that differ in nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.labels import UNLABELLED
from ..util.errors import UserError
from ..util.files import read_arrays
from .groups import differences, group_key, headings
from .variants import variant_names

Array = npt.NDArray[Any]

#: The loss that the others are compared with, and the one that this package is about.
BASE, DIFC = "ce", "difc"

_SIDES, _PARTS = ("source", "target"), ("labels", "probs", "kept", "features")
_OUTPUTS = [f"{side}_{part}" for side in _SIDES for part in _PARTS]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its record, and the names of its method and loss in a table."""

    path: Path
    record: dict[str, Any]
    names: tuple[str, str] | None = None  #: see :func:`.variants.variant_names`; None: the plain ones

    @property
    def settings(self) -> dict[str, Any]:
        return self.record["settings"]  # type: ignore[no-any-return]

    @property
    def pair(self) -> tuple[str, str]:
        """Source and target."""
        return self.settings["data"]["source"], self.settings["data"]["target"]

    @property
    def classes(self) -> list[str]:
        """The names of the classes, by index."""
        return self.record["labels"]["names"]  # type: ignore[no-any-return]

    @property
    def loss(self) -> str:
        """The plain name of the loss."""
        return self.settings["loss"]["name"]  # type: ignore[no-any-return]

    @property
    def cell(self) -> tuple[str, str, int]:
        """Method, loss and seed."""
        method, loss = self.names or (self.settings["method"]["name"], self.loss)
        return method, loss, self.settings["run"]["seed"]

    @property
    def scores(self) -> dict[str, Any]:
        """On the target's test split, where it has labels."""
        return self.record["scores"]["target"]  # type: ignore[no-any-return]

    @property
    def labelled(self) -> bool:
        """Whether there were target labels to score by."""
        return "target" in self.record["scores"]

    @property
    def states(self) -> list[tuple[int, dict[str, Any]]]:
        """The state of the loss by epoch, for losses that have one."""
        return [(h["epoch"], h["state"]) for h in self.record["history"] if h.get("state")]

    @cached_property
    def outputs(self) -> dict[str, Array] | None:
        """Labels, probabilities and features of the test splits; None where they were not kept.

        Raises:
            UserError: the file is damaged, or not of this run.
        """
        from ..training.record import OUTPUTS

        path = self.path / OUTPUTS
        if not path.exists():
            return None
        arrays = read_arrays(path, _OUTPUTS)
        labelled, k = {"source": True, "target": self.labelled}, len(self.classes)
        if not all(_fit_together([arrays[f"{side}_{part}"] for part in _PARTS], k, labelled[side]) for side in _SIDES):
            raise UserError(f"{path}: its arrays do not fit together; delete the run's folder and run it again")
        return arrays


@dataclass(frozen=True)
class Grid:
    """Runs on one source → target pair that differ in method, loss and seed alone, one for each."""

    source: str
    target: str
    runs: Sequence[Run]
    replaced: int = 0  #: runs left out because a newer one is the same in everything
    differs: Sequence[str] = ()  #: how it differs from the other grids of its pair, in words
    heading: str = ""  #: the same in short

    @classmethod
    def of_runs(cls, runs: Sequence[Run], differs: Sequence[str] = (), heading: str = "") -> Grid:
        """The grid of runs that may stand in one table, in the order in which they were finished."""
        names = variant_names([run.record for run in runs])
        named = [replace(run, names=n) for run, n in zip(runs, names, strict=True)]
        newest = {run.cell: run for run in named}
        return cls(*runs[0].pair, list(newest.values()), len(named) - len(newest), differs, heading)

    @property
    def title(self) -> str:
        """The pair, and in short how the grid differs from others of it."""
        return f"{self.source} → {self.target}" + (f" · {self.heading}" if self.heading else "")

    @property
    def classes(self) -> list[str]:
        """The names of the classes, by index."""
        return self.runs[0].classes

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(run.cell[0] for run in self.runs))

    @property
    def losses(self) -> list[str]:
        return list(dict.fromkeys(run.cell[1] for run in self.runs))

    @property
    def labelled(self) -> bool:
        """Whether every run was scored on the target."""
        return all(run.labelled for run in self.runs)

    def variants(self, loss: str) -> list[str]:
        """The losses of the table that have this plain name: one for each of its option sets."""
        return list(dict.fromkeys(run.cell[1] for run in self.runs if run.loss == loss))

    def of(self, method: str, loss: str) -> dict[int, Run]:
        """The runs of a method and a loss, by seed."""
        return {run.cell[2]: run for run in self.runs if run.cell[:2] == (method, loss)}

    def base(self, method: str) -> dict[int, Run]:
        """The runs that a method's other losses are compared with, by seed: those with plain cross-entropy."""
        return self.of(method, BASE)


def read_runs(folder: Path) -> list[Run]:
    """All runs below a folder, in the order in which they were finished.

    Raises:
        UserError: there is none, or a record is damaged.
    """
    from ..training.record import read_record

    runs = [Run(path.parent, read_record(path)) for path in sorted(folder.rglob("record.json"))]
    if not runs:
        raise UserError(f"{folder}: no record.json below it; train something first (pa-difc compare --out {folder})")
    return sorted(runs, key=lambda run: str(run.record["finished"]))


def make_grids(runs: Sequence[Run]) -> list[Grid]:
    """The grids that runs make: one for each pair and each set of common settings, code and data.

    Args:
        runs: in the order in which they were finished.
    """
    pairs: dict[tuple[str, str], dict[str, list[Run]]] = {}
    for run in runs:
        pairs.setdefault(run.pair, {}).setdefault(group_key(run.record), []).append(run)
    grids: list[Grid] = []
    for by_key in pairs.values():
        groups = sorted(by_key.values(), key=lambda group: str(group[-1].record["finished"]))  # the newest last
        differs = differences([group[0].record for group in groups])
        words = zip(groups, differs, headings(differs), strict=True)
        made = {id(group): Grid.of_runs(group, d, heading) for group, d, heading in words}
        grids += [made[id(group)] for group in by_key.values()]
    return grids


def load_grids(folder: Path) -> list[Grid]:
    """The grids of all runs below a folder but those of label-shift sweeps.

    Raises:
        UserError: there are no runs, or a record is damaged.
    """
    from .sweep import split_sweeps

    return make_grids(split_sweeps(read_runs(folder))[1])


def _fit_together(arrays: Sequence[Array], k: int, labelled: bool) -> bool:
    """Whether a test split's outputs are of one length, with K classes, and with labels exactly if it has some."""
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
