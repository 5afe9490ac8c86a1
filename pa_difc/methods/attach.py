"""A classification loss in any adapter of pytorch-adapt's: in its hooks, its state and its checkpoints."""

from __future__ import annotations

import copy
import re
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from pytorch_adapt.adapters import BaseAdapter
from pytorch_adapt.containers import KeyEnforcer, Misc
from pytorch_adapt.hooks import ChainHook, CLossHook, ParallelHook, RepeatHook, SymNetsHook
from torch import nn

from ..functional import Counts
from ..losses import LOSSES
from ..losses.baselines import CrossEntropyLoss
from ..losses.make import loss_state, make_loss
from ..losses.protocols import EpochedLoss, SteppedLoss
from ..losses.schedule import Schedule
from ..losses.spec import ClassificationLoss
from ..util.errors import UserError
from ._host import BaseHook, OptimizerHook
from .epochs import EpochHook, begin
from .heads import has_cosines, scale_of
from .hooks import ConfusionHook
from .tree import exchange, paths, require_distinct_losses, require_means

A = TypeVar("A", bound=BaseAdapter)

#: Keys under which a step may have the target's logits; "dlogits", a discriminator's, are not among them.
_TARGET_LOGITS = re.compile(r"target_imgs_features(_[a-z]+)*_logits(_detached)?")
#: Settings of a cross-entropy that a loss in its place would not have.
_PLAIN = {"weight": None, "label_smoothing": 0.0, "ignore_index": -100}

_PREFERRED = ("target_imgs_features_detached_logits", "target_imgs_features_logits")

#: Losses with state that are in an adapter.
_INSTALLED: weakref.WeakSet[Any] = weakref.WeakSet()


def attach(
    adapter: A,
    loss: str | ClassificationLoss,
    class_counts: Counts | None = None,
    schedule: Schedule | None = None,
    **options: Any,
) -> A:
    """Replaces an adapter's cross-entropy with a classification loss and all that it needs.

    Wherever the adapter's hooks compute a cross-entropy of source labels, the loss stands afterwards. A loss with state
    is given the target's logits once a step (those that the step computes anyway; else C is applied to its target
    features, or G and C to the target's images, in eval mode and without gradients), lies in ``misc["difc"]``, so that
    pytorch-adapt's checkpoints hold it, and is told the length of an epoch by pytorch-adapt's ``Ignite``.

    Args:
        adapter: of pytorch-adapt, as it was constructed, or of this package with ``loss="ce"``; changed in place.
        loss, class_counts, schedule, **options: as for :func:`.make_loss`.

    Returns:
        The adapter.

    Raises:
        UserError: the adapter has no cross-entropy of source labels (ADDA, AdaBN, the multi-label adapters), has a loss
            attached already, or the loss can't be made or put there, see :func:`loss_for` and :func:`install`.

    Example:
        >>> adapter = attach(CDAN(models, misc=misc), "difc", class_counts=counts, schedule=Schedule(len(loader)))
    """
    if "difc" in adapter.misc:
        raise UserError(f'{type(adapter).__name__} has a loss in misc["difc"] already: make a new adapter')
    install(adapter, loss_for(adapter.models["C"], loss, class_counts, schedule, **options))
    return adapter


def loss_for(
    classifier: nn.Module,
    loss: str | ClassificationLoss,
    class_counts: Counts | None = None,
    schedule: Schedule | None = None,
    **options: Any,
) -> ClassificationLoss:
    """A loss for a classifier, whose scale it has unless another is given.

    Raises:
        UserError: it is a loss of cosines, and the classifier is none of :func:`.heads.classifier` of that kind; or as
            :func:`.make_loss`.
    """
    if isinstance(loss, str) and options.get("scale") is None:
        if "linear" not in LOSSES.lookup(loss).classifiers and not has_cosines(classifier):
            raise UserError(
                f"loss {loss!r} needs a cosine classifier: make 'C' with heads.classifier(…, kind='cosine'), or give "
                "the scale of your own"
            )
        options["scale"] = scale_of(classifier)
    return make_loss(loss, class_counts, schedule, **options)


def install(adapter: Any, loss: ClassificationLoss) -> None:
    """Puts a loss into an adapter's hooks, containers and beginning of training.

    Raises:
        UserError: the adapter has no cross-entropy of source labels, two of its losses have one name, a reducer waits
            for losses of single samples, or the loss counts another adapter's steps.
    """
    name = type(adapter).__name__
    if isinstance(loss, SteppedLoss) and loss in _INSTALLED:
        raise UserError(f"this {type(loss).__name__} counts the steps of another adapter: make one for {name}")
    hook = with_loss(adapter.hook, loss, name)
    require_distinct_losses(hook)
    require_means(hook, loss)
    epochs = EpochHook(loss) if isinstance(loss, EpochedLoss) else None
    adapter.hook = ChainHook(epochs, hook) if epochs else hook
    adapter.loss, adapter.epochs = loss, epochs
    if state := loss_state(loss):
        if epochs and epochs.loss.steps_per_epoch is None:
            state["epochs"] = epochs.passes  # a run that is resumed between two epochs still learns their length
        _INSTALLED.add(loss)
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
    """A hook whose cross-entropy of source labels is replaced by a loss, and that ends the loss's steps.

    Hooks that compute it are replaced by copies, so that a user's own can go into another adapter. One of another
    name, such as ``CLossHook(loss_prefix="aux_")``, is left as it is.

    Raises:
        UserError: there is no cross-entropy in it.
    """
    places = [path for path in paths(root) if isinstance(path[-1], CLossHook) and "src_c_loss" in path[-1].loss_keys]
    found = [path for path in places if _is_cross_entropy(path[-1].loss_fn, loss)]
    if not found:
        there = ", ".join(sorted({type(path[-1].loss_fn).__name__ for path in places})) or "no classification loss"
        raise UserError(f"{owner} has no cross-entropy of source labels that a loss could stand for: it has {there}")
    for path in found:
        hook = copy.copy(path[-1])
        hook.loss_fn = loss
        exchange(path[-2], path[-1], hook)
    return _with_writer(root, found[-1], loss) if isinstance(loss, SteppedLoss) else root


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
    """The key to begin with, and the models to apply, for the target's logits at the end of a hook."""
    by_classifier = {k for path in paths(hook) if getattr(path[-1], "model_name", "") == "C" for k in path[-1].out_keys}
    logits = [key for key in sorted(by_classifier & set(hook.out_keys), key=_rank) if _TARGET_LOGITS.fullmatch(key)]
    if logits:
        return logits[0], ()
    for features in ("target_imgs_features", "target_imgs_features_detached"):
        if features in hook.out_keys:
            return features, ("C",)
    return "target_imgs", ("G", "C")


def _rank(key: str) -> tuple[int, str]:
    """MCD has several: those of step B, whose features are detached, come first."""
    return (_PREFERRED.index(key) if key in _PREFERRED else len(_PREFERRED), key)


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
