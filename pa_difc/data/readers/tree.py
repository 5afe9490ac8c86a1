"""Which class and which split a tree of folders gives each image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...util.errors import UserError
from ..labels import CONTEMPT, SEVEN, plain
from .splits import split_of

#: Split (None: not known), word of the class, path.
Row = tuple["str | None", str, Path]

OUTSIDE, UNSPLIT = "images outside the class folders", "images outside the split folders"


@dataclass(frozen=True)
class Tree:
    """Images by the folder that they lie in, at any depth, right below a base."""

    base: Path
    folders: dict[str, list[Path]]
    loose: list[Path]  #: images that lie in none of them

    @classmethod
    def open(cls, base: Path, paths: Iterable[Path], loose: Iterable[Path] = ()) -> Tree:
        """The tree below a folder; one folder around it all (as in some archives) is opened."""
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
        """The split folders in one of the folders."""
        inner = (path.relative_to(self.base / name).parts for path in self.folders[name])
        names = {parts[0] for parts in inner if len(parts) > 1}
        return {name: split for name in sorted(names) if (split := split_of(name))}


@dataclass
class Placed:
    """The images of a tree that have a class, and why the others have none."""

    base: Path
    rows: list[Row] = field(default_factory=list)
    why: dict[Path, str] = field(default_factory=dict)

    def leave(self, paths: Iterable[Path], reason: str) -> None:
        """Leaves out some images."""
        self.why.update(dict.fromkeys(paths, reason))


def place(root: Path, paths: Iterable[Path]) -> Placed:
    """Reads ``<class>/…``, ``train/<class>/…`` or ``<class>/train/…``, whichever it is.

    Args:
        root: the folder of the set.
        paths: its images.

    Raises:
        UserError: there are several sets in it, or classes within a class.
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
    """The class folders below a folder: at least two that are named after different expressions, at one depth."""
    levels: dict[int, dict[str, str]] = {}
    for path in paths:
        for depth, name in enumerate(path.relative_to(folder).parts[:-1]):
            if is_class(name):
                levels.setdefault(depth, {}).setdefault(plain(name), name)
    return next((sorted(names.values()) for _, names in sorted(levels.items()) if len(names) > 1), [])


def _place_classes(root: Path, tree: Tree, placed: Placed) -> None:
    """The images where the folders are classes; each of them may have split folders in it."""
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
    """A class among others with class folders in it: which of the two says what an image shows, nobody said."""
    for name, files in tree.folders.items():
        if is_class(name) and (inner := classes_in(tree.base / name, files)):
            where = (tree.base / name).relative_to(root).as_posix()
            raise UserError(
                f"{root}: {where}/ is a class and has class folders in it ({', '.join(f'{n}/' for n in inner[:3])}): "
                "an image lies in one class, so one of the two has to go"
            )


def _refuse_half_split(root: Path, tree: Tree, several: list[str], without: list[str]) -> None:
    """Some folders with split folders in them beside others without: sets of their own, or classes half split.

    Beside classes, a folder that is named after no expression is no class, but may be a pool that they link to.
    """
    if not (several and without) or (any(map(is_class, several)) and not any(map(is_class, without))):
        return
    inner = (tree.base / several[0]).relative_to(root).as_posix()
    others = ", ".join(f"{name}/" for name in without)
    if len(several) > 1 or is_class(several[0]):
        raise UserError(f"{root}: {inner}/ has split folders in it, and {others} none: every class needs them, or none")
    raise UserError(f"{root}: {inner}/ has split folders in it, and beside it lie {others}: name {root / inner}")


def _is_wrapper(folder: Path, paths: Iterable[Path]) -> bool:
    """Whether a folder that stands alone lies around a set; one named after an expression may be a class itself."""
    paths = list(paths)
    if split_of(folder.name):
        return False
    if classes_in(folder, paths):
        return True
    if is_class(folder.name):
        return False
    inner = [path.relative_to(folder).parts for path in paths]
    splits = {split_of(parts[0]) for parts in inner if len(parts) > 2} - {None}  # with folders in them
    return bool(splits) or all(len(parts) > 1 for parts in inner)
