"""The image files below a folder: found by their content, each once, and whatever is left out counted by reason."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ..util.patience import patiently
from .formats import HEAD_BYTES, NOT_IMAGES, image_format, why_left_out

#: Files and folders that systems, disks and programs make for themselves; in lower case.
_SYSTEM = frozenset(
    (
        *("__macosx", "icon\r", "network trash folder", "temporary items"),  # macOS
        *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),  # Windows
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "wpsettings.dat", "picasa.ini"),
        *("@eadir", "@recycle", "@recently-snapshot", "@transcode", "@sharebin", "@tmp"),  # Synology, QNAP
        *("#recycle", "#snapshot", "~snapshot", "lost+found", "__pycache__", ".ipynb_checkpoints"),
    )
)
_SYSTEM_STARTS = (".", "~$", "synophoto_thumb", "synofile_thumb")
_SYSTEM_ENDS = ("~", ".bak", ".thm", ".lrdata")

#: Files of these names are meant to be images: where their content is none, they are listed, for the decoder to say
#: what is wrong with which of them.
_MEANT = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".pgm", ".ppm")
)

SYSTEM = "system or hidden files"
LISTED_FILE, LISTED_FOLDER = "links to a file that is listed already", "links to a folder that is listed already"
BROKEN, DENIED = "broken links", "unreadable (permission denied)"
_ONE = {
    SYSTEM: "system or hidden file",
    LISTED_FILE: "link to a file that is listed already",
    LISTED_FOLDER: "link to a folder that is listed already",
    BROKEN: "broken link",
    NOT_IMAGES: "not an image",
}
_THREADS, _BATCH = 16, 256  #: heads are read by so many threads, each so many files at a time


@dataclass(frozen=True)
class Found:
    """What :func:`find_images` found."""

    paths: list[Path]  #: in order of their names, each below the folder as it was given
    left_out: dict[str, int] = field(default_factory=dict)  #: files that are not listed, by reason

    def below(self, folder: Path) -> list[Path]:
        """Those below a folder that lies in the one that was searched."""
        start = os.path.join(folder, "")
        return [path for path in self.paths if str(path).startswith(start)]


def is_system(name: str) -> bool:
    """Whether a name of a file or folder is hidden, or one that a system, a disk or a program made for itself.

    Previews on a network disk (``@eaDir``), what a Mac adds to archives (``__MACOSX``), bins and backup copies are no
    samples.

    Args:
        name: without its folder, in any case.
    """
    low = name.lower()
    if low in _SYSTEM or low.startswith(_SYSTEM_STARTS) or low.endswith(_SYSTEM_ENDS):
        return True
    return re.search(r"\.[a-z]{3,4}_original$", low) is not None  # a.jpg_original, which exiftool leaves


def find_images(folder: Path) -> Found:
    """Every image below a folder that can be decoded here, at any depth.

    What is an image, the first bytes of a file say, not its name. Links are followed, and end where they lead back to
    what was seen: a file is listed once, by its own path where it lies in the folder. Names that
    :func:`is_system` knows are left out, but not where they are part of ``folder`` itself.

    Args:
        folder: where to look.

    Raises:
        DiskError: the disk fails.
        OSError: the folder can't be opened.
    """
    walk = _Walk(folder)
    files = walk.files()
    reasons = _reasons(files)
    kept = [path for path, reason in zip(files, reasons, strict=True) if reason is None]
    left_out = walk.left_out + Counter(reason for reason in reasons if reason is not None)
    return Found(sorted(kept), dict(sorted(left_out.items())))


def holds_images(folder: Path) -> bool:
    """Whether an image that can be decoded here lies in a folder itself, not below it."""
    paths = (path for path in folder.iterdir() if not is_system(path.name) and path.is_file())
    return any(_reason(path) is None for path in paths)


def merged(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """What several listings left out, together."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def left_out_line(left_out: Mapping[str, int]) -> str | None:
    """ "left out: 3 HEIC (pip install 'pa-difc[heif]'), 12 system or hidden files"; None if nothing was.

    Args:
        left_out: of a listing, by reason.
    """
    parts = []
    for reason, number in left_out.items():
        if number:
            what, colon, way = (_ONE.get(reason, reason) if number == 1 else reason).partition(": ")
            parts.append(f"{number:,} {what}" + (f" ({way})" if colon else ""))
    return f"left out: {', '.join(parts)}" if parts else None


def left_out_clause(left_out: Mapping[str, int]) -> str:
    """The same in brackets, for the end of an error that says that there is no image; empty if nothing was."""
    line = left_out_line(left_out)
    return f" ({line})" if line else ""


class _Walk:
    """Regular files below a folder, each real one once: first what lies there, then what links lead to."""

    def __init__(self, folder: Path) -> None:
        self.left_out: Counter[str] = Counter()
        self._folder = folder
        self._real = os.path.realpath(folder)
        self._seen: set[str] = set()  #: real paths of files and folders
        self._links: list[Path] = []

    def files(self) -> list[Path]:
        """All of them; nothing is opened."""
        found = list(self._below(self._folder, self._real))
        while self._links:  # what is found behind a link may hold further ones
            links, self._links = self._links, []
            for link in sorted(links):
                found += self._behind(link)
        return found

    def _below(self, folder: Path, real: str) -> Iterator[Path]:
        self._seen.add(real)
        for entry in self._entries(folder):
            path = folder / entry.name
            if is_system(entry.name):
                self.left_out[SYSTEM] += self._number(entry)
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
            if real in self._seen:
                self.left_out[LISTED_FILE] += 1
                return []
            return list(self._file(link, real))
        if real in self._seen or self._real.startswith(os.path.join(real, "")):  # the latter leads in a circle
            self.left_out[LISTED_FOLDER] += 1
            return []
        return list(self._below(link, real))

    def _file(self, path: Path, real: str) -> Iterator[Path]:
        if real not in self._seen:
            self._seen.add(real)
            yield path
        else:
            self.left_out[LISTED_FILE] += 1

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

    def _number(self, entry: os.DirEntry[str]) -> int:
        """How many files a hidden file or folder is."""
        if not entry.is_dir(follow_symlinks=False):
            return 1
        return sum(len(files) for _, _, files in os.walk(entry.path))


def _reasons(files: list[Path]) -> list[str | None]:
    """Why each file is left out; None for images."""

    def judge(batch: list[Path]) -> list[str | None]:
        return [_reason(path) for path in batch]

    with ThreadPoolExecutor(_THREADS) as pool:
        batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
        return [reason for batch in pool.map(judge, batches) for reason in batch]


def _reason(path: Path) -> str | None:
    try:
        kind = image_format(patiently(lambda: _head(path), path), path.suffix)
    except PermissionError:
        return DENIED
    except OSError as error:
        return f"unreadable ({(error.strerror or str(error)).lower()})"
    return None if kind is None and path.suffix.lower() in _MEANT else why_left_out(kind)


def _head(path: Path) -> bytes:
    """The first bytes of a regular file; of a pipe or a device, which may never end, none."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        return b""
    with path.open("rb", buffering=0) as file:
        return file.read(HEAD_BYTES) or b""
