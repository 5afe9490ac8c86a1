"""A run's folder and its JSON record: settings, data and results."""

from __future__ import annotations

import io
import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.domains import Domain
from ..data.protocol import NO_SOURCE
from ..evaluation.metrics import collapsed_unlabelled, macro_recall_20, one_sided
from ..util.distributed import processes
from ..util.errors import UserError
from ..util.files import file_digest, read_json, write_atomic, write_sealed, write_text
from ..util.installed import installed_version
from ..util.process import command_line, git_revision, machine
from ..util.shapes import ANY, COUNT, FLAG, NOTHING, NUMBER, SHARE, TEXT, Shape, either, mismatch, one_of
from ..util.toml import to_toml
from ..util.version import VERSION
from .identity import common, hash_of, identity
from .legacy import upgraded
from .settings import Settings

FORMAT = 2

#: The files beside a record with predictions and with the effective settings.
OUTPUTS, SETTINGS = "outputs.npz", "settings.toml"

#: Packages that numbers may depend on.
_PACKAGES = ("pytorch-adapt", "torch", "torchvision", "numpy", "pillow", "scikit-learn", "timm")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; its name ends in a hash of everything that its numbers depend on.

    Another version of the package, other code or other data gives another folder, so that a record never stands for a
    different run.
    """

    path: Path
    settings: Settings
    identity: dict[str, Any]

    @classmethod
    def of(
        cls, out: Path, settings: Settings, source: Domain, target: Domain, recipe: str | Path | None = None
    ) -> RunFolder:
        """The folder of a run below ``out``; nothing is written to disk yet.

        Args:
            out: the folder of all runs.
            settings: resolved.
            source, target: the data.
            recipe: the file that composes the method, if not the package; an edited one makes another run.
        """
        found = identity(settings, source, target, recipe)
        cell = settings.method.name, settings.loss.name, settings.run.seed
        return cls(_folder(out, *cell, hash_of(found)), settings, found)

    @property
    def key(self) -> str:
        """The hash in the folder's name."""
        return self.path.name.rpartition("-")[2]

    def record(self) -> dict[str, Any] | None:
        """The run's record, or None if there is none yet.

        Raises:
            UserError: the file is damaged.
        """
        path = self.path / "record.json"
        if not path.exists():
            return None
        record = read_record(path)
        if record["key"] != self.key:
            raise UserError(f"record {path} belongs to another run ({record['key']}); remove it")
        return record

    def write_settings(self) -> None:
        """Writes all effective settings in the form that ``--config`` takes.

        Raises:
            UserError: the file can't be written.
        """
        write_text(self.path / SETTINGS, settings_file(self.settings))

    def write(
        self,
        source: Domain,
        target: Domain,
        *,
        history: list[dict[str, Any]],
        scores: dict[str, Any],
        adapter_summary: dict[str, Any],
        outputs: str,
    ) -> dict[str, Any]:
        """Writes the record, with the hash of its outputs' file, and returns it.

        Raises:
            UserError: the file can't be written.
        """
        record = {
            "format": FORMAT,
            "key": self.key,
            "labels": source.label_set.to_dict(),
            "settings": self.settings.to_dict(),
            "identity": self.identity,
            "common": common(self.identity, self.settings, source.features_of),
            "versions": versions(),
            "machine": machine() | {"threads": torch.get_num_threads(), "processes": processes()},
            "command": command_line(),
            "git": git_revision(),
            "data": {"source": source.summary(), "target": target.summary()},
            "target_labels": "none",
            "selection": "last epoch",
            "scores": scores,
            "model": adapter_summary,
            "outputs": outputs,
            "history": history,
            "seconds": {"training": round(sum(epoch["seconds"] for epoch in history), 3)},
            "finished": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        }
        write_sealed(self.path / "record.json", record)
        return record

    def write_outputs(self, arrays: dict[str, np.ndarray[Any, Any]]) -> str:
        """Writes the data for figures next to the record: predictions, labels and some features of the test splits.

        Returns:
            A hash of the file, by which the record knows it.

        Raises:
            UserError: the file can't be written.
        """
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        write_atomic(self.path / OUTPUTS, lambda file: file.write(buffer.getbuffer()))
        return file_digest(self.path / OUTPUTS)


def settings_file(settings: Settings) -> str:
    """The text of a settings file: all settings, and which of them followed from others."""
    follows = ", ".join(f'"{key}"' for key in sorted(settings.follows))
    note = "# These values follow from others, also when this file is given with --config."
    return f"{note}\nfollows = [{follows}]\n\n{to_toml(settings.flat())}"


def run_path(out: Path, record: dict[str, Any]) -> Path:
    """The folder of a finished run below ``out``."""
    settings = record["settings"]
    cell = settings["method"]["name"], settings["loss"]["name"], settings["run"]["seed"]
    return _folder(out, *cell, record["key"])


def read_record(path: Path) -> dict[str, Any]:
    """Reads and checks a run's record; converts those of earlier versions.

    Raises:
        UserError: the file can't be read, is damaged, or is not a record.
    """
    record = read_json(path)
    if isinstance(record, dict) and "format" not in record:
        record = upgraded(record)
    problem = mismatch(
        record, {"format": one_of(FORMAT), "labels": {"names": [TEXT], "synonyms": {}, "excluded": [TEXT]}}
    )
    problem = problem or mismatch(record, _shape(len(record["labels"]["names"])))
    if not problem and not record["scores"].keys() & {"target", "unlabelled_target"}:
        problem = "scores.target is missing"
    if not problem and "source" not in record["scores"] and record["settings"]["data"]["source"] != NO_SOURCE:
        problem = "scores.source is missing"
    if problem:
        raise UserError(f"record {path} is incomplete ({problem}); remove it to train its run again")
    for scores in record["scores"].values():
        if "confusion" in scores:
            scores["macro_recall_20"] = macro_recall_20(scores["confusion"])  # 0.3 wrote none, others that of one class
            scores["collapsed"] = scores["collapsed"] or one_sided(scores["confusion"])  # before 0.4 it didn't count
    if (said := record["scores"].get("unlabelled_target")) is not None:
        said["collapsed"] = said["collapsed"] or collapsed_unlabelled(said["predicted"])  # before 0.4 some didn't count
    return dict(record)


def versions() -> dict[str, str]:
    """Versions of Python and the packages that numbers may depend on."""
    found = {name: installed_version(name) or "not installed" for name in _PACKAGES}
    return {"python": platform.python_version(), "pa-difc": VERSION, **found}


def _shape(k: int) -> Shape:
    """The parts of a record of K classes that tables, figures and models use."""
    scores = {
        **dict.fromkeys(("accuracy", "macro_recall", "macro_f1"), SHARE),
        "macro_recall_20?": either(SHARE, NOTHING),
        "recall": (either(SHARE, NOTHING), k),
        "confusion": ((COUNT, k), k),
        "collapsed": FLAG,
    }
    counts = {"predicted": (COUNT, k), "collapsed": FLAG}
    data = {"name": TEXT, "train_counts": (COUNT, k), "test_counts": (COUNT, k), "transductive": FLAG}
    state = {
        "phase?": TEXT,
        "reweighted?": FLAG,
        "margins?": (NUMBER, k),
        "confusion?": (either(NUMBER, NOTHING, one_of("inf", "-inf")), k),
    }
    entry = {"name": TEXT, "options": {}}
    return {
        "key": TEXT,
        "identity": {},
        "common": {},
        "settings": {
            "data": {"source": TEXT, "target": TEXT, "crop_px": COUNT},
            "model": {"backbone": TEXT},
            "loss": entry,
            "method": entry,
            "run": {"seed": COUNT, "epochs": COUNT},
        },
        "data": {"source": data, "target": data},
        "scores": {"source?": scores, "target?": scores, "target_unadjusted?": scores, "unlabelled_target?": counts},
        "history": [{"epoch": COUNT, "seconds": NUMBER, "lr": NUMBER, "losses": {}, "state?": state}],
        "seconds": {"training": NUMBER},
        "finished": TEXT,
        "model?": {"adjustment?": ANY},
        "outputs?": TEXT,
    }


def _folder(out: Path, method: str, loss: str, seed: int, key: str) -> Path:
    return out / "runs" / f"{method}-{loss}-seed{seed}-{key}"
