"""Sets of features extracted from faces once, to train heads on many times."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..util.errors import UserError

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """A set of feature vectors, which loaders use like a :class:`.FaceSet`.

    Attributes:
        features: ``(N, D)`` float32.
        labels: ``(N,)`` int64 classes.
        names: ``N`` names, those of the faces.
        log_probs: ``(N, K)`` float32 log-probabilities of the pretrained classifier; None without one.
        views: features of further views of the same faces, such as mirror images, to average predictions over.
    """

    features: Array
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    log_probs: Array | None = None
    views: tuple[FeatureSet, ...] = ()

    def __len__(self) -> int:
        return len(self.features)

    @property
    def num_features(self) -> int:
        """The length D of a feature vector."""
        return int(self.features.shape[1])

    def batch(
        self, indices: NDArray[np.int64], device: torch.device, mirrored: NDArray[np.bool_] | None = None
    ) -> Tensor:
        """Features ``(N, D)`` by index; ``mirrored`` has no effect on features."""
        return torch.from_numpy(self.features[indices]).to(device)

    def batch_views(self, indices: NDArray[np.int64], device: torch.device) -> list[Tensor]:
        """Features ``(N, D)`` by index: those of the plain faces first, then of each further view."""
        return [part.batch(indices, device) for part in (self, *self.views)]

    def said(self) -> FeatureSet:
        """The set with the pretrained classifier's log-probabilities ``(N, K)`` in place of features.

        Raises:
            UserError: there are no such log-probabilities.
        """
        if self.log_probs is None:
            raise UserError("these features come with no pretrained classifier's predictions: train on faces")
        return replace(self, features=self.log_probs, views=tuple(view.said() for view in self.views))

    def take(self, indices: NDArray[np.int64]) -> FeatureSet:
        """A set of some of the vectors, by index."""
        return FeatureSet(
            self.features[indices],
            self.labels[indices],
            tuple(self.names[i] for i in indices),
            None if self.log_probs is None else self.log_probs[indices],
            tuple(view.take(indices) for view in self.views),
        )

    def changed(self, change: Callable[[Array], Array]) -> FeatureSet:
        """The set with transformed features; every view is transformed in the same way."""
        views = tuple(view.changed(change) for view in self.views)
        return replace(self, features=change(self.features), views=views)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all data in the set."""
        digest = hashlib.blake2b("\n".join(self.names).encode(errors="surrogateescape"), digest_size=8)
        for array in (self.features, self.labels, self.log_probs):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        for view in self.views:
            digest.update(view.fingerprint.encode())
        return digest.hexdigest()
