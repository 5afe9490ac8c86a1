"""Every file below a folder, each once, whatever links there are."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..util.patience import patiently
from .foreign import is_store_folder, is_system

#: Why files are left out without a look at their content.
SYSTEM, STORE_FILES = "system or hidden files", "files of face stores"
LISTED_FILE, LISTED_FOLDER = "links to a file that is listed already", "links to a folder that is listed already"
BROKEN, DENIED = "broken links", "unreadable (permission denied)"


@dataclass(frozen=True)
class Link:
    """A further path of a file that is listed."""

    path: Path  #: below the folder that was searched
    listed: Path  #: the path under which the file is listed
    link: Path  #: the symbolic link: ``path`` itself, or a folder that it lies in


class Walk:
    """Regular files below a folder, each real one once: first what lies there, then what links lead to."""

    def __init__(self, folder: Path, known: Iterable[Path] = ()) -> None:
        self.left_out: Counter[str] = Counter()
        self._folder = folder
        self._real = os.path.realpath(folder)
        self._known = {os.path.realpath(path) for path in known}
        self._seen: dict[str, Path] = {}  #: files and folders, by their real paths
        self._links: list[Path] = []
        self._again: list[tuple[Path, str]] = []  #: links to what is seen already, and its real path

    def files(self) -> list[Path]:
        """All of them; nothing is opened."""
        found = list(self._below(self._folder, self._real))
        while self._links:  # what is found behind a link may hold further ones
            links, self._links = self._links, []
            for link in sorted(links):
                found += self._behind(link)
        return found

    def links(self) -> Iterator[Link]:
        """Further paths of the files, once all of them are found; those in a circle are none."""
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
        """How many files a file or folder is, but those that are known."""
        if not path.is_dir() or path.is_symlink():
            return int(os.path.realpath(path) not in self._known)
        files = (os.path.join(top, name) for top, _, names in os.walk(path) for name in names)
        return sum(os.path.realpath(file) not in self._known for file in files)


def _is_in(path: str, folder: str) -> bool:
    """Whether a folder is another one, or lies in it; by their real paths."""
    return os.path.join(path, "").startswith(os.path.join(folder, ""))
