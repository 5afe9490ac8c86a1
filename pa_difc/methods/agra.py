"""Adversarial graph representation adaptation (AGRA).

Xie et al. 2020, arXiv:2008.00859; Chen et al. 2022, arXiv:2008.00923:

    min_{G,R,C,D}  L_cls(C(r_s), y_s) + Σ_{d ∈ {s,t}} Σ_i w_i BCE(D(R_λ(r_i)), d) / Σ_i w_i

A face has six regions, the whole face and five landmarks, with 64 features each. r = R(x) is a graph network that first
exchanges information between a face's regions (64 → 128 → 64 within a domain), then with the regions of the other
domain (64 → 64 over twelve nodes), represented by running class means: those of the class nearest to the face. w = 1 +
e^(−H) as in CDAN; λ ramps from 0 to weight.

Differs from the papers: class means are vectors per region (in the benchmark's code they collapse to a number); one
classifier on all regions (theirs has another on the local features). The papers give the links' weights but not clearly
between which regions; here they are, within a face, 0.8 between the whole and a landmark and 0.5 between landmarks, and
across domains, 0.9 for the same region, 0.4 between the whole and a landmark, 0.25 between landmarks. Differs from the
benchmark's code: links are fixed and the matrix is normalised symmetrically, D^(−1/2) A D^(−1/2); there they are
learnt, 36 within a face and 144 across domains, and rows are normalised. The discriminator has ReLU after its two
layers of 384; there it has LeakyReLU and dropout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pytorch_adapt.containers import Models
from pytorch_adapt.hooks import FeaturesHook
from pytorch_adapt.layers import EntropyLoss
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ..util.errors import UserError
from ..util.options import option
from ._host import BaseHook
from .heads import ClassifierFactory, classifier
from .penalty import PenaltyMethod, Step
from .regions import ACROSS, REGION_FEATURES, REGIONS, WITHIN, RegionGraph
from .reversal import Ramped


def domain_inference(x: Any, models: Models, domain: Tensor | int | None = None, **_: Any) -> dict[str, Tensor]:
    """Inference through the graph of the faces' domain: "features" ``(N, 384)`` and "logits" ``(N, K)``.

    Args:
        x: faces.
        models: with "G", "R" and "C".
        domain: 0 for source, 1 for target, or a tensor of these, as pytorch-adapt's validators pass; None: the target.

    Raises:
        UserError: the batch has faces of both domains.
    """
    domains = [1] if domain is None else torch.as_tensor(domain).unique().tolist()  # type: ignore[no-untyped-call]
    if len(domains) != 1:
        raise UserError("domain has both 0 (source) and 1 (target): agra predicts one domain at a time")
    features = models["R"](models["G"](x), int(domains[0]))
    return {"features": features, "logits": models["C"](features)}


class AGRA(Ramped, PenaltyMethod):
    """AGRA with any classification loss; its predictions depend on a face's domain.

    Args:
        ramp_steps: see :class:`.reversal.Ramped`.
        **kwargs: see :class:`.slot.LossSlot`.

    Raises:
        UserError: the extractor has no landmark branches.
    """

    @dataclass(frozen=True)
    class Options(PenaltyMethod.Options):
        """Options of AGRA."""

        weight: float = option(1.0, "largest λ of the gradient reversal", at_least=0)
        momentum: float = option(0.9, "decay of a class's mean per batch that has the class", at_least=0, below=1)
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
    loss_name = "domain_loss"
    loss_weight = 1.0  # λ is in the gradient reversal; the discriminator's own gradient has weight 1
    inference_models = ("G", "R", "C")
    infer = staticmethod(domain_inference)
    needs_regions = True
    one_process = True  # class means are not shared between processes

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory | None = None, options: Any = None
    ) -> dict[str, nn.Module]:
        if num_features != REGIONS * REGION_FEATURES:
            raise UserError(
                f"agra needs the {REGIONS} regions of a landmark backbone ({REGIONS * REGION_FEATURES} features, not "
                f"{num_features}): use feature_head=global_local, and no frozen features"
            )
        options = options or cls.Options()
        layers = [layer for _ in range(2) for layer in (nn.Linear(num_features, num_features), nn.ReLU())]
        return {
            "R": RegionGraph(num_classes, options.momentum, options.links_within, options.links_across),
            "C": (make or classifier)(num_features, num_classes),
            "D": nn.Sequential(*layers, nn.Linear(num_features, 1), nn.Flatten(start_dim=0)),
        }

    @classmethod
    def extractor(cls, extractor: nn.Module) -> nn.Module:
        """Removes the extractor's fusion of regions; the graph does that."""
        head: Any = getattr(extractor, "head", None)
        if not hasattr(head, "fusion"):
            raise UserError("agra needs the regions of a landmark backbone: use feature_head=global_local")
        head.fusion = nn.Identity()
        return extractor

    def first_hooks(self) -> list[BaseHook]:
        return [RegionFeaturesHook()]

    def penalty(self, step: Step) -> Tensor:
        source = self._domain_loss(step.src_features, step.src_logits, 0.0)
        return source + self._domain_loss(step.target_features, step.target_logits, 1.0)

    def _domain_loss(self, regions: Tensor, logits: Tensor, domain: float) -> Tensor:
        weights = 1 + torch.exp(-EntropyLoss(return_mean=False)(logits.detach()))  # (N,)
        guesses = self.models["D"](self.reversal(regions))  # (N,)
        losses = binary_cross_entropy_with_logits(guesses, torch.full_like(guesses, domain), reduction="none")
        return (weights * losses).sum() / weights.sum()

    def last_hooks(self) -> list[BaseHook]:
        return [MeansHook()]


class RegionFeaturesHook(BaseHook):
    """Computes features of both domains with G and the graph; keeps G's regions for the class means."""

    def __init__(self) -> None:
        super().__init__()
        self.regions = FeaturesHook(out_suffixes=["_regions"])
        self.set_in_keys(["src_imgs", "target_imgs"])

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        outputs = self.regions(inputs, losses)[0]
        for domain, name in enumerate(("src", "target")):
            outputs[f"{name}_imgs_features"] = inputs["R"](outputs[f"{name}_imgs_regions"], domain)
        return outputs, {}

    def _loss_keys(self) -> list[str]:
        return []

    def _out_keys(self) -> list[str]:
        return [*self.regions.out_keys, "src_imgs_features", "target_imgs_features"]


class MeansHook(BaseHook):
    """Adds a batch to the graph's means: the source's regions by label, the target's by prediction."""

    def __init__(self) -> None:
        super().__init__()
        self.set_in_keys(["src_imgs_regions", "target_imgs_regions", "src_labels", "target_imgs_features_logits"])

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        graph = next(module for module in inputs["R"].modules() if isinstance(module, RegionGraph))  # R may be in DDP
        labels, classes = inputs["src_labels"].long(), graph.seen.shape[1]
        known = (labels >= 0) & (labels < classes)  # the rest have ignored labels
        graph.update(inputs["src_imgs_regions"][known], labels[known], 0)
        graph.update(inputs["target_imgs_regions"], inputs["target_imgs_features_logits"].argmax(dim=1), 1)
        return {}, {}

    def _loss_keys(self) -> list[str]:
        return []

    def _out_keys(self) -> list[str]:
        return []
