"""What lies among a folder's images and is no sample: files of systems and programs, thumbnails, what we wrote."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

#: Files and folders that systems, disks and programs make for themselves; in lower case.
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

#: Folders in which photo managers keep smaller copies of images, or images as they were before they were changed.
_OF_MANAGERS = frozenset(
    ("thumbs", "thumb", "_thumbs", "thumbnails", "thumbnail", "_thumbnails", "originals", "[originals]")
)
_THUMB = re.compile(r"^(?:thumb|thumbnail|tn)[ _.-]+|[ _.-]+(?:thumb|thumbnail|tn)$")

#: By this mark in its head a picture is known as one that predict has drawn.
SOFTWARE = "pa_difc"

#: Files that lie together in every face store.
_STORE = frozenset(("images.npy", "landmarks.npy", "boxes.npy", "labels.npy", "names.json"))


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


def is_store_folder(names: Collection[str]) -> bool:
    """Whether files of these names lie in a face store, whose contact sheet is no photograph."""
    return set(names) >= _STORE


def is_drawn(head: bytes) -> bool:
    """Whether a PNG file is a picture that predict has drawn: it carries :data:`SOFTWARE` before all else.

    Args:
        head: the file's first bytes.
    """
    text = b"tEXtSoftware\0" + SOFTWARE.encode()
    return (len(text) - 4).to_bytes(4, "big") + text in head


def second_copies(folder: Path, paths: Sequence[Path]) -> set[Path]:
    """The images that a photo manager keeps a second time, smaller or as they were before a change.

    They lie in a folder of a usual name (``thumbs``, ``Originals``), and where they would lie without it, at any level
    above, there is an image of the same name. A folder of such a name is a folder as any other where that is not so.

    Args:
        folder: that was searched.
        paths: the images below it.
    """
    inner = {path: path.relative_to(folder).parts for path in paths}
    firsts = {path: keys for path, parts in inner.items() if (keys := _firsts(parts))}
    there = {_key(parts) for parts in inner.values()} if firsts else set()
    return {path for path, keys in firsts.items() if not there.isdisjoint(keys)}


def _firsts(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Where the first copy of an image could be, with and without a word for thumbnails in its name."""
    keys = []
    for i, part in enumerate(parts[:-1]):
        if part.lower() in _OF_MANAGERS:
            *above, name = _key(parts[:i] + parts[i + 1 :])
            keys += [(*above, name), (*above, _THUMB.sub("", name))]
    return keys


def _key(parts: tuple[str, ...]) -> tuple[str, ...]:
    return (*parts[:-1], Path(parts[-1]).stem.lower())
