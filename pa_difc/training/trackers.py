"""The built-in loggers: TensorBoard, MLflow, and Weights & Biases."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..util.errors import UserError
from ..util.names import as_utf8
from ..util.version import VERSION


class _OfPackage:
    """A logger that needs the package of an extra."""

    extra: str

    @classmethod
    def require(cls) -> None:
        """Refuses a missing package.

        Raises:
            UserError: it is not installed.
        """
        if find_spec(cls.extra) is None:
            raise UserError(f"--log {cls.extra} needs the package: pip install 'pa-difc[{cls.extra}]'")


class TensorBoardLogger(_OfPackage):
    """Writes event files to the folder ``tensorboard`` in the run's folder.

    Raises:
        UserError: the package ``tensorboard`` is not installed, or can't write to the folder.
    """

    extra = "tensorboard"

    def __init__(self, folder: Path, title: str, settings: Mapping[str, Any]) -> None:
        self.require()
        writer = import_module("torch.utils.tensorboard").SummaryWriter
        if as_utf8(str(folder)) != str(folder):
            raise UserError(f"--log tensorboard can write only to folders whose names are UTF-8, unlike {folder}")
        from ..util.files import refuse_links

        refuse_links(folder / "tensorboard", instead="another --out")
        # TensorBoard ignores what an interrupted run has written from step 1 on: all epochs are logged again.
        self._writer = writer(folder / "tensorboard", purge_step=1)
        lines = [title, f"pa-difc {VERSION}", *(f"{key} = {value}" for key, value in settings.items())]
        self._writer.add_text("settings", as_utf8("\n\n".join(lines)))

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)

    def close(self) -> None:
        self._writer.close()


class MLflowLogger(_OfPackage):
    """Logs to MLflow, by MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME; a resumed run becomes a new MLflow run.

    Raises:
        UserError: the package ``mlflow`` is not installed.
    """

    extra = "mlflow"

    @classmethod
    def require(cls) -> None:
        """Refuses a missing package or store; a new store is made here, as two workers at once would fail.

        Raises:
            UserError: the package is not installed, or the store can't be used.
        """
        super().require()
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # a new store announces itself in two lines
        mlflow, name = import_module("mlflow"), os.environ.get("MLFLOW_EXPERIMENT_NAME")
        try:
            mlflow.set_experiment(name) if name else mlflow.search_experiments(max_results=1)
        except Exception as error:  # by the kind of store, anything
            raise UserError(f"--log mlflow: {mlflow.get_tracking_uri()} can't be used: {_first_line(error)}") from None

    def __init__(self, folder: Path, title: str, settings: Mapping[str, Any]) -> None:
        super().require()
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # it would break the progress lines
        self._mlflow = mlflow = import_module("mlflow")
        tags = {"folder": str(folder), "pa_difc": VERSION, **cell_of(settings)}
        mlflow.start_run(run_name=as_utf8(title), tags={key: as_utf8(value) for key, value in tags.items()})
        mlflow.log_params({key: as_utf8(str(value)) for key, value in settings.items()})

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(values), step=epoch)

    def close(self) -> None:
        self._mlflow.end_run("FAILED" if sys.exc_info()[0] else "FINISHED")


class WandbLogger(_OfPackage):
    """Logs to Weights & Biases, by WANDB_PROJECT, WANDB_MODE and its other variables; a resumed run keeps its id.

    Raises:
        UserError: the package ``wandb`` is not installed.
    """

    extra = "wandb"

    @classmethod
    def require(cls) -> None:
        """Refuses a missing package or login, which is asked for on a terminal; WANDB_MODE=offline needs none.

        Raises:
            UserError: the package is not installed, or the login fails.
        """
        super().require()
        if os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
            return
        try:
            import_module("wandb").login()
        except Exception as error:  # also from the network
            raise UserError(f"--log wandb: {_first_line(error)}") from None

    def __init__(self, folder: Path, title: str, settings: Mapping[str, Any]) -> None:
        super().require()
        known = zlib.crc32(str(folder.resolve()).encode("utf-8", "surrogateescape"))
        cell = {key: as_utf8(value) for key, value in cell_of(settings).items()}
        by_variable = {
            "WANDB_NAME": ("name", as_utf8(title)),
            "WANDB_DIR": ("dir", str(folder)),
            "WANDB_RUN_GROUP": ("group", _cut(cell["pair"])),
            "WANDB_JOB_TYPE": ("job_type", _cut(cell["method"])),
            "WANDB_TAGS": ("tags", [_cut(cell[key], 64) for key in ("method", "loss")] + [f"seed {cell['seed']}"]),
            "WANDB_SILENT": ("settings", {"silent": True}),  # its summary would break the progress lines
        }
        given: dict[str, Any] = {key: value for name, (key, value) in by_variable.items() if name not in os.environ}
        config = {**settings, "pa_difc": VERSION}
        self._run = import_module("wandb").init(id=f"{known:08x}", resume="allow", config=config, **given)

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, "epoch": epoch})

    def close(self) -> None:
        self._run.finish(exit_code=1 if sys.exc_info()[0] else 0)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def cell_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """What distinguishes a run from the others of a grid, for tags."""
    source, target = settings["data.source"], settings["data.target"]
    cell = {"pair": f"{source} → {target}", "source": source, "target": target}
    return cell | {"method": settings["method.name"], "loss": settings["loss.name"], "seed": str(settings["run.seed"])}


def _cut(text: str, most: int = 128) -> str:
    """A text of at most as many letters as Weights & Biases accepts; a path's end says more than its start."""
    return text if len(text) <= most else f"…{text[1 - most :]}"
