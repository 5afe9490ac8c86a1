"""What is known of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .readers.listing import Reader


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset as the commands know it."""

    about: str
    reader: Reader | None  #: takes the dataset's folder; None for faces that are drawn, not read
    obtain: str = ""  #: where the set comes from and under which terms
    layout: str = ""  #: what is looked for in the dataset's folder
    split: str = "official"  #: where the test split comes from
    folder: str | None = None  #: the folder's name below ``--data-root``; None: the dataset's own

    @property
    def code(self) -> object:
        """What reads the dataset, for the hash of a registered reader's code."""
        return self.reader or type(self)
