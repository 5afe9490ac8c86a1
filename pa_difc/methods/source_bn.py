"""Source only with BatchNorm statistics of both domains: the control for methods that pass the target through G.

    min_{G,C}  L_cls(C(G(x_s)), y_s)

Such methods change more than their loss: BatchNorm's running statistics, with which G predicts, average over batches of
both domains, and this alone adapts (as in AdaBN, Li et al. 2016, arXiv:1603.04779, which takes those of the target
only). What a method gains over this control is due to its own loss; over ``source_only``, to both.
"""

from __future__ import annotations

from typing import Any

from pytorch_adapt.hooks import FeaturesHook

from .composition import added
from .source_only import SourceOnly


class SourceBN(SourceOnly):
    """Source only, with target batches passed through G in training mode, without gradients.

    Without BatchNorm (or dropout, which draws random numbers) in G, or with frozen features, it equals
    :class:`.SourceOnly`. Arguments are those of :class:`.LossSlot`.
    """

    about = "no adaptation but BatchNorm statistics of both domains: the control for other methods"
    uses_target = True

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        both = FeaturesHook(domains=["target"], detach=True)
        super().init_hook(added(both, self.hook_slot, hook_kwargs))
