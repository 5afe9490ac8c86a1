"""Finds faces by name, in whichever spelling another program wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from ..util.names import as_utf8, escaped


class Names:
    """An index of face names that tolerates other paths, encodings, escapes and case."""

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[str, int] = {}
        self._ends: dict[str, int | None] = {}  # None: ambiguous
        for i, name in enumerate(names):
            for spelling in {name, as_utf8(name), escaped(name)}:
                self._exact[spelling] = i
                for end in _ends(spelling):
                    self._ends[end] = i if self._ends.get(end, i) == i else None

    def find(self, written: str) -> int | None:
        """The index of a face; None if there is none, or the name is ambiguous."""
        if (found := self._exact.get(written)) is not None:
            return found
        for end in _ends(written):  # a longer path ends in a face's name; a shorter one is the end of a name
            if end in self._ends:
                return self._ends[end]
        return None


def _ends(name: str) -> list[str]:
    """A path's trailing parts in lower case, the longest first: "a/b.jpg", "b.jpg"."""
    parts = PurePosixPath(name.replace("\\", "/").casefold()).parts
    return ["/".join(parts[i:]) for i in range(len(parts))]
