"""The runs of a grid, as they lie on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..data.labels import NUM_CLASSES, UNLABELLED
from ..training.record import OUTPUTS, read_record
from ..util.errors import UserError
from ..util.files import read_arrays

_SIDES, _PARTS = ("source", "target"), ("labels", "probs", "kept", "features")
_OUTPUTS = [f"{side}_{part}" for side in _SIDES for part in _PARTS]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its record."""

    path: Path
    record: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        return self.record["config"]

    @property
    def cell(self) -> tuple[str, str, int]:
        """Method, loss and seed."""
        return self.config["method"], self.config["loss"], self.config["seed"]

    @property
    def scores(self) -> dict[str, Any]:
        """On the target's test split, where it has labels."""
        return self.record["scores"]["target"]

    @property
    def labelled(self) -> bool:
        """Whether there were target labels to score by."""
        return "target" in self.record["scores"]

    @cached_property
    def outputs(self) -> dict[str, np.ndarray] | None:
        """Labels, probabilities and features of the test splits; None where they were not kept."""
        path = self.path / OUTPUTS
        if not path.exists():
            return None
        arrays = read_arrays(path, _OUTPUTS)
        labelled = {"source": True, "target": self.labelled}
        if not all(_fit_together(*(arrays[f"{side}_{part}"] for part in _PARTS), labelled[side]) for side in _SIDES):
            raise UserError(f"{path}: its arrays do not fit together; remove it and the record to have both made anew")
        return arrays


@dataclass(frozen=True)
class Grid:
    """The runs on one source → target pair, one for each method, loss and seed."""

    source: str
    target: str
    runs: Sequence[Run]
    replaced: int = 0  #: runs left out because a newer one has the same method, loss and seed

    @property
    def title(self) -> str:
        return f"{self.source} → {self.target}"

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

    def of(self, method: str, loss: str) -> dict[int, Run]:
        """The runs of a method and a loss, by seed."""
        return {run.cell[2]: run for run in self.runs if run.cell[:2] == (method, loss)}


def load_grids(folder: Path) -> list[Grid]:
    """All runs below a folder, by source → target pair.

    Raises:
        UserError: there is none, or a record is damaged.
    """
    runs = [Run(path.parent, read_record(path)) for path in sorted(folder.rglob("record.json"))]
    if not runs:
        raise UserError(f"{folder}: no record.json below it; train something first (python recipes/compare.py)")
    pairs: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(runs, key=lambda r: r.record["finished"]):
        pairs.setdefault((run.config["source"], run.config["target"]), []).append(run)
    grids = []
    for (source, target), members in pairs.items():
        newest = {run.cell: run for run in members}
        grids.append(Grid(source, target, list(newest.values()), len(members) - len(newest)))
    return grids


def _fit_together(
    labels: np.ndarray, probs: np.ndarray, kept: np.ndarray, features: np.ndarray, labelled: bool
) -> bool:
    """Whether a test split's outputs are of one length, with labels (or none) and probabilities that can be."""
    n = len(labels) if labels.ndim == 1 else -1
    return bool(
        probs.shape == (n, NUM_CLASSES)
        and kept.ndim == 1
        and features.ndim == 2
        and len(kept) == len(features)
        and all(np.issubdtype(a.dtype, np.integer) for a in (labels, kept))
        and all(np.issubdtype(a.dtype, np.floating) for a in (probs, features))
        and (((labels >= 0) & (labels < NUM_CLASSES)) if labelled else labels == UNLABELLED).all()
        and ((kept >= 0) & (kept < n)).all()
        and ((probs >= 0) & (probs <= 1)).all()
        and np.isfinite(features).all()
    )
