"""Chooses the crop that suits a trained classifier, from its predictions for unlabelled faces."""

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
from .criteria import SOURCE_TOLERANCE
from .inference import Adapter

#: The scales to try, from looser crops to tighter ones.
SCALES = (0.8, 0.9, 1.0, 1.1, 1.2)


@dataclass(frozen=True)
class CropScore:
    """What predictions say about a crop."""

    scale: float  #: scale of the faces
    agreement: float  #: of predictions for faces and their mirror images; 0 at chance level, 1 at most
    confidence: float  #: largest probability in [0, 1], averaged over the face and its mirror image
    shares: tuple[float, ...]  #: of predicted classes

    @property
    def score(self) -> float:
        """Agreement times confidence; the crop with the largest score is chosen."""
        return self.agreement * self.confidence


@dataclass(frozen=True)
class CropChoice:
    """The scores of the crops tried, by increasing scale, and the choice."""

    scores: tuple[CropScore, ...]

    @property
    def chosen(self) -> CropScore:
        """The crop of the largest score."""
        return max(self.scores, key=lambda crop: crop.score)

    @property
    def views(self) -> str:
        """The views to average at the chosen crop: "flip+scales" or "flip".

        Averaging helps if an added view is about as good as the face itself, as mirror images always are. "flip+scales"
        adds looser crops: it is chosen if the next looser crop scores no less than the next tighter one.
        """
        place = self.scores.index(self.chosen)
        if place == 0:  # no looser crop was tried
            return "flip"
        tighter = self.scores[place + 1].score if place + 1 < len(self.scores) else 0.0
        return "flip+scales" if self.scores[place - 1].score >= tighter else "flip"


def choose_crop(adapter: Adapter, loader: EvalLoader, scales: Sequence[float] = SCALES) -> CropChoice:
    """Finds the scale at which a classifier works best, as far as that shows without labels.

    On crops unlike those it was trained on, a network guesses more often: its predictions for a face and its mirror
    image differ more, and its confidence falls. Either sign alone can mislead: a classifier that predicts one class for
    all faces agrees with itself (so agreement is counted beyond chance), and a wrong one may be confident.
    docs/using.md says what this was measured on and where it fails.

    Args:
        adapter: a trained method, such as ``as_is``.
        loader: unlabelled faces; about a thousand.
        scales: in increasing order; see :func:`.data.views.scaled`. Each costs two passes.
    """
    return score_crops(crop_probs(adapter, loader, scales), scales)


@torch.no_grad()
def crop_probs(adapter: Adapter, loader: EvalLoader, scales: Sequence[float] = SCALES) -> Tensor:
    """The probabilities of faces and of their mirror images at several scales, ``(S, 2, N, K)``.

    Raises:
        UserError: the loader gives features instead of faces.
    """
    probs = []
    with eval_mode(*adapter.models.values()):
        for faces in loader:
            if not isinstance(faces, Face):
                raise UserError("features can't be cropped again: choose the crop on faces")
            crops = [scaled(faces, scale) for scale in scales]
            views = (view for crop in crops for view in (crop, mirrored(crop)))
            logits = [adapter.inference(view, domain=1)["logits"].float().cpu() for view in views]
            probs.append(torch.stack(logits).softmax(dim=-1))  # (2S, n, K)
    joined = torch.cat(probs, dim=1)
    return joined.view(len(scales), 2, *joined.shape[1:])


def score_crops(probs: Tensor, scales: Sequence[float] = SCALES) -> CropChoice:
    """Computes the scores of crops.

    With p(x) a face's probabilities, p'(x) those of its mirror image, and o(p, q) = Σ_k min(p_k, q_k) the overlap of
    two predictions::

        agreement  = (o̅ − e) / (1 − e),  o̅ the mean over x of o(p(x), p'(x)),
                                         e the mean over x and y of o(p(x), p'(y))
        confidence = mean over x of max_k (p_k(x) + p'_k(x)) / 2

    Agreement is Cohen's κ (1960) with probabilities instead of labels.

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


def score_gains(probs: Tensor, scales: Sequence[float] = SCALES, draws: int = 200) -> list[tuple[float, float]]:
    """The 95 % percentile bootstrap intervals of the crops' scores minus that of the unchanged crop, paired by face.

    Args:
        probs: ``(S, 2, N, K)``, see :func:`crop_probs`.
        scales: their scales, with 1 among them.
        draws: how often N of the N faces are drawn with replacement.
    """
    n, plain = probs.shape[2], list(scales).index(1.0)
    generator = torch.Generator().manual_seed(0)
    drawn = []
    for _ in range(draws):
        again = probs[:, :, torch.randint(n, (n,), generator=generator)]
        drawn.append(torch.tensor([crop.score for crop in score_crops(again, scales).scores]))
    gained = torch.stack(drawn)
    low, high = (gained - gained[:, plain : plain + 1]).quantile(torch.tensor([0.025, 0.975]), dim=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def clear_choice(
    choice: CropChoice, gains: Sequence[tuple[float, float]], source_recall: Sequence[float] | None
) -> CropScore:
    """The crop to train with: the unchanged one, unless another is clearly better.

    The score is no accuracy, and looser crops can raise it while recall falls. So another crop must score better than
    chance may explain, and keep the recall on held-out source faces, as trained cells have to.

    Args:
        choice: the scores, with one of scale 1.
        gains: see :func:`score_gains`.
        source_recall: mean recall in [0, 1] of each crop on held-out source faces; None without a source.
    """
    (plain,) = (crop for crop in choice.scores if crop.scale == 1)
    recalls = source_recall or [0.0] * len(gains)
    floor = recalls[choice.scores.index(plain)] - SOURCE_TOLERANCE
    better = [
        crop
        for crop, (low, _), recall in zip(choice.scores, gains, recalls, strict=True)
        if low > 0 and recall >= floor
    ]
    return max(better, key=lambda crop: crop.score, default=plain)


def _agreement(p: Tensor, q: Tensor) -> float:
    """Overlap of ``(N, K)`` with ``(N, K)`` beyond that of randomly paired rows."""
    overlap, chance = torch.minimum(p, q).sum(dim=1).mean().item(), _chance(p, q)
    return (overlap - chance) / (1 - chance) if chance < 1 else 0.0


def _chance(p: Tensor, q: Tensor) -> float:
    """The mean over all pairs of rows of Σ_k min(p_k, q_k), without forming the pairs."""
    q = q.sort(dim=0).values.T.contiguous()  # (K, N)
    below = torch.searchsorted(q, p.T.contiguous())  # (K, N): how many of q are smaller
    sums = torch.nn.functional.pad(q.cumsum(dim=1), (1, 0)).gather(1, below)  # and their sum
    smaller: Tensor = sums + p.T * (q.shape[1] - below)
    return smaller.sum(dim=0).mean().item() / q.shape[1]
