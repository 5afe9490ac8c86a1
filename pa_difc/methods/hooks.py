"""Hooks that update the loss at the end of a step and that pass both domains through G at once.

Computing the loss needs no hook of its own: pytorch-adapt's classification hooks take it as ``loss_fn`` and store it
under ``src_c_loss``. No key is added, as pytorch-adapt's default weighter divides by the number of keys.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..losses.protocols import SteppedLoss
from ..util.errors import UserError
from ._host import BaseHook


class ConfusionHook(BaseHook):
    """Ends a step of the loss: passes it the target logits if it needs them, and counts the step.

    If the method computes no target logits, ``models`` are applied to ``start`` in eval mode without gradients, so that
    no BatchNorm statistic changes and no random number is drawn: the hook doesn't change training.

    Args:
        loss: the ``loss_fn`` of the method's classification hook.
        start: the context key of the target logits, or of what ``models`` turn into target logits.
        models: names of the models to apply, in order.
        which: index of the classifier to use, of several; None: all, as a list.

    Raises:
        UserError: (when called) the adapter's ``misc["difc"]`` is another loss.
    """

    def __init__(
        self, loss: SteppedLoss, start: str, models: Sequence[str] = (), which: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.loss, self.start, self.models, self.which = loss, start, tuple(models), which
        self.set_in_keys([start])

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        self.loss.update(self._found(inputs))
        return {}, {}

    def _found(self, inputs: dict[str, Any]) -> Any:
        if inputs.get("difc", self.loss) is not self.loss:
            raise UserError('misc["difc"] is not the loss that the hooks call: make a new adapter')
        return self._target_logits(inputs) if self.loss.needs_target_logits else None

    def _target_logits(self, inputs: dict[str, Any]) -> Any:
        x, models = inputs.get(self.start), self.models
        if x is None:  # pytorch-adapt conditionally skips hooks
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


class WaitingConfusionHook(ConfusionHook):
    """Takes the target logits before an optimiser's step, and counts the step in :meth:`end_step`, after it.

    Arguments are those of :class:`ConfusionHook`.
    """

    _waiting: tuple[Any] | None = None  # the target logits of a step that has not ended

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        self._waiting = (self._found(inputs),)
        return {}, {}

    def end_step(self) -> None:
        """Ends the step, unless a condition left it out."""
        if self._waiting is not None:
            (logits,), self._waiting = self._waiting, None
            self.loss.update(logits)


class EndOfStepHook(BaseHook):
    """Calls a function at the end of a step; pytorch-adapt doesn't tell modules about steps.

    Args:
        function: without arguments.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__()
        self.function = function

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        self.function()
        return {}, {}

    def _loss_keys(self) -> list[str]:
        return []

    def _out_keys(self) -> list[str]:
        return []


class JointFeaturesHook(BaseHook):
    """Passes source and target through G together; later hooks find the features in the context.

    Put it first in a hook: ``hook_kwargs={"pre": [JointFeaturesHook()]}`` with ``DANN``, ``SAFN`` or any other method
    of one optimisation step. If G has BatchNorm, results differ from two passes: batch statistics are those of both
    domains together and are updated once.
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
    """Concatenates two batches: tensors, or named tuples of tensors such as faces."""
    if isinstance(first, tuple):
        return type(first)(*(torch.cat(pair) for pair in zip(first, second, strict=True)))
    return torch.cat([first, second])


def _length(batch: Any) -> int:
    return len(batch[0]) if isinstance(batch, tuple) else len(batch)


@contextmanager
def eval_mode(*modules: nn.Module) -> Iterator[None]:
    """Sets eval mode inside the block, and restores every submodule's mode afterwards.

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
