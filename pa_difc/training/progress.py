"""Progress of a run in a file, for the parent of the process that trains it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..util.bars import tqdm


@dataclass(frozen=True)
class Progress:
    """Progress of a run: title with epoch, steps done, steps in total, and steps per second."""

    title: str
    done: int
    total: int
    rate: float | None

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds left; None if not known yet."""
        return (self.total - self.done) / self.rate if self.rate else None


class ProgressFile(tqdm):
    """A progress bar that writes to a file.

    Args:
        path: the file.
        **kwargs: arguments of tqdm.
    """

    def __init__(self, path: Path, **kwargs: Any) -> None:
        self.path = path
        super().__init__(**{**kwargs, "file": io.StringIO(), "mininterval": 0.5, "disable": False})

    def display(self, *args: Any, **kwargs: Any) -> None:
        """Writes the file instead of a terminal's line."""
        about = self.format_dict
        found = [self.desc.removesuffix(": "), about["n"], about["total"], about["rate"]]
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(found))
        temporary.replace(self.path)


def read_progress(path: Path) -> Progress | None:
    """Reads a progress file; None if nothing has been written yet."""
    try:
        return Progress(*json.loads(path.read_text()))
    except (OSError, ValueError):
        return None
