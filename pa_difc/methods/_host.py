"""The one door to pytorch-adapt 0.0.83 names that are not exported, and the defects that we route around.

Nothing else in the package imports from a private module of pytorch-adapt. Each line says where the name lives and why
it is needed.
"""

# Host: hooks/base.py:11 and :188. What every hook of ours extends.
from pytorch_adapt.hooks.base import BaseHook, BaseWrapperHook

# Host: hooks/optimizer.py:11 and :74. For methods whose steps pytorch-adapt has not, and to find the step that reads a
# loss.
from pytorch_adapt.hooks.optimizer import OptimizerHook, SummaryHook

# Host: hooks/reducers.py:13. To see whether a reducer waits for losses of single samples.
from pytorch_adapt.hooks.reducers import BaseReducer

# Host: hooks/utils.py:226. The only hook that applies a module to context values; needed to give DANN a gradient
# reversal whose weight ramps (GradientReversalHook, hooks/dann.py:14, holds a constant one). Never with
# is_loss=True: then its call returns the values as outputs and always raises KeyError.
# MultiplierHook, at hooks/utils.py:303, is not exported either.
from pytorch_adapt.hooks.utils import ApplyFnHook, MultiplierHook

__all__ = [
    "ApplyFnHook",
    "BaseHook",
    "BaseReducer",
    "BaseWrapperHook",
    "MultiplierHook",
    "OptimizerHook",
    "SummaryHook",
]
