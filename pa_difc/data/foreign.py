"""Recognises files among a folder's images that are not samples: system files, thumbnails, and our own output."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

#: Files and folders that operating systems, disks and programs create for themselves, in lower case.
_SYSTEM = frozenset(
    (
        *("__macosx", "icon\r", "network trash folder", "temporary items", "resource.frk", "ipod photo cache"),  # macOS
        *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),  # Windows
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "wpsettings.dat", "picasa.ini"),
        *("@eadir", "@recycle", "@recently-snapshot", "@transcode", "@sharebin", "@tmp"),  # Synology, QNAP
        *("#recycle", "#snapshot", "~snapshot", "lost+found", "__pycache__", ".ipynb_checkpoints"),
        *("_gsdata_", "_vti_cnf"),  # GoodSync, FrontPage
    )
)
_SYSTEM_STARTS = (".", "~$", "synophoto_thumb", "synofile_thumb")
_SYSTEM_ENDS = ("~", ".bak", ".thm", ".lrdata", "@synoresource", "@synoeastream")

#: Folders in which photo managers keep thumbnails, or originals of edited images.
_OF_MANAGERS = frozenset(
    ("thumbs", "thumb", "_thumbs", "thumbnails", "thumbnail", "_thumbnails", "originals", "[originals]")
)
_THUMB = re.compile(r"^(?:thumb|thumbnail|tn)[ _.-]+|[ _.-]+(?:thumb|thumbnail|tn)$")

#: Marks a PNG file as drawn by predict.
SOFTWARE = "pa_difc"

#: Files that every face store has.
_STORE = frozenset(("images.npy", "landmarks.npy", "boxes.npy", "labels.npy", "names.json"))


def is_system(name: str) -> bool:
    """Whether a file or folder is hidden, or made by a system, a disk or a program for itself, by its name.

    Such are a network disk's previews (``@eaDir``), a Mac's additions to archives (``__MACOSX``), bins and backups.

    Args:
        name: without its folder, in upper or lower case.
    """
    low = name.lower()
    if low in _SYSTEM or low.startswith(_SYSTEM_STARTS) or low.endswith(_SYSTEM_ENDS):
        return True
    return re.search(r"\.[a-z]{3,4}_original$", low) is not None  # a.jpg_original, which exiftool leaves


def is_store_folder(names: Collection[str]) -> bool:
    """Whether a folder with files of these names is a face store, whose contact sheet is not a photograph."""
    return set(names) >= _STORE


def is_drawn(head: bytes) -> bool:
    """Whether a PNG file was drawn by predict: its first chunk of text holds :data:`SOFTWARE`.

    Args:
        head: the file's first bytes.
    """
    text = b"tEXtSoftware\0" + SOFTWARE.encode()
    return (len(text) - 4).to_bytes(4, "big") + text in head


def second_copies(folder: Path, paths: Sequence[Path]) -> set[Path]:
    """The images that are a photo manager's second copies: thumbnails, or originals of edited images.

    Such an image lies in a folder of a usual name (``thumbs``, ``Originals``), and without that folder its path would
    be that of another image. Otherwise a folder of such a name is treated like any other.

    Args:
        folder: the folder that was searched.
        paths: the images below it.
    """
    inner = {path: path.relative_to(folder).parts for path in paths}
    firsts = {path: keys for path, parts in inner.items() if (keys := _firsts(parts))}
    there = {_key(parts) for parts in inner.values()} if firsts else set()
    return {path for path, keys in firsts.items() if not there.isdisjoint(keys)}


def _firsts(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Keys of the paths where an image's first copy could be, with and without a word for thumbnails in its name."""
    keys = []
    for i, part in enumerate(parts[:-1]):
        if part.lower() in _OF_MANAGERS:
            *above, name = _key(parts[:i] + parts[i + 1 :])
            keys += [(*above, name), (*above, _THUMB.sub("", name))]
    return keys


def _key(parts: tuple[str, ...]) -> tuple[str, ...]:
    return (*parts[:-1], Path(parts[-1]).stem.lower())
