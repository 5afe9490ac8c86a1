"""Faces as loaders, hooks and models exchange them: single faces, batches and whole sets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ..util.spacing import evenly_spaced
from .labels import UNLABELLED
from .mapped import ask_for


class Face(NamedTuple):
    """A face or a batch of faces.

    It is a NamedTuple because pytorch-adapt handles that end to end: default collation and pinning understand it, and
    ``batch_to_device`` calls :meth:`to`. Nested dicts and lists break there, and a plain pair would be taken for
    (image, label).
    """

    image: Tensor  #: ``(3, P, P)`` or ``(N, 3, P, P)``, RGB in [0, 1]
    #: ``(5, 2)`` or ``(N, 5, 2)``, (x, y) in pixels, as :data:`LANDMARKS`; NaN where unknown. The left edge is 0 and
    #: the right one P: the centre of the first pixel is 0.5.
    landmarks: Tensor

    @property
    def device(self) -> torch.device:
        return self.image.device

    def to(self, *args: Any, **kwargs: Any) -> Face:
        """Moves or converts both tensors; arguments as for ``torch.Tensor.to``."""
        return Face(self.image.to(*args, **kwargs), self.landmarks.to(*args, **kwargs))


#: The five points in order; left and right as seen in the image.
LANDMARKS = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")

#: Order of the points after mirroring: the left eye becomes the right one.
MIRRORED = (1, 0, 2, 4, 3)


def mirror_faces(images: NDArray[np.uint8], landmarks: NDArray[np.float32], mirrored: NDArray[np.bool_]) -> None:
    """Mirrors some faces in place: image, landmark positions and landmark order.

    Differs from the CD-FER benchmark and its descendants, which mirror x but keep the order, so that their left-eye
    branch sees right eyes half of the time.

    Args:
        images: ``(N, 3, P, P)`` uint8.
        landmarks: ``(N, 5, 2)`` in pixels.
        mirrored: ``(N,)`` bool, which ones to mirror.
    """
    images[mirrored] = images[mirrored][..., ::-1]
    points = landmarks[mirrored][:, list(MIRRORED)]
    points[..., 0] = images.shape[-1] - points[..., 0]
    landmarks[mirrored] = points


class Samples(Protocol):
    """The interface of a set that loaders draw batches from: faces, or features of faces."""

    @property
    def labels(self) -> NDArray[np.int64]: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def batch(
        self, indices: NDArray[np.int64], device: torch.device, mirrored: NDArray[np.bool_] | None = None
    ) -> Face | Tensor: ...

    def take(self, indices: NDArray[np.int64]) -> Samples: ...

    @property
    def fingerprint(self) -> str: ...


def evenly(faces: Samples, number: int) -> Samples:
    """At most ``number`` samples, evenly spaced, whatever their labels."""
    if len(faces) <= number:
        return faces
    return faces.take(evenly_spaced(len(faces), number))


@dataclass(frozen=True, eq=False)
class FaceSet:
    """A set of decoded faces in memory or in a memory map.

    Attributes:
        images: ``(N, 3, P, P)`` uint8, RGB; more than N if ``rows`` picks some of them.
        landmarks: ``(N, 5, 2)`` float32 in pixels, NaN where unknown.
        labels: ``(N,)`` int64 classes, or :data:`UNLABELLED` for all.
        names: ``N`` names, unique within a dataset: the path below its root, or a row of its list.
        known_fingerprint: the fingerprint if it is known already, as for a store.
        rows: ``(N,)`` position of each face in ``images``, to use a part of a memory map without copying it; None for
            all of them, in order.
    """

    images: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    known_fingerprint: str | None = None
    rows: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        n = len(self.images) if self.rows is None else len(self.rows)
        if not (len(self.landmarks) == len(self.labels) == len(self.names) == n):
            raise ValueError(
                f"{n} images, {len(self.landmarks)} landmark sets, {len(self.labels)} labels, "
                f"{len(self.names)} names: must be equally many"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size_px(self) -> int:
        """The side P of an image, in pixels."""
        return int(self.images.shape[-1])

    def image(self, index: int) -> NDArray[np.uint8]:
        """The image of one face, ``(3, P, P)``."""
        image: NDArray[np.uint8] = self.images[index if self.rows is None else self.rows[index]]
        return image

    def pixels(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images of some faces, ``(n, 3, P, P)`` uint8, copied to memory."""
        rows = indices if self.rows is None else self.rows[indices]
        ask_for(self.images, rows)
        return self.images[rows]

    def batch(
        self, indices: NDArray[np.int64], device: torch.device, mirrored: NDArray[np.bool_] | None = None
    ) -> Face:
        """A batch of faces by index, some of them mirrored; moved to the device as bytes and converted there."""
        images, landmarks = self.pixels(indices), self.landmarks[indices]  # (N, 3, P, P), (N, 5, 2): copies
        if mirrored is not None:
            mirror_faces(images, landmarks, mirrored)
        return Face(torch.from_numpy(images).to(device).float().div_(255), torch.from_numpy(landmarks).to(device))

    def take(self, indices: NDArray[np.int64]) -> FaceSet:
        """A set of some of the faces, by index, copied to memory."""
        names = tuple(self.names[i] for i in indices)
        return FaceSet(self.pixels(indices), self.landmarks[indices], self.labels[indices], names)

    def without_labels(self) -> FaceSet:
        """The same faces with every label :data:`UNLABELLED`."""
        fingerprint = self.known_fingerprint and f"{self.known_fingerprint}-unlabelled"
        return replace(self, labels=np.full_like(self.labels, UNLABELLED), known_fingerprint=fingerprint)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all data in the set: equal fingerprints mean equal data."""
        if self.known_fingerprint is not None:
            return self.known_fingerprint
        digest = hashlib.blake2b(digest_size=8)
        digest.update("\n".join(self.names).encode(errors="surrogateescape"))
        digest.update(f"{self.images.dtype}{(len(self), *self.images.shape[1:])}".encode())
        if self.rows is None:
            digest.update(np.ascontiguousarray(self.images).data)
        else:
            for row in self.rows:
                digest.update(np.ascontiguousarray(self.images[row]).data)
        for array in (self.landmarks, self.labels):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class FaceDataset(Dataset[tuple[Face, int]]):
    """A :class:`FaceSet` as a dataset for pytorch-adapt's wrappers: ``(Face, label)`` by index.

    Args:
        faces: the set.
    """

    def __init__(self, faces: FaceSet) -> None:
        self.faces = faces

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[Face, int]:
        image = torch.from_numpy(self.faces.image(index).copy()).float().div_(255)
        landmarks = torch.from_numpy(self.faces.landmarks[index].copy())
        return Face(image, landmarks), int(self.faces.labels[index])
