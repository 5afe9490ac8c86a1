"""Worker processes of this machine: single-threaded, and ready to work when the data is."""

from __future__ import annotations

from multiprocessing import current_process
from typing import Any

from ..util.errors import UserError
from ..util.forks import get_ready

#: Threads of a cell that is trained beside others. One, so that results don't depend on the number of jobs, and
#: processes don't compete for cores.
THREADS = 1

#: Environment variables of a worker; libraries read them on import. loky would replace a worker that has grown by
#: 300 MB since its first task, as a worker does whose second cell is of a larger method.
ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(THREADS)),
    "LOKY_MAX_MEMORY_LEAK_SIZE": "1e15",
}

#: What every worker imports.
_MODULES = tuple(f"{__package__}.{module}" for module in ("worker", "spread", "pace"))


def workers_context(*more: str) -> Any:
    """The context that makes workers, see :func:`.get_ready`; to call it early saves the time of their imports.

    Args:
        more: further modules to import.
    """
    return get_ready((*_MODULES, *more), ENVIRONMENT)


def usable_cores() -> int:
    """How many cores this process may use; containers, batch systems and ``LOKY_MAX_CPU_COUNT`` may allow few.

    A daemonic process can't have workers, and so has one.
    """
    from loky import cpu_count

    return 1 if current_process().daemon else max(1, int(cpu_count()))


def worker_process() -> Any:
    """A loky executor with one process and a worker's environment; it reports if the process dies.

    Raises:
        UserError: this process must not have children.
    """
    from loky import ProcessPoolExecutor

    if current_process().daemon:
        raise UserError("this is a daemonic process, which can't have workers: leave out --jobs")
    return ProcessPoolExecutor(1, context=workers_context(), env=ENVIRONMENT)
