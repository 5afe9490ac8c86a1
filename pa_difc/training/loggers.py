"""Scalars of training for other programs: TensorBoard, and whatever another package brings."""

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
    """What receives a run's scalars; made by ``factory(folder, title, settings)``, settings by key.

    A run that is resumed logs its earlier epochs again, so that nothing is missing or stands twice in a logger that
    starts from nothing (TensorBoard does).
    """

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Takes the means of an epoch, counted from 1, or the final scores, given with the last epoch."""

    def close(self) -> None:
        """The run is over."""


def _needed(extra: str, module: str = "") -> Any:
    """The module of an extra, by default of its name.

    Raises:
        UserError: its package is not installed.
    """
    try:
        return import_module(module or extra)
    except ImportError:
        raise UserError(f"--log {extra} needs the package: pip install 'pa-difc[{extra}]'") from None


class TensorBoardLogger:
    """Event files in a folder ``tensorboard`` of the run's.

    Raises:
        UserError: the package ``tensorboard`` is not installed, or takes no such folder.
    """

    def __init__(self, folder: Path, title: str, settings: Mapping[str, Any]) -> None:
        writer = _needed("tensorboard", "torch.utils.tensorboard").SummaryWriter
        if as_utf8(str(folder)) != str(folder):
            raise UserError(f"--log tensorboard writes only below folders whose names are UTF-8, and {folder} is none")
        from ..util.files import refuse_links

        refuse_links(folder / "tensorboard", instead="another --out")
        # What an interrupted run had written from step 1 on is passed over by TensorBoard: all is written again.
        self._writer = writer(folder / "tensorboard", purge_step=1)
        self._writer.add_text("settings", as_utf8("\n\n".join(f"{k} = {v}" for k, v in settings.items())))

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)

    def close(self) -> None:
        self._writer.close()


class MLflowLogger:
    """A run of MLflow's, where MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME say; a resumed run is another one there.

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
    """A run of Weights & Biases', by WANDB_PROJECT, WANDB_MODE and its other variables; a resumed run stays the same.

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


#: ``--log NAME``.
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
    """The logger of a name for a run.

    Raises:
        UserError: there is none of the name, or it can't be made.
    """
    return LOGGERS.lookup(name)(folder, title, settings.flat())


class History:
    """Gives a logger every epoch of a growing history once.

    Args:
        logger: takes the epochs.
        classes: their names.
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
            if isinstance(value, float):  # not the ∞ of a class that was never predicted
                values[f"{key}/{name}"] = value
    return values


def final_scores(record: Mapping[str, Any]) -> dict[str, float]:
    """A finished run's scores by name, of the test splits that have labels."""
    from ..evaluation.metrics import METRICS  # which needs numpy, and this module's names are in every --help

    return {
        f"{side}/{key}": record["scores"][side][key]
        for side in ("source", "target")
        if side in record["scores"]
        for key in METRICS
        if record["scores"][side][key] is not None
    }
