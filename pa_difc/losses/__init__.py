"""The classification losses that fit into every method's slot, by name."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..functional import Counts, drw_weights, mean_probs
from ..util.names import lookup
from .baselines import (
    ArcFaceOnCosines,
    CosFaceOnCosines,
    FocalLoss,
    LogitAdjustedLoss,
    MarginHeadLoss,
    WeightedLoss,
)
from .difc import DIFCLoss
from .schedule import Schedule

__all__ = [
    "LOSSES",
    "ClassificationLoss",
    "DIFCLoss",
    "FocalLoss",
    "LogitAdjustedLoss",
    "LossInputs",
    "LossSpec",
    "SteppedLoss",
    "WeightedLoss",
    "loss_state",
    "make_loss",
    "mean_probs",
]

#: ``(N, K)`` source logits and ``(N,)`` labels in, a scalar or ``(N,)`` losses out.
ClassificationLoss = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class SteppedLoss(Protocol):
    """A loss with state of its own, written once at the end of each step."""

    @property
    def needs_target_logits(self) -> bool: ...

    def update(self, target_logits: Any = None) -> None: ...


@dataclass(frozen=True)
class LossSpec:
    """A named loss."""

    about: str
    build: Callable[["LossInputs"], ClassificationLoss]
    head: str = "linear"  #: the classifier that it is meant for
    scale: float = 1.0  #: the factor on that classifier's logits
    heads: tuple[str, ...] = ("linear", "cosine")  #: classifiers that it can take
    same_as: str | None = None  #: a loss that computes the same, so that "all" need not train both


@dataclass(frozen=True)
class LossInputs:
    """What a loss can be made from."""

    class_counts: Counts | None  #: ``(K,)`` source samples per class
    schedule: Schedule | None  #: when ingredients begin
    scale: float = 1.0  #: s, the factor on the classifier's logits
    options: dict[str, Any] = field(default_factory=dict)  #: further arguments of :class:`DIFCLoss`

    @property
    def counts(self) -> Counts:
        """The class counts, of which there must be some."""
        if self.class_counts is None:
            raise ValueError("needs class_counts (of the source)")
        return self.class_counts


def _cross_entropy(inputs: LossInputs) -> ClassificationLoss:
    return torch.nn.CrossEntropyLoss(reduction="none")


def _family(
    margins: bool = False, reweighting: bool = False, confusion: bool = False, max_margin: float | None = None
) -> Callable[[LossInputs], ClassificationLoss]:
    """DIFC with some of its ingredients; margins and ε of the inputs are in units before the scale."""

    def build(inputs: LossInputs) -> ClassificationLoss:
        if inputs.schedule is None:
            raise ValueError("needs class_counts (of the source) and a schedule")
        schedule = replace(
            inputs.schedule,
            confusion_epoch=inputs.schedule.confusion_epoch if confusion else None,
            reweight_epoch=inputs.schedule.reweight_epoch if reweighting else None,
        )
        options = dict(inputs.options)
        largest = options.get("max_margin", 0.3) if max_margin is None else max_margin
        # s·(cos − Δ) = s·cos − s·Δ: the classifier gives s·cos already. The spread of its logits holds s, too.
        unit = 1.0 if options.get("margin_unit") == "spread" else inputs.scale
        options["max_margin"] = unit * largest if margins else 0.0
        options["epsilon"] = unit * options.get("epsilon", 0.02) if confusion else 0.0
        return DIFCLoss(inputs.counts, schedule, **options)

    return build


def _margin_head(loss: type[torch.nn.Module]) -> Callable[[LossInputs], ClassificationLoss]:
    return lambda inputs: MarginHeadLoss(loss(len(inputs.counts), scale=inputs.scale), inputs.scale)


#: Scale of cosine classifiers: LDAM's; for seven classes the library's 64 would be no better founded.
_COSINE: dict[str, Any] = {"head": "cosine", "scale": 30.0}
_COSINE_ONLY: dict[str, Any] = {**_COSINE, "heads": ("cosine",)}

LOSSES: dict[str, LossSpec] = {
    "ce": LossSpec("cross-entropy", _cross_entropy),
    "drw": LossSpec("deferred re-weighting alone", _family(reweighting=True)),
    "margin": LossSpec("class margins alone", _family(margins=True)),
    "di": LossSpec("margins and re-weighting: the paper's DI", _family(margins=True, reweighting=True)),
    "difc": LossSpec(
        "DI, with margins raised for confused target classes: the paper's DIFC",
        _family(margins=True, reweighting=True, confusion=True),
    ),
    "weighted_inverse": LossSpec(
        "class weights by inverse frequency, from the first step", lambda i: WeightedLoss(drw_weights(i.counts, 1.0))
    ),
    "weighted_effective": LossSpec(
        "class weights by effective number (Cui 2019), from the first step",
        lambda i: WeightedLoss(drw_weights(i.counts, i.options.get("beta", 0.9999))),
    ),
    "focal": LossSpec("focal loss (Lin 2017), γ = 2", lambda _: FocalLoss()),
    "logit_adjusted": LossSpec(
        "logits raised by the log class proportions (Menon 2021), τ = 1", lambda i: LogitAdjustedLoss(i.counts)
    ),
    "balanced_softmax": LossSpec(
        "balanced softmax (Ren 2020): logit_adjusted at τ = 1",
        lambda i: LogitAdjustedLoss(i.counts),
        same_as="logit_adjusted",
    ),
    "ldam": LossSpec(
        "LDAM (Cao 2019): margins up to 0.5 on a cosine classifier, s = 30",
        _family(margins=True, max_margin=0.5),
        **_COSINE,
    ),
    "ldam_drw": LossSpec(
        "LDAM with deferred re-weighting", _family(margins=True, reweighting=True, max_margin=0.5), **_COSINE
    ),
    "cosface": LossSpec("CosFace (Wang 2018), m = 0.35, s = 30", _margin_head(CosFaceOnCosines), **_COSINE_ONLY),
    "arcface": LossSpec("ArcFace (Deng 2019), m = 28.6°, s = 30", _margin_head(ArcFaceOnCosines), **_COSINE_ONLY),
}


def make_loss(
    loss: str | ClassificationLoss,
    class_counts: Counts | None = None,
    schedule: Schedule | None = None,
    *,
    scale: float = 1.0,
    **options: Any,
) -> ClassificationLoss:
    """A classification loss by name, so that a table can show which ingredient did it.

    Args:
        loss: a key of :data:`LOSSES`, or any callable, which is returned as it is.
        class_counts: ``(K,)`` source samples per class; most losses need them.
        schedule: when ingredients begin; DIFC and its parts need it.
        scale: s, the factor on the classifier's logits, see :attr:`LossSpec.head`; ``max_margin`` and ``epsilon`` are
            in units before it.
        **options: further arguments of :class:`DIFCLoss`; those of an absent ingredient have no effect.

    Returns:
        "ce" gives unreduced losses ``(N,)``, as pytorch-adapt's own default does; the others a scalar.

    Raises:
        ValueError: the name is unknown, or counts or schedule are missing.
    """
    if not isinstance(loss, str):
        return loss
    spec = lookup("loss", loss, LOSSES)
    try:
        return spec.build(LossInputs(class_counts, schedule, scale, options))
    except ValueError as error:
        raise ValueError(f"loss {loss!r}: {error}") from None


def loss_state(loss: ClassificationLoss) -> dict[str, Any]:
    """What a method's ``misc`` container has to hold so that the loss is resumed: empty for a loss without state."""
    return {"difc": loss} if isinstance(loss, SteppedLoss) else {}
