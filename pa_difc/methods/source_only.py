"""Source only: no adaptation, the baseline that every method is compared with.

    min_{G,C}  L_cls(C(G(x_s)), y_s)

With the "difc" loss the unlabelled target still has an influence, but only through the order of class confusion.
"""

from typing import Any

from pytorch_adapt.adapters import Classifier
from pytorch_adapt.adapters.utils import with_opt
from pytorch_adapt.hooks import ClassifierHook
from pytorch_adapt.weighters import SumWeighter

from .composition import joined
from .slot import LossSlot


class SourceOnly(LossSlot, Classifier):
    """pytorch-adapt's ``Classifier`` with any classification loss.

    With "ce", results equal pytorch-adapt's bit for bit. With "difc", target logits come from one more pass of G and C
    in eval mode, in epochs whose confusion is used later; BatchNorm statistics never include the target.

    Arguments are those of :class:`LossSlot`.
    """

    about = "no adaptation: the baseline"
    uses_target = False

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        opts = with_opt(list(self.optimizers.keys()))
        self.hook = ClassifierHook(opts=opts, **joined(ClassifierHook, {"weighter": SumWeighter()}, hook_kwargs))
