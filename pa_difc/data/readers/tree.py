"""Derives each image's class and split from a tree of folders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...util.errors import UserError
from ..labels import CONTEMPT, SEVEN, plain
from .splits import split_of

#: Split (None if unknown), word of the class, path.
Row = tuple["str | None", str, Path]

OUTSIDE, UNSPLIT = "images outside the class folders", "images outside the split folders"


@dataclass(frozen=True)
class Tree:
    """Images below a base folder, by the first folder on their path."""

    base: Path
    folders: dict[str, list[Path]]
    loose: list[Path]  #: images directly in the base folder, or around it

    @classmethod
    def open(cls, base: Path, paths: Iterable[Path], loose: Iterable[Path] = ()) -> Tree:
        """The tree below a folder; a single folder around everything (as in some archives) is opened."""
        folders: dict[str, list[Path]] = {}
        loose = list(loose)
        for path in paths:
            first, *rest = path.relative_to(base).parts
            if rest:
                folders.setdefault(first, []).append(path)
            else:
                loose.append(path)
        if len(folders) == 1:
            ((name, files),) = folders.items()
            if _is_wrapper(base / name, files):
                return cls.open(base / name, files, loose)
        return cls(base, folders, loose)

    def splits_in(self, name: str) -> dict[str, str]:
        """The split folders in one of the folders, and their splits."""
        inner = (path.relative_to(self.base / name).parts for path in self.folders[name])
        names = {parts[0] for parts in inner if len(parts) > 1}
        return {name: split for name in sorted(names) if (split := split_of(name))}


@dataclass
class Placed:
    """The images of a tree that have a class, and the reasons why others have none."""

    base: Path
    rows: list[Row] = field(default_factory=list)
    why: dict[Path, str] = field(default_factory=dict)

    def leave(self, paths: Iterable[Path], reason: str) -> None:
        """Leaves out images for a reason."""
        self.why.update(dict.fromkeys(paths, reason))


def place(root: Path, paths: Iterable[Path]) -> Placed:
    """Places images by ``<class>/…``, ``train/<class>/…`` or ``<class>/train/…``, whichever the tree is.

    Args:
        root: the dataset's folder.
        paths: its images.

    Raises:
        UserError: the folder holds several datasets, or a class folder holds class folders.
    """
    tree = Tree.open(root, paths)
    placed = Placed(tree.base)
    placed.leave(tree.loose, OUTSIDE)
    order = ("train", "test", "val")
    splits = {name: split for split in order for name in tree.folders if split_of(name) == split}
    if not splits:
        _place_classes(root, tree, placed)
        return placed
    for name, split in splits.items():
        inner = Tree.open(tree.base / name, tree.folders[name])
        _refuse_classes_in_classes(root, inner)
        placed.leave(inner.loose, OUTSIDE)
        placed.rows += [(split, word, path) for word, files in inner.folders.items() for path in files]
    for name in tree.folders.keys() - splits.keys():
        what = "a class beside the split folders" if is_class(name) else "neither class nor split"
        placed.leave(tree.folders[name], f"in {name}/ ({what})")
    return placed


def is_class(name: str) -> bool:
    """Whether a folder is named after an expression."""
    return plain(name) in (*SEVEN, CONTEMPT)


def classes_in(folder: Path, paths: Iterable[Path]) -> list[str]:
    """The class folders below a folder: at least two, named after different expressions, at one depth; else empty."""
    levels: dict[int, dict[str, str]] = {}
    for path in paths:
        for depth, name in enumerate(path.relative_to(folder).parts[:-1]):
            if is_class(name):
                levels.setdefault(depth, {}).setdefault(plain(name), name)
    return next((sorted(names.values()) for _, names in sorted(levels.items()) if len(names) > 1), [])


def _place_classes(root: Path, tree: Tree, placed: Placed) -> None:
    """Places images whose first folder is the class; it may contain split folders."""
    _refuse_classes_in_classes(root, tree)
    inner = {word: tree.splits_in(word) for word in tree.folders}
    several = [word for word, splits in inner.items() if len(set(splits.values())) > 1]
    only = all(
        path.relative_to(tree.base).parts[1] in inner[word] for word, files in tree.folders.items() for path in files
    )
    if not (several or only):
        placed.rows += [(None, word, path) for word, files in tree.folders.items() for path in files]
        return
    without = [word for word, splits in inner.items() if not splits]
    _refuse_half_split(root, tree, several, without)
    for word, files in tree.folders.items():
        if word in without:
            placed.leave(files, f"in {word}/ (neither class nor split)")
            continue
        for path in files:
            first, *rest = path.relative_to(tree.base / word).parts
            if rest and first in inner[word]:
                placed.rows.append((inner[word][first], word, path))
            else:
                placed.leave([path], f"in {word}/{first}/ (neither class nor split)" if rest else UNSPLIT)


def _refuse_classes_in_classes(root: Path, tree: Tree) -> None:
    """Refuses a class folder that contains class folders: it is unknown which of the two is the label."""
    for name, files in tree.folders.items():
        if is_class(name) and (inner := classes_in(tree.base / name, files)):
            where = (tree.base / name).relative_to(root).as_posix()
            raise UserError(
                f"{root}: {where}/ is a class and has class folders in it ({', '.join(f'{n}/' for n in inner[:3])}): "
                "an image has one class, so remove one of the two levels"
            )


def _refuse_half_split(root: Path, tree: Tree, several: list[str], without: list[str]) -> None:
    """Refuses a mix of folders with and without split folders: several datasets, or only some classes split.

    A folder beside classes that is not named after an expression may be a pool of images that they link to.
    """
    if not (several and without) or (any(map(is_class, several)) and not any(map(is_class, without))):
        return
    inner = (tree.base / several[0]).relative_to(root).as_posix()
    others = ", ".join(f"{name}/" for name in without)
    if len(several) > 1 or is_class(several[0]):
        raise UserError(f"{root}: {inner}/ has split folders in it, and {others} none: every class needs them, or none")
    raise UserError(f"{root}: {inner}/ has split folders in it, and beside it lie {others}: name {root / inner}")


def _is_wrapper(folder: Path, paths: Iterable[Path]) -> bool:
    """Whether a single folder wraps a dataset; one named after an expression may be a class itself."""
    paths = list(paths)
    if split_of(folder.name):
        return False
    if classes_in(folder, paths):
        return True
    if is_class(folder.name):
        return False
    inner = [path.relative_to(folder).parts for path in paths]
    splits = {split_of(parts[0]) for parts in inner if len(parts) > 2} - {None}  # split folders that contain folders
    return bool(splits) or all(len(parts) > 1 for parts in inner)
