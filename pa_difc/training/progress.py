"""Progress of a run in a file, for the parent of the process that trains it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..util.bars import tqdm

#: Fewer steps than this say little about a run's pace: the first one allocates buffers and chooses kernels.
FEWEST_STEPS = 5


@dataclass(frozen=True)
class Progress:
    """Progress of a run: title with epoch, steps done, steps in total, steps per second, and steps done before.

    The latter are those before the run was resumed.
    """

    title: str
    done: int
    total: int
    rate: float | None
    before: int = 0

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds left; None if too few steps were timed to tell."""
        if not self.rate or self.done - self.before < FEWEST_STEPS:
            return None
        return (self.total - self.done) / self.rate


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
        found = [self.desc.removesuffix(": "), about["n"], about["total"], about["rate"], self.initial]
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(found))
        temporary.replace(self.path)


def read_progress(path: Path) -> Progress | None:
    """Reads a progress file; None if nothing has been written yet."""
    try:
        return Progress(*json.loads(path.read_text()))
    except (OSError, ValueError):
        return None
