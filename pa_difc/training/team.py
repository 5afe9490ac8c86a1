"""Who trains the cells of a grid: this process, workers on this machine, or a cluster's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .slots import Slots, Work


@dataclass(frozen=True)
class Team:
    """Workers of one thread each; without any of these, there are none, and this process does it all.

    Attributes:
        jobs: their number; on a cluster at most so many.
        devices: that they work on, in turn; none: the settings say.
        cluster: the address of a scheduler of dask's, or its file.
    """

    jobs: int | None = None
    devices: Sequence[str] = ()
    cluster: str | None = None

    @property
    def works(self) -> bool:
        """Whether there are workers."""
        return self.jobs is not None or self.cluster is not None

    def slots(
        self, work: Work, value: Any, out: Path, log: str | None, most: int, files: Collection[Path] = ()
    ) -> AbstractContextManager[Slots]:
        """The places of workers; see :func:`.workers` and :func:`.cluster_slots`.

        Args:
            work, value, out, log: see there.
            most: no more places than that.
            files: that workers must see, beside those with the data.
        """
        if self.cluster is not None:
            from .cluster import cluster_slots

            return cluster_slots(self.cluster, work, value, out, log, min(most, self.jobs or most), files)
        from .slots import workers

        assert self.jobs is not None
        return workers(work, value, out, log, min(most, self.jobs), self.devices)


#: Nobody but this process.
ALONE = Team()
