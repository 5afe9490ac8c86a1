"""Which crop suits a trained classifier: told by its predictions for unlabelled faces, without any label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.faces import Face
from ..data.loaders import EvalLoader
from ..data.views import mirrored, scaled
from ..methods.hooks import eval_mode
from ..util.errors import UserError
from .inference import Adapter

#: The scales that are tried, from looser crops to tighter ones.
SCALES = (0.8, 0.9, 1.0, 1.1, 1.2)


@dataclass(frozen=True)
class CropScore:
    """What predictions say about a crop."""

    scale: float  #: at which faces are shown
    agreement: float  #: of faces with their mirror images, 0 where by chance, 1 where always
    confidence: float  #: largest probability in [0, 1], averaged over the face and its mirror image
    shares: tuple[float, ...]  #: of predicted classes

    @property
    def score(self) -> float:
        """The product of both: what the crop is chosen by."""
        return self.agreement * self.confidence


@dataclass(frozen=True)
class CropChoice:
    """The crops that were tried, by rising scale, and what to take."""

    scores: tuple[CropScore, ...]

    @property
    def chosen(self) -> CropScore:
        """The crop of the largest score."""
        return max(self.scores, key=lambda crop: crop.score)

    @property
    def views(self) -> str:
        """Which views to average at the chosen crop: looser ones, too, if these score no less than tighter ones do.

        Averaging helps as long as a further view is about as good as the face itself; every mirror image is.
        """
        place = self.scores.index(self.chosen)
        if place == 0:  # of looser crops nothing is known
            return "flip"
        tighter = self.scores[place + 1].score if place + 1 < len(self.scores) else 0.0
        return "flip+scales" if self.scores[place - 1].score >= tighter else "flip"


def choose_crop(adapter: Adapter, loader: EvalLoader, scales: Sequence[float] = SCALES) -> CropChoice:
    """The scale at which a classifier knows faces best, as far as that shows without labels.

    A network that is given other crops than it learnt from answers by chance more often, and then otherwise for a
    face's mirror image, and with less confidence. Either sign alone can mislead: a classifier that says one class of
    all faces agrees with itself (which is why agreement is counted beyond chance), one that is lost may be confident.
    What this was measured on, and where it fails, stands in docs/using.md.

    Args:
        adapter: a trained method, such as ``as_is``.
        loader: unlabelled faces; about a thousand.
        scales: rising; see :func:`.data.views.scaled`. Each costs two passes.
    """
    return score_crops(crop_probs(adapter, loader, scales), scales)


@torch.no_grad()
def crop_probs(adapter: Adapter, loader: EvalLoader, scales: Sequence[float] = SCALES) -> Tensor:
    """The probabilities of faces and of their mirror images at several scales, ``(S, 2, N, K)``.

    Raises:
        UserError: they are features instead of faces.
    """
    probs = []
    with eval_mode(*adapter.models.values()):
        for faces in loader:
            if not isinstance(faces, Face):
                raise UserError("features of faces can't be cut out otherwise: choose a crop for faces")
            crops = [scaled(faces, scale) for scale in scales]
            views = (view for crop in crops for view in (crop, mirrored(crop)))
            logits = [adapter.inference(view, domain=1)["logits"].float().cpu() for view in views]
            probs.append(torch.stack(logits).softmax(dim=-1))  # (2S, n, K)
    joined = torch.cat(probs, dim=1)
    return joined.view(len(scales), 2, *joined.shape[1:])


def score_crops(probs: Tensor, scales: Sequence[float] = SCALES) -> CropChoice:
    """The scores of crops.

    With p(x) a face's probabilities, p'(x) those of its mirror image, and o(p, q) = Σ_k min(p_k, q_k) the share that
    two predictions have in common::

        agreement  = (o̅ − e) / (1 − e),  o̅ the mean over x of o(p(x), p'(x)),
                                         e the mean over x and y of o(p(x), p'(y))
        confidence = mean over x of max_k (p_k(x) + p'_k(x)) / 2

    Agreement is Cohen's κ (1960) for probabilities instead of answers.

    Args:
        probs: ``(S, 2, N, K)``, see :func:`crop_probs`.
        scales: their scales.
    """
    scores = []
    for scale, (plain, mirror) in zip(scales, probs.double(), strict=True):
        mean = (plain + mirror) / 2
        shares = mean.argmax(dim=1).bincount(minlength=mean.shape[1]) / len(mean)
        confidence = mean.amax(dim=1).mean().item()
        scores.append(CropScore(scale, _agreement(plain, mirror), confidence, tuple(shares.tolist())))
    return CropChoice(tuple(scores))


def _agreement(p: Tensor, q: Tensor) -> float:
    """Overlap of ``(N, K)`` with ``(N, K)`` beyond what there would be if rows were paired at random."""
    overlap, chance = torch.minimum(p, q).sum(dim=1).mean().item(), _chance(p, q)
    return (overlap - chance) / (1 - chance) if chance < 1 else 0.0


def _chance(p: Tensor, q: Tensor) -> float:
    """The mean over all pairs of rows of Σ_k min(p_k, q_k), without making the pairs."""
    q = q.sort(dim=0).values.T.contiguous()  # (K, N)
    below = torch.searchsorted(q, p.T.contiguous())  # (K, N): how many of q are smaller
    sums = torch.nn.functional.pad(q.cumsum(dim=1), (1, 0)).gather(1, below)  # and their sum
    smaller: Tensor = sums + p.T * (q.shape[1] - below)
    return smaller.sum(dim=0).mean().item() / q.shape[1]
