"""Lists every file below a folder once, even if links lead to it."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..util.patience import patiently
from .foreign import is_store_folder, is_system

#: Reasons for leaving out files without opening them.
SYSTEM, STORE_FILES = "system or hidden files", "files of face stores"
LISTED_FILE, LISTED_FOLDER = "links to a file that is listed already", "links to a folder that is listed already"
BROKEN, DENIED = "broken links", "unreadable (permission denied)"


@dataclass(frozen=True)
class Link:
    """A further path of a listed file."""

    path: Path  #: below the folder that was searched
    listed: Path  #: the path under which the file is listed
    link: Path  #: the symbolic link: ``path`` itself, or a folder above it


class Walk:
    """Walks the files below a folder, each real file once: first those that lie there, then those behind links.

    Args:
        folder: where to begin.
        known: files to skip without counting them.
    """

    def __init__(self, folder: Path, known: Iterable[Path] = ()) -> None:
        self.left_out: Counter[str] = Counter()
        self._folder = folder
        self._real = os.path.realpath(folder)
        self._known = {os.path.realpath(path) for path in known}
        self._seen: dict[str, Path] = {}  #: files and folders, by their real paths
        self._links: list[Path] = []
        self._again: list[tuple[Path, str]] = []  #: links to files and folders seen before, with their real paths

    def files(self) -> list[Path]:
        """All files, without opening any."""
        found = list(self._below(self._folder, self._real))
        while self._links:  # what is found behind a link may hold further ones
            links, self._links = self._links, []
            for link in sorted(links):
                found += self._behind(link)
        return found

    def links(self) -> Iterator[Link]:
        """Further paths of the files, once :meth:`files` has found them all; circular links have none."""
        for link, real in self._again:
            if not os.path.isdir(real):
                yield Link(link, self._seen[real], link)
            elif not any(_is_in(place, real) for place in (self._real, os.path.realpath(link.parent))):
                yield from self._links_below(link, real)

    def _links_below(self, link: Path, real: str) -> Iterator[Link]:
        for top, folders, names in os.walk(real):
            folders[:] = [name for name in folders if not is_system(name)]
            for name in names:
                if (listed := self._seen.get(os.path.realpath(os.path.join(top, name)))) is not None:
                    yield Link(link / os.path.relpath(os.path.join(top, name), real), listed, link)

    def _below(self, folder: Path, real: str) -> Iterator[Path]:
        self._seen[real] = folder
        entries = self._entries(folder)
        if is_store_folder([entry.name for entry in entries]):
            self.left_out[STORE_FILES] += self._number(folder)
            return
        for entry in entries:
            path = folder / entry.name
            if is_system(entry.name):
                self.left_out[SYSTEM] += self._number(path)
            elif entry.is_symlink():
                self._links.append(path)
            elif entry.is_dir():
                inner = os.path.join(real, entry.name)
                if inner not in self._seen:
                    yield from self._below(path, inner)
            else:
                yield from self._file(path, os.path.join(real, entry.name))

    def _behind(self, link: Path) -> list[Path]:
        try:
            real = patiently(lambda: os.path.realpath(link, strict=True), link)
        except OSError as error:
            self.left_out[DENIED if error.errno in (errno.EACCES, errno.EPERM) else BROKEN] += 1
            return []
        if not os.path.isdir(real):
            return list(self._file(link, real))
        if real in self._seen or _is_in(self._real, real):  # the latter leads in a circle
            self.left_out[LISTED_FOLDER] += 1
            self._again.append((link, real))
            return []
        return list(self._below(link, real))

    def _file(self, path: Path, real: str) -> Iterator[Path]:
        if real in self._known:
            return
        if real not in self._seen:
            self._seen[real] = path
            yield path
        else:
            self.left_out[LISTED_FILE] += 1
            self._again.append((path, real))

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        def read() -> list[os.DirEntry[str]]:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)

        try:
            return patiently(read, folder)
        except OSError:
            if folder == self._folder:
                raise
            self.left_out[DENIED] += 1
            return []

    def _number(self, path: Path) -> int:
        """The number of files that a path is or contains, without known ones."""
        if not path.is_dir() or path.is_symlink():
            return int(os.path.realpath(path) not in self._known)
        files = (os.path.join(top, name) for top, _, names in os.walk(path) for name in names)
        return sum(os.path.realpath(file) not in self._known for file in files)


def _is_in(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it, by their real paths."""
    return os.path.join(path, "").startswith(os.path.join(folder, ""))
