"""Deep emotion transfer network (DETN): Li and Deng 2018, ICPR, "Deep Emotion Transfer Network for Cross-database
Facial Expression Recognition".

    min_{G,C}  L_cls(C(f_s), y_s) + γ · MMD²_α(f_s, f_t)

Source sample i weighs α_{y_i} = q_{y_i} / p_{y_i}, the ratio of the target's class proportions to the source's, in a
multi-kernel MMD, so that domains of other proportions can still lie on each other. q is estimated from the target's
predictions as training goes.

Differs from the paper: proportions are running means over steps, instead of being refreshed now and then; α lies in
[1/5, 5]; γ = 1 and the kernels could not be verified.
"""

from typing import Any

import torch
from torch import Tensor

from .mmd import ClassRatio, weighted_mmd
from .penalty import PenaltyMethod, Step


class DETN(PenaltyMethod):
    """DETN with a slot for the classification loss.

    Args:
        num_classes: K.
        **kwargs: see :class:`.slot.LossSlot`; ``weight`` is γ.
    """

    about = "features of equal distribution, the source re-weighted to the target's class proportions"
    default_weight = 1.0
    loss_name = "mmd_loss"

    def __init__(self, *args: Any, num_classes: int = 7, **kwargs: Any) -> None:
        self.num_classes = num_classes
        super().__init__(*args, **kwargs)

    def method_state(self) -> dict[str, Any]:
        self.ratio = ClassRatio(self.num_classes)
        return {"class_ratio": self.ratio}

    def penalty(self, step: Step) -> Tensor:
        alpha = self.ratio.alpha.to(step.src_features)
        loss = weighted_mmd(step.src_features, step.target_features, alpha[step.src_labels])
        self.ratio.update(step.src_labels, step.target_logits)
        return loss


def conditional_mmd(step: Step, num_classes: int) -> Tensor:
    """Mean of the MMDs between each class's source samples and the target samples predicted as it, a scalar.

    Classes without a sample in either batch are left out; 0 if none is left.
    """
    predicted = step.target_logits.argmax(dim=1)
    terms = []
    for k in range(num_classes):
        source, target = step.src_features[step.src_labels == k], step.target_features[predicted == k]
        if len(source) and len(target):
            terms.append(weighted_mmd(source, target))
    return torch.stack(terms).mean() if terms else step.src_features.sum() * 0.0
