"""Features of faces in the place of faces: extracted once, trained on many times."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """A set of feature vectors; what loaders need of a :class:`.FaceSet`, without images.

    Attributes:
        features: ``(N, D)`` float32.
        labels: ``(N,)`` int64 classes.
        names: ``N`` names, as the faces had them.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.features)

    @property
    def num_features(self) -> int:
        """D."""
        return int(self.features.shape[1])

    def batch(
        self, indices: NDArray[np.int64], device: torch.device, mirrored: NDArray[np.bool_] | None = None
    ) -> Tensor:
        """Features ``(N, D)`` by index; there is nothing in them to mirror."""
        return torch.from_numpy(self.features[indices]).to(device)

    def take(self, indices: NDArray[np.int64]) -> FeatureSet:
        """Some of the vectors, by index."""
        return FeatureSet(self.features[indices], self.labels[indices], tuple(self.names[i] for i in indices))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything in the set."""
        digest = hashlib.blake2b("\n".join(self.names).encode(), digest_size=8)
        for array in (self.features, self.labels):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()
