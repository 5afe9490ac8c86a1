"""What a run tells its loggers, and the registry of loggers; the built-in ones are in :mod:`.trackers`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ..util.errors import UserError, in_words
from ..util.registry import Registry
from ..util.terminal import wrapped
from .settings import Settings
from .trackers import cell_of


class Logger(Protocol):
    """Receives a run's scalars; made by ``factory(folder, title, settings)``, with settings by key.

    A resumed run logs its earlier epochs again, so that a logger that starts afresh, as TensorBoard's does, has every
    epoch once. A factory may have a function ``require()``, called before the first run, that raises UserError if the
    logger can't be used.

    An error of :meth:`log` or :meth:`close` is one line, and training continues without the logger. A UserError ends
    the run.
    """

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Logs the means of an epoch, counted from 1, or the final scores with the last epoch."""

    def close(self) -> None:
        """Ends the log; the run is over, or has failed with the error that is being handled."""


#: Loggers for ``--log NAME``.
LOGGERS: Registry[Callable[[Path, str, Mapping[str, Any]], Logger]] = Registry(
    "logger",
    {
        "tensorboard": "pa_difc.training.trackers:TensorBoardLogger",
        "mlflow": "pa_difc.training.trackers:MLflowLogger",
        "wandb": "pa_difc.training.trackers:WandbLogger",
    },
    "pa_difc.loggers",
)


def require_loggers(names: Sequence[str]) -> None:
    """Refuses loggers that can't be used, before anything is trained.

    Raises:
        UserError: a name is unknown, or a logger's package is not installed, or its check fails.
    """
    for name in names:
        if require := getattr(LOGGERS.lookup(name), "require", None):
            try:
                require()
            except UserError:
                raise
            except Exception as error:
                raise UserError(f"--log {name} can't be used ({in_words(error)})") from error


def make_logger(name: str, folder: Path, settings: Settings) -> Logger:
    """Makes a logger for a run, titled "source → target · method · loss · seed 0".

    Raises:
        UserError: the name is unknown, or the logger can't be made.
    """
    values = settings.flat()
    return LOGGERS.lookup(name)(folder, _title(values), values)


def _title(values: Mapping[str, Any]) -> str:
    cell = cell_of(values)
    return " · ".join([cell["pair"], cell["method"], cell["loss"], f"seed {cell['seed']}"])


def not_logged(names: Sequence[str], kept: int) -> str:
    """The line on runs that were trained before: a second log of them might repeat the first."""
    runs = "one run was" if kept == 1 else f"{kept} runs were"
    return f"{' '.join(f'--log {name}' for name in names)}: {runs} trained before, and only training is logged"


class _Told:
    """A logger that costs no run when it fails, or can't be made, as when its server is gone."""

    def __init__(self, name: str, title: str, make: Callable[[], Logger]) -> None:
        self._name, self._title, self._works = name, title, True
        self._logger: Logger | None = None
        with self._said():
            self._logger = make()

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        if self._works and self._logger is not None:
            with self._said():
                self._logger.log(epoch, values)

    def close(self) -> None:
        if self._logger is not None:
            with self._said():
                self._logger.close()

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turns an error into a line, the first one only; those that are meant to end the run pass."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            if self._works:
                line = f"{self._title}: --log {self._name} failed and gets no more of this run ({in_words(error)})"
                print(wrapped(line, indent=2), flush=True)
            self._works = False


class History:
    """Passes every epoch of a growing history to loggers once.

    Args:
        loggers: the loggers; none log nothing.
        classes: the names of the classes.
    """

    def __init__(self, loggers: Sequence[Logger], classes: Sequence[str]) -> None:
        self._loggers, self._classes = loggers, classes
        self._logged = 0

    def __call__(self, history: list[dict[str, Any]]) -> None:
        for entry in history[self._logged :]:
            for logger in self._loggers:
                logger.log(entry["epoch"], scalars(entry, self._classes))
        self._logged = len(history)

    def end(self, epoch: int, scores: Callable[[], Mapping[str, float]]) -> None:
        """Logs the final scores with the last epoch."""
        for logger in self._loggers:
            logger.log(epoch, scores())


@contextmanager
def logged(names: Sequence[str], folder: Path, settings: Settings, classes: Sequence[str]) -> Iterator[History]:
    """Logs what happens within the block; the logs are closed also when the run fails.

    Args:
        names: of the loggers.
        folder, settings: of the run.
        classes: the names of the classes.

    Raises:
        UserError: see :func:`make_logger`.
    """
    with ExitStack() as logs:
        loggers: list[Logger] = []
        for name in names:
            loggers.append(_Told(name, _title(settings.flat()), partial(make_logger, name, folder, settings)))
            logs.callback(loggers[-1].close)
        yield History(loggers, classes)


def scalars(entry: Mapping[str, Any], classes: Sequence[str]) -> dict[str, float]:
    """The numbers of an epoch by name: losses, learning rate, seconds, and a loss's margins and confusion per class."""
    values = {**entry["losses"], "lr": entry["lr"], "seconds": entry["seconds"]}
    for key in ("margins", "confusion"):
        for name, value in zip(classes, entry.get("state", {}).get(key, ()), strict=False):
            if isinstance(value, float):  # the ∞ of a class that is never predicted is a string
                values[f"{key}/{name}"] = value
    return values


def final_scores(record: Mapping[str, Any]) -> dict[str, float]:
    """A finished run's scores by name, of the test splits that have labels."""
    from ..evaluation.metrics import METRICS  # needs NumPy, which --help should not load

    return {
        f"{side}/{key}": record["scores"][side][key]
        for side in ("source", "target")
        if side in record["scores"]
        for key in METRICS
        if record["scores"][side][key] is not None
    }
