"""What ``pa-difc adapt`` keeps in ``--out`` for the next call: its plan, or the measurements if there was none."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..util.errors import UserError
from ..util.files import read_json, write_sealed
from ..util.shapes import COUNT, NUMBER, TEXT, mismatch
from .budget import Plan
from .measuring import Pace

_PLAN: dict[str, Any] = {
    "key": TEXT,
    "epochs": COUNT,
    "steps": COUNT,
    "faces": COUNT,
    "scored": COUNT,
    "precision": TEXT,
    "input_scale": NUMBER,
    "seconds": [NUMBER],
    "crop?": TEXT,
    "left_out?": TEXT,
}
_PACE: dict[str, Any] = {
    "key": TEXT,
    "precision": TEXT,
    "input_scale": NUMBER,
    "step": {},
    "face": NUMBER,
    "start": NUMBER,
    "epoch": NUMBER,
    "end": NUMBER,
    "crop?": TEXT,
}


def read_plan(path: Path, key: str) -> Plan | None:
    """The plan that an earlier run left, if it has the same key.

    Raises:
        UserError: the file is incomplete.
    """
    found = _read(path, _PLAN, key)
    return None if found is None else Plan(**{name: found[name] for f in fields(Plan) if (name := f.name) in found})


def write_plan(path: Path, plan: Plan) -> None:
    """Writes a plan to a file.

    Raises:
        UserError: the file can't be written.
    """
    write_sealed(path, asdict(plan))


def read_pace(path: Path, key: str) -> Pace | None:
    """The measurements that a call with too short a budget left, if they have the same key.

    Raises:
        UserError: the file is incomplete.
    """
    found = _read(path, _PACE, key)
    return None if found is None else Pace(**{name: value for name, value in found.items() if name != "key"})


def write_pace(path: Path, pace: Pace, key: str) -> None:
    """Keeps measurements for the next call.

    Args:
        path: the file.
        pace: the measurements.
        key: identifies the cells, their data and the machine.

    Raises:
        UserError: the file can't be written.
    """
    write_sealed(path, {"key": key, **asdict(pace)})


def _read(path: Path, shape: dict[str, Any], key: str) -> dict[str, Any] | None:
    """The content of a file with this key; None if there is no file, or it has another one."""
    if not path.exists():
        return None
    found: dict[str, Any] = read_json(path)
    if problem := mismatch(found, shape):
        raise UserError(f"{path} is incomplete ({problem}); remove it to have it written again")
    return found if found["key"] == key else None
