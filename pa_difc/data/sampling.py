"""Samplers: which samples make an epoch, as a function of seed and position, so that resuming needs no saved state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from ..util.errors import UserError
from ..util.process import say_once
from ..util.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


#: An epoch with a smaller share of different samples than this is worth a line.
_FEWEST = 0.1


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


def drawn(
    name: str, length: int, per_epoch: int, epoch: int, key: Sequence[int], classes: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Draws an epoch with the sampler of this name, and checks what it returns; see :class:`Draw`.

    Raises:
        UserError: it returns another number of indices, indices out of range, or no whole numbers.
    """
    import numpy as np

    sampler = SAMPLERS[name]
    found = np.asarray(sampler.draw(length, per_epoch, epoch, key, classes if sampler.by else None))
    if found.shape != (per_epoch,):
        number = f"{len(found):,} indices" if found.ndim == 1 else f"an array of shape {found.shape}"
        raise UserError(f"sampler {name!r} returns {number} for an epoch: must be {per_epoch:,} (per_epoch)")
    if not np.issubdtype(found.dtype, np.integer):
        raise UserError(f"sampler {name!r} returns {found.dtype} values: must be whole numbers (np.int64)")
    if (wrong := found[(found < 0) | (found >= length)]).size:
        raise UserError(f"sampler {name!r} returns index {wrong[0]}: must be from 0 to {length - 1:,} (length - 1)")
    return found.astype(np.int64)  # a copy, as the sampler may write into its own array again


def require_pure(
    name: str, length: int, per_epoch: int, key: Sequence[int], classes: NDArray[np.int64] | None = None
) -> None:
    """Refuses a sampler whose draws differ if it is called twice, because no run could be repeated or resumed.

    Prints a line about one whose first epoch has very few different samples, or lacks a class. Built-in samplers are
    pure, and are not called.

    Args:
        name: of the sampler.
        length, per_epoch, key: see :class:`Draw`.
        classes: the labels, if there are any; for a sampler by predictions, of which there are none yet, two
            classes in turn are used.

    Raises:
        UserError: it is not a pure function, or see :func:`drawn`.
    """
    import numpy as np

    if SAMPLERS.is_built_in(name):
        return
    epoch = 0
    if SAMPLERS[name].by == "predictions":
        epoch, classes = 1, np.arange(length) % 2
    first, second = (drawn(name, length, per_epoch, epoch, key, classes) for _ in range(2))
    if not np.array_equal(first, second):
        raise UserError(
            f"sampler {name!r} returns other indices when it is called again with the same values: "
            "must depend on these alone, as with np.random.default_rng([key[0], epoch, *key[1:]])"
        )
    if SAMPLERS[name].by == "predictions":
        classes = None
    if said := _poor(first, length, classes):
        say_once(f"sampler {name!r} draws {said} in the first epoch: check it if you don't mean that")


def _poor(indices: NDArray[np.int64], length: int, classes: NDArray[np.int64] | None) -> str:
    """What an epoch lacks: most samples, or all of a class; empty if nothing."""
    import numpy as np

    different, possible = len(np.unique(indices)), min(length, len(indices))
    if different < max(_FEWEST * possible, min(2, possible)):
        return f"only {different:,} different of {length:,} samples"
    if classes is None:
        return ""
    lacking = np.setdiff1d(classes[classes >= 0], classes[indices])
    return f"no sample of class {', '.join(map(str, lacking))}" if len(lacking) else ""


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
    """Draws every class that occurs equally often, its samples at random and independently.

    Each block of K consecutive indices has every class once, in random order, for K classes that occur: the draws of
    pytorch-metric-learning's ``MPerClassSampler`` with m = 1, which would take a permutation of a class for each
    sample. See :class:`Draw`.
    """
    import numpy as np

    assert classes is not None
    random = np.random.default_rng([key[0], epoch, *key[1:], 7])
    _, kinds, counts = np.unique(classes, return_inverse=True, return_counts=True)
    by_class, firsts = np.argsort(kinds, kind="stable"), np.cumsum(counts) - counts
    blocks = np.tile(np.arange(len(counts)), (-(-per_epoch // len(counts)), 1))
    order = random.permuted(blocks, axis=1).ravel()[:per_epoch]
    found: NDArray[np.int64] = by_class[firsts[order] + random.integers(counts[order])]
    return found


SHUFFLED = Sampler("shuffled passes, every sample equally often", shuffled)
CLASS_BALANCED = Sampler("every class of the labels equally often", class_balanced, by="labels")
#: RLSbench: Garg et al. 2023, arXiv:2302.03020.
PSEUDO_BALANCED = Sampler("every class that the method predicts equally often", class_balanced, by="predictions")
