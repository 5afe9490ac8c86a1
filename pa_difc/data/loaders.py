"""Batches of source and target faces, for training and for evaluation.

An epoch is one full shuffled pass over the larger domain; the smaller one is cycled and reshuffled on each pass, as in
the CD-FER benchmark that the paper follows. pytorch-adapt's combined dataset has the target's length and draws the
source with replacement: with 213 target images, its "epoch" would be 6 steps of 32.

The order of the samples depends only on seed and position, so resuming at an epoch needs no saved state. Several
processes share the same sequence, and each takes its part of every batch.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..util.errors import UserError
from ..util.names import unknown
from .augment import zoom_faces
from .faces import Face, Samples
from .features import FeatureSet
from .sampling import SAMPLERS, drawn, require_pure, sampler_names
from .strong_views import DRAWS, strong_views
from .views import views_of


class PairLoader:
    """Training batches of a labelled source and an unlabelled target, with pytorch-adapt's keys.

    Args:
        source: the labelled domain; None without one, and then batches have no source keys.
        target: the unlabelled domain; its labels are never read.
        batch_size: samples per domain and step. The last batch of an epoch may be smaller; if it has a single sample,
            which BatchNorm can't handle, it is merged into the one before (on P processes, if it has fewer than 2P).
        seed: of shuffling and augmentation.
        flip: mirror faces at random, with their landmarks; no effect on features.
        zoom: the largest share of the side to cut away at random on each side of a face; no effect on features.
        sampler: the entry of :data:`.sampling.SAMPLERS` that draws the source.
        target_sampler: the one that draws the target; "pseudo_balanced" draws each class that the method predicts
            equally often (RLSbench: Garg et al. 2023, arXiv:2302.03020), from the second epoch on.
        device: for the batches.
        rank, processes: this process's number, and how many processes share each batch.

    Raises:
        ValueError: a domain is empty, or ``batch_size`` is below 2.
        UserError: there are too few samples for so many processes, or a side has no such sampler; or its sampler is no
            pure function or returns no valid indices, see :func:`.sampling.require_pure`.
    """

    def __init__(
        self,
        source: Samples | None,
        target: Samples,
        *,
        batch_size: int = 32,
        seed: int = 0,
        flip: bool = True,
        zoom: float = 0.0,
        sampler: str = "shuffled",
        target_sampler: str = "shuffled",
        device: torch.device | str = "cpu",
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        if batch_size < 2:
            raise ValueError(f"{batch_size=}: must be at least 2, BatchNorm needs it")
        sizes = [len(target)] if source is None else [len(source), len(target)]
        samples = (
            f"{sizes[-1]} target samples" if source is None else f"{sizes[0]} source and {sizes[-1]} target samples"
        )
        if not all(sizes):
            raise ValueError(f"{samples}: no domain may be empty")
        if processes > min(batch_size // 2, *sizes):
            numbers = f"batches of {batch_size}, {samples}"
            raise UserError(f"{processes} processes: too many for {numbers}; each needs two samples")
        self.source, self.target = source, target
        self.batch_size, self.seed, self.device = batch_size, seed, torch.device(device)
        self.flip, self.zoom = flip, zoom
        self._samplers = _named(sampler, "source"), _named(target_sampler, "target")
        self.samples_per_epoch = max(sizes)
        if source is not None:
            require_pure(sampler, len(source), self.samples_per_epoch, [seed, 0], source.labels)
        require_pure(target_sampler, len(target), self.samples_per_epoch, [seed, 1])
        self.rank, self.processes = rank, processes
        self._sizes = _batch_sizes(self.samples_per_epoch, batch_size, least=2 * processes)

    def __len__(self) -> int:
        """Steps in an epoch."""
        return len(self._sizes)

    def share(self, step: int) -> float:
        """The size of this process's part of a step's batch, relative to an even share."""
        part = part_of(self._sizes[step], self.rank, self.processes)
        share: float = (part.stop - part.start) * self.processes / self._sizes[step]
        return share

    def needs_predictions(self, epoch: int) -> bool:
        """Whether an epoch is drawn by predicted classes; never the first one, before anything is learnt."""
        return SAMPLERS[self._samplers[1]].by == "predictions" and epoch > 0

    def epoch(
        self,
        epoch: int,
        predicted: NDArray[np.int64] | None = None,
        *,
        source_images: bool = True,
        target_images: bool = True,
        strong: int = 0,
        draws: bool = False,
    ) -> Iterator[dict[str, Face | Tensor]]:
        """The batches of an epoch, counted from 0.

        Args:
            epoch: its number.
            predicted: ``(M,)`` classes that the method predicts for the target; required if
                :meth:`needs_predictions`.
            source_images, target_images: load the images of a domain; all else in the batches is the same without.
            strong: number of strong views of each target face to add; see :mod:`.strong_views`. Features have none.
            draws: add random numbers for each sample, for methods that select some of a batch.

        Yields:
            Batches with "src_imgs" (if wanted), "src_labels", "src_domain" (0), "src_sample_idx", "target_imgs" and
            "target_imgs_strong", "target_imgs_strong_2", … (if wanted), "target_log_probs" (for features that have
            them), "target_domain" (1), "target_sample_idx", and "src_draws" and "target_draws" (if wanted). There is no
            key for target labels.
        """
        sampler, target_sampler = self._samplers
        if SAMPLERS[target_sampler].by == "predictions" and not self.needs_predictions(epoch):
            target_sampler = "shuffled"
        args = self.samples_per_epoch, epoch
        if (source := self.source) is not None:
            src = drawn(sampler, len(source), *args, [self.seed, 0], source.labels)
        target = drawn(target_sampler, len(self.target), *args, [self.seed, 1], predicted)
        coins, views, chances = (np.random.default_rng([self.seed, epoch, stream]) for stream in (2, 3, 4))
        start = 0
        for size in self._sizes:
            stop = start + size
            part = part_of(size, self.rank, self.processes)
            target_idx = target[start:stop][part]
            src_draws, target_draws = self._draw(coins, size, part), self._draw(coins, size, part)
            target_imgs = {"target_imgs": self._batch(self.target, target_idx, target_draws)} if target_images else {}
            if strong and isinstance(faces := target_imgs.get("target_imgs"), Face):
                target_imgs |= self._strong(
                    faces, [views.random((size, DRAWS), dtype=np.float32) for _ in range(strong)], part
                )
            of_source: dict[str, Face | Tensor] = {}
            if source is not None:
                src_idx = src[start:stop][part]
                labels = torch.from_numpy(source.labels[src_idx]).to(self.device)
                of_source = {"src_imgs": self._batch(source, src_idx, src_draws)} if source_images else {}
                of_source |= {"src_labels": labels, "src_domain": torch.zeros_like(labels)}
                of_source["src_sample_idx"] = torch.from_numpy(src_idx)
            yield {
                **of_source,
                **target_imgs,
                **self._said(target_idx),
                "target_domain": torch.ones(len(target_idx), dtype=torch.int64, device=self.device),
                "target_sample_idx": torch.from_numpy(target_idx),
                **(self._chances(chances.random((2, size), dtype=np.float32)[:, part]) if draws else {}),
            }
            start = stop

    def _strong(self, faces: Face, draws: list[NDArray[np.float32]], part: slice) -> dict[str, Face | Tensor]:
        """Strong views by key, made from this part of the whole batch's draws."""
        keys = ["target_imgs_strong", *(f"target_imgs_strong_{n}" for n in range(2, len(draws) + 1))]
        own = (torch.from_numpy(numbers[part]).to(self.device) for numbers in draws)
        return {key: strong_views(faces, numbers) for key, numbers in zip(keys, own, strict=True)}

    def _chances(self, draws: NDArray[np.float32]) -> dict[str, Tensor]:
        """Random numbers for each sample by key, from a row of ``draws`` for each domain."""
        both = torch.from_numpy(draws).to(self.device)
        return {"src_draws": both[0], "target_draws": both[1]}

    def _said(self, target_idx: NDArray[np.int64]) -> dict[str, Tensor]:
        """The pretrained classifier's log-probabilities of target samples, if these are frozen features with them."""
        known = self.target.log_probs if isinstance(self.target, FeatureSet) else None
        return {} if known is None else {"target_log_probs": torch.from_numpy(known[target_idx]).to(self.device)}

    def _draw(self, coins: np.random.Generator, size: int, part: slice) -> dict[str, NDArray[np.float64]]:
        """Random numbers for flip and zoom: drawn for the whole batch, so that results don't depend on its division."""
        asked = {"flip": self.flip, "zoom": self.zoom}
        return {name: coins.random(size)[part] for name, wanted in asked.items() if wanted}

    def _batch(
        self, domain: Samples, indices: NDArray[np.int64], draws: dict[str, NDArray[np.float64]]
    ) -> Face | Tensor:
        batch = domain.batch(indices, self.device, draws["flip"] < 0.5 if self.flip else None)
        if self.zoom and isinstance(batch, Face):
            batch = zoom_faces(batch, torch.from_numpy(draws["zoom"] * self.zoom).to(self.device))
        return batch


class EvalLoader:
    """Batches of one domain in its own order, every sample once.

    Args:
        faces: the domain.
        batch_size: samples per batch.
        device: for the batches.
        rank, processes: this process's number, and how many processes share the domain.
    """

    def __init__(
        self,
        faces: Samples,
        *,
        batch_size: int = 256,
        device: torch.device | str = "cpu",
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.faces, self.batch_size, self.device = faces, batch_size, torch.device(device)
        self.part = part_of(len(faces), rank, processes)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Face | Tensor]:
        for views in self.views("none"):
            yield views[0]

    def views(self, views: str) -> Iterator[list[Face] | list[Tensor]]:
        """Yields the views of each batch, the plain samples first; see :func:`.views.views_of`."""
        for start in self._starts:
            indices = np.arange(start, min(start + self.batch_size, self.part.stop))
            if views != "none" and isinstance(self.faces, FeatureSet):
                yield self.faces.batch_views(indices, self.device)  # views of features were extracted with them
                continue
            batch = self.faces.batch(indices, self.device)
            yield views_of(batch, views) if isinstance(batch, Face) else [batch]

    @property
    def _starts(self) -> range:
        return range(self.part.start, self.part.stop, self.batch_size)


def _named(name: str, side: str) -> str:
    """The name of a sampler; refuses one that can't draw the side."""
    if side not in SAMPLERS.lookup(name).sides:
        raise unknown(f"sampler of the {side}", name, sampler_names(side))
    return name


def part_of(size: int, rank: int, processes: int) -> slice:
    """One process's consecutive part of ``size`` samples; the parts differ by at most one sample."""
    return slice(rank * size // processes, (rank + 1) * size // processes)


def _batch_sizes(samples: int, batch_size: int, least: int) -> list[int]:
    full, rest = divmod(samples, batch_size)
    sizes = [batch_size] * full
    if rest < least and sizes:
        sizes[-1] += rest
    elif rest:
        sizes.append(rest)
    return sizes
