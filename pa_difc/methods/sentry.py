"""Entropy by committee consistency (SENTRY): Prabhu et al. 2021, arXiv:2012.11460.

    L += w · 1/M Σ_i c_i H(p(v_i)) + b · Σ_k p̄_k log p̄_k,   c_i = +1 if most of three views of x_i get the class of
                                                            x_i itself, −1 if not

v_i is a view that agrees with x_i (or, if c_i = −1, one that doesn't), H the entropy and p̄ the mean prediction of the
batch: the model becomes more confident where its predictions are consistent and less where they aren't. The paper
samples both domains class-balanced: ``sampler="class_balanced", target_sampler="pseudo_balanced"``.

Differs from the paper: views come from :mod:`.strong_views` instead of RandAugment, votes are predicted in eval mode,
and p̄ is the batch's mean instead of that of a queue of 256 predictions. It can be added to any method:
``METHODS["mcd+sentry"]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..functional import at_least_float32
from ..util import options as option_tools
from ..util.options import option
from ._host import BaseHook
from .composition import added
from .hooks import eval_mode
from .slot import LossSlot
from .source_only import SourceOnly

#: Number of views of a face that vote.
COMMITTEE = 3
VIEWS = ("target_imgs_strong", *(f"target_imgs_strong_{n}" for n in range(2, COMMITTEE + 1)))


@dataclass(frozen=True)
class SentryOptions(option_tools.Options):
    """Options of SENTRY."""

    sentry_weight: float = option(1.0, "w, factor on the entropy", at_least=0)
    balance: float = option(0.1, "b, factor on the class balance of the batch's predictions", at_least=0)


class SentryHook(BaseHook):
    """The entropy of a target batch, signed by its committee's consistency.

    Args:
        options: the factors.
        infer: the method's inference function.
        names: names of the models that ``infer`` uses.
    """

    def __init__(
        self, options: SentryOptions, infer: Callable[..., dict[str, Tensor]], names: tuple[str, ...], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.options, self.infer, self.names = options, infer, names
        self.set_in_keys(["target_imgs"])

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        models = {name: inputs[name] for name in self.names}
        views = [inputs[name] for name in VIEWS if name in inputs] or [inputs["target_imgs"]]
        with torch.no_grad(), eval_mode(*models.values()):
            own, *votes = (
                self.infer(faces, models=models, domain=1)["logits"].argmax(dim=1)
                for faces in (inputs["target_imgs"], *views)
            )
        consistent, which = elected(own, torch.stack(votes))
        logits = self.infer(_chosen(views, which), models=models, domain=1)["logits"]
        log_probs = at_least_float32(logits).log_softmax(dim=1)
        entropy = -(log_probs.exp() * log_probs).sum(dim=1)  # (M,)
        signs = torch.where(consistent, 1.0, -1.0).to(entropy)
        balance = -torch.special.entr(log_probs.exp().mean(dim=0)).sum()
        return {}, {
            "sentry_loss": self.options.sentry_weight * (signs * entropy).mean(),
            "balance_loss": self.options.balance * balance,
        }

    def _loss_keys(self) -> list[str]:
        return ["sentry_loss", "balance_loss"]

    def _out_keys(self) -> list[str]:
        return []


def elected(own: Tensor, votes: Tensor) -> tuple[Tensor, Tensor]:
    """Whether most views agree with a sample's class, ``(M,)``, and the last view on the majority's side, ``(M,)``.

    Args:
        own: ``(M,)`` predicted classes of the samples.
        votes: ``(V, M)`` predicted classes of their views.
    """
    agree = votes == own  # (V, M)
    consistent = agree.sum(dim=0) * 2 > len(votes)  # (M,)
    sides = (agree == consistent).long()
    return consistent, (sides * torch.arange(1, len(votes) + 1, device=votes.device)[:, None]).argmax(dim=0)


def _chosen(views: list[Any], which: Tensor) -> Any:
    """A batch made of the chosen view of each sample; faces may be named tuples of tensors."""
    rows = torch.arange(len(which), device=which.device)
    if isinstance(views[0], tuple):
        return type(views[0])(*(torch.stack(parts)[which, rows] for parts in zip(*views, strict=True)))
    return torch.stack(views)[which, rows]


class Voted(LossSlot):
    """Mixin that adds SENTRY to a method."""

    uses_target: ClassVar[bool] = True

    @property
    def reads_strong_views(self) -> int:
        return max(COMMITTEE, super().reads_strong_views)

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        options: Any = self.options
        hook = SentryHook(options, *self.student())
        super().init_hook(added(hook, self.hook_slot, hook_kwargs))


class Sentry(Voted, SourceOnly):
    """SENTRY. Arguments are those of :class:`.LossSlot` and its :attr:`Options`."""

    @dataclass(frozen=True)
    class Options(SentryOptions, SourceOnly.Options):
        """Options of SENTRY."""

    about = "more confident where views agree, less where they don't"
