"""``pa-difc datasets``: lists the datasets, where they come from, and what was found on disk."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.datasets import DATASETS, OWN_DATA, STORE, dataset_names, find_dataset
from ..data.labels import SEVEN, LabelSet, find_label_set
from ..util.errors import UserError
from ..util.names import unknown
from ..util.terminal import columns, filled, wrapped
from .flags import add_arrangement_flags

if TYPE_CHECKING:
    from ..data.arrange import Arranged, Arrangement
    from ..data.readers.listing import Listing

EXAMPLES = """\
  pa-difc datasets
  pa-difc datasets raf_db --data-root data
  pa-difc datasets folder:my_faces --data-root .
  pa-difc datasets folder:my_faces --data-root . \\
      --group-by 'person\\d+' --near-duplicates group"""

#: Without a flag, near duplicates are searched for in datasets of at most this many images, which takes seconds.
_FEW = 10_000


def arguments(parser: argparse.ArgumentParser) -> None:
    own = ", ".join(f"{kind}:PATH" for kind in (*OWN_DATA, STORE))
    parser.add_argument("name", nargs="?", help=f"name of a dataset, or {own}")
    about = "show which of a dataset's labels are classes of this label set (default: %(default)s)"
    parser.add_argument("--labels", default="expressions", metavar="SET", help=about)
    parser.add_argument(
        "--data-root", type=Path, default=Path("data"), metavar="DIR", help="folder of datasets (default: %(default)s)"
    )
    parser.add_argument("--deduplicate", action="store_true", help="drop exact duplicates, and report them")
    add_arrangement_flags(parser)


def run(parsed: argparse.Namespace) -> int:
    if parsed.name is None:
        _list(parsed.data_root)
        return 0
    _describe(parsed.name)
    label_set = find_label_set(parsed.labels)
    return _report(parsed, label_set)


def _list(data_root: Path) -> None:
    names = DATASETS.loaded()
    width = max(map(len, names))
    for name, spec in names.items():
        here = "✓" if spec.reader is None or (data_root / (spec.folder or name)).is_dir() else " "
        print(wrapped(f"{here} {name:<{width}}  {spec.about}", width + 4))
    print(f"\n✓ synthetic, or found in {data_root}.")
    print(wrapped("Also folder:PATH, legend:PATH, parquet:PATH, store:PATH and, without labels, images:PATH.", 0))


def _describe(name: str) -> None:
    if name not in DATASETS:
        if name.partition(":")[0] not in (*OWN_DATA, STORE):
            raise unknown("dataset", name, dataset_names())
        return
    spec = DATASETS.lookup(name)
    print(f"{name}: {spec.about}")
    for title, text in (("from", spec.obtain), ("expected", spec.layout), ("split", spec.reader and spec.split)):
        if text:
            print(filled(text, f"  {title:<9} ", " " * 12))


def _report(parsed: argparse.Namespace, label_set: LabelSet | None) -> int:
    """Prints what the dataset's reader found; returns the exit code, 1 if there is nothing to read."""
    try:
        reader, root = find_dataset(parsed.name, parsed.data_root)
    except UserError:
        print(f"  found     nothing in {parsed.data_root}")
        return 1
    from ..data.arrange import Arrangement
    from ..data.store import is_store

    how = Arrangement(parsed.deduplicate, parsed.group_by, parsed.near_duplicates)
    if is_store(root):
        _report_store(root, how, parsed.labels, label_set)
    elif reader is not None:
        _report_listing(parsed.name, root, reader(root), how, parsed.labels, label_set)
    return 0


def _report_store(root: Path, how: Arrangement, labels: str, label_set: LabelSet | None) -> None:
    from ..data.arrange import Arrangement
    from ..data.files import left_out_line
    from ..data.store import open_store

    if how != Arrangement():
        raise UserError(
            f"{root} is a face store: its samples are already selected and split; give these flags to prepare"
        )
    store = open_store(root)
    dataset, crop = store.manifest["dataset"], store.parameters["crop"]
    print(f"  found     a face store of {dataset} in {root}, cropped by {crop}")
    _print_counts(store.counts)
    _print_classes(store.counts, labels, label_set)
    _print_lines(*store.manifest.get("notes", ()), left_out_line(store.manifest.get("left_out", {})))


def _report_listing(
    name: str, root: Path, listing: Listing, how: Arrangement, labels: str, label_set: LabelSet | None
) -> None:
    from ..data.arrange import arrange
    from ..data.files import left_out_line
    from ..data.grouping import require_fit
    from ..data.near import can_find_near
    from ..data.readers.listing import missing_files

    if how.near_duplicates is None and can_find_near() and len(listing.samples) <= _FEW:
        how = replace(how, near_duplicates="keep")
    arranged = arrange(listing, how)
    require_fit(how.group_by, arranged.fits, [name], listing.columns)
    listing = arranged.listing
    print(f"  found     {len(listing.samples):,} samples in {root}, fingerprint {listing.fingerprint}")
    _print_counts(listing.counts)
    _print_classes(listing.counts, labels, label_set)
    _print_lines(*listing.notes, left_out_line(listing.left_out), *_on_arrangement(arranged, how))
    looked, absent = missing_files(listing.samples)
    if looked and len(absent) == looked:
        raise UserError(f"{name}: none of the {looked:,} listed files exist, such as {absent[0]}")
    if absent:
        number = f"{len(absent):,} of {looked:,} files are missing"
        _print_lines(f"warning: {number}, such as {absent[0]}")


def _on_arrangement(arranged: Arranged, how: Arrangement) -> Iterator[str]:
    """Lines on groups and duplicates."""
    from ..data.arrange import near_line
    from ..data.near import NEEDS, can_find_near

    if how.group_by is not None:
        yield f"grouped by {how.group_by}: {arranged.fits:,} samples"
    if arranged.duplicates:
        yield str(arranged.duplicates)
    if arranged.copies and arranged.copies.groups:
        yield arranged.copies.all_kept
    if (near := arranged.near_record(how)) is None:
        yield f"near duplicates: not searched ({'--near-duplicates keep' if can_find_near() else NEEDS})"
    elif near["groups"]:
        yield near_line(near)


def _print_lines(*lines: str | None) -> None:
    for line in filter(None, lines):
        print(wrapped(f"            {line}", 14))


def _print_counts(counts: dict[str, dict[str, int]]) -> None:
    """Prints the samples by split and by the dataset's own labels: one row per split, or per label if rows get long."""
    from ..data.readers.listing import shown_split

    words = list(
        dict.fromkeys(
            (
                *(w for w in SEVEN if any(w in row for row in counts.values())),
                *(w for row in counts.values() for w in row),
            )
        )
    )
    counts = {shown_split(split): row for split, row in counts.items()}
    splits = sorted(counts, key=lambda split: (split != "train", split))
    if not words:
        _print_lines("no labels: usable as a target; nothing can be scored on it")
        return
    width = max(10, *(len(name) + 2 for name in (*words, *splits)))
    if width * len(words) <= columns(112) - 12:
        rows = [("", words), *((split, [f"{counts[split].get(w, 0):,}" for w in words]) for split in splits)]
    else:
        rows = [("", splits), *((word, [f"{counts[s].get(word, 0):,}" for s in splits]) for word in words)]
    for head, cells in rows:
        print(f"            {head:>{width}}" + "".join(f"{cell:>{width}}" for cell in cells))


def _print_classes(counts: dict[str, dict[str, int]], labels: str, label_set: LabelSet | None) -> None:
    """Prints which labels the label set leaves out or does not know, and which classes a split lacks."""
    from ..data.labelling import NUMBERS, alone_line, empty_lines, near_class, one_sided

    words = list(dict.fromkeys(word for row in counts.values() for word in row))
    left_out, unknown_words, there = [], [], set()
    for word in words:
        try:
            if label_set is None:  # the dataset's labels are the classes
                break
            if (k := label_set.index(word)) is None:
                left_out.append(word)
            else:
                there.add(k)
        except UserError:
            unknown_words.append(word)
    if left_out:
        _print_lines(f"left out under --labels {labels}: {', '.join(left_out)}")
    if unknown_words:
        way = NUMBERS if all(word.strip().isdigit() for word in unknown_words) else "see --labels FILE.toml"
        meant = [(word, near_class(word, label_set)) for word in unknown_words if label_set is not None]
        said = ", ".join(f"{word} (did you mean {near}?)" if near else word for word, near in meant)
        _print_lines(f"no class of --labels {labels}: {said} ({way})")
    if label_set and there and (absent := [name for k, name in enumerate(label_set.names) if k not in there]):
        _print_lines(f"no sample of: {', '.join(absent)}")
    _print_lines(*empty_lines(counts, label_set))
    _print_lines(*(alone_line(names, split) for split, names in one_sided(counts, label_set).items()))
