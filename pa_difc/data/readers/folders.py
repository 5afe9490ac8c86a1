"""Reading trees of class folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ...util.errors import UserError
from ..files import find_images, left_out_clause, merged
from ..labels import CONTEMPT, SEVEN, plain
from .copies import copies
from .listing import Listing, NotHere, Sample, held_out_groups
from .places import opened
from .splits import scored_on, split_of

#: From an image's path to what stays together.
Group = Callable[[Path], "str | None"]

#: Split (None: not known), word of the class, path.
_Row = tuple["str | None", str, Path]


def read_class_folders(root: Path, group: Group | None = None) -> Listing:
    """Any tree of class folders: ``<class>/…``, ``train/<class>/…`` and ``test/<class>/…``, or ``<class>/train/…``.

    Split folders are known by their common names in any case, see :func:`.split_of`; with "train" and "val" alone,
    "val" is the test split. Without them, about a fifth is held out as "test": the images whose groups' hashes say so,
    the same ones whatever else lies beside them. A folder around all of it is opened.

    Args:
        root: the folder.
        group: from an image's path to what stays together, such as the person; None: an image and its copies, which
            are known by their names (``a.jpg`` and ``a_aug0.jpg``).

    Raises:
        NotHere: there are no images in class folders.
        UserError: there are several sets in it, or :class:`.Listing` is not satisfied.
    """
    found = find_images(root)
    tree = _Tree.open(root, found.paths)
    order = ("train", "test", "val")
    splits = {name: split for split in order for name in tree.folders if split_of(name) == split}
    left_out = [found.left_out]
    rows: list[_Row] = []
    if splits:
        trees = {name: _Tree.open(tree.base / name, tree.folders[name]) for name in splits}
        rows = [(splits[name], *row) for name, inner in trees.items() for row in inner.files()]
        left_out += [inner.outside() for inner in trees.values()]
        others = {name: len(paths) for name, paths in tree.folders.items() if name not in splits}
        left_out.append({f"in {name}/ (neither class nor split)": n for name, n in others.items()})
    else:
        _refuse_inner_sets(root, tree)
        rows = list(tree.by_class())
    if not rows:
        why = left_out_clause(merged([*left_out, tree.outside()]))
        raise NotHere(
            f"{root}: no images in class folders (looked for <class>/*.jpg, train/<class>/*.jpg){why}{_hint(root)}"
        )
    groups = group or copies(root, (path for _, _, path in rows)).get
    samples = [
        Sample(path.relative_to(root).as_posix(), word, split or "", path, group=groups(path))
        for split, word, path in rows
    ]
    reasons, notes = merged([*left_out, tree.outside()]), opened(root, tree.base)
    if rows[0][0] is None:
        return held_out_groups(samples, left_out=reasons, notes=notes)
    return Listing(settled(samples), reasons, notes)


def read_sfew(root: Path) -> Listing:
    """SFEW 2.0 (Dhall et al. 2011): ``Train/<Class>/``, ``Val/<Class>/``; Val is the test split.

    The official Test folder comes without labels and is left out, and so are aligned faces beside the film stills.
    """
    found = find_images(root)
    tree = _Tree.open(root, found.paths)
    wanted = {name: split for name in tree.folders if (split := {"train": "train", "val": "test"}.get(name.lower()))}
    if set(wanted.values()) != {"train", "test"}:
        raise NotHere(f"{root}: no SFEW 2.0 here (looked for Train/<Class>/ and Val/<Class>/)")
    samples: list[Sample] = []
    left_out = [found.left_out, tree.outside()]
    left_out += [{f"in {name}/": len(paths)} for name, paths in tree.folders.items() if name not in wanted]
    for name, split in wanted.items():
        inner = _Tree.open(tree.base / name, tree.folders[name])
        stills = [word for word in inner.folders if "aligned" not in word.lower()]
        left_out.append(
            {f"in {name}/{word}/": len(inner.folders[word]) for word in inner.folders if word not in stills}
        )
        left_out.append(inner.outside())
        files = [(word, path) for word in stills for path in inner.folders[word]]
        samples += [Sample(path.relative_to(root).as_posix(), word, split, path) for word, path in files]
    if not samples:
        raise NotHere(f"{root}: no images below Train/<Class>/ and Val/<Class>/")
    return Listing(samples, merged(left_out), opened(root, tree.base))


def settled(samples: list[Sample]) -> list[Sample]:
    """Samples in the dataset's own splits; where there is no "test", "val" is it."""
    served = scored_on(sample.split for sample in samples)
    return [replace(s, split=served[s.split]) if served[s.split] != s.split else s for s in samples]


@dataclass(frozen=True)
class _Tree:
    """Images by the folder that they lie in, at any depth, right below a base."""

    base: Path
    folders: dict[str, list[Path]]
    loose: int  #: images that lie in none of them

    @classmethod
    def open(cls, base: Path, paths: Iterable[Path], loose: int = 0) -> _Tree:
        """The tree below a folder; one folder around it all (as in some archives) is opened."""
        folders: dict[str, list[Path]] = {}
        for path in paths:
            first, *rest = path.relative_to(base).parts
            if rest:
                folders.setdefault(first, []).append(path)
            else:
                loose += 1
        if len(folders) == 1:
            ((name, files),) = folders.items()
            if _is_wrapper(base / name, files):
                return cls.open(base / name, files, loose)
        return cls(base, folders, loose)

    def files(self) -> Iterator[tuple[str, Path]]:
        """The name of the folder and the path of each image."""
        return ((name, path) for name, paths in self.folders.items() for path in paths)

    def outside(self) -> dict[str, int]:
        """The images that lie in no class folder."""
        return {"images outside the class folders": self.loose} if self.loose else {}

    def by_class(self) -> Iterator[_Row]:
        """The images where the folders are classes; each of them may have split folders in it."""
        inner = {word: self.splits_in(word) for word in self.folders}
        split = all(inner.values())
        for word, path in self.files():
            yield inner[word][path.relative_to(self.base / word).parts[0]] if split else None, word, path

    def splits_in(self, name: str) -> dict[str, str]:
        """The split folders in a folder that holds nothing else, and at least two of them."""
        parts = {path.relative_to(self.base / name).parts for path in self.folders[name]}
        found = {p[0]: split_of(p[0]) if len(p) > 1 else None for p in parts}
        splits = {name: split for name, split in found.items() if split}
        return splits if len(splits) == len(found) and len(set(splits.values())) > 1 else {}


def _hint(root: Path) -> str:
    return "; parquet:PATH reads *.parquet" if next(root.rglob("*.parquet"), None) else ""


def _refuse_inner_sets(root: Path, tree: _Tree) -> None:
    """A set of its own beside other folders: which of them is meant, nobody said."""
    sets = [name for name in tree.folders if tree.splits_in(name)]
    if sets and len(sets) < len(tree.folders):
        inner = (tree.base / sets[0]).relative_to(root).as_posix()
        others = ", ".join(f"{name}/" for name in tree.folders if name not in sets)
        raise UserError(f"{root}: {inner}/ has split folders in it, and beside it lie {others}: name {root / inner}")


def _is_wrapper(folder: Path, paths: Iterable[Path]) -> bool:
    """Whether a folder that stands alone holds class folders; one named after an expression is a class itself."""
    if split_of(folder.name) or plain(folder.name) in (*SEVEN, CONTEMPT):
        return False
    return all(path.parent != folder for path in paths)
