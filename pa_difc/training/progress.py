"""How far a run is, in a file: for whoever trains it in another process."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..util.bars import tqdm


@dataclass(frozen=True)
class Progress:
    """Of a run: its title and epoch, steps done and in all, and steps in a second."""

    title: str
    done: int
    total: int
    rate: float | None

    @property
    def seconds_left(self) -> float | None:
        """None where that is not known yet."""
        return (self.total - self.done) / self.rate if self.rate else None


class ProgressFile(tqdm):
    """A bar that is a file.

    Args:
        path: of the file.
        **kwargs: of tqdm.
    """

    def __init__(self, path: Path, **kwargs: Any) -> None:
        self.path = path
        super().__init__(**{**kwargs, "file": io.StringIO(), "mininterval": 0.5, "disable": False})

    def display(self, *args: Any, **kwargs: Any) -> None:
        """Writes the file instead of a line."""
        about = self.format_dict
        found = [self.desc.removesuffix(": "), about["n"], about["total"], about["rate"]]
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(found))
        temporary.replace(self.path)


def read_progress(path: Path) -> Progress | None:
    """What a file says; None before it says anything."""
    try:
        return Progress(*json.loads(path.read_text()))
    except (OSError, ValueError):
        return None
