"""Chooses a method and a loss without target labels, from the predictions of a grid's runs.

A cell's score by a criterion is the mean over its seeds. Scores are computed on the faces whose features were kept, at
most 2,000 evenly spaced ones per test split. Target labels, if there are any, only serve to judge the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

from ..evaluation import CRITERIA
from ..evaluation.criteria import CONSENSUS_OF_METHODS as CONSENSUS
from ..evaluation.criteria import SOURCE_TOLERANCE, Evidence, consensus, ensemble_agreement
from ..evaluation.metrics import prediction_counts
from ..training.learnt import source_recall
from ..util.intervals import Share
from ..util.names import cell_name
from .grid import BASE, Grid
from .run import AS_IS, Array, Run
from .tables import agreement

#: The criteria that score each cell by itself; "dev" is left out because it would train a density model for every run.
ALONE = ("im", "class_ami", "bnm", "snd", "src_macro")
#: A cell must beat as_is by two of these criteria. Source recall says nothing about the target, and "snd" prefers
#: collapsed models. One criterion is not enough: cells that learnt from the same poor source agree with each other, so
#: EnsV, the agreement with their mean, prefers each of them to a better classifier that learnt from elsewhere.
AGAINST_AS_IS = ("im", "class_ami", "bnm", "ensv")
FEWEST_ABOVE_AS_IS = 2
#: The cell whose recall on held-out source faces the others have to keep.
REFERENCE = ("source_only", BASE)


@dataclass(frozen=True)
class Candidate:
    """A method and a loss over their seeds, judged without target labels."""

    method: str
    loss: str
    runs: Sequence[Run]
    scores: dict[str, float]  #: by criterion, mean over seeds; larger is better
    by_run: Sequence[dict[str, float]]  #: the same for each run
    predicted: list[float]  #: ``(K,)`` shares of predicted classes on the target, mean over seeds
    collapsed: bool  #: in at least one run, by its predictions alone
    keeps_source: bool  #: recall on held-out source at most 3 points below the reference's; True without a reference,
    #: or if the method does not use the source
    agreement: float | None  #: share of target faces for which as_is predicts the same class; None without as_is
    below_as_is: bool  #: fewer than two of AGAINST_AS_IS put it above the pretrained classifier without training

    @property
    def name(self) -> str:
        return cell_name(self.method, self.loss)

    @property
    def seconds(self) -> float:
        """Training time of a run, mean over seeds."""
        return float(mean(run.record["seconds"]["training"] for run in self.runs))

    @property
    def source(self) -> Share | None:
        """Mean recall on all held-out source faces, with its interval; None without a source."""
        return source_recall([run.record for run in self.runs])

    @property
    def eligible(self) -> bool:
        return self.keeps_source and not self.collapsed and not self.below_as_is


@dataclass(frozen=True)
class Selection:
    """The cells of a grid and the one that consensus chooses among them."""

    classes: Sequence[str]
    candidates: Sequence[Candidate]
    has_source: bool  #: whether there was a source dataset
    has_reference: bool  #: whether the grid has the cell :data:`REFERENCE`
    longer: str = "more time"  #: what would let the cells train for longer, in words
    remarks: Sequence[str] = ()  #: sentences without a full stop on what was decided before training, for the notes
    limits: Sequence[str] = ()  #: sentences without a full stop on what could not be trained, for the page's top

    @property
    def chosen(self) -> Candidate:
        return self.pick("consensus")

    @property
    def chosen_by(self) -> str:
        """The rule of the choice, in words."""
        criteria = "class_ami, ensv and source recall" if self.has_source else "class_ami and ensv"
        return f"consensus (mean rank by {criteria})"

    @property
    def allowed(self) -> list[Candidate]:
        """The cells that may be chosen: the eligible ones; if there are none, those that are not below as_is."""
        return [c for c in self.candidates if c.eligible] or [c for c in self.candidates if not c.below_as_is]

    def pick(self, criterion: str) -> Candidate:
        """The best of the cells that may be chosen by a criterion."""
        return max(self.allowed, key=lambda c: c.scores[criterion])

    def rank(self, candidate: Candidate) -> float:
        """The mean rank by the criteria of consensus; 1 means the best by all of them."""
        return len(self.candidates) + 1 - candidate.scores["consensus"]


def select(grid: Grid) -> Selection | None:
    """Scores every cell of a grid; None if a run's outputs are missing, or of another number of faces."""
    kept = {run.cell: o["target_probs"][o["target_kept"]] for run in grid.runs if (o := run.outputs)}
    faces = {len(o["target_labels"]) for run in grid.runs if (o := run.outputs)}
    if len(kept) < len(grid.runs) or len(faces) > 1:
        return None
    # Each cell weighs the same in the mean, however many seeds it has: as_is has only one.
    votes = [1 / len(grid.of(method, loss)) for method, loss, _ in kept]
    agreed = dict(zip(kept, ensemble_agreement(list(kept.values()), votes), strict=True))
    cells = [(m, k, list(grid.of(m, k).values())) for m in grid.methods for k in grid.losses if grid.of(m, k)]
    by_run = [[_scores(run) | {"ensv": agreed[run.cell]} for run in runs] for _, _, runs in cells]
    scores = [{name: mean(s[name] for s in of_cell) for name in of_cell[0]} for of_cell in by_run]
    for row, rank in zip(scores, consensus([[s[name] for s in scores] for name in CONSENSUS]), strict=True):
        row["consensus"] = rank
    reference = [s["src_macro"] for (m, k, _), s in zip(cells, scores, strict=True) if (m, k) == REFERENCE]
    floor = reference[0] - SOURCE_TOLERANCE if reference else 0.0
    bar = next((s for (m, _, _), s in zip(cells, scores, strict=True) if m == AS_IS), None)
    candidates = [
        _candidate(*cell, s, each, floor=floor, bar=bar, as_is=grid.as_is)
        for cell, s, each in zip(cells, scores, by_run, strict=True)
    ]
    return Selection(grid.classes, candidates, grid.runs[0].has_source, bool(reference))


def _scores(run: Run) -> dict[str, float]:
    o = _outputs(run)
    evidence = Evidence(
        target_probs=o["target_probs"][o["target_kept"]],
        target_features=o["target_features"].astype(np.float32),
        source_probs=o["source_probs"][o["source_kept"]],
        source_features=o["source_features"].astype(np.float32),
        source_labels=o["source_labels"][o["source_kept"]],
    )
    found = {name: CRITERIA[name].score(evidence) for name in ALONE if run.has_source or name != "src_macro"}
    return {"src_macro": 0.0, **found}  # without a source, it is the same for all cells


def _candidate(
    method: str,
    loss: str,
    runs: Sequence[Run],
    scores: dict[str, float],
    by_run: Sequence[dict[str, float]],
    *,
    floor: float,
    bar: dict[str, float] | None,
    as_is: Run | None,
) -> Candidate:
    """A cell with its disqualifications: source recall below ``floor``, worse than ``bar``, or collapsed."""
    counts = [prediction_counts(_outputs(run)["target_probs"]) for run in runs]
    shares = np.mean([np.array(c["predicted"]) / sum(c["predicted"]) for c in counts], axis=0)
    above = sum(scores[name] > bar[name] for name in AGAINST_AS_IS) if bar else 0
    same = [share for run in runs if as_is and (share := agreement(run, as_is)) is not None]
    return Candidate(
        method=method,
        loss=loss,
        runs=runs,
        scores=scores,
        by_run=by_run,
        predicted=shares.tolist(),
        collapsed=any(c["collapsed"] for c in counts),
        keeps_source=scores["src_macro"] >= floor or not runs[0].uses_source,
        agreement=mean(same) if same else None,
        below_as_is=bar is not None and method != AS_IS and above < FEWEST_ABOVE_AS_IS,
    )


def _outputs(run: Run) -> dict[str, Array]:
    """The outputs of a run that has them."""
    assert run.outputs is not None
    return run.outputs
