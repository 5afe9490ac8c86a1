"""Loggers of training scalars: TensorBoard, MLflow, Weights & Biases, and those of plugins."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from ..util.errors import UserError
from ..util.names import as_utf8
from ..util.registry import Registry
from .settings import Settings


class Logger(Protocol):
    """Receives a run's scalars; made by ``factory(folder, title, settings)``, with settings by key.

    A resumed run logs its earlier epochs again, so that a logger that starts afresh, as TensorBoard's does, has every
    epoch once.
    """

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Logs the means of an epoch, counted from 1, or the final scores with the last epoch."""

    def close(self) -> None:
        """Ends the log; the run is over."""


def _needed(extra: str, module: str = "") -> Any:
    """Imports the module of an extra, by default the one of the same name.

    Raises:
        UserError: the package is not installed.
    """
    try:
        return import_module(module or extra)
    except ImportError:
        raise UserError(f"--log {extra} needs the package: pip install 'pa-difc[{extra}]'") from None


class TensorBoardLogger:
    """Writes event files to the folder ``tensorboard`` in the run's folder.

    Raises:
        UserError: the package ``tensorboard`` is not installed, or can't write to the folder.
    """

    def __init__(self, folder: Path, title: str, settings: Mapping[str, Any]) -> None:
        writer = _needed("tensorboard", "torch.utils.tensorboard").SummaryWriter
        if as_utf8(str(folder)) != str(folder):
            raise UserError(f"--log tensorboard can write only to folders whose names are UTF-8, unlike {folder}")
        from ..util.files import refuse_links

        refuse_links(folder / "tensorboard", instead="another --out")
        # TensorBoard ignores what an interrupted run has written from step 1 on: all epochs are logged again.
        self._writer = writer(folder / "tensorboard", purge_step=1)
        self._writer.add_text("settings", as_utf8("\n\n".join(f"{k} = {v}" for k, v in settings.items())))

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)

    def close(self) -> None:
        self._writer.close()


class MLflowLogger:
    """Logs to MLflow, by MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME; a resumed run becomes a new MLflow run.

    Raises:
        UserError: the package ``mlflow`` is not installed.
    """

    def __init__(self, folder: Path, title: str, settings: Mapping[str, Any]) -> None:
        mlflow = _needed("mlflow")
        self._run = mlflow.start_run(run_name=as_utf8(title), tags={"folder": as_utf8(str(folder))})
        self._mlflow = mlflow
        mlflow.log_params({key: as_utf8(str(value)) for key, value in settings.items()})

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(values), step=epoch)

    def close(self) -> None:
        self._mlflow.end_run()


class WandbLogger:
    """Logs to Weights & Biases, by WANDB_PROJECT, WANDB_MODE and its other variables; a resumed run keeps its id.

    Raises:
        UserError: the package ``wandb`` is not installed.
    """

    def __init__(self, folder: Path, title: str, settings: Mapping[str, Any]) -> None:
        wandb = _needed("wandb")
        known = zlib.crc32(str(folder.resolve()).encode("utf-8", "surrogateescape"))
        self._run = wandb.init(
            id=f"{known:08x}", resume="allow", name=as_utf8(title), config=dict(settings), dir=str(folder)
        )

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, "epoch": epoch})

    def close(self) -> None:
        self._run.finish()


#: Loggers for ``--log NAME``.
LOGGERS: Registry[Callable[[Path, str, Mapping[str, Any]], Logger]] = Registry(
    "logger",
    {
        "tensorboard": "pa_difc.training.loggers:TensorBoardLogger",
        "mlflow": "pa_difc.training.loggers:MLflowLogger",
        "wandb": "pa_difc.training.loggers:WandbLogger",
    },
    "pa_difc.loggers",
)


def make_logger(name: str, folder: Path, title: str, settings: Settings) -> Logger:
    """Makes a logger for a run.

    Raises:
        UserError: the name is unknown, or the logger can't be made.
    """
    return LOGGERS.lookup(name)(folder, title, settings.flat())


class History:
    """Passes every epoch of a growing history to a logger once.

    Args:
        logger: the logger.
        classes: the names of the classes.
    """

    def __init__(self, logger: Logger, classes: Sequence[str]) -> None:
        self._logger, self._classes = logger, classes
        self._logged = 0

    def __call__(self, history: list[dict[str, Any]]) -> None:
        for entry in history[self._logged :]:
            self._logger.log(entry["epoch"], scalars(entry, self._classes))
        self._logged = len(history)


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
