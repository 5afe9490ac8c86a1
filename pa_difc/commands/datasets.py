"""``pa-difc datasets``: what there is, where it comes from, and what was found."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from ..data.datasets import DATASETS, OWN_DATA, STORE, dataset_names, find_dataset
from ..data.labels import SEVEN, find_label_set
from ..util.errors import UserError
from ..util.names import unknown

EXAMPLES = """\
  pa-difc datasets
  pa-difc datasets raf_db --data-root data
  pa-difc datasets folder:my_faces --data-root ."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="one of them, or folder:PATH, legend:PATH, images:PATH, store:PATH")
    about = "say which of a dataset's words are classes of this label set (default: %(default)s)"
    parser.add_argument("--labels", default="expressions", metavar="SET", help=about)
    parser.add_argument("--data-root", type=Path, default=Path("data"), metavar="DIR", help="(default: %(default)s)")


def run(parsed: argparse.Namespace) -> int:
    if parsed.name is None:
        _list(parsed.data_root)
        return 0
    _describe(parsed.name)
    return _report(parsed.name, parsed.data_root, parsed.labels)


def _list(data_root: Path) -> None:
    names = DATASETS.loaded()
    width = max(map(len, names))
    for name, spec in names.items():
        here = "✓" if spec.reader is None or (data_root / (spec.folder or name)).is_dir() else " "
        print(f"{here} {name:<{width}}  {spec.about}")
    print(f"\n✓ is drawn, or has a folder in {data_root}. Also folder:PATH, legend:PATH, store:PATH")
    print("and, for faces without labels, images:PATH.")


def _describe(name: str) -> None:
    if name not in DATASETS:
        if name.partition(":")[0] not in (*OWN_DATA, STORE):
            raise unknown("dataset", name, dataset_names())
        return
    spec = DATASETS.lookup(name)
    print(f"{name}: {spec.about}")
    for title, text in (("from", spec.obtain), ("expected", spec.layout), ("split", spec.reader and spec.split)):
        if text:
            print(textwrap.fill(text, 110, initial_indent=f"  {title:<9} ", subsequent_indent=" " * 12))


def _report(name: str, data_root: Path, labels: str) -> int:
    """What a reader found; 1 if there is nothing to read."""
    try:
        reader, root = find_dataset(name, data_root)
    except UserError:
        print(f"  found     nothing in {data_root}")
        return 1
    from ..data.store import is_store, open_store

    if is_store(root):
        store = open_store(root)
        dataset, crop = store.manifest["dataset"], store.parameters["crop"]
        print(f"  found     a face store of {dataset} in {root}, cut out by {crop}")
        _print_counts(store.counts)
        _print_classes(store.counts, labels)
    elif reader is not None:
        listing = reader(root)
        print(f"  found     {len(listing.samples):,} samples in {root}, fingerprint {listing.fingerprint}")
        _print_counts(listing.counts)
        _print_classes(listing.counts, labels)
    return 0


def _print_counts(counts: dict[str, dict[str, int]]) -> None:
    """Samples by split and by the dataset's own words: splits across if there are many words, else down."""
    words = list(
        dict.fromkeys(
            (
                *(w for w in SEVEN if any(w in row for row in counts.values())),
                *(w for row in counts.values() for w in row),
            )
        )
    )
    splits = sorted(counts, key=lambda split: (split != "train", split))
    if not words:
        print("            no labels: a target to adapt to, on which nothing can be scored")
        return
    width = max(10, *(len(word) + 2 for word in words))
    if width * len(words) <= 100:
        rows = [("", words), *((split, [f"{counts[split].get(w, 0):,}" for w in words]) for split in splits)]
    else:
        rows = [("", splits), *((word, [f"{counts[s].get(word, 0):,}" for s in splits]) for word in words)]
    for head, cells in rows:
        print(f"            {head:>{width}}" + "".join(f"{cell:>{width}}" for cell in cells))


def _print_classes(counts: dict[str, dict[str, int]], labels: str) -> None:
    """Which words are left out by a label set, and which are none of its words."""
    label_set = find_label_set(labels)
    if label_set is None:  # the words are the classes
        return
    left_out, unknown_words = [], []
    for word in dict.fromkeys(word for row in counts.values() for word in row):
        try:
            if label_set.index(word) is None:
                left_out.append(word)
        except UserError:
            unknown_words.append(word)
    if left_out:
        print(f"            left out under --labels {labels}: {', '.join(left_out)}")
    if unknown_words:
        print(f"            no class of --labels {labels}: {', '.join(unknown_words)} (see --labels FILE.toml)")
