"""The outcome of a grid's cell: a record, a failure, its time is over, or another process is training it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.domains import Domain
from ..util.errors import LateError, UserError
from ..util.files import remove, write_text
from ..util.lock import Held
from ..util.registry import in_plugin
from .identity import hash_of
from .run import run_cell
from .settings import Settings


@dataclass(frozen=True)
class Failure:
    """Why a cell has no record, in one line; plain values, because exceptions may not be picklable."""

    reason: str
    mendable: bool  #: whether the user can fix it
    file: Path | None = None  #: the file with the traceback; None if it could not be written

    @classmethod
    def of(cls, error: BaseException, file: Path) -> Failure:
        """Makes a failure from a cell's exception, and writes its traceback."""
        story = "".join(traceback.format_exception(error))
        return cls.told(_one_line(error) + in_plugin(error), story, file, mendable=isinstance(error, UserError))

    @classmethod
    def told(cls, reason: str, story: str, file: Path, *, mendable: bool = False) -> Failure:
        """Makes a failure from a reason, and writes the whole story to the file."""
        try:
            write_text(file, story)
        except UserError:  # a full disk may be why it failed
            return cls(reason, mendable)
        return cls(reason, mendable, file)


@dataclass(frozen=True)
class Outcome:
    """The outcome of an attempt to train a cell; one of the four is set."""

    record: dict[str, Any] | None = None
    failure: Failure | None = None
    held: str | None = None  #: the message about another process that is training it
    late: str | None = None  #: how far training has come in the time that it was given


def try_cell(settings: Settings, source: Domain, target: Domain, out: Path, **how: Any) -> Outcome:
    """Trains a cell, and catches its errors so that other cells can go on.

    Args:
        settings, source, target, out: see :func:`.run_cell`.
        **how: its further arguments.

    Raises:
        KeyboardInterrupt: Ctrl-C, which is not the cell's failure.
    """
    file = failure_file(out, settings)
    try:
        record = run_cell(settings, source, target, out, wait=False, **how)
    except Held as held:
        return Outcome(held=str(held))
    except LateError as late:
        return Outcome(late=str(late))
    except (Exception, SystemExit) as error:  # a plugin may even exit
        return Outcome(failure=Failure.of(error, file))
    remove(file)
    return Outcome(record)


def failure_file(out: Path, settings: Settings) -> Path:
    """The file for the traceback of a failed cell; its name does not depend on the data."""
    key = hash_of(settings.but(device="cpu").to_dict())
    return out / "failed" / f"{settings.method.name}-{settings.loss.name}-seed{settings.run.seed}-{key}.txt"


def _one_line(error: BaseException) -> str:
    """An error in one line; pytorch-adapt puts hooks' names on lines above the message, which are dropped."""
    if isinstance(error, UserError):
        return str(error)
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    return ": ".join([type(error).__name__, *lines[-1:]])
