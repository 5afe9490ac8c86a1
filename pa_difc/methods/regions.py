"""AGRA's network and state: the graph of facial regions over two domains, with its running class means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..functional import at_least_float32

REGIONS = 6  #: the whole face and five landmarks
REGION_FEATURES = 64

_HIDDEN = 128

#: Link weights: within a face (whole–landmark, landmark–landmark), across domains (same region, whole–landmark,
#: landmark–landmark).
WITHIN = (0.8, 0.5)
ACROSS = (0.9, 0.4, 0.25)


class RegionGraph(nn.Module):
    """Maps the regions ``(N, 384)`` of one domain's faces to regions informed by each other and the other domain.

    Its state, stored in checkpoints: running means per domain, class and region, and BatchNorm per domain.

    Args:
        num_classes: K.
        momentum: decay of a class's running mean per batch that has the class.
        links_within: link weights in the order of :data:`WITHIN`.
        links_across: link weights in the order of :data:`ACROSS`.
    """

    within_links: Tensor  #: ``(6, 6)``
    across_links: Tensor  #: ``(12, 12)``
    means: Tensor  #: ``(2, K, 6, 64)``
    seen: Tensor  #: ``(2, K)`` bool: which class means exist

    def __init__(
        self,
        num_classes: int,
        momentum: float = 0.9,
        links_within: Sequence[float] = WITHIN,
        links_across: Sequence[float] = ACROSS,
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.within = nn.ModuleList(
            [nn.Linear(REGION_FEATURES, _HIDDEN, bias=False), nn.Linear(_HIDDEN, REGION_FEATURES, bias=False)]
        )
        self.across = nn.Linear(REGION_FEATURES, REGION_FEATURES, bias=False)
        sizes = (_HIDDEN, REGION_FEATURES, REGION_FEATURES)
        self.norms = nn.ModuleList(nn.ModuleList(nn.BatchNorm1d(size) for _ in range(2)) for size in sizes)
        self.register_buffer("within_links", _normalized(_face_links(*links_within)), persistent=False)
        self.register_buffer("across_links", _normalized(_domain_links(*links_across)), persistent=False)
        self.register_buffer("means", torch.zeros(2, num_classes, REGIONS, REGION_FEATURES))
        self.register_buffer("seen", torch.zeros(2, num_classes, dtype=torch.bool))

    def forward(self, features: Tensor, domain: int) -> Tensor:
        """``(N, 384)`` to ``(N, 384)``; ``domain`` is 0 for the source and 1 for the target."""
        own = features.view(-1, REGIONS, REGION_FEATURES)
        other = self.nearest_means(own, 1 - domain)
        nodes = torch.cat([self._face(own, domain, self.training), self._face(other, 1 - domain, False)], dim=1)
        mixed = self._norm(2, self.across(self.across_links @ nodes)[:, :REGIONS], domain, self.training)
        return mixed.relu().flatten(1)

    def nearest_means(self, own: Tensor, domain: int) -> Tensor:
        """For each face ``(N, 6, 64)`` the means of a domain's nearest class; the face itself if there are none."""
        if not self.seen[domain].any():
            return own.detach()
        known = self.means[domain][self.seen[domain]]  # (k, 6, 64)
        mine = at_least_float32(own.detach()).flatten(1)
        nearest = torch.cdist(mine, known.flatten(1).to(mine)).argmin(dim=1)
        return known[nearest].to(own)

    @torch.no_grad()
    def update(self, features: Tensor, classes: Tensor, domain: int) -> None:
        """Adds a batch ``(N, 384)`` with its classes ``(N,)`` to the running means of a domain."""
        nodes = features.view(-1, REGIONS, REGION_FEATURES)
        for k in torch.unique(classes).tolist():  # type: ignore[no-untyped-call]
            mean = nodes[classes == k].mean(dim=0).to(self.means)
            before = self.means[domain, k]
            self.means[domain, k] = torch.lerp(mean, before, self.momentum) if self.seen[domain, k] else mean
            self.seen[domain, k] = True

    def _face(self, nodes: Tensor, domain: int, training: bool) -> Tensor:
        """Two layers within a face: ``(N, 6, 64)`` to ``(N, 6, 64)``."""
        for layer, linear in enumerate(self.within):
            nodes = self._norm(layer, linear(self.within_links @ nodes), domain, training).relu()
        return nodes

    def _norm(self, layer: int, nodes: Tensor, domain: int, training: bool) -> Tensor:
        """BatchNorm of a domain over faces and regions; class means never enter its statistics."""
        norm = cast(list[list[nn.BatchNorm1d]], self.norms)[layer][domain]
        flat: Tensor = nodes.flatten(0, 1)
        if training:
            flat = norm(flat)
            return flat.view_as(nodes)
        args = (norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
        return nn.functional.batch_norm(flat, *args).view_as(nodes)


def _face_links(whole: float, landmarks: float) -> Tensor:
    """``(6, 6)``: links of a region with itself (1), of the whole with landmarks, and between landmarks."""
    links = torch.full((REGIONS, REGIONS), landmarks)
    links[0], links[:, 0] = whole, whole
    return links.fill_diagonal_(1.0)


def _domain_links(same: float, whole: float, landmarks: float) -> Tensor:
    """``(12, 12)``: links across domains, and of a region with itself (1)."""
    across = torch.full((REGIONS, REGIONS), landmarks)
    across[0], across[:, 0] = whole, whole
    across.fill_diagonal_(same)
    empty = torch.zeros(REGIONS, REGIONS)
    return torch.cat([torch.cat([empty, across], 1), torch.cat([across, empty], 1)]) + torch.eye(2 * REGIONS)


def _normalized(links: Tensor) -> Tensor:
    """D^(−1/2) A D^(−1/2), the symmetric normalisation (Kipf and Welling 2017, arXiv:1609.02907)."""
    scale = links.sum(dim=1).rsqrt()
    return scale[:, None] * links * scale[None, :]
