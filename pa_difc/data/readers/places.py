"""Finds a dataset within a folder: archives often wrap it in further folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ...util.errors import UserError
from ..files import find_images
from ..foreign import is_system
from .listing import NotHere, Sample

_DEEPEST = 3  #: most levels of folders around a dataset


def find_inner(root: Path, is_here: Callable[[Path], bool], looked_for: str) -> Path:
    """The folder in which a dataset lies: ``root``, or the one below it that looks like the dataset.

    Args:
        root: the given folder.
        is_here: whether the dataset lies directly in a folder.
        looked_for: the expected content, for the error.

    Raises:
        NotHere: there is no such folder.
        UserError: there are several.
    """
    level = [root]
    for _ in range(_DEEPEST + 1):
        found = [folder for folder in level if is_here(folder)]
        if len(found) > 1:
            names = " and ".join(folder.relative_to(root).as_posix() for folder in found[:3])
            raise UserError(f"{root}: the dataset is here {len(found)} times ({names}): keep one, or give its folder")
        if found:
            return found[0]
        level = [inner for folder in level for inner in folders_in(folder)]
    raise NotHere(f"{root}: {looked_for}")


def opened(root: Path, inner: Path) -> tuple[str, ...]:
    """A note on where a dataset lies in the given folder, if not directly in it."""
    return () if inner == root else (f"read in {inner.relative_to(root).as_posix()}/",)


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, sorted by name, without system folders."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not is_system(p.name))


def unlisted(folder: Path, samples: Iterable[Sample], *lists: Path) -> dict[str, int]:
    """Counts files among a list's images that the list does not name, by reason.

    Args:
        folder: of the images.
        samples: those that the list names.
        lists: the list's files.
    """
    if not folder.is_dir():
        return {}
    found = find_images(folder, known=[*lists, *dict.fromkeys(s.path for s in samples if s.path is not None)])
    names = " or ".join(path.name for path in lists)
    return found.left_out | ({f"images not listed in {names}": len(found.paths)} if found.paths else {})
