"""Reading trees of class folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..files import find_images, left_out_clause
from .copies import copies
from .links import all_paths, one_each
from .listing import Listing, NotHere, Sample, held_out_groups
from .places import opened
from .splits import scored_on
from .tree import OUTSIDE, Placed, Tree, place

#: From an image's path to what stays together.
Group = Callable[[Path], "str | None"]


def read_class_folders(root: Path, group: Group | None = None) -> Listing:
    """Any tree of class folders: ``<class>/…``, ``train/<class>/…`` and ``test/<class>/…``, or ``<class>/train/…``.

    Split folders are known by their common names in any case, see :func:`.split_of`; with "train" and "val" alone,
    "val" is the test split. Without them, about a fifth is held out as "test": the images whose groups' hashes say so,
    the same ones whatever else is next to them. A folder around all of it is opened.

    Args:
        root: the folder.
        group: from an image's path to what stays together, such as the person; None: an image and its copies, which
            are known by their names (``a.jpg`` and ``a_aug0.jpg``).

    Raises:
        NotHere: there are no images in class folders.
        UserError: there are several sets in it, or :class:`.Listing` is not satisfied.
    """
    found = find_images(root)
    placed = place(root, all_paths(found))
    rows, left_out = one_each(root, found, placed)
    if not rows:
        raise NotHere(
            f"{root}: no images in class folders (looked for <class>/*.jpg, train/<class>/*.jpg)"
            f"{left_out_clause(left_out)}{_hint(root)}"
        )
    groups = group or copies(root, (path for _, _, path in rows)).get
    samples = [
        Sample(path.relative_to(root).as_posix(), word, split or "", path, group=groups(path))
        for split, word, path in rows
    ]
    notes = opened(root, placed.base)
    if rows[0][0] is None:
        return held_out_groups(samples, left_out=left_out, notes=notes)
    return Listing(settled(samples), left_out, notes)


def read_sfew(root: Path) -> Listing:
    """SFEW 2.0 (Dhall et al. 2011): ``Train/<Class>/``, ``Val/<Class>/``; Val is the test split.

    The official Test folder comes without labels and is left out, and so are aligned faces beside the film stills.
    """
    found = find_images(root)
    tree = Tree.open(root, all_paths(found))
    wanted = {name: split for name in tree.folders if (split := {"train": "train", "val": "test"}.get(name.lower()))}
    if set(wanted.values()) != {"train", "test"}:
        raise NotHere(f"{root}: no SFEW 2.0 here (looked for Train/<Class>/ and Val/<Class>/)")
    placed = Placed(tree.base)
    placed.leave(tree.loose, OUTSIDE)
    for name in tree.folders.keys() - wanted.keys():
        placed.leave(tree.folders[name], f"in {name}/")
    for name, split in wanted.items():
        inner = Tree.open(tree.base / name, tree.folders[name])
        placed.leave(inner.loose, OUTSIDE)
        for word, files in inner.folders.items():
            if "aligned" in word.lower():
                placed.leave(files, f"in {name}/{word}/")
            else:
                placed.rows += [(split, word, path) for path in files]
    rows, left_out = one_each(root, found, placed)
    if not rows:
        raise NotHere(f"{root}: no images below Train/<Class>/ and Val/<Class>/")
    samples = [Sample(path.relative_to(root).as_posix(), word, split or "", path) for split, word, path in rows]
    return Listing(samples, left_out, opened(root, tree.base))


def settled(samples: list[Sample]) -> list[Sample]:
    """Samples in the dataset's own splits; where there is no "test", "val" is it."""
    served = scored_on(sample.split for sample in samples)
    return [replace(s, split=served[s.split]) if served[s.split] != s.split else s for s in samples]


def _hint(root: Path) -> str:
    return "; parquet:PATH reads *.parquet" if next(root.rglob("*.parquet"), None) else ""
