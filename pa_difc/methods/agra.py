"""Adversarial graph representation adaptation (AGRA): Xie et al. 2020, arXiv:2008.00859; Chen et al. 2022,
arXiv:2008.00923.

    min_{G,R,C,D}  L_cls(C(r_s), y_s) + Σ_{d ∈ {s,t}} Σ_i w_i BCE(D(R_λ(r_i)), d) / Σ_i w_i

A face is six regions, the whole and five landmarks, 64 features each. r = R(x) lets regions of the face talk to each
other (a graph network 64 → 128 → 64 within a domain), then to the same and the other regions of the other domain
(64 → 64 over twelve nodes), for which running means of the other domain stand, those of the class nearest to the face.
w = 1 + e^(−H) as in CDAN; λ ramps from 0 to weight.

Differs from the papers: class means are vectors for each region (in the benchmark's code they collapse to a number);
one classifier on all regions (there also one on the local features); links are 0.8 within a face between the whole and
a landmark, 0.5 between landmarks, 0.9 between the same region of both domains, 0.4 between the whole and a landmark of
the other, 0.25 between landmarks: the papers' numbers, their places by our reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pytorch_adapt.adapters import Classifier
from pytorch_adapt.adapters.utils import with_opt
from pytorch_adapt.containers import Models
from pytorch_adapt.hooks import ChainHook, FeaturesHook
from pytorch_adapt.layers import EntropyLoss
from pytorch_adapt.weighters import SumWeighter
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ..util.errors import UserError
from ..util.options import option
from ._host import BaseHook, OptimizerHook, SummaryHook
from .heads import ClassifierFactory, classifier
from .penalty import EndOfStepHook
from .regions import ACROSS, REGION_FEATURES, REGIONS, WITHIN, RegionGraph
from .reversal import Ramped
from .slot import LossSlot


def domain_inference(x: Any, models: Models, domain: int = 1, **_: Any) -> dict[str, Tensor]:
    """Inference through the graph of a face's own domain: "features" ``(N, 384)`` and "logits" ``(N, K)``."""
    features = models["R"](models["G"](x), domain)
    return {"features": features, "logits": models["C"](features)}


class AGRA(Ramped, LossSlot, Classifier):
    """AGRA with a slot for the classification loss; its predictions depend on the domain of the face.

    Args:
        ramp_steps: see :class:`.reversal.Ramped`.
        **kwargs: see :class:`.slot.LossSlot`.

    Raises:
        UserError: the extractor has no landmark branches.
    """

    @dataclass(frozen=True)
    class Options(LossSlot.Options):
        """Of AGRA."""

        weight: float = option(1.0, "largest λ of the gradient reversal", at_least=0)
        momentum: float = option(0.9, "what remains of a class's mean after a batch with it", at_least=0, below=1)
        links_within: tuple[float, ...] = option(WITHIN, "links in a face: whole and landmark, two landmarks")
        links_across: tuple[float, ...] = option(
            ACROSS, "links across domains: the same region, whole and landmark, two landmarks"
        )

        def __post_init__(self) -> None:
            super().__post_init__()
            for name, default in (("links_within", WITHIN), ("links_across", ACROSS)):
                links = getattr(self, name)
                if len(links) != len(default) or min(links) < 0:
                    raise UserError(f"{name}={links}: must be {len(default)} numbers of at least 0")

    options: Options
    about = "regions of a face in a graph with the means of the other domain's"
    extra_models = ("R", "D")
    inference_models = ("G", "R", "C")
    infer = staticmethod(domain_inference)
    needs_regions = True
    one_process = True  # the class means

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory = classifier, options: Any = None
    ) -> dict[str, nn.Module]:
        if num_features != REGIONS * REGION_FEATURES:
            raise UserError(
                f"agra needs the {REGIONS} regions of a landmark backbone ({REGIONS * REGION_FEATURES} features, not "
                f"{num_features}): take feature_head=global_local, and no frozen features"
            )
        options = options or cls.Options()
        layers = [layer for _ in range(2) for layer in (nn.Linear(num_features, num_features), nn.ReLU())]
        return {
            "R": RegionGraph(num_classes, options.momentum, options.links_within, options.links_across),
            "C": make(num_features, num_classes),
            "D": nn.Sequential(*layers, nn.Linear(num_features, 1), nn.Flatten(start_dim=0)),
        }

    @classmethod
    def extractor(cls, extractor: nn.Module) -> nn.Module:
        """The extractor without the layer across regions: that is the graph's work."""
        head: Any = getattr(extractor, "head", None)
        if not hasattr(head, "fusion"):
            raise UserError("agra needs the regions of a landmark backbone: take feature_head=global_local")
        head.fusion = nn.Identity()
        return extractor

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        opts = with_opt(list(self.optimizers.keys()))
        losses = RegionsHook(self)
        parts = [FeaturesHook(), losses, *self.confusion_writer(losses.target_logits), EndOfStepHook(self.end_step)]
        step = OptimizerHook(ChainHook(*parts), opts, hook_kwargs.get("weighter") or SumWeighter())
        self.hook = ChainHook(step, SummaryHook({"total_loss": step}))


class RegionsHook(BaseHook):
    """The losses of a step, from the features of both domains.

    Args:
        adapter: whose models, loss and gradient reversal are used.
    """

    target_logits = "target_imgs_features_logits"

    def __init__(self, adapter: AGRA) -> None:
        super().__init__()
        # Not as attributes that the host would take for children when it prints hooks.
        self._parts = {"models": adapter.models, "reversal": adapter.reversal, "loss": adapter.loss}

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        models, labels = self._parts["models"], inputs["src_labels"]
        graph: RegionGraph = models["R"]
        source, target = inputs["src_imgs_features"], inputs["target_imgs_features"]
        src_regions, target_regions = graph(source, 0), graph(target, 1)
        src_logits, target_logits = models["C"](src_regions), models["C"](target_regions)
        domain_loss = self._domain_loss(src_regions, src_logits, 0.0)
        domain_loss = domain_loss + self._domain_loss(target_regions, target_logits, 1.0)
        graph.update(source, labels, 0)
        graph.update(target, target_logits.argmax(dim=1), 1)
        found = {"src_c_loss": self._parts["loss"](src_logits, labels), "domain_loss": domain_loss}
        return {self.target_logits: target_logits}, found

    def _domain_loss(self, regions: Tensor, logits: Tensor, domain: float) -> Tensor:
        weights = 1 + torch.exp(-EntropyLoss(return_mean=False)(logits.detach()))  # (N,)
        guesses = self._parts["models"]["D"](self._parts["reversal"](regions))  # (N,)
        losses = binary_cross_entropy_with_logits(guesses, torch.full_like(guesses, domain), reduction="none")
        return (weights * losses).sum() / weights.sum()

    def _loss_keys(self) -> list[str]:
        return ["src_c_loss", "domain_loss"]

    def _out_keys(self) -> list[str]:
        return [self.target_logits]
