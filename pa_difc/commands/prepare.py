"""``pa-difc prepare``: detects, crops and stores the faces of a dataset, once for all training."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..data.prepare.settings import PrepareSettings
from ..util.errors import Stopped, UserError
from ..util.numbers import rate
from ..util.options import describe
from ..util.terminal import wrapped

EXAMPLES = """\
  pa-difc prepare --dataset fer2013 --data-root data --out stores/fer2013
  pa-difc prepare --dataset folder:my_faces --data-root . \\
      --out stores/my_faces --crop arcface
  pa-difc prepare --check stores/fer2013
  python recipes/compare.py --source raf_db --target fer2013 \\
      --data-root stores --backbone ir18"""

#: Metavars of flags whose value is neither a name nor a number of pixels.
_METAVARS = {"group_by": "PATTERN|COLUMN"}

_KEPT = "kept whole, or in the dataset's box, with typical landmarks"


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--dataset", metavar="NAME", help="dataset to prepare; see `pa-difc datasets`")
    add("--data-root", type=Path, default=Path("data"), metavar="DIR", help="folder of datasets (default: %(default)s)")
    add("--out", type=Path, metavar="STORE", help="folder of the store")
    add("--check", type=Path, metavar="STORE", help="only verify a store's files against their hashes")
    for name, about in describe(PrepareSettings).items():
        flag, text = f"--{name.replace('_', '-')}", about.about.replace("%", "%%")
        if about.hint is bool:
            add(flag, action="store_true", help=text)
        else:
            kind = int if about.hint is int else str
            shown = "" if about.default is None else " (default: %(default)s)"
            metavar = _METAVARS.get(name, "P" if kind is int else "NAME")
            add(flag, type=kind, default=about.default, metavar=metavar, help=text + shown)
    cores = os.cpu_count() or 1
    add(
        "--processes",
        type=int,
        default=cores,
        metavar="N",
        help="worker processes (default: one per core, %(default)s)",
    )
    add("--device", default="cpu", metavar="NAME", help="cpu, cuda or cuda:N (default: %(default)s)")


def run(parsed: argparse.Namespace) -> int:
    if parsed.check is not None:
        return _check(parsed.check)
    if parsed.dataset is None or parsed.out is None:
        raise UserError("--dataset and --out must be given (or --check STORE)")
    if parsed.processes < 1:
        raise UserError(f"--processes {parsed.processes}: must be at least 1")
    settings = PrepareSettings(**{name: getattr(parsed, name) for name in describe(PrepareSettings)})

    from ..data.datasets import find_dataset
    from ..data.prepare import prepare_store
    from ..data.store import is_store
    from ..training.device import set_device

    set_device(parsed.device)
    reader, root = find_dataset(parsed.dataset, parsed.data_root)
    if is_store(root):
        raise UserError(f"{root} is a face store already")
    if reader is None:
        raise UserError(f"dataset {parsed.dataset}: it holds no photographs, and needs no store")
    started = time.perf_counter()
    try:
        manifest, worked = prepare_store(
            parsed.dataset, reader(root), parsed.out, settings, processes=parsed.processes, device=parsed.device
        )
    except KeyboardInterrupt:
        raise Stopped("stopped; nothing is lost") from None
    _summary(manifest, worked, time.perf_counter() - started, parsed.out)
    return 0


def _check(path: Path) -> int:
    from ..data.store import check_store

    problems = check_store(path)
    for problem in problems:
        print(f"{path}: {problem}")
    if not problems:
        print(f"{path}: whole")
    return 1 if problems else 0


def _duplicates(manifest: dict[str, Any]) -> Iterator[str]:
    """Lines on duplicate samples."""
    from ..data.arrange import near_line
    from ..data.duplicates import Duplicates

    if manifest["duplicates"]:
        yield str(Duplicates(**manifest["duplicates"]))
    if "copies" in manifest and manifest["copies"]["groups"]:
        yield Duplicates(**manifest["copies"]).all_kept
    if "near_duplicates" in manifest:
        yield near_line(manifest["near_duplicates"])


def _summary(manifest: dict[str, Any], worked: int, seconds: float, out: Path) -> None:
    from ..data.files import left_out_line
    from ..data.readers.listing import shown_split

    listed, missing = manifest["listed"], len(manifest["without_face"])
    whole = manifest["parameters"]["on_missing"] == "whole"
    faces = f"{manifest['faces'] - whole * missing:,} faces"
    if whole and missing:
        faces += f" and {missing:,} images without one"
    if not worked:
        print(f"{out} is up to date: {faces}, nothing to do")
        return
    print(f"{out}: {faces} of {listed:,} images, {rate(worked, seconds)} images/s")
    if missing:
        line = f"  without a face: {missing:,} ({_share(missing / listed)}), {_KEPT if whole else 'left out'}"
        print(wrapped(line, 4))
    for what, key in (("unreadable", "unreadable"), ("with a box or points that don't fit", "misplaced")):
        if images := manifest.get(key, ()):
            print(wrapped(f"  {what}: {len(images):,}, such as {images[0]['name']} ({images[0]['reason']})", 4))
    for line in (*manifest["notes"], left_out_line(manifest["left_out"]), *_duplicates(manifest)):
        if line:
            print(wrapped(f"  {line}", 4))
    for split, counts in manifest["counts"].items():
        classes = "  ".join(f"{name} {count:,}" for name, count in counts.items())
        if any(counts.values()):
            print(wrapped(f"  {shown_split(split):<6} {classes}", 9))
    if manifest["faces"] and not manifest["words"]:
        print("  no labels: usable as a target; nothing can be scored on it")
    print(f"  look at {out / 'contact_sheet.png'}")


def _share(value: float) -> str:
    """A share with one decimal; a small one is not shown as none."""
    return "<0.1%" if 0 < value < 0.0005 else f"{value:.1%}"
