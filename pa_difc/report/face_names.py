"""Finds faces by name, in whichever spelling another program wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from unicodedata import normalize

from ..util.names import as_utf8, escaped


class Names:
    """An index of face names that tolerates other paths, encodings, escapes and case."""

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[str, int] = {}
        self._whole: dict[str, int | None] = {}  # None: ambiguous
        self._ends: dict[str, int | None] = {}
        for i, name in enumerate(names):
            for spelling in {name, as_utf8(name), escaped(name)}:
                self._exact[spelling] = i
                for place, end in enumerate(_ends(spelling)):
                    for index in (self._whole, self._ends)[place > 0 :]:
                        index[end] = i if index.get(end, i) == i else None

    def is_ambiguous(self, written: str) -> bool:
        """Whether several faces have this name, or this end of it."""
        ends = _ends(written)
        known = bool(ends) and (ends[0] in self._whole or ends[0] in self._ends)
        return known and self.find(written) is None

    def find(self, written: str) -> int | None:
        """The index of a face; None if there is none, or the name is ambiguous."""
        if (found := self._exact.get(written)) is not None:
            return found
        ends = _ends(written)
        if (shorter := self._whole.get(ends[0], self._ends.get(ends[0])) if ends else None) is not None:
            return shorter  # the end of a name, or all of it
        longer = (self._whole[end] for end in ends[1:] if end in self._whole)  # a path that ends in a name
        return next(longer, None)


def _ends(name: str) -> list[str]:
    """A path's trailing parts in lower case and one spelling of accents, the longest first: "a/b.jpg", "b.jpg"."""
    parts = PurePosixPath(normalize("NFC", name.replace("\\", "/").casefold())).parts
    return ["/".join(parts[i:]) for i in range(len(parts))]
