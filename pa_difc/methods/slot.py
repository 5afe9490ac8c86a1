"""What every method shares: the slot for a classification loss."""

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

from ..functional import Counts
from ..losses.protocols import SteppedLoss
from ..losses.schedule import Schedule
from ..losses.spec import ClassificationLoss
from ..util import options as option_tools
from ..util.errors import UserError
from ._host import BaseHook
from .attach import install, loss_for
from .averaged import AveragedModels, in_place_of
from .diagnosis import explained
from .epochs import EpochHook
from .heads import ClassifierFactory, classifier

#: Arguments of pytorch-adapt's adapter that a method passes on.
_HOST_ARGUMENTS = ("default_containers", "key_enforcer", "inference_fn", "before_training_starts")


class LossSlot:
    """Mixin for pytorch-adapt adapters that lets any classification loss take the place of cross-entropy.

    A method builds its hook with pytorch-adapt's ``CLossHook`` and no loss in it; :func:`.attach.install` puts it
    there.

    Args:
        models, optimizers, lr_schedulers, misc: pytorch-adapt's containers.
        loss: a name of :data:`pa_difc.losses.LOSSES`, or any callable of logits and labels. A loss with state
            is put into ``misc["difc"]``, so that pytorch-adapt's checkpoints hold it.
        class_counts: ``(K,)`` source samples per class; for every named loss but "ce".
        schedule: when the loss's ingredients begin; likewise.
        loss_options: further arguments of :func:`.make_loss`; ``scale`` is the classifier's if it isn't among them.
        hook_kwargs: passed on to the method's hook. Hooks in its slots (``pre``, ``post``, ``post_g``, ``post_x`` …)
            join the method's own, and come after them; a ``weighter`` is an instance, and weighs all losses of a step.
            None stands for the method's default.
        **kwargs: fields of the method's :attr:`Options`, None standing for the default; and further arguments of
            pytorch-adapt's adapter.

    Raises:
        UserError: an argument is none of these, or an option is out of range.
    """

    @dataclass(frozen=True)
    class Options(option_tools.Options):
        """The method's own options: none, unless a method says otherwise."""

    about: ClassVar[str]  #: the idea in a line
    extra_models: ClassVar[tuple[str, ...]] = ()  #: names of models that pytorch-adapt's adapter does not know
    inference_models: ClassVar[tuple[str, ...]] = ("G", "C")  #: what predictions are made with
    infer: ClassVar[Callable[..., dict[str, Tensor]]] = staticmethod(default_fn)  #: the method's way to predict
    needs_regions: ClassVar[bool] = False  #: whether it works on the regions of a landmark backbone
    uses_target: ClassVar[bool] = True  #: whether the method itself learns from the target
    uses_source: ClassVar[bool] = True  #: whether it sees source images; if not, the loss plays no part
    classifiers: ClassVar[int] = 1  #: how many logits "C" gives; more than one in a list
    trains: ClassVar[bool] = True  #: whether it learns anything; one that does not predicts as it was made
    needs_pretrained: ClassVar[bool] = False  #: whether it is nothing without a pretrained classifier
    hook_slot: ClassVar[str] = "post"  #: where hooks go that are to teach the features and the classifier
    one_process: ClassVar[bool] = False  #: whether a part of a batch would give its state another meaning

    options: Options
    loss: ClassificationLoss
    average: AveragedModels | None = None  #: of its weights, to predict with
    epochs: EpochHook | None = None  #: tells the loss where epochs end, if it asks for that

    if TYPE_CHECKING:  # what pytorch-adapt's adapter brings, which has no types
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
        loss: str | ClassificationLoss = "ce",
        class_counts: Counts | None = None,
        schedule: Schedule | None = None,
        loss_options: Mapping[str, Any] | None = None,
        hook_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        host_kwargs = {name: kwargs.pop(name) for name in _HOST_ARGUMENTS if name in kwargs}
        host_kwargs["inference_fn"] = host_kwargs.get("inference_fn") or self.infer
        self.options = self.read_options(kwargs)
        self._make_loss: Callable[[nn.Module], ClassificationLoss] = partial(
            loss_for, loss=loss, class_counts=class_counts, schedule=schedule, **(loss_options or {})
        )
        super().__init__(  # type: ignore[call-arg]  # pytorch-adapt's adapter, which a subclass names after this mixin
            models=models,
            optimizers=optimizers,
            lr_schedulers=lr_schedulers,
            misc=misc,
            hook_kwargs=dict(hook_kwargs or {}),
            **host_kwargs,
        )
        if self.uses_source:
            install(self, self.loss)

    def training_step(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, dict[str, float]]:
        """One step of the method, see pytorch-adapt's ``BaseAdapter.training_step``.

        Raises:
            UserError: the batch has no target, or "G" or "C" gives something else than tensors of features and logits.
        """
        if "target_imgs" not in batch and self.reads_target and getattr(self.loss, "uses_target", True):
            what = type(self).__name__ if self.uses_target else type(self.loss).__name__
            raise UserError(f"the batch has no target_imgs, which {what} needs: train on source and target together")
        try:
            losses: dict[str, dict[str, float]] = super().training_step(batch, **kwargs)  # type: ignore[misc]  # its
        except Exception as error:
            if why := explained(self.models, batch, self.classifiers):
                raise UserError(f"{type(self).__name__}: {why}") from error
            raise
        if self.average is not None:
            self.average.update(self.models)
        return losses

    def inference(self, x: Any, domain: Any = None) -> dict[str, Tensor]:
        """Predictions, see pytorch-adapt's ``BaseAdapter.inference``: by averaged weights, if they are averaged."""
        with in_place_of(self.models, self.average):
            found: dict[str, Tensor] = super().inference(x, domain)  # type: ignore[misc]  # pytorch-adapt's adapter
        return found

    def end_epoch(self) -> None:
        """Called after each epoch.

        Raises:
            UserError: further training would make it worse.
        """

    def average_weights(self, decay: float, start_share: float = 0.0) -> None:
        """Begins to average the weights that predictions are made with; see :class:`.AveragedModels`.

        The average lies in ``misc["average"]``, so that checkpoints hold it.
        """
        self.average = AveragedModels({name: self.models[name] for name in self.inference_models}, decay, start_share)
        self.misc["average"] = self.average

    @classmethod
    def read_options(cls, values: Mapping[str, Any]) -> Options:
        """The method's options from plain values, None standing for the default.

        Raises:
            UserError: there is no such option, or a value is out of range.
        """
        known = option_tools.describe(cls.Options)
        given = {n: known[n].default if v is None and n in known else v for n, v in values.items()}
        return option_tools.make(cls.Options, given, f"method {cls.__name__}")

    @property
    def weight(self) -> float:
        """The factor on the method's own loss; 0 of a method without one."""
        return float(getattr(self.options, "weight", 0.0))

    @property
    def reads_target(self) -> bool:
        """Whether a training step looks at target images, for the method or for the loss; if not, none are loaded."""
        return self.uses_target or isinstance(self.loss, SteppedLoss)

    @property
    def reads_strong_views(self) -> int:
        """How many strong views of each target face a training step looks at: "target_imgs_strong", "…_strong_2", …"""
        return 0

    @property
    def reads_draws(self) -> bool:
        """Whether a training step looks at random numbers of each sample: "src_draws" and "target_draws"."""
        return False

    @classmethod
    def student(cls) -> tuple[Callable[..., dict[str, Tensor]], tuple[str, ...]]:
        """How it predicts in training, and with which models: what learns from guesses is that.

        It differs from what predicts in the end where an addition brings another classifier for it.
        """
        return cls.infer, cls.inference_models

    @classmethod
    def unfit(cls, base: type[LossSlot]) -> str:
        """Why this can't be added to a method; empty if it can."""
        return ""

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory = classifier, options: Any = None
    ) -> dict[str, nn.Module]:
        """The models that the method needs beside the feature extractor "G", as its paper has them.

        Args:
            num_features: D, of G's output.
            num_classes: K.
            make: makes a classifier.
            options: an instance of :attr:`Options`; None: the defaults.
        """
        return {"C": make(num_features, num_classes)}

    @classmethod
    def extractor(cls, extractor: nn.Module) -> nn.Module:
        """The feature extractor as the method needs it."""
        return extractor

    @classmethod
    def schedule_options(cls, total_steps: int) -> dict[str, Any]:
        """Constructor arguments that depend on how long training will take."""
        return {}

    def init_containers_and_check_keys(self, containers: Any) -> None:
        super().init_containers_and_check_keys(containers)  # type: ignore[misc]  # pytorch-adapt's adapter
        self.loss = self._make_loss(self.models["C"])
        self.misc = Misc({**self.misc, **self.method_state()})

    def get_key_enforcer(self) -> KeyEnforcer:
        enforcer = super().get_key_enforcer()  # type: ignore[misc]  # likewise
        for container in ("models", "optimizers"):
            enforcer.requirements[container] = [*enforcer.requirements[container], *self.extra_models]
        return enforcer

    def method_state(self) -> dict[str, Any]:
        """State of the method's own that has to be resumed; kept in ``misc`` beside the loss's. Models are there."""
        return {}


def mean_softmax_inference(x: Any, models: Models, **_: Any) -> dict[str, Tensor]:
    """Inference of methods with several classifiers: the mean of their softmaxes.

    p = ½ (softmax(C₁(f)) + softmax(C₂(f))) (Sreenivas et al. 2022, eq. 8). Returned as log p, whose softmax is p, so
    that whatever applies a softmax to logits sees it. pytorch-adapt's ``mcd_fn`` sums logits, whose argmax differs.

    Returns:
        "features" ``(N, D)`` and "logits" ``(N, K)``.
    """
    features = models["G"](x)
    log_probs = torch.stack([z.log_softmax(dim=1) for z in models["C"](features)])  # (2, N, K)
    return {"features": features, "logits": log_probs.logsumexp(dim=0) - math.log(len(log_probs))}
