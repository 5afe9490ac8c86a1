"""The hook that writes target confusion into the loss, once a step, after the last read.

The reading side needs no hook of its own: pytorch-adapt's classification hooks take the loss as ``loss_fn``, and it
replaces the value under ``src_c_loss``. It never adds a key, for pytorch-adapt's default weighter divides by their
number.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..losses.protocols import SteppedLoss
from ._host import BaseHook


class ConfusionHook(BaseHook):
    """Ends a step of the loss: gives it the target logits if it needs them, and counts the step.

    Where the method has not computed target logits itself, ``models`` are applied to ``start`` without gradients and
    in eval mode, so that no BatchNorm statistic moves and no random number is drawn: training goes on exactly as it
    would have without the hook.

    Args:
        loss: the object that the method's classification hook reads.
        start: the context key to begin with: target logits, or what ``models`` turn into target logits.
        models: names of the models to apply in turn.
        which: of several classifiers, the one whose logits are given; None: all, as a list.
    """

    def __init__(
        self, loss: SteppedLoss, start: str, models: Sequence[str] = (), which: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.loss, self.start, self.models, self.which = loss, start, tuple(models), which
        self.set_in_keys([start])

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        self.loss.update(self._target_logits(inputs) if self.loss.needs_target_logits else None)
        return {}, {}

    def _target_logits(self, inputs: dict[str, Any]) -> Any:
        x, models = inputs.get(self.start), self.models
        if x is None:  # a condition of pytorch-adapt's has left out the hook that computes it
            x, models = inputs["target_imgs"], ("G", "C")
        modules = [inputs[name] for name in models]
        with torch.no_grad(), eval_mode(*modules):
            for module in modules:
                x = module(x)
        return x if self.which is None else x[self.which]

    def _loss_keys(self) -> list[str]:
        return []

    def _out_keys(self) -> list[str]:
        return []


class JointFeaturesHook(BaseHook):
    """Source and target through G in one pass, for methods whose step uses both; what follows finds the features there.

    Goes first in a hook: ``hook_kwargs={"pre": [JointFeaturesHook()]}`` with ``DANN``, ``SAFN`` or any method of one
    loss. Differs from two passes where G has BatchNorm: a batch's statistics are then those of both domains together,
    and are updated once.
    """

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        parts = [inputs[f"{domain}_imgs"] for domain in ("src", "target")]
        features = inputs["G"](_joined(*parts)).split([_length(part) for part in parts])
        return dict(zip(self._out_keys(), features, strict=True)), {}

    def _loss_keys(self) -> list[str]:
        return []

    def _out_keys(self) -> list[str]:
        return ["src_imgs_features", "target_imgs_features"]


def _joined(first: Any, second: Any) -> Any:
    """Two batches one after the other: tensors, or named tuples of tensors such as faces."""
    if isinstance(first, tuple):
        return type(first)(*(torch.cat(pair) for pair in zip(first, second, strict=True)))
    return torch.cat([first, second])


def _length(batch: Any) -> int:
    return len(batch[0]) if isinstance(batch, tuple) else len(batch)


@contextmanager
def eval_mode(*modules: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; afterwards every submodule is in the mode it was in before.

    pytorch-adapt's FrozenModelHook (hooks/features.py:468) calls ``eval()`` and never restores the mode.
    """
    before = [(m, m.training) for module in modules for m in module.modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
