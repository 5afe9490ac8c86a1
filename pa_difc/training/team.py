"""Who trains the cells of a grid: this process, workers on this machine, or a cluster's workers."""

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
    """Workers of one thread each; with none of these attributes set, this process does all the work.

    Attributes:
        jobs: the number of workers; on a cluster the largest number.
        devices: the devices to use in turn; none: those of the settings.
        cluster: the address of a dask scheduler, or its file.
    """

    jobs: int | None = None
    devices: Sequence[str] = ()
    cluster: str | None = None

    @property
    def works(self) -> bool:
        """Whether there are workers."""
        return self.jobs is not None or self.cluster is not None

    def get_ready(self) -> None:
        """Starts what this machine's workers are forked from, so that it is ready when the data is."""
        from .ready import usable_cores, workers_context

        if self.cluster is None and (self.jobs is not None or usable_cores() > 1):
            workers_context()

    def slots(
        self, work: Work, value: Any, out: Path, log: Sequence[str], most: int, files: Collection[Path] = ()
    ) -> AbstractContextManager[Slots]:
        """The workers' slots; see :func:`.workers` and :func:`.cluster_slots`.

        Args:
            work, value, out, log: see there.
            most: largest number of slots.
            files: further files that a cluster's workers must see.
        """
        if self.cluster is not None:
            from .cluster import cluster_slots

            return cluster_slots(self.cluster, work, value, out, log, min(most, self.jobs or most), files)
        from .slots import workers

        assert self.jobs is not None
        return workers(work, value, out, log, min(most, self.jobs), self.devices)


#: This process alone.
ALONE = Team()
