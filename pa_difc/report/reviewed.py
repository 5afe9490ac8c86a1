"""A run's predictions together with the faces themselves, for an error page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.faces import FaceSet, evenly
from ..data.labels import UNLABELLED, LabelSet
from ..util.errors import UserError
from ..util.names import as_utf8, cell_name
from .committees import committee_of
from .groups import group_key
from .mistakes import Committee
from .run import Array, Run
from .variants import canonical

if TYPE_CHECKING:
    from ..data.domains import Domain


@dataclass(frozen=True)
class Reviewed:
    """Predictions of a target's test faces, in the order of the faces."""

    model: str  #: method and loss, in words
    about: str  #: pair, seed and run folder
    target: str
    classes: Sequence[str]
    faces: FaceSet
    labels: Array | None  #: ``(N,)`` classes; None for a target without labels
    probs: Array  #: ``(N, K)`` class probabilities
    elsewhere: frozenset[str] = frozenset()  #: names of the target's training faces
    unscored: frozenset[str] = frozenset()  #: names of the test faces that a time budget left out
    committee: Committee | None = None  #: where the grid's cells disagree; None if there is only one
    notes: tuple[str, ...] = ()

    @property
    def predicted(self) -> Array:
        """``(N,)`` classes."""
        found: Array = self.probs.argmax(axis=1)
        return found

    @property
    def confidence(self) -> Array:
        """``(N,)`` probabilities of the predicted classes."""
        found: Array = self.probs.max(axis=1)
        return found


class Reviewer:
    """Reads the kept predictions of runs together with their faces; no network is run.

    Consecutive runs on one target share its faces, and runs of one grid share its disagreements.

    Args:
        data_root: the folder of datasets; None takes the one that each run was trained with.
    """

    def __init__(self, data_root: Path | None = None) -> None:
        self._data_root = data_root
        self._last: tuple[str, Domain] | None = None
        self._committees: dict[tuple[Path, str], tuple[Committee | None, tuple[str, ...]]] = {}

    def review(self, run: Run) -> Reviewed:
        """The predictions of a finished run.

        Raises:
            UserError: predictions were not kept, or are damaged; the target can't be loaded, or is not the data of the
                run.
        """
        if run.outputs is None:
            raise UserError(f"{run.path}: outputs.npz is gone; remove record.json and train the run again")
        place, last = canonical(_place(run, self._data_root)), self._last
        domain = last[1] if last and last[0] == place else target_domain(run, self._data_root)
        self._last = (place, domain)
        whole, domain = domain, _as_scored(run, domain)
        unscored = frozenset(whole.test.names) - frozenset(domain.test.names)
        _require_same(run, domain, self._data_root)
        grid = run.path.absolute().parent, group_key(run.record)
        if grid not in self._committees:
            self._committees[grid] = committee_of(run)
        divided, notes = self._committees[grid]
        reviewed = _reviewed(run, run.outputs, domain, divided)
        return replace(reviewed, notes=(*reviewed.notes, *notes), unscored=unscored)


def _reviewed(run: Run, outputs: dict[str, Array], domain: Domain, divided: Committee | None) -> Reviewed:
    assert isinstance(domain.test, FaceSet)
    method, loss, seed = run.cell
    source, target = map(as_utf8, run.pair)
    frozen = run.record["data"]["target"].get("features_of") and not run.labelled
    known = "The run saw frozen features: which faces these are is known by their number and order alone."
    return Reviewed(
        model=cell_name(method, loss),
        about=f"{source} → {target}, seed {seed}, {as_utf8(run.path.absolute().name)}",
        target=target,
        classes=run.classes,
        faces=domain.test,
        labels=outputs["target_labels"].astype(np.int64) if run.labelled else None,
        probs=outputs["target_probs"],
        elsewhere=frozenset() if domain.transductive else frozenset(domain.train.names),
        committee=divided,
        notes=((known,) if frozen else ()) + ((_part(run),) if _left_out(run) else ()),
    )


def _place(run: Run, data_root: Path | None) -> dict[str, Any]:
    """The settings that a run's target was loaded with."""
    settings = run.settings["data"]
    names = ("on_bad_image", "deduplicate", "group_by", "near_duplicates", "target_shift", "shift_draw")
    return {
        "name": settings["target"],
        "data_root": str(data_root or settings.get("root", "data")),
        "size_px": settings["crop_px"],
        "labels": run.record["labels"],
        **{name: settings[name] for name in names if name in settings},
    }


def target_domain(run: Run, data_root: Path | None = None) -> Domain:
    """Loads a run's target from disk, with its class proportions shifted as in the run.

    Args:
        run: on faces, or on features extracted from them.
        data_root: the folder of datasets; None takes the one that the run was trained with.

    Raises:
        UserError: the target can't be loaded.
    """
    from ..data.label_shift import shift_labels
    from ..data.loading import load_domain

    how = _place(run, data_root)
    alpha, draw = how.pop("target_shift", None), how.pop("shift_draw", 0)
    labels, root = LabelSet.from_dict(how.pop("labels")), Path(how.pop("data_root"))
    domain = load_domain(how.pop("name"), root, labels=labels, **how)
    return domain if alpha is None else shift_labels(domain, alpha, draw)


def _left_out(run: Run) -> int:
    """The number of test faces that a time budget left out."""
    part_of = run.record["data"]["target"].get("part_of")
    return part_of["test"] - run.scored if part_of else 0


def _part(run: Run) -> str:
    number, whole = run.scored, run.scored + _left_out(run)
    return f"{number:,} of the {whole:,} test faces were predicted, as many as the time budget allowed."


def _as_scored(run: Run, domain: Domain) -> Domain:
    """The target with the faces of its test split that a time budget left to be predicted."""
    return replace(domain, test=evenly(domain.test, run.scored)) if _left_out(run) else domain


def _require_same(run: Run, domain: Domain, data_root: Path | None) -> None:
    """Checks that the test split holds the faces that a run was scored on.

    Raises:
        UserError: it does not.
    """
    known = run.record["data"]["target"]
    same = isinstance(domain.test, FaceSet) and _same_labels(run, domain)
    if same and not known.get("features_of"):  # the fingerprint of features is not that of their faces
        same = domain.test.fingerprint == known["test_fingerprint"]
    if not same:
        root = _place(run, data_root)["data_root"]
        raise UserError(
            f"{as_utf8(run.pair[1])} in {root} is not the data that {run.path.name} was scored on, or its images or "
            "labels have changed since: give the --data-root of that data, or train again"
        )


def _same_labels(run: Run, domain: Domain) -> bool:
    """Whether the test split's labels equal those in a run's outputs or, without labels, its size does."""
    if (outputs := run.outputs) is None:
        return True
    kept = outputs["target_labels"].astype(np.int64)
    if not run.labelled:
        return len(kept) == len(domain.test) and bool((domain.test.labels == UNLABELLED).all())
    return bool(np.array_equal(kept, domain.test.labels))
