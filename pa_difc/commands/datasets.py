"""``pa-difc datasets``: what there is, where it comes from, and what was found."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from ..data.datasets import OWN_DATA, all_datasets, dataset_names, find_dataset
from ..data.labels import EXPRESSIONS
from ..data.readers import Listing
from ..data.store import is_store, open_store
from ..util.errors import UserError
from ..util.names import unknown

EXAMPLES = """\
  pa-difc datasets
  pa-difc datasets raf_db --data-root data
  pa-difc datasets folder:my_faces --data-root ."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="one of them, or folder:PATH, legend:PATH, images:PATH, store:PATH")
    parser.add_argument("--data-root", type=Path, default=Path("data"), metavar="DIR", help="(default: %(default)s)")


def run(parsed: argparse.Namespace) -> int:
    if parsed.name is None:
        _list(parsed.data_root)
        return 0
    _describe(parsed.name)
    return _report(parsed.name, parsed.data_root)


def _list(data_root: Path) -> None:
    names = all_datasets()
    width = max(map(len, names))
    for name, spec in names.items():
        here = "✓" if spec.reader is None or (data_root / (spec.folder or name)).is_dir() else " "
        print(f"{here} {name:<{width}}  {spec.about}")
    print(f"\n✓ is drawn, or has a folder in {data_root}. Also folder:PATH, legend:PATH, store:PATH")
    print("and, for faces without labels, images:PATH.")


def _describe(name: str) -> None:
    spec = all_datasets().get(name)
    if spec is None:
        if name.partition(":")[0] not in (*OWN_DATA, "store"):
            raise unknown("dataset", name, dataset_names())
        return
    print(f"{name}: {spec.about}")
    for title, text in (("from", spec.obtain), ("expected", spec.layout), ("split", spec.reader and spec.split)):
        if text:
            print(textwrap.fill(text, 110, initial_indent=f"  {title:<9} ", subsequent_indent=" " * 12))


def _report(name: str, data_root: Path) -> int:
    """What a reader found; 1 if there is nothing to read."""
    try:
        reader, root = find_dataset(name, data_root)
    except UserError:
        print(f"  found     nothing in {data_root}")
        return 1
    if is_store(root):
        store = open_store(root)
        print(
            f"  found     a face store of {store.manifest['dataset']} in {root}, cut out by {store.parameters['crop']}"
        )
        _counts({split: faces.class_counts for split, faces in store.splits.items()})
    elif reader is not None:
        listing = reader(root)
        _counts_of(listing, root)
    return 0


def _counts_of(listing: Listing, root: Path) -> None:
    print(f"  found     {len(listing.samples):,} samples in {root}, fingerprint {listing.fingerprint}")
    if listing.excluded:
        print(f"            {listing.excluded:,} more show expressions that are not among the seven")
    _counts(listing.counts)


def _counts(counts: dict[str, list[int]]) -> None:
    if not any(map(any, counts.values())):
        print("            no labels: a target to adapt to, on which nothing can be scored")
        return
    print("            " + "".join(f"{name:>10}" for name in ("", *EXPRESSIONS)))
    for split, row in sorted(counts.items(), key=lambda item: (item[0] != "train", item[0])):
        print("            " + f"{split:>10}" + "".join(f"{count:>10,}" for count in row))
