"""Reads a legend CSV beside a folder of images."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ...util.errors import UserError
from .listing import Listing, Sample, csv_rows, plain_name
from .places import find_inner, opened, unlisted
from .tables import listing_of


def read_legend_csv(root: Path) -> Listing:
    """Reads ``legend.csv`` with the columns image and emotion, and maybe split and group, beside ``images/``.

    Without a column "split", about a fifth is held out as "test", by a hash of the groups if there is a column "group",
    else of the names. Images that the list does not name are counted.
    """
    return _read_legend(root, group=None)


def read_muxspace(root: Path) -> Listing:
    """Reads muxspace/facial_expressions: a legend CSV whose file names are a person's name and a number.

    All images of a person fall into one split.
    """
    return _read_legend(root, group=lambda name: re.sub(r"_\d+$", "", Path(name).stem))


def _read_legend(root: Path, group: Callable[[str], str] | None) -> Listing:
    looked_for = "no legend.csv here (looked for legend.csv beside images/)"
    base = find_inner(root, lambda folder: (folder / "legend.csv").is_file(), looked_for)
    legend = base / "legend.csv"
    samples: list[Sample] = []
    columns: dict[str, list[str]] = {}
    for where, row in csv_rows(legend, ("image", "emotion")):
        name = plain_name(row["image"].strip(), where, "images")
        if not (word := row["emotion"].strip()):
            raise UserError(f"{where}: the emotion of {name} is empty, must be a word")
        samples.append(Sample(name, word, "", base / "images" / name, group=group(name) if group else None))
        for column, value in row.items():
            if column not in ("image", "emotion") and isinstance(column, str):
                columns.setdefault(column, []).append((value or "").strip())
    if not samples:
        raise UserError(f"{legend}: the list is empty")
    try:
        return listing_of(samples, columns, opened(root, base), unlisted(base, samples, legend))
    except UserError as error:
        raise UserError(f"{legend}: {error}") from None
