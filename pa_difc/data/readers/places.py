"""Where in a folder a dataset lies: archives often wrap it in a folder or two of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ...util.errors import UserError
from ..files import find_images
from ..foreign import is_system
from .listing import NotHere, Sample

_DEEPEST = 3  #: folders around a dataset that are opened


def find_inner(root: Path, is_here: Callable[[Path], bool], looked_for: str) -> Path:
    """The folder in which a dataset lies: ``root``, or else the one below it that looks like it.

    Args:
        root: the folder that was given.
        is_here: whether the dataset lies right in a folder.
        looked_for: what there should be, for the error.

    Raises:
        NotHere: there is none.
        UserError: there are several, and nobody said which.
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
    """A note on where a dataset lies in the folder that was given, if it is not that folder itself."""
    return () if inner == root else (f"read in {inner.relative_to(root).as_posix()}/",)


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, by name; those of the system are no part of a dataset."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not is_system(p.name))


def unlisted(folder: Path, samples: Iterable[Sample], *lists: Path) -> dict[str, int]:
    """What lies among the images of a list and is none of its samples, by reason.

    Args:
        folder: of the images.
        samples: that the list names.
        lists: the files of the list.
    """
    if not folder.is_dir():
        return {}
    found = find_images(folder, known=[*lists, *dict.fromkeys(s.path for s in samples if s.path is not None)])
    names = " or ".join(path.name for path in lists)
    return found.left_out | ({f"images not listed in {names}": len(found.paths)} if found.paths else {})
