"""DIFC and its ingredients as named losses; each has only the options of its own ingredients."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from ..util.errors import UserError
from ..util.options import Options, option
from .difc import DIFCLoss
from .difc_checks import CONFUSION_SOURCES, MARGIN_UNITS, REFRESHES, UNSEEN
from .spec import ClassificationLoss, LossInputs, LossSpec


@dataclass(frozen=True)
class MarginOptions(Options):
    """Options of margins against source imbalance."""

    max_margin: float = option(
        0.3, "max_k Δ_k, the largest class margin; γ of eq. 3 follows", unit="margin units", at_least=0
    )
    margin_unit: str = option("logit", "a logit, or the spread of a batch's logits", choices=MARGIN_UNITS)


@dataclass(frozen=True)
class WeightOptions(Options):
    """Options of deferred re-weighting."""

    beta: float = option(0.9999, "β of the class weights' effective number of samples", at_least=0, at_most=1)
    class_weights: tuple[float, ...] | None = option(None, "w_k, one per class, instead of β's formula")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weights is not None and self.beta != WeightOptions.beta:
            raise UserError(f"beta={self.beta:g} has no effect with class_weights")


@dataclass(frozen=True)
class ConfusionOptions(Options):
    """Options of margins raised for confused target classes."""

    epsilon: float = option(0.02, "ε, the largest increase of a margin (eq. 6)", unit="margin units", at_least=0)
    unseen: str = option(
        "most",
        "rank of a class that is never predicted: most, least (if the target lacks classes), or as last",
        choices=UNSEEN,
    )
    refresh: str = option("epoch", "when margins are recomputed in the DIFC phase", choices=REFRESHES)
    confusion_from: str = option(
        "training", "the target predictions that confusion is estimated from", choices=CONFUSION_SOURCES
    )


@dataclass(frozen=True)
class DIOptions(WeightOptions, MarginOptions):
    """Options of the paper's DI."""


@dataclass(frozen=True)
class DIFCOptions(ConfusionOptions, DIOptions):
    """Options of the paper's DIFC."""


@dataclass(frozen=True)
class LDAMOptions(MarginOptions):
    """Options of LDAM, whose logits are cosines."""

    max_margin: float = option(0.5, "max_k Δ_k, the largest class margin; C follows", unit="margin units", at_least=0)


@dataclass(frozen=True)
class LDAMDRWOptions(WeightOptions, LDAMOptions):
    """Options of LDAM with deferred re-weighting."""


def _build(inputs: LossInputs) -> ClassificationLoss:
    """Builds DIFC with the ingredients that its options name; their margins and ε are in units before the scale."""
    chosen = inputs.options
    has_margins, has_weights, has_confusion = (
        isinstance(chosen, part) for part in (MarginOptions, WeightOptions, ConfusionOptions)
    )
    counts, phases = inputs.counts, inputs.phases
    schedule = replace(
        phases,
        confusion_epoch=phases.confusion_epoch if has_confusion else None,
        reweight_epoch=phases.reweight_epoch if has_weights else None,
    )
    arguments = asdict(chosen)
    # s·(cos − Δ) = s·cos − s·Δ: the classifier gives s·cos already. The spread of its logits holds s, too.
    unit = 1.0 if has_margins and chosen.margin_unit == "spread" else inputs.scale
    arguments["max_margin"] = unit * chosen.max_margin if has_margins else 0.0
    arguments["epsilon"] = unit * chosen.epsilon if has_confusion else 0.0
    return DIFCLoss(counts, schedule, **inputs.shared, **arguments)


DRW = LossSpec("deferred re-weighting alone", _build, WeightOptions, smooths=True)
MARGIN = LossSpec("class margins alone", _build, MarginOptions, smooths=True)
DI = LossSpec("margins and re-weighting: the paper's DI", _build, DIOptions, smooths=True)
DIFC = LossSpec(
    "DI, with margins raised for confused target classes: the paper's DIFC", _build, DIFCOptions, smooths=True
)

LDAM = LossSpec(
    "LDAM (Cao 2019): larger margins, on a cosine classifier", _build, LDAMOptions, classifier="cosine", smooths=True
)
LDAM_DRW = LossSpec("LDAM with deferred re-weighting", _build, LDAMDRWOptions, classifier="cosine", smooths=True)
