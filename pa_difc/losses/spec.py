"""The registry entry of a named loss, and the inputs it is built from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..counts import Counts, as_counts
from ..util.errors import UserError
from ..util.options import Options
from .inputs import checked_counts
from .labelled import IGNORE_INDEX
from .schedule import Schedule

#: Maps ``(N, K)`` source logits and ``(N,)`` labels to a scalar.
ClassificationLoss = Callable[[Tensor, Tensor], Tensor]


#: Kinds of classifiers, and the factor s on their logits. Cosines lie in [−1, 1]: at s = 1 no probability among seven
#: classes could exceed e / (e + 6 / e) = 0.55. 30 is LDAM's (Cao et al. 2019, arXiv:1906.07413).
CLASSIFIERS = {"linear": 1.0, "cosine": 30.0}


@dataclass(frozen=True)
class LossInputs:
    """Inputs that a loss can be built from.

    Raises:
        ValueError: ``class_counts`` are not ``(K,)`` whole numbers, even for a loss that doesn't use them.
    """

    class_counts: Counts | None  #: ``(K,)`` source samples per class
    schedule: Schedule | None  #: when ingredients begin
    options: Any  #: an instance of the loss's :attr:`LossSpec.options`
    scale: float = 1.0  #: s, the factor on the classifier's logits
    label_smoothing: float = 0.0  #: α in [0, 1], see :func:`.make_loss`
    ignore_index: int = IGNORE_INDEX  #: the label of ignored samples, see :func:`.make_loss`
    num_classes: int | None = None  #: K, if no counts are given
    class_names: Sequence[str] = ()  #: for errors

    def __post_init__(self) -> None:
        if self.class_counts is not None:
            checked_counts(self.class_counts)

    @property
    def shared(self) -> dict[str, Any]:
        """The arguments that every :class:`.LabelledLoss` takes."""
        return {"label_smoothing": self.label_smoothing, "ignore_index": self.ignore_index}

    @property
    def counts(self) -> Counts:
        """The class counts, for a loss that needs a sample of every class.

        Raises:
            UserError: there are no counts, their number is not ``num_classes``, or a class has no source sample.
        """
        if self.class_counts is None:
            raise UserError("needs class_counts (of the source)")
        counts, k = as_counts(self.class_counts).tolist(), self.k
        if empty := [i for i in range(k) if counts[i] == 0]:
            names = ", ".join(self.class_names[i] if i < len(self.class_names) else str(i) for i in empty)
            what = f"class {names} has" if len(empty) == 1 else f"classes {names} have"
            raise UserError(f"{what} no source sample: every class needs one, except with loss ce")
        return self.class_counts

    @property
    def classes(self) -> int | None:
        """K, from ``num_classes`` or the number of counts; None if neither is given.

        Raises:
            UserError: they differ.
        """
        counted = None if self.class_counts is None else len(self.class_counts)
        if self.num_classes is not None and counted not in (None, self.num_classes):
            raise UserError(f"num_classes={self.num_classes} with {counted} class_counts: must be the same number")
        return self.num_classes or counted

    @property
    def k(self) -> int:
        """K, for a loss that needs to know it.

        Raises:
            UserError: neither ``num_classes`` nor counts are given, or they differ.
        """
        if (known := self.classes) is None:
            raise UserError("needs num_classes, or class_counts (of the source)")
        return known

    @property
    def phases(self) -> Schedule:
        """The schedule.

        Raises:
            UserError: there is none.
        """
        if not isinstance(self.schedule, Schedule):
            given = "" if self.schedule is None else f", not {self.schedule!r}"
            raise UserError(f"needs a schedule{given}: such as Schedule(steps_per_epoch=100)")
        return self.schedule


@dataclass(frozen=True)
class LossSpec:
    """A named loss."""

    about: str
    build: Callable[[LossInputs], ClassificationLoss]  #: makes the loss
    options: type[Options] = Options  #: those of its own
    classifier: str = "linear"  #: the classifier it is meant for
    classifiers: tuple[str, ...] = ("linear", "cosine")  #: the classifiers it can take
    smooths: bool = False  #: whether ``build`` uses ``inputs.label_smoothing``; if not, smoothing is refused
    same_as: str | None = None  #: a loss that computes the same, so that "all" need not train both

    @property
    def code(self) -> Callable[[LossInputs], ClassificationLoss]:
        """The function whose file :meth:`.Registry.digest` hashes."""
        return self.build
