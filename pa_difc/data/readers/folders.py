"""Reading trees of class folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...util.errors import UserError
from ..labels import expression_index
from .listing import Listing, Sample, held_out, images_below

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
    folders = [p for p in sorted(root.iterdir()) if p.is_dir()]
    splits = {p: split for name, split in SPLIT_FOLDERS.items() for p in folders if p.name.lower() == name}
    if splits and "test" not in splits.values():
        splits = {p: "test" if split == "val" else split for p, split in splits.items()}
    samples: list[Sample] = []
    excluded = 0
    for base, split in splits.items() or [(root, None)]:
        for folder, label in _class_folders(base):
            paths = images_below(folder)
            excluded += len(paths) if label is None else 0
            for path in paths if label is not None else []:
                name = path.relative_to(root).as_posix()
                samples.append(Sample(name, label, split or held_out(group(name)), path))
    if not samples:
        raise UserError(f"{root}: no images in class folders (looked for <class>/*.jpg, train/<class>/*.jpg)")
    return Listing(samples, excluded)


def read_sfew(root: Path) -> Listing:
    """SFEW 2.0 (Dhall et al. 2011): ``Train/<Class>/``, ``Val/<Class>/``; Val is the test split.

    The official Test folder comes without labels and is left out.
    """
    folders = {p.name.lower(): p for p in sorted(root.iterdir()) if p.is_dir()}
    if not {"train", "val"} <= set(folders):
        raise UserError(f"{root}: no SFEW 2.0 here (looked for Train/<Class>/ and Val/<Class>/)")
    samples, excluded = [], 0
    for name, split in (("train", "train"), ("val", "test")):
        for folder, label in _class_folders(folders[name]):
            paths = images_below(folder)
            excluded += len(paths) if label is None else 0
            if label is not None:
                samples += [Sample(p.relative_to(root).as_posix(), label, split, p) for p in paths]
    if not samples:
        raise UserError(f"{root}: no images below Train/<Class>/ and Val/<Class>/")
    return Listing(samples, excluded)


def _class_folders(base: Path) -> list[tuple[Path, int | None]]:
    """Class folders and their classes; a single folder around them (as in some archives) is looked through."""
    folders = sorted(p for p in base.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(folders) == 1 and not _is_expression(folders[0].name) and any(p.is_dir() for p in folders[0].iterdir()):
        return _class_folders(folders[0])
    classes = []
    for folder in folders:
        try:
            classes.append((folder, expression_index(folder.name)))
        except UserError as error:
            raise UserError(f"{folder}: {error}") from None
    return classes


def _is_expression(name: str) -> bool:
    try:
        expression_index(name)
    except UserError:
        return False
    return True
