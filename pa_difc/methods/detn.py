"""Deep emotion transfer network (DETN).

Li and Deng 2018, ICPR, "Deep Emotion Transfer Network for Cross-database Facial Expression Recognition":

    min_{G,C}  L_cls(C(f_s), y_s) + γ · MMD²_α(f_s, f_t)

In a multi-kernel MMD, source sample i weighs α_{y_i} = q_{y_i} / p_{y_i}, the ratio of the target's class proportions
to the source's, so that domains with different class proportions can still be aligned. q is estimated from target
predictions during training.

Differs from the paper: proportions are running means over steps instead of periodic estimates, and α is clamped to
[1/5, 5]. The paper's kernels could not be verified; here they are Gaussian, with bandwidths relative to the batch's
mean squared distance. The CD-FER benchmark's code also has γ = 1, but one kernel e^(−‖x − y‖ / 2) of fixed width: on 35
+ 35 samples of 128 features, its gradient is 1/40 of this one at a mean distance of 15, and about equal at 1.3.
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
    """DETN with any classification loss.

    Args:
        models: as for every method; K is the number of outputs of the classifier "C".
        *args, **kwargs: see :class:`.slot.LossSlot`.
    """

    @dataclass(frozen=True)
    class Options(PenaltyMethod.Options):
        """Options of DETN."""

        weight: float = option(1.0, "γ, the factor on the MMD", at_least=0)
        momentum: float = option(0.99, "decay of the class proportions per step", at_least=0, below=1)
        largest_ratio: float = option(5.0, "α is clamped to at most this and at least its inverse", at_least=1)
        kernel_scales: tuple[float, ...] = option(SCALES, "bandwidths of the kernels", unit="mean squared distances")

        def __post_init__(self) -> None:
            super().__post_init__()
            if not self.kernel_scales or min(self.kernel_scales) <= 0:
                raise UserError(f"kernel_scales={self.kernel_scales}: must be one or more numbers above 0")

    options: Options
    about = "aligned feature distributions, the source re-weighted to the target's class proportions"
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
                "that computes the logits last"
            )
        alpha = self.ratio.alpha.to(step.src_features)
        weights, scales = alpha[step.src_labels], self.options.kernel_scales
        loss = weighted_mmd(step.src_features, step.target_features, weights, scales)
        self.ratio.update(step.src_labels, step.target_logits)
        return loss


def conditional_mmd(step: Step, num_classes: int, scales: Sequence[float] = SCALES) -> Tensor:
    """Mean over classes of the MMD between source samples of a class and target samples predicted as it, a scalar.

    Classes without samples in both batches are left out; 0 if none remains.
    """
    predicted = step.target_logits.argmax(dim=1)
    terms = []
    for k in range(num_classes):
        source, target = step.src_features[step.src_labels == k], step.target_features[predicted == k]
        if len(source) and len(target):
            terms.append(weighted_mmd(source, target, scales=scales))
    return torch.stack(terms).mean() if terms else step.src_features.sum() * 0.0
