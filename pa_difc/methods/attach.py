"""Puts a classification loss into any adapter of pytorch-adapt: into its hooks, its state and its checkpoints."""

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

from ..counts import Counts
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
from .hooks import ConfusionHook, EndOfStepHook, WaitingConfusionHook
from .kept import Kept, keep
from .tree import exchange, paths, require_distinct_losses, require_known_weights, require_means

A = TypeVar("A", bound=BaseAdapter)

#: Keys under which a step may have the target's logits; a discriminator's "dlogits" don't match.
_TARGET_LOGITS = re.compile(r"target_imgs_features(_[a-z]+)*_logits(_detached)?")
#: Settings of a cross-entropy that would be lost when a loss replaces it, with PyTorch's defaults.
_PLAIN = {"weight": None, "label_smoothing": 0.0, "ignore_index": -100}

_PREFERRED = ("target_imgs_features_detached_logits", "target_imgs_features_logits")

#: Losses with state that belong to an adapter already.
_INSTALLED: weakref.WeakSet[Any] = weakref.WeakSet()


def attach(
    adapter: A,
    loss: str | ClassificationLoss,
    class_counts: Counts | None = None,
    schedule: Schedule | None = None,
    **options: Any,
) -> A:
    """Replaces an adapter's cross-entropy with any classification loss.

    Replaces every cross-entropy on source labels in the adapter's hooks. A loss with state gets target logits once a
    step: those that the step computes anyway, or else from one pass of C (or G and C) in eval mode without gradients.
    It is stored in ``misc["difc"]``, so that pytorch-adapt's checkpoints include it, and pytorch-adapt's ``Ignite``
    tells it the length of an epoch.

    Args:
        adapter: an adapter of pytorch-adapt, or of this package with ``loss="ce"``; modified in place. If it has
            trained already, its weights and optimisers stay, and the loss counts steps from 0. Another ``loss``, or a
            ``hook`` without the loss, is refused: by this package's adapters when it is assigned, by pytorch-adapt's
            in the next ``training_step``. Its copies must be deep ones.
        loss, class_counts, schedule, **options: as for :func:`.make_loss`.

    Returns:
        The adapter.

    Raises:
        UserError: the adapter has no cross-entropy on source labels (ADDA, AdaBN, the multi-label adapters) or has a
            loss attached already, or the loss can't be made or installed, see :func:`loss_for` and :func:`install`.

    Example:
        >>> adapter = attach(CDAN(models, misc=misc), "difc", class_counts=counts, schedule=Schedule(len(loader)))
    """
    if "difc" in adapter.misc:
        raise UserError(f'{type(adapter).__name__} has a loss in misc["difc"] already: make a new adapter')
    foreign = "has_loss" not in vars(adapter)  # methods of this package refuse another loss when it is assigned
    install(adapter, loss_for(adapter.models["C"], loss, class_counts, schedule, **options))
    if foreign:
        keep(adapter)
    return adapter


def loss_for(
    classifier: nn.Module,
    loss: str | ClassificationLoss,
    class_counts: Counts | None = None,
    schedule: Schedule | None = None,
    **options: Any,
) -> ClassificationLoss:
    """Makes a loss for a classifier; its scale defaults to the classifier's.

    Raises:
        UserError: the loss needs cosines and the classifier is no cosine classifier of :func:`.heads.classifier`; or
            see :func:`.make_loss`.
    """
    if isinstance(loss, str) and options.get("scale") is None:
        if "linear" not in LOSSES.lookup(loss).classifiers and not has_cosines(classifier):
            raise UserError(
                f"loss {loss!r} needs a cosine classifier: make 'C' with heads.classifier(…, kind='cosine'), or give "
                "scale= for your own"
            )
        options["scale"] = scale_of(classifier)
    return make_loss(loss, class_counts, schedule, **options)


def install(adapter: Any, loss: ClassificationLoss) -> None:
    """Installs a loss in an adapter: in its hooks, its containers and its ``before_training_starts``.

    Raises:
        UserError: the adapter has no cross-entropy on source labels, two of its losses have the same name, a reducer
            expects unreduced losses, a weighter has a weight for a loss that its step lacks, or the loss belongs to
            another adapter.
    """
    name = type(adapter).__name__
    if isinstance(loss, SteppedLoss) and loss in _INSTALLED:
        raise UserError(f"this {type(loss).__name__} counts the steps of another adapter: make one for {name}")
    hook = with_loss(adapter.hook, loss, name)
    require_distinct_losses(hook)
    require_means(hook, loss)
    require_known_weights(hook)
    epochs = EpochHook(loss) if isinstance(loss, EpochedLoss) else None
    adapter.epochs = epochs
    vars(adapter).update(
        hook=ChainHook(epochs, hook, EndOfStepHook(epochs.end_step)) if epochs else hook, loss=loss, has_loss=True
    )
    state = loss_state(loss)
    if state:
        if epochs and epochs.loss.steps_per_epoch is None:
            state["epochs"] = epochs.passes  # so that a run resumed within the first epoch still learns its length
        _INSTALLED.add(loss)
        adapter.misc = Misc({**adapter.misc, **state})  # a copy: the user may pass the same Misc to another adapter
        requirements = dict(adapter.key_enforcer.requirements)
        if "misc" in requirements:
            requirements["misc"] = [*requirements["misc"], *state]
        adapter.key_enforcer = KeyEnforcer(**requirements)
    adapter.kept_loss = Kept(adapter.hook, loss, state)
    adapter.before_training_starts = partial(_both, adapter.before_training_starts, partial(begin, loss, epochs))


def _both(first: Callable[[Any], Any], second: Callable[[Any], Any], framework: Any) -> None:
    first(framework)
    second(framework)


def with_loss(root: BaseHook, loss: ClassificationLoss, owner: str) -> BaseHook:
    """Replaces the cross-entropy on source labels in a hook by a loss, and adds the hook that ends the loss's steps.

    Classification hooks are copied before they are changed, so that a user's own can be reused in another adapter.
    Hooks whose loss has another name, such as ``CLossHook(loss_prefix="aux_")``, stay unchanged.

    Raises:
        UserError: the hook has no cross-entropy on source labels.
    """
    places = [path for path in paths(root) if isinstance(path[-1], CLossHook) and "src_c_loss" in path[-1].loss_keys]
    found = [path for path in places if _is_cross_entropy(path[-1].loss_fn, loss)]
    if not found:
        there = ", ".join(sorted({type(path[-1].loss_fn).__name__ for path in places})) or "no classification loss"
        raise UserError(f"{owner} has no cross-entropy on source labels that a loss could replace: it has {there}")
    for path in found:
        hook = copy.copy(path[-1])
        hook.loss_fn = loss
        exchange(path[-2], path[-1], hook)
    return _with_writer(root, found[-1], loss) if isinstance(loss, SteppedLoss) else root


def _with_writer(root: BaseHook, path: list[BaseHook], loss: SteppedLoss) -> BaseHook:
    """Adds the hooks that update the loss: one reads the target's logits in the optimisation step that calls the loss.

    The other counts the step when all of it is done. Parallel or repeated steps don't share what they compute; there
    both are one hook, at the end of them all.
    """
    which = 1 if isinstance(root, SymNetsHook) else None  # its second classifier is the target's
    steps = [hook for hook in path if isinstance(hook, OptimizerHook)]
    if not steps or any(isinstance(hook, (ParallelHook, RepeatHook)) for hook in path):
        return ChainHook(root, ConfusionHook(loss, *_start(root), which=which))
    step = steps[0]
    writer = WaitingConfusionHook(loss, *_start(step.hook), which=which)
    step.hook = ChainHook(step.hook, writer)
    return ChainHook(root, EndOfStepHook(writer.end_step))


def _start(hook: BaseHook) -> tuple[str, tuple[str, ...]]:
    """The context key, and the models to apply to its value, that give the target's logits at the end of a hook."""
    by_classifier = {k for path in paths(hook) if getattr(path[-1], "model_name", "") == "C" for k in path[-1].out_keys}
    logits = [key for key in sorted(by_classifier & set(hook.out_keys), key=_rank) if _TARGET_LOGITS.fullmatch(key)]
    if logits:
        return logits[0], ()
    for features in ("target_imgs_features", "target_imgs_features_detached"):
        if features in hook.out_keys:
            return features, ("C",)
    return "target_imgs", ("G", "C")


def _rank(key: str) -> tuple[int, str]:
    """Sort key; MCD has several target logits, of which those of step B, with detached features, come first."""
    return (_PREFERRED.index(key) if key in _PREFERRED else len(_PREFERRED), key)


def _is_cross_entropy(fn: Any, loss: ClassificationLoss) -> bool:
    """Whether a hook's loss is a plain cross-entropy, or already the new loss.

    Raises:
        UserError: the cross-entropy has settings that would be lost.
    """
    if fn is loss:
        return True
    if type(fn) not in (nn.CrossEntropyLoss, CrossEntropyLoss):
        return False
    if any(getattr(fn, name, plain) != plain for name, plain in _PLAIN.items()):
        raise UserError("the adapter's CrossEntropyLoss has settings of its own: give them to the loss instead")
    return True
