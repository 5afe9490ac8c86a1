"""Names that pytorch-adapt 0.0.83 does not export.

No other file imports from a private module of pytorch-adapt. Each comment gives the place in pytorch-adapt and why the
name is needed.
"""

# hooks/base.py:11 and :188. The base classes of this package's hooks.
from pytorch_adapt.hooks.base import BaseHook, BaseWrapperHook

# hooks/losses.py:14. The base class of losses on logits, which expect one classifier.
from pytorch_adapt.hooks.losses import BaseLossHook

# hooks/optimizer.py:11 and :74. For methods with steps that pytorch-adapt lacks, and to find the step that calls a
# loss.
from pytorch_adapt.hooks.optimizer import OptimizerHook, SummaryHook

# Host: hooks/reducers.py:14. To detect reducers that expect unreduced losses.
from pytorch_adapt.hooks.reducers import BaseReducer

# hooks/utils.py:226. The only hook that applies a module to context values; gives DANN a gradient reversal with a
# ramped weight (GradientReversalHook, hooks/dann.py:14, has a constant one). Don't use is_loss=True: the hook then
# returns the losses as outputs, which always raises KeyError. MultiplierHook, at hooks/utils.py:334, is not exported
# either.
from pytorch_adapt.hooks.utils import ApplyFnHook, MultiplierHook

__all__ = [
    "ApplyFnHook",
    "BaseHook",
    "BaseLossHook",
    "BaseReducer",
    "BaseWrapperHook",
    "MultiplierHook",
    "OptimizerHook",
    "SummaryHook",
]
