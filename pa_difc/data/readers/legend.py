"""Reading a legend CSV beside a folder of images."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ...util.errors import UserError
from .listing import Listing, Sample, csv_rows, held_out, plain_name


def read_legend_csv(root: Path) -> Listing:
    """A list ``legend.csv`` with columns image and emotion beside ``images/``.

    About a fifth is held out as "test", by a hash of the names.
    """
    return _read_legend(root, group=lambda name: name)


def read_muxspace(root: Path) -> Listing:
    """muxspace/facial_expressions: a legend CSV whose file names are a person's name and a number.

    All images of a person fall into one split, so that nobody is in both.
    """
    return _read_legend(root, group=lambda name: re.sub(r"_\d+$", "", Path(name).stem))


def _read_legend(root: Path, group: Callable[[str], str]) -> Listing:
    legend = root / "legend.csv"
    if not legend.is_file():
        raise UserError(f"{root}: no legend.csv here (looked for legend.csv beside images/)")
    samples: list[Sample] = []
    for where, row in csv_rows(legend, ("image", "emotion")):
        name = plain_name(row["image"].strip(), where, "images")
        if not (word := row["emotion"].strip()):
            raise UserError(f"{where}: the emotion of {name} is empty, must be a word")
        samples.append(Sample(name, word, held_out(group(name)), root / "images" / name))
    if not samples:
        raise UserError(f"{legend}: the list is empty")
    try:
        return Listing(samples)
    except UserError as error:
        raise UserError(f"{legend}: {error}") from None
