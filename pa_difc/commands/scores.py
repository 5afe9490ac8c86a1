"""Prints a pair of datasets before training, and a run's scores after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.arrange import near_line
from ..data.domains import Domain, cut_differently, describe_counts
from ..data.files import left_out_line
from ..data.labelling import alone_line
from ..evaluation.metrics import COLLAPSED, COLLAPSED_UNLABELLED, METRICS
from ..report.phases import never_began
from ..util.terminal import filled, wrapped
from .grid_lines import interval_of

if TYPE_CHECKING:
    from ..training.settings import Settings


def announce(source: Domain, target: Domain) -> None:
    """Prints the data that will be trained on: counts, missing classes, and what was left out."""
    print(f"{source.name} → {target.name}")
    if source.empty:
        print("  source  none: adapting to the target alone")
    else:
        print(f"  source  {describe_counts(source.train_counts, len(source.train), source.label_set.names)}")
    if target.labelled:
        others = "the same ones" if target.transductive else f"{len(target.test):,} others"
        print(f"  target  {len(target.train):,} faces, unlabelled in training; scored on {others}")
    else:
        print(f"  target  {len(target.train):,} faces without labels: nothing can be scored on them")
    for domain in (target,) if source.empty else (source, target):
        for line in _remarks(domain):
            print(wrapped(f"  {line}", indent=4))
    if warning := cut_differently(source, target):
        print(wrapped(f"  {warning}", indent=4))
    print(flush=True)


def announce_phases(cells: Iterable[Settings], longer: str = "more epochs") -> None:
    """Prints which phases of losses never begin because training ends before, and what would let them begin."""
    for line in never_began((cell.to_dict() for cell in cells), longer):
        print(f"{wrapped(line, indent=2)}\n", flush=True)


def _remarks(domain: Domain) -> Iterator[str]:
    """Notes and warnings on a domain, a line each."""
    yield from _on_classes(domain)
    yield from (f"{domain.name}: {note}" for note in domain.notes)
    if line := left_out_line(domain.left_out):
        yield f"{domain.name}: {line}"
    if domain.bad_images:
        first, number = domain.bad_images[0], len(domain.bad_images)
        what = f"{number} images that can't be read or cropped"
        yield f"left out of {domain.name}: {what}, such as {first.name} ({first.reason})"
    if domain.duplicates:
        yield f"in {domain.name}: {domain.duplicates}"
    if domain.copies and domain.copies.groups:
        yield f"in {domain.name}: {domain.copies.all_kept}"
    if domain.near_duplicates:
        yield f"in {domain.name}: {near_line(domain.near_duplicates)}"
    if domain.store and (missing := domain.store["without_face"]):
        yield _without_face(domain.name, missing, domain.store["on_missing"])
    if domain.excluded:
        words = ", ".join(f"{word} {number:,}" for word, number in domain.excluded.items())
        yield f"left out of {domain.name}, with labels that are not classes: {words}"


def _on_classes(domain: Domain) -> Iterator[str]:
    """Lines on classes that a split lacks, with a warning if the other split has them."""
    if not domain.labelled:
        return
    missing = {split: domain.missing(split) for split in ("train", "test")}
    for split, other in (("train", "test"), ("test", "train")):
        if missing[split]:
            yield f"no {split} face in {domain.name} of: {', '.join(missing[split])}"
        if alone := [name for name in missing[split] if name not in missing[other]]:
            yield f"{domain.name}: {alone_line(alone, other)}"


def _without_face(name: str, number: int, on_missing: str) -> str:
    """What a face store did with images in which no face was found."""
    if on_missing == "whole":
        return f"in the store of {name}: {number:,} images without a detected face, kept whole with typical landmarks"
    return f"not in the store of {name}: {number:,} images without a face"


def print_scores(record: dict[str, Any], folder: Path) -> None:
    """Prints a run's scores on the target, or its predicted classes if there are no labels, and its record's path."""
    classes, target = record["labels"]["names"], record["settings"]["data"]["target"]
    if (scores := record["scores"].get("target")) is not None:
        _print_target(target, scores, classes)
    else:
        _print_predictions(target, record["scores"], classes)
    print(f"record: {folder / 'record.json'}")


def _print_predictions(target: str, scores: dict[str, Any], classes: list[str]) -> None:
    predicted = scores["unlabelled_target"]
    total = sum(predicted["predicted"])
    print(f"target {target}, last epoch, {total:,} faces without labels, predicted to be:")
    counts = zip(classes, predicted["predicted"], strict=True)
    _print_row("", [f"{name} {count / total:.0%}" for name, count in counts])
    if "source" in scores:
        print(f"  mean recall on the source's held-out faces {scores['source']['macro_recall']:.1%}")
    _warn(predicted, COLLAPSED_UNLABELLED)


def _print_target(target: str, scores: dict[str, Any], classes: list[str]) -> None:
    print(f"target {target}, last epoch, no target label used:")
    sure = {"accuracy": interval_of(scores)}
    shown = {key: f"{name} {scores[key]:.1%}" for key, name in METRICS.items() if scores[key] is not None}
    _print_row("", [f"{text} {sure.get(key, '')}".rstrip() for key, text in shown.items()])
    recalls = zip(classes, scores["recall"], strict=True)
    _print_row("recall   ", [f"{name} {'–' if r is None else format(r, '.0%')}" for name, r in recalls])
    _warn(scores, COLLAPSED)


def _warn(scores: dict[str, Any], words: str) -> None:
    if scores["collapsed"]:
        print(wrapped(f"  collapsed: {words}", indent=4))


def _print_row(head: str, cells: list[str]) -> None:
    """Prints cells side by side, as many as fit on a line."""
    text = "   ".join(cell.replace(" ", "\xa0") for cell in cells)
    print(filled(text, f"  {head}", "  " + " " * len(head)).replace("\xa0", " "))
