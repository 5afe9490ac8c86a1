"""One run, one folder, one JSON record: what was run, on what, and what came out."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import platform
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..data import NUM_CLASSES, Domain
from ..losses import LOSSES
from ..methods import METHODS
from ..util.distributed import processes
from ..util.errors import UserError
from ..util.files import file_digest, read_json, write_atomic, write_sealed
from ..util.installed import installed_version
from ..util.shapes import ANY, COUNT, FLAG, NOTHING, NUMBER, SHARE, TEXT, either, misfit, one_of
from .settings import Config

_PACKAGE = Path(__file__).parent.parent
#: The file beside a record that holds predictions.
OUTPUTS = "outputs.npz"

_K = NUM_CLASSES
_SCORES = {
    **dict.fromkeys(("accuracy", "macro_recall", "macro_f1"), SHARE),
    "recall": (either(SHARE, NOTHING), _K),
    "confusion": ((COUNT, _K), _K),
    "collapsed": FLAG,
}
_TALLY = {"predicted": (COUNT, _K), "collapsed": FLAG}
_DATA = {"name": TEXT, "train_counts": (COUNT, _K), "test_counts": (COUNT, _K), "transductive": FLAG}
_DIFC = {
    "phase": TEXT,
    "reweighted": FLAG,
    "margins": (NUMBER, _K),
    "confusion": (either(NUMBER, NOTHING, one_of("inf", "-inf")), _K),
}
#: What tables, figures and models take from a record.
SHAPE = {
    "key": TEXT,
    "identity": {},
    "config": {**dict.fromkeys(("method", "loss", "source", "target"), TEXT), "seed": COUNT},
    "data": {"source": _DATA, "target": _DATA},
    "scores": {"source": _SCORES, "target?": _SCORES, "unlabelled_target?": _TALLY},
    "history": [{"epoch": COUNT, "seconds": NUMBER, "lr": NUMBER, "losses": {}, "difc?": _DIFC}],
    "seconds": {"training": NUMBER},
    "finished": TEXT,
    "model?": {"adjustment?": ANY},
}


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; its name ends in a hash of everything that its numbers depend on.

    Another version of the package, another code or other data is another folder: a record is never taken for what it
    is not.
    """

    path: Path
    identity: dict[str, Any]

    @classmethod
    def of(
        cls, out: Path, config: Config, source: Domain, target: Domain, recipe: str | Path | None = None
    ) -> RunFolder:
        """The folder of a run below ``out``; nothing is made on the disk yet.

        Args:
            out: the folder of all runs.
            config: a resolved config.
            source, target: the data.
            recipe: the file that composes the method, where it is not the package that does; an edited one is
                another run.
        """
        identity = {
            "config": config.identity(),
            "package": {"version": _version("pa-difc"), "code": code_digest()},
            "data": [
                source.train.fingerprint,
                source.test.fingerprint,
                target.train.fingerprint,
                target.test.fingerprint,
            ],
        }
        if (number := processes()) > 1:  # sums in another order, noise and CPU BatchNorm by process: other numbers
            identity["processes"] = number
        if foreign := _foreign_code(config):
            identity["plugins"] = foreign
        if recipe is not None:
            identity["recipe"] = hashlib.blake2b(Path(recipe).read_bytes(), digest_size=6).hexdigest()
        return cls(_folder(out, config.to_dict(), _hash(identity)), identity)

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

    def write(
        self,
        config: Config,
        source: Domain,
        target: Domain,
        *,
        history: list[dict[str, Any]],
        scores: dict[str, Any],
        adapter_summary: dict[str, Any],
    ) -> dict[str, Any]:
        """Writes the record and returns it.

        Raises:
            UserError: the file can't be written.
        """
        record = {
            "key": self.key,
            "identity": self.identity,
            "config": config.to_dict(),
            "versions": versions(),
            "git": git_revision(),
            "data": {"source": source.summary(), "target": target.summary()},
            "target_labels": "none",
            "selection": "last epoch",
            "scores": scores,
            "model": adapter_summary,
            "history": history,
            "seconds": {"training": round(sum(epoch["seconds"] for epoch in history), 3)},
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        write_sealed(self.path / "record.json", record)
        return record

    def write_outputs(self, arrays: dict[str, np.ndarray]) -> None:
        """Writes what figures need beside the record: predictions, labels and some features of the test splits.

        Raises:
            UserError: the file can't be written.
        """
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_atomic(self.path / OUTPUTS, lambda file: file.write(buffer.getbuffer()))


def run_path(out: Path, record: dict[str, Any]) -> Path:
    """The folder of a finished run below ``out``."""
    return _folder(out, record["config"], record["key"])


def read_record(path: Path) -> dict[str, Any]:
    """A run's record, looked at before any of its numbers is used.

    Raises:
        UserError: it can't be read, is damaged, or is no record.
    """
    record = read_json(path)
    problem = misfit(record, SHAPE)
    if not problem and not record["scores"].keys() & {"target", "unlabelled_target"}:
        problem = "scores.target is missing"
    if problem:
        raise UserError(f"record {path} is not whole ({problem}); remove it to have it made anew")
    return record


def versions() -> dict[str, str]:
    """The versions that numbers may depend on."""
    names = ("pa-difc", "pytorch-adapt", "torch", "torchvision", "numpy", "pillow", "scikit-learn")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


@cache
def code_digest() -> str:
    """A hash of the package's source files."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _foreign_code(config: Config) -> dict[str, str]:
    """Hashes of the files of a method and a loss that other packages bring."""
    entries = {"method": METHODS[config.method], "loss": LOSSES[config.loss].build}
    files = {kind: inspect.getsourcefile(_definition(entry)) for kind, entry in entries.items()}
    return {kind: file_digest(Path(f)) for kind, f in files.items() if f and _PACKAGE not in Path(f).parents}


def _folder(out: Path, config: dict[str, Any], key: str) -> Path:
    return out / "runs" / f"{config['method']}-{config['loss']}-seed{config['seed']}-{key}"


def _definition(entry: Any) -> Any:
    """The function or class behind a partial or a callable object."""
    entry = entry.func if isinstance(entry, partial) else entry
    return entry if inspect.isclass(entry) or inspect.isfunction(entry) else type(entry)


@cache
def git_revision() -> str | None:
    """The commit of the checkout that the package runs from, "+changes" if files differ; None outside of one."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str) -> str:
    command = ["git", "-C", str(_PACKAGE.parent), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def _hash(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=5).hexdigest()


def _version(name: str) -> str:
    return installed_version(name) or "not installed"
