"""Reads trees of class folders."""

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

#: From an image's path to the group that stays on one side of the split.
Group = Callable[[Path], "str | None"]


def read_class_folders(root: Path, group: Group | None = None) -> Listing:
    """Reads class folders: ``<class>/…``, ``train/<class>/…`` and ``test/<class>/…``, or ``<class>/train/…``.

    Split folders are recognised by their usual names, see :func:`.split_of`; with only "train" and "val", "val" is the
    test split. Without split folders, about a fifth is held out as "test", by a hash of each image's group, so that
    the choice does not depend on other images. A single folder around everything is opened.

    Args:
        root: the folder.
        group: from an image's path to the group that stays on one side of the split, such as the person; None groups
            an image with its copies, recognised by their names (``a.jpg`` and ``a_aug0.jpg``).

    Raises:
        NotHere: there are no images in class folders.
        UserError: the folder holds several datasets, or :class:`.Listing` refuses the samples.
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
    """Reads SFEW 2.0 (Dhall et al. 2011): ``Train/<Class>/`` and ``Val/<Class>/``; Val is the test split.

    The official Test folder, which has no labels, is left out, as are aligned faces beside the film stills.
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
    """Samples in the dataset's own splits; without a "test" split, "val" becomes it."""
    served = scored_on(sample.split for sample in samples)
    return [replace(s, split=served[s.split]) if served[s.split] != s.split else s for s in samples]


def _hint(root: Path) -> str:
    return "; parquet:PATH reads *.parquet" if next(root.rglob("*.parquet"), None) else ""
