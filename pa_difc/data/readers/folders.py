"""Reading trees of class folders."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from ...util.errors import UserError
from ..files import find_images, holds_images, is_system, left_out_clause
from ..labels import CONTEMPT, SEVEN, plain
from .listing import Listing, Sample, held_out

#: Names of split folders, in any case, and the split they hold; where there is no "test", "val" is it.
SPLIT_FOLDERS = {"train": "train", "training": "train", "test": "test", "val": "val", "valid": "val"}


def read_class_folders(root: Path, group: Callable[[str], str] = lambda name: name) -> Listing:
    """Any tree of class folders: ``<class>/…``, or ``train/<class>/…`` and ``test/<class>/…``.

    Without split folders, about a fifth is held out as "test": the images whose groups' hashes say so, the same ones
    whatever else lies beside them. With "train" and "val" alone, "val" is the test split.

    Args:
        root: the folder.
        group: from a path below ``root`` to the key that is hashed, such as the person's name.
    """
    folders = _class_folders(root, never=SPLIT_FOLDERS)
    splits = {p: split for name, split in SPLIT_FOLDERS.items() for p in folders if p.name.lower() == name}
    if splits and "test" not in splits.values():
        splits = {p: "test" if split == "val" else split for p, split in splits.items()}
    found, samples = find_images(root), []
    trees: list[tuple[str | None, list[Path]]] = [(split, _class_folders(p)) for p, split in splits.items()]
    for split, classes in trees or [(None, folders)]:
        for folder in classes:
            for path in found.below(folder):
                name = path.relative_to(root).as_posix()
                samples.append(Sample(name, folder.name, split or held_out(group(name)), path))
    if not samples:
        why = left_out_clause(found.left_out)
        raise UserError(f"{root}: no images in class folders (looked for <class>/*.jpg, train/<class>/*.jpg){why}")
    return Listing(samples, found.left_out)


def read_sfew(root: Path) -> Listing:
    """SFEW 2.0 (Dhall et al. 2011): ``Train/<Class>/``, ``Val/<Class>/``; Val is the test split.

    The official Test folder comes without labels and is left out.
    """
    folders = {p.name.lower(): p for p in sorted(root.iterdir()) if p.is_dir()}
    if not {"train", "val"} <= set(folders):
        raise UserError(f"{root}: no SFEW 2.0 here (looked for Train/<Class>/ and Val/<Class>/)")
    found = find_images(root)
    samples = [
        Sample(path.relative_to(root).as_posix(), folder.name, split, path)
        for name, split in (("train", "train"), ("val", "test"))
        for folder in _class_folders(folders[name])
        for path in found.below(folder)
    ]
    if not samples:
        raise UserError(f"{root}: no images below Train/<Class>/ and Val/<Class>/")
    return Listing(samples, found.left_out)


def _class_folders(base: Path, never: Collection[str] = ()) -> list[Path]:
    """Class folders, whose names are the classes; a single folder around them (as in some archives) is opened.

    Args:
        base: where they are.
        never: names of folders that are not opened, in lower case.
    """
    folders = sorted(p for p in base.iterdir() if p.is_dir() and not is_system(p.name))
    if len(folders) == 1 and folders[0].name.lower() not in never and _is_wrapper(folders[0]):
        return _class_folders(folders[0], never)
    return folders


def _is_wrapper(folder: Path) -> bool:
    """Whether a folder that stands alone holds class folders; one named after an expression is a class itself."""
    if plain(folder.name) in (*SEVEN, CONTEMPT):
        return False
    inside = [p for p in folder.iterdir() if not is_system(p.name)]
    return any(p.is_dir() for p in inside) and not holds_images(folder)
