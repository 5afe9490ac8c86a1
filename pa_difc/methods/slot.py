"""The base of every method, with a slot for any classification loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pytorch_adapt.containers import KeyEnforcer, LRSchedulers, Misc, Models, Optimizers
from pytorch_adapt.inference import default_fn
from torch import Tensor, nn

from ..counts import Counts
from ..losses.protocols import SteppedLoss
from ..losses.schedule import Schedule
from ..losses.spec import ClassificationLoss
from ..util import options as option_tools
from ..util.errors import UserError
from ._host import BaseHook
from .attach import install, loss_for
from .averaged import AveragedModels, in_place_of
from .composition import for_each_classifier
from .diagnosis import explained, of_one_classifier
from .epochs import EpochHook
from .heads import ClassifierFactory, classifier
from .kept import Kept, in_one_line, require_kept
from .tree import require_known_weights

#: Arguments of pytorch-adapt's adapter that a method passes on.
_HOST_ARGUMENTS = ("default_containers", "key_enforcer", "inference_fn", "before_training_starts")


class LossSlot:
    """Mixin for pytorch-adapt adapters that replaces cross-entropy with any classification loss.

    A method builds its hook with pytorch-adapt's ``CLossHook``; :func:`.attach.install` puts the loss into it.

    Args:
        models, optimizers, lr_schedulers, misc: pytorch-adapt's containers.
        loss: a name of :data:`pa_difc.losses.LOSSES`, or any callable of logits and labels; None: cross-entropy. A loss
            with state is stored in ``misc["difc"]``, so that pytorch-adapt's checkpoints include it. It can't be
            replaced later.
        class_counts: ``(K,)`` source samples per class; most named losses need them.
        schedule: when the loss's ingredients begin; "difc" and its parts need it.
        loss_options: further arguments of :func:`.make_loss`; ``scale`` defaults to the classifier's.
        hook_kwargs: passed to the method's hook. Hooks in its slots (``pre``, ``post``, ``post_g``, ``post_x`` …) run
            after the method's own; a ``weighter`` instance combines all losses of a step. None stands for the method's
            default.
        **kwargs: fields of the method's :attr:`Options`, with None for the default, and further arguments of
            pytorch-adapt's adapter.

    Raises:
        UserError: an argument is unknown, an option is out of range, a weighter has a weight for a loss that its step
            lacks, or ``class_counts`` or ``schedule`` come without a loss; later, if another loss or a hook without
            the loss is assigned.
    """

    @dataclass(frozen=True)
    class Options(option_tools.Options):
        """The method's own options; none by default."""

    about: ClassVar[str]  #: the method's idea in one line
    extra_models: ClassVar[tuple[str, ...]] = ()  #: models that pytorch-adapt's adapter lacks
    inference_models: ClassVar[tuple[str, ...]] = ("G", "C")  #: models that predictions use
    infer: ClassVar[Callable[..., dict[str, Tensor]]] = staticmethod(default_fn)  #: the method's inference function
    needs_regions: ClassVar[bool] = False  #: whether it needs the regions of a landmark backbone
    uses_target: ClassVar[bool] = True  #: whether the method itself learns from the target
    uses_source: ClassVar[bool] = True  #: whether it uses source images; if not, the loss is unused
    classifiers: ClassVar[int] = 1  #: how many logits "C" gives; if several, in a list
    trains: ClassVar[bool] = True  #: whether it trains at all
    needs_pretrained: ClassVar[bool] = False  #: whether it needs a pretrained classifier
    hook_slot: ClassVar[str] = "post"  #: slot for hooks whose losses train G and C
    one_process: ClassVar[bool] = False  #: whether its state rules out several processes

    options: Options
    loss: ClassificationLoss
    average: AveragedModels | None = None  #: average of its weights, to predict with
    kept_loss: Kept | None = None  #: the hooks that call the loss, and its state
    epochs: EpochHook | None = None  #: tells the loss where epochs end, if it needs that

    if TYPE_CHECKING:  # attributes of pytorch-adapt's adapter, which is untyped
        key_enforcer: KeyEnforcer
        models: Models
        optimizers: Optimizers
        lr_schedulers: LRSchedulers
        misc: Misc

        hook: BaseHook

        def init_hook(self, hook_kwargs: dict[str, Any]) -> None: ...

    def __init__(
        self,
        models: Models | None = None,
        optimizers: Optimizers | None = None,
        lr_schedulers: LRSchedulers | None = None,
        misc: Misc | None = None,
        *,
        loss: str | ClassificationLoss | None = None,
        class_counts: Counts | None = None,
        schedule: Schedule | None = None,
        loss_options: Mapping[str, Any] | None = None,
        hook_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if loss is None and not (class_counts is None and schedule is None):
            raise UserError("class_counts and schedule belong to a loss, and none is given: such as loss='difc'")
        host_kwargs = {name: kwargs.pop(name) for name in _HOST_ARGUMENTS if name in kwargs}
        host_kwargs["inference_fn"] = host_kwargs.get("inference_fn") or self.infer
        self.options = self.read_options(kwargs)
        named = "ce" if loss is None else loss
        self._make_loss: Callable[[nn.Module], ClassificationLoss] = partial(
            loss_for,
            loss=named,
            class_counts=class_counts,
            schedule=schedule,
            **(loss_options or {}),
        )
        super().__init__(  # type: ignore[call-arg]  # pytorch-adapt's adapter, which a subclass names after this mixin
            models=models,
            optimizers=optimizers,
            lr_schedulers=lr_schedulers,
            misc=misc,
            hook_kwargs=for_each_classifier(hook_kwargs or {}, self.classifiers),
            **host_kwargs,
        )
        if self.uses_source:
            install(self, self.loss)
        else:
            require_known_weights(self.hook)

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute; refuses, once the loss is installed, what would train without it."""
        if name in ("loss", "hook"):
            require_kept(self, name, value)
        super().__setattr__(name, value)

    def training_step(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, dict[str, float]]:
        """One step of the method, see pytorch-adapt's ``BaseAdapter.training_step``.

        Raises:
            UserError: see :meth:`.Kept.require`; or the batch has no target, "G" or "C" doesn't give tensors of
                features or logits, or a hook expects the logits of one classifier where "C" gives several.
        """
        if "target_imgs" not in batch and self.reads_target and getattr(self.loss, "uses_target", True):
            what = type(self).__name__ if self.uses_target else type(self.loss).__name__
            raise UserError(f"the batch has no target_imgs, which {what} needs: train on source and target together")
        if self.kept_loss is not None:
            self.kept_loss.require(self)
        try:
            losses: dict[str, dict[str, float]] = super().training_step(batch, **kwargs)  # type: ignore[misc]  # its
        except Exception as error:
            if why := explained(self.models, batch, self.classifiers):
                raise UserError(f"{type(self).__name__}: {why}") from error
            if self.classifiers > 1 and (why := of_one_classifier(error)):
                raise UserError(f"{type(self).__name__}: {why}") from error
            if (told := in_one_line(error, self.hook)) is not None:
                raise told from error
            raise
        if self.average is not None:
            self.average.update(self.models)
        return losses

    def inference(self, x: Any, domain: Any = None) -> dict[str, Tensor]:
        """Predicts, with averaged weights if there are any; see pytorch-adapt's ``BaseAdapter.inference``."""
        with in_place_of(self.models, self.average):
            found: dict[str, Tensor] = super().inference(x, domain)  # type: ignore[misc]  # pytorch-adapt's adapter
        return found

    def end_epoch(self) -> None:
        """Called after each epoch.

        Raises:
            UserError: training has collapsed and should not continue.
        """

    def average_weights(self, decay: float, start_share: float = 0.0) -> None:
        """Starts averaging the weights of the models that predict; see :class:`.AveragedModels`.

        The average is stored in ``misc["average"]``, so that checkpoints include it.
        """
        self.average = AveragedModels({name: self.models[name] for name in self.inference_models}, decay, start_share)
        self.misc["average"] = self.average

    @classmethod
    def read_options(cls, values: Mapping[str, Any]) -> Options:
        """The method's options from plain values; None stands for the default.

        Raises:
            UserError: an option is unknown, or a value is out of range.
        """
        known = option_tools.describe(cls.Options)
        given = {n: known[n].default if v is None and n in known else v for n, v in values.items()}
        return option_tools.make(cls.Options, given, f"method {cls.__name__}")

    @property
    def weight(self) -> float:
        """The factor on the method's own loss; 0 for a method without one."""
        return float(getattr(self.options, "weight", 0.0))

    @property
    def reads_target(self) -> bool:
        """Whether a training step uses target images, for the method or the loss; if not, none are loaded."""
        return self.uses_target or isinstance(self.loss, SteppedLoss)

    @property
    def reads_strong_views(self) -> int:
        """How many strong views of each target face a training step uses: "target_imgs_strong", "…_strong_2", …"""
        return 0

    @property
    def reads_draws(self) -> bool:
        """Whether a training step uses a random number per sample: "src_draws" and "target_draws"."""
        return False

    @classmethod
    def student(cls) -> tuple[Callable[..., dict[str, Tensor]], tuple[str, ...]]:
        """The inference function and models that learn from pseudo-labels in training.

        They differ from those of final predictions if an addition brings its own classifier for these.
        """
        return cls.infer, cls.inference_models

    @classmethod
    def unfit(cls, base: type[LossSlot]) -> str:
        """Why this addition can't be combined with a method; empty if it can."""
        return ""

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory | None = None, options: Any = None
    ) -> dict[str, nn.Module]:
        """Makes the models that the method needs besides the feature extractor "G", as in its paper.

        Those besides "C" are in :attr:`extra_models`. A run passes ``make`` and ``options`` by keyword.

        Args:
            num_features: D, the number of G's features.
            num_classes: K.
            make: makes a classifier; None: :func:`.heads.classifier`.
            options: an instance of :attr:`Options`; None: the defaults.
        """
        return {"C": (make or classifier)(num_features, num_classes)}

    @classmethod
    def extractor(cls, extractor: nn.Module) -> nn.Module:
        """Adapts the feature extractor to the method's needs."""
        return extractor

    @classmethod
    def schedule_options(cls, total_steps: int) -> dict[str, Any]:
        """Constructor arguments that depend on how long training will take."""
        return {}

    def init_containers_and_check_keys(self, containers: Any) -> None:
        known = self.key_enforcer.requirements.get("models", ())
        if unknown := [name for name in containers.get("models") or () if known and name not in known]:
            raise UserError(
                f"{type(self).__name__} has no model {unknown[0]!r}, only {', '.join(known)}: a method names those "
                f"that its heads() adds, as in extra_models = ({unknown[0]!r},)"
            )
        super().init_containers_and_check_keys(containers)  # type: ignore[misc]  # pytorch-adapt's adapter
        self.loss = self._make_loss(self.models["C"])
        self.misc = Misc({**self.misc, **self.method_state()})

    def get_key_enforcer(self) -> KeyEnforcer:
        enforcer = super().get_key_enforcer()  # type: ignore[misc]  # likewise
        for container in ("models", "optimizers"):
            enforcer.requirements[container] = [*enforcer.requirements[container], *self.extra_models]
        return enforcer

    def method_state(self) -> dict[str, Any]:
        """The method's own state for ``misc``, so that checkpoints include it; called once the models are set."""
        return {}


def mean_softmax_inference(x: Any, models: Models, **_: Any) -> dict[str, Tensor]:
    """Inference of methods with several classifiers: the mean of their softmaxes.

    p = ½ (softmax(C₁(f)) + softmax(C₂(f))) (Sreenivas et al. 2022, eq. 8). Returned as log p, whose softmax is p, so
    that code which applies a softmax to logits gets p. pytorch-adapt's ``mcd_fn`` sums logits, whose argmax differs.

    Returns:
        "features" ``(N, D)`` and "logits" ``(N, K)``.
    """
    features = models["G"](x)
    log_probs = torch.stack([z.log_softmax(dim=1) for z in models["C"](features)])  # (2, N, K)
    return {"features": features, "logits": log_probs.logsumexp(dim=0) - math.log(len(log_probs))}
