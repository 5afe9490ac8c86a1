"""Finds the image files below a folder by their content, each once, and counts what is left out by reason."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ..util.patience import patiently
from .foreign import is_drawn, second_copies
from .formats import HEAD_BYTES, NOT_IMAGES, image_format, why_left_out
from .walk import BROKEN, DENIED, LISTED_FILE, LISTED_FOLDER, STORE_FILES, SYSTEM, Link, Walk

#: Files with these suffixes are listed even if their content is no image, so that the decoder reports what is wrong.
_MEANT = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".pgm", ".ppm")
)

DRAWN, SPECIAL = "written by predict", "pipes, sockets and devices"
SECOND = "thumbnails and originals of listed images"
_ONE = {
    SYSTEM: "system or hidden file",
    STORE_FILES: "file of a face store",
    SECOND: "thumbnail or original of a listed image",
    SPECIAL: "pipe, socket or device",
    LISTED_FILE: "link to a file that is listed already",
    LISTED_FOLDER: "link to a folder that is listed already",
    BROKEN: "broken link",
    NOT_IMAGES: "not an image",
}
_THREADS, _BATCH = 16, 256  #: threads that read the files' first bytes, and files per task


@dataclass(frozen=True)
class Found:
    """The result of :func:`find_images`."""

    paths: list[Path]  #: sorted by name, each below the given folder
    left_out: dict[str, int] = field(default_factory=dict)  #: number of files that are not listed, by reason
    links: list[Link] = field(default_factory=list)  #: links to listed files

    def left_out_without(self, taken: Iterable[Link]) -> dict[str, int]:
        """The counts of left-out files, if some links are used in place of the files that they lead to."""
        taken = list(taken)
        files, folders = sum(x.link == x.path for x in taken), len({x.link for x in taken if x.link != x.path})
        return {
            reason: left
            for reason, n in self.left_out.items()
            if (left := n - {LISTED_FILE: files, LISTED_FOLDER: folders}.get(reason, 0))
        }


def find_images(folder: Path, known: Iterable[Path] = ()) -> Found:
    """Finds every decodable image below a folder, at any depth.

    Images are recognised by a file's first bytes, not by its name. Links are followed, and each file is listed once, by
    its own path if it lies in the folder. Left out are names that :func:`.is_system` knows, face stores, pictures
    drawn by predict, and photo managers' second copies (see :func:`.second_copies`). ``folder`` itself is searched
    whatever its name, unless it is a store.

    Args:
        folder: where to search.
        known: files that a list names already: they are neither listed nor counted.

    Raises:
        DiskError: the disk failed.
        OSError: the folder can't be opened.
    """
    walk = Walk(folder, known)
    files = walk.files()
    reasons = dict(zip(files, _reasons(files), strict=True))
    kept = sorted(path for path, reason in reasons.items() if reason is None)
    again = second_copies(folder, kept)
    left_out = walk.left_out + Counter(reason for reason in reasons.values() if reason) + Counter({SECOND: len(again)})
    paths = [path for path in kept if path not in again]
    listed = set(paths)
    return Found(paths, dict(sorted(left_out.items())), [link for link in walk.links() if link.listed in listed])


def merged(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of several listings' counts of left-out files."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def left_out_line(left_out: Mapping[str, int]) -> str | None:
    """A line such as "left out: 3 HEIC (pip install 'pa-difc[heif]'), 12 system or hidden files"; None if empty.

    Args:
        left_out: counts by reason.
    """
    parts = []
    for reason, number in left_out.items():
        if number:
            one = _ONE.get(reason) or reason.replace("images ", "image ", 1)
            what, colon, way = (one if number == 1 else reason).partition(": ")
            parts.append(f"{number:,} {what}" + (f" ({way})" if colon else ""))
    return f"left out: {', '.join(parts)}" if parts else None


def left_out_clause(left_out: Mapping[str, int]) -> str:
    """The same in brackets, for the end of an error about missing images; empty if nothing was left out."""
    line = left_out_line(left_out)
    return f" ({line})" if line else ""


def _reasons(files: list[Path]) -> list[str | None]:
    """The reason why each file is left out; None for images."""

    def judge(batch: list[Path]) -> list[str | None]:
        return [_reason(path) for path in batch]

    with ThreadPoolExecutor(_THREADS) as pool:
        batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
        return [reason for batch in pool.map(judge, batches) for reason in batch]


def _reason(path: Path) -> str | None:
    try:
        head = patiently(lambda: _head(path), path)
    except PermissionError:
        return DENIED
    except OSError as error:
        return f"unreadable ({(error.strerror or str(error)).lower()})"
    if head is None:
        return SPECIAL
    kind = image_format(head, path.suffix)
    if kind == "PNG" and is_drawn(head):
        return DRAWN
    return None if kind is None and path.suffix.lower() in _MEANT else why_left_out(kind)


def _head(path: Path) -> bytes | None:
    """The first bytes of a regular file; None for a pipe or a device, which may never end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        return None
    with path.open("rb", buffering=0) as file:
        return file.read(HEAD_BYTES) or b""
