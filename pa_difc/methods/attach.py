"""A classification loss in any adapter of pytorch-adapt's: in its hooks, its state and its checkpoints."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from pytorch_adapt.adapters import BaseAdapter
from pytorch_adapt.containers import KeyEnforcer, Misc
from pytorch_adapt.hooks import ChainHook, CLossHook, ParallelHook, RepeatHook, SymNetsHook
from torch import nn

from ..functional import Counts
from ..losses.baselines import CrossEntropyLoss
from ..losses.make import loss_state, make_loss
from ..losses.protocols import EpochedLoss, SteppedLoss
from ..losses.schedule import Schedule
from ..losses.spec import ClassificationLoss
from ..util.errors import UserError
from ._host import BaseHook, OptimizerHook
from .epochs import EpochHook, begin
from .hooks import ConfusionHook

A = TypeVar("A", bound=BaseAdapter)

#: Keys under which a step may have the target's logits; "dlogits", a discriminator's, are not among them.
_TARGET_LOGITS = re.compile(r"target_imgs_features(_[a-z]+)*_logits(_detached)?")
#: Settings of a cross-entropy that a loss in its place would not have.
_PLAIN = {"weight": None, "label_smoothing": 0.0, "ignore_index": -100}

_PREFERRED = ("target_imgs_features_detached_logits", "target_imgs_features_logits")  # MCD has both: of steps B and C


def attach(
    adapter: A,
    loss: str | ClassificationLoss,
    class_counts: Counts | None = None,
    schedule: Schedule | None = None,
    **options: Any,
) -> A:
    """Puts a classification loss in the place of an adapter's cross-entropy, with all that it needs.

    Wherever the adapter's hooks compute a cross-entropy of source labels, the loss stands afterwards. A loss with state
    is given the target's logits once a step (those that the step computes anyway; else C is applied to its target
    features, or G and C to the target's images, in eval mode and without gradients), lies in ``misc["difc"]``, so that
    the host's checkpoints hold it, and is told the length of an epoch by the host's ``Ignite``.

    Args:
        adapter: of pytorch-adapt, as it was constructed, or of this package with ``loss="ce"``; changed in place.
        loss, class_counts, schedule, **options: as for :func:`.make_loss`.

    Returns:
        The adapter.

    Raises:
        UserError: the adapter has no cross-entropy of source labels (ADDA, AdaBN, the multi-label adapters), has a loss
            attached already, or :func:`.make_loss` can't make the loss.

    Example:
        >>> adapter = attach(CDAN(models, misc=misc), "difc", class_counts=counts, schedule=Schedule(len(loader)))
    """
    if "difc" in adapter.misc:
        raise UserError(f'{type(adapter).__name__} has a loss in misc["difc"] already: make a new adapter')
    install(adapter, make_loss(loss, class_counts, schedule, **options))
    return adapter


def install(adapter: Any, loss: ClassificationLoss) -> None:
    """Puts a loss into an adapter's hooks, containers and beginning of training.

    Raises:
        UserError: the adapter has no cross-entropy of source labels.
    """
    hook = with_loss(adapter.hook, loss, type(adapter).__name__)
    epochs = EpochHook(loss) if isinstance(loss, EpochedLoss) else None
    adapter.hook = ChainHook(epochs, hook) if epochs else hook
    adapter.loss = loss
    if state := loss_state(loss):
        adapter.misc = Misc({**adapter.misc, **state})  # the user's own may go into another adapter, too
        requirements = dict(adapter.key_enforcer.requirements)
        if "misc" in requirements:
            requirements["misc"] = [*requirements["misc"], *state]
        adapter.key_enforcer = KeyEnforcer(**requirements)
    adapter.before_training_starts = partial(_both, adapter.before_training_starts, partial(begin, loss, epochs))


def _both(first: Callable[[Any], Any], second: Callable[[Any], Any], framework: Any) -> None:
    first(framework)
    second(framework)


def with_loss(root: BaseHook, loss: ClassificationLoss, owner: str) -> BaseHook:
    """A hook whose cross-entropies are replaced by a loss, and that ends the loss's steps.

    Raises:
        UserError: there is no cross-entropy in it.
    """
    places = [path for path in _paths(root) if _reads_source_labels(path[-1])]
    paths = [path for path in places if _is_cross_entropy(path[-1].loss_fn, loss)]
    if not paths:
        there = ", ".join(sorted({type(path[-1].loss_fn).__name__ for path in places})) or "no classification loss"
        raise UserError(f"{owner} has no cross-entropy of source labels that a loss could stand for: it has {there}")
    for path in paths:
        path[-1].loss_fn = loss
    return _with_writer(root, paths[-1], loss) if isinstance(loss, SteppedLoss) else root


def _with_writer(root: BaseHook, path: list[BaseHook], loss: SteppedLoss) -> BaseHook:
    """The hook with a writer after the last read: at the end of the optimisation step that reads the loss.

    Steps that run side by side or several times share nothing that they compute: then at the end of all of them.
    """
    which = 1 if isinstance(root, SymNetsHook) else None  # its second classifier is the target's
    steps = [hook for hook in path if isinstance(hook, OptimizerHook)]
    if not steps or any(isinstance(hook, (ParallelHook, RepeatHook)) for hook in path):
        return ChainHook(root, ConfusionHook(loss, *_start(root), which=which))
    step = steps[0]
    step.hook = ChainHook(step.hook, ConfusionHook(loss, *_start(step.hook), which=which))
    return root


def _start(hook: BaseHook) -> tuple[str, tuple[str, ...]]:
    """The key to begin with, and the models to apply, for target logits at the end of a hook."""
    keys = set(hook.out_keys)
    logits = [key for key in _PREFERRED if key in keys] or sorted(filter(_TARGET_LOGITS.fullmatch, keys))
    if logits:
        return logits[0], ()
    for features in ("target_imgs_features", "target_imgs_features_detached"):
        if features in keys:
            return features, ("C",)
    return "target_imgs", ("G", "C")


def _reads_source_labels(hook: BaseHook) -> bool:
    return isinstance(hook, CLossHook) and "src" in hook.hook.domains


def _is_cross_entropy(fn: Any, loss: ClassificationLoss) -> bool:
    """Whether a hook's loss is a plain cross-entropy, or the loss already.

    Raises:
        UserError: it has settings of its own, which the loss would not have.
    """
    if fn is loss:
        return True
    if type(fn) not in (nn.CrossEntropyLoss, CrossEntropyLoss):
        return False
    if any(getattr(fn, name, plain) != plain for name, plain in _PLAIN.items()):
        raise UserError("the adapter's CrossEntropyLoss has settings of its own: give them to the loss instead")
    return True


def _paths(hook: BaseHook, above: tuple[BaseHook, ...] = ()) -> Iterator[list[BaseHook]]:
    """All hooks in a hook, in order, each with those that it lies in."""
    here = (*above, hook)
    yield list(here)
    for value in vars(hook).values():
        for inner in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(inner, BaseHook) and inner not in above:
                yield from _paths(inner, here)
