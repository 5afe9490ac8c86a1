"""Samplers: which samples make an epoch, as a function of seed and position, so that resuming needs no saved state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from ..util.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Draw(Protocol):
    """Draws the samples of an epoch.

    Args:
        length: samples in the domain.
        per_epoch: samples in an epoch.
        epoch: counted from 0.
        key: of the random numbers; seed and domain.
        classes: ``(length,)`` classes of the samples, for a sampler that needs them.

    Returns:
        ``(per_epoch,)`` indices.
    """

    def __call__(
        self, length: int, per_epoch: int, epoch: int, key: Sequence[int], classes: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]: ...


@dataclass(frozen=True)
class Sampler:
    """A way to draw the samples of a domain.

    Attributes:
        about: half a line of description.
        draw: draws an epoch.
        by: the classes that it needs: "labels", which only the source has; "predictions" of the method for the target,
            from the second epoch on; None for no classes, which suits either side.
    """

    about: str
    draw: Draw
    by: Literal["labels", "predictions"] | None = None

    @property
    def code(self) -> Draw:
        """The object whose code is hashed for runs with a plugin's sampler."""
        return self.draw

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides that it can draw: "source", "target"."""
        return {None: ("source", "target"), "labels": ("source",), "predictions": ("target",)}[self.by]


SAMPLERS: Registry[Sampler] = Registry(
    "sampler",
    {
        "shuffled": "pa_difc.data.sampling:SHUFFLED",
        "class_balanced": "pa_difc.data.sampling:CLASS_BALANCED",
        "pseudo_balanced": "pa_difc.data.sampling:PSEUDO_BALANCED",
    },
    "pa_difc.samplers",
)


def sampler_names(side: str) -> list[str]:
    """The samplers that can draw a side, "source" or "target"."""
    return [name for name, sampler in SAMPLERS.loaded().items() if side in sampler.sides]


def shuffled(
    length: int, per_epoch: int, epoch: int, key: Sequence[int], classes: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Shuffled passes over a domain, cut into epochs: every sample is drawn equally often.

    See :class:`Draw`; ``classes`` has no effect.
    """
    import numpy as np

    first = epoch * per_epoch
    passes = range(first // length, (first + per_epoch - 1) // length + 1)
    order = np.concatenate([np.random.default_rng([key[0], p, *key[1:]]).permutation(length) for p in passes])
    offset = first - passes[0] * length
    return order[offset : offset + per_epoch]


def class_balanced(
    length: int, per_epoch: int, epoch: int, key: Sequence[int], classes: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Draws every class that occurs equally often, its samples at random (pytorch-metric-learning's MPerClassSampler).

    Each block of K consecutive indices has every class once, for K classes that occur. See :class:`Draw`.
    """
    import numpy as np
    from pytorch_metric_learning.samplers import MPerClassSampler

    assert classes is not None
    kinds = len(np.unique(classes))
    sampler = MPerClassSampler(classes, m=1, length_before_new_iter=per_epoch + kinds)  # rounds down to whole blocks
    with _library_random(np.random.RandomState([key[0], epoch, *key[1:], 7])):
        return np.fromiter(sampler, dtype=np.int64)[:per_epoch]


@contextmanager
def _library_random(state: np.random.RandomState) -> Iterator[None]:
    """Replaces the module-level generator that pytorch-metric-learning draws from."""
    from pytorch_metric_learning.utils import common_functions

    before = common_functions.NUMPY_RANDOM
    common_functions.NUMPY_RANDOM = state
    try:
        yield
    finally:
        common_functions.NUMPY_RANDOM = before


SHUFFLED = Sampler("shuffled passes, every sample equally often", shuffled)
CLASS_BALANCED = Sampler("every class of the labels equally often", class_balanced, by="labels")
#: RLSbench: Garg et al. 2023, arXiv:2302.03020.
PSEUDO_BALANCED = Sampler("every class that the method predicts equally often", class_balanced, by="predictions")
