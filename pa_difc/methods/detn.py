"""Deep emotion transfer network (DETN): Li and Deng 2018, ICPR, "Deep Emotion Transfer Network for Cross-database
Facial Expression Recognition".

    min_{G,C}  L_cls(C(f_s), y_s) + γ · MMD²_α(f_s, f_t)

Source sample i weighs α_{y_i} = q_{y_i} / p_{y_i}, the ratio of the target's class proportions to the source's, in a
multi-kernel MMD, so that domains of other proportions can still lie on each other. q is estimated from the target's
predictions as training goes.

Differs from the paper: proportions are running means over steps, instead of being refreshed now and then; α lies in
[1/5, 5]; the kernels could not be verified, which are Gaussian and as wide as the batch's distances. The CD-FER
benchmark's code has γ = 1 as well, and one kernel e^(−‖x − y‖ / 2), of a fixed width: on 35 + 35 features of 128
numbers with a mean distance of 15 its gradient is 1/40 of this one, and about the same with one of 1.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..util.errors import UserError
from ..util.options import option
from .heads import num_classes_of
from .mmd import SCALES, ClassRatio, weighted_mmd
from .penalty import PenaltyMethod, Step


class DETN(PenaltyMethod):
    """DETN with a slot for the classification loss.

    Args:
        models: as every method's; K is what the classifier "C" gives.
        *args, **kwargs: see :class:`.slot.LossSlot`.
    """

    @dataclass(frozen=True)
    class Options(PenaltyMethod.Options):
        """Of DETN."""

        weight: float = option(1.0, "γ, the factor on the MMD", at_least=0)
        momentum: float = option(0.99, "decay of the class proportions per step", at_least=0, below=1)
        largest_ratio: float = option(5.0, "α lies between this and its inverse", at_least=1)
        kernel_scales: tuple[float, ...] = option(SCALES, "bandwidths of the kernels", unit="mean squared distances")

        def __post_init__(self) -> None:
            super().__post_init__()
            if not self.kernel_scales or min(self.kernel_scales) <= 0:
                raise UserError(f"kernel_scales={self.kernel_scales}: must be one or more numbers above 0")

    options: Options
    about = "features of equal distribution, the source re-weighted to the target's class proportions"
    reads_labels = True
    loss_name = "mmd_loss"

    def method_state(self) -> dict[str, Any]:
        self.num_classes = num_classes_of(self.models["C"])
        self.ratio = ClassRatio(self.num_classes, self.options.momentum, self.options.largest_ratio)
        return {"class_ratio": self.ratio}

    def penalty(self, step: Step) -> Tensor:
        if (given := step.target_logits.shape[1]) != self.num_classes:
            raise UserError(
                f"C gives {given} logits, but its last linear layer has {self.num_classes} outputs: register the layer "
                "that gives the logits last"
            )
        alpha = self.ratio.alpha.to(step.src_features)
        weights, scales = alpha[step.src_labels], self.options.kernel_scales
        loss = weighted_mmd(step.src_features, step.target_features, weights, scales)
        self.ratio.update(step.src_labels, step.target_logits)
        return loss


def conditional_mmd(step: Step, num_classes: int, scales: Sequence[float] = SCALES) -> Tensor:
    """Mean of the MMDs between each class's source samples and the target samples predicted as it, a scalar.

    Classes without a sample in either batch are left out; 0 if none is left.
    """
    predicted = step.target_logits.argmax(dim=1)
    terms = []
    for k in range(num_classes):
        source, target = step.src_features[step.src_labels == k], step.target_features[predicted == k]
        if len(source) and len(target):
            terms.append(weighted_mmd(source, target, scales=scales))
    return torch.stack(terms).mean() if terms else step.src_features.sum() * 0.0
