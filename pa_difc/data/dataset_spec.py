"""The description of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .readers.listing import Reader


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset by name: how it is read, and what ``pa-difc datasets`` says about it."""

    about: str
    reader: Reader | None  #: reads the dataset's folder; None for synthetic faces
    obtain: str = ""  #: where to get the dataset, and its terms
    layout: str = ""  #: the files expected in the dataset's folder
    split: str = "official"  #: where the test split comes from
    folder: str | None = None  #: the folder's name below ``--data-root``; None for the dataset's name

    @property
    def code(self) -> object:
        """The object whose code is hashed for runs on a plugin's dataset: its reader."""
        return self.reader or type(self)
