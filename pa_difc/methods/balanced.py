"""A balanced auxiliary classifier (ABC): Lee et al. 2021, arXiv:2110.10368.

    L += w · [ mean_i b_i CE(B(G(x_s,i)), y_i) + mean_j m_j b_j CE(B(G(strong(x_t,j))), ŷ_j) ]

    b_i ~ Bernoulli(N_min / N_y_i),   b_j ~ Bernoulli(1 − (e/E) (1 − N_min / N_ŷ_j)),   m_j = 1[max p(x_t,j) ≥ τ]

B is a second classifier on the same features; the final predictions are B's. ŷ and p are B's predictions on the plain
view. N_k counts source labels, e/E is the share of training done: B sees each source class equally often, and target
pseudo-labels increasingly so. The method's own classifier learns from all samples, as without B.

Differs from the authors' code: N counts the labels drawn so far, so with a balanced sampler N is even already;
pseudo-labels are hard, predicted in eval mode, and learnt on one strong view instead of two; B starts with the weights
of the method's own classifier.

It can be added to any method that classifies G's features: ``METHODS["mcd+abc"]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pytorch_adapt.containers import Models
from pytorch_adapt.hooks import FeaturesHook
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..functional import at_least_float32
from ..util import options as option_tools
from ..util.distributed import total
from ..util.options import option
from ._host import BaseHook
from .composition import added
from .heads import ClassifierFactory, classifier, num_classes_of
from .hooks import eval_mode
from .slot import LossSlot

#: The name of the balanced classifier among the models.
HEAD = "B"


@dataclass(frozen=True)
class ABCOptions(option_tools.Options):
    """Options of the balanced classifier."""

    abc_weight: float = option(1.0, "w, factor on the balanced classifier's losses", at_least=0)
    abc_threshold: float = option(0.95, "τ, pseudo-labels of a lower probability are left out", at_least=0, at_most=1)


def balanced_inference(x: Any, models: Models, **_: Any) -> dict[str, Tensor]:
    """Inference with the balanced classifier: "features" ``(N, D)`` and "logits" ``(N, K)``."""
    features = models["G"](x)
    return {"features": features, "logits": models[HEAD](features)}


class Balance(nn.Module):
    """State behind the balanced classifier's sampling: label counts and training progress.

    Args:
        num_classes: K.
        total_steps: steps that training will take; None: pseudo-labels are fully balanced from the first step.
    """

    counts: Tensor  #: ``(K,)`` N
    steps: Tensor  #: steps done

    def __init__(self, num_classes: int, total_steps: int | None) -> None:
        super().__init__()
        self.total_steps = total_steps
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def count(self, labels: Tensor) -> None:
        """Counts the labels ``(N,)`` of a source batch, summed over all processes."""
        if self.counts.device != labels.device:  # pytorch-adapt's frameworks leave misc behind
            self.to(labels.device)
        self.counts += total(torch.bincount(labels, minlength=len(self.counts)))

    def share(self, labels: Tensor) -> Tensor:
        """N_min / N_y for labels ``(N,)``, ``(N,)`` in float64; 1 for a class not seen yet."""
        there = self.counts[self.counts > 0]
        if not len(there):
            return torch.ones_like(labels, dtype=torch.float64)
        return (there.min() / self.counts[labels].clamp(min=1).double()).clamp(max=1)

    @property
    def done(self) -> float:
        """e / E, the share of training done."""
        return 1.0 if self.total_steps is None else min(1.0, int(self.steps) / self.total_steps)


class BalancedHook(BaseHook):
    """The losses of the balanced classifier.

    Args:
        balance: the counts and progress.
        options: weight and threshold.
    """

    def __init__(self, balance: Balance, options: ABCOptions, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.balance, self.options = balance, options
        self.features = FeaturesHook(domains=["src"])
        self.set_in_keys(["src_imgs", "src_labels", "target_imgs"])

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        outputs = self.features(inputs, losses)[0]
        features = {**inputs, **outputs}["src_imgs_features"]
        found = {
            "balanced_loss": self._of_source(inputs, features),
            "balanced_target_loss": self._of_target(inputs),
        }
        return outputs, {name: self.options.abc_weight * loss for name, loss in found.items()}

    def _of_source(self, inputs: dict[str, Any], features: Tensor) -> Tensor:
        labels = inputs["src_labels"].long()
        known = (labels >= 0) & (labels < len(self.balance.counts))
        self.balance.count(labels[known])
        labels = labels.where(known, 0)
        kept = known & (_draws(inputs, "src_draws", labels) < self.balance.share(labels))
        return _mean_over(kept, inputs[HEAD](features), labels)

    def _of_target(self, inputs: dict[str, Any]) -> Tensor:
        extractor, head = inputs["G"], inputs[HEAD]
        with torch.no_grad(), eval_mode(extractor, head):
            best, guesses = at_least_float32(head(extractor(inputs["target_imgs"]))).softmax(dim=1).max(dim=1)
        chance = 1 - self.balance.done * (1 - self.balance.share(guesses))
        kept = (best >= self.options.abc_threshold) & (_draws(inputs, "target_draws", guesses) < chance)
        logits = head(extractor(inputs.get("target_imgs_strong", inputs["target_imgs"])))
        return _mean_over(kept, logits, guesses)

    def _loss_keys(self) -> list[str]:
        return ["balanced_loss", "balanced_target_loss"]

    def _out_keys(self) -> list[str]:
        keys: list[str] = self.features.out_keys
        return keys


def _draws(inputs: dict[str, Any], key: str, labels: Tensor) -> Tensor:
    """A number in [0, 1) per sample: the loader's, the same after a resume, or with other loaders a new one."""
    draws: Tensor = inputs[key] if key in inputs else torch.rand(labels.shape, device=labels.device)
    return draws


def _mean_over(kept: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """The summed cross-entropy of the kept samples, divided by the batch size."""
    each: Tensor = cross_entropy(at_least_float32(logits), labels, reduction="none")
    return (each * kept).mean()


class Balanced(LossSlot):
    """Mixin that adds a balanced classifier to a method and predicts with it.

    Args:
        abc_steps: see :class:`Balance`.
        *args, **kwargs: those of the method, and :class:`ABCOptions`.
    """

    about: ClassVar[str] = "a second, class-balanced classifier, which predicts"
    uses_target: ClassVar[bool] = True
    inference_models: ClassVar[tuple[str, ...]] = ("G", HEAD)
    infer = staticmethod(balanced_inference)
    _below: ClassVar[tuple[Callable[..., dict[str, Tensor]], tuple[str, ...]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        below: Any = super()  # the method it is added to
        cls.extra_models = (*below.extra_models, HEAD)
        cls._below = below.infer, below.inference_models

    def __init__(self, *args: Any, abc_steps: int | None = None, **kwargs: Any) -> None:
        self._abc_steps = abc_steps
        super().__init__(*args, **kwargs)

    @classmethod
    def unfit(cls, base: type[LossSlot]) -> str:
        if not base.uses_source:
            return "has no source labels to balance"
        return "" if base.inference_models == ("G", "C") else "does not predict with C on the features of G"

    @classmethod
    def student(cls) -> tuple[Callable[..., dict[str, Tensor]], tuple[str, ...]]:
        return cls._below

    @property
    def reads_strong_views(self) -> int:
        return max(1, super().reads_strong_views)

    @property
    def reads_draws(self) -> bool:
        return True

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory | None = None, options: Any = None
    ) -> dict[str, nn.Module]:
        found = super().heads(num_features, num_classes, make=make, options=options)
        balanced = (make or classifier)(num_features, num_classes)
        own, new = (next(m for m in part.modules() if isinstance(m, nn.Linear)) for part in (found["C"], balanced))
        new.load_state_dict(own.state_dict())
        return {**found, HEAD: balanced}

    @classmethod
    def schedule_options(cls, total_steps: int) -> dict[str, Any]:
        return {**super().schedule_options(total_steps), "abc_steps": total_steps}

    def method_state(self) -> dict[str, Any]:
        self.balance = Balance(num_classes_of(self.models[HEAD]), self._abc_steps)
        return {**super().method_state(), "balance": self.balance}

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        options: Any = self.options
        super().init_hook(added(BalancedHook(self.balance, options), self.hook_slot, hook_kwargs))

    def training_step(self, *args: Any, **kwargs: Any) -> dict[str, dict[str, float]]:
        losses = super().training_step(*args, **kwargs)
        self.balance.steps += 1
        return losses
