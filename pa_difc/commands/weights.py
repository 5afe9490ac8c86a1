"""``pa-difc weights``: lists public weights: the backbone that each fits, origin, terms, and whether you have them."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..backbones.published import PUBLISHED, PublishedWeights, find_published
from ..util.names import lookup
from ..util.terminal import filled, wrapped

EXAMPLES = """\
  pa-difc weights
  pa-difc weights --dir downloads   # which are below this folder, and unchanged
  pa-difc weights face_api"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="name of the weights (default: all)")
    about = "look for their files below this folder, and verify their hashes"
    parser.add_argument("--dir", type=Path, default=None, metavar="DIR", help=about)


def run(parsed: argparse.Namespace) -> int:
    chosen = PUBLISHED if parsed.name is None else {parsed.name: lookup("weights", parsed.name, PUBLISHED)}
    good = True
    for name, weights in chosen.items():
        path, problem = (None, "") if parsed.dir is None else find_published(weights, parsed.dir)
        good = good and not problem
        mark = "·" if path is None else "✗" if problem else "✓"
        print(f"{mark} {name}, for --backbone {weights.backbone}")
        for title, text in _facts(weights, problem):
            print(filled(f"{title:<11} {text}", "    ", " " * 16))
        if path is not None and not problem:  # on one line, to be copied
            print(f"    {'here':<11} --backbone {weights.backbone} --pretrained {path}")
    about = "Nothing is downloaded: get the files yourself, under their terms, and give --pretrained FILE."
    print("\n" + wrapped(about, 0))
    print("A run's folder, or one that export wrote, works as well.")
    return 0 if good else 1


def _facts(weights: PublishedWeights, problem: str) -> list[tuple[str, str]]:
    files = ", ".join(f.name + (f" (sha256 {f.sha256[:8]}…)" if f.sha256 else "") for f in weights.files)
    size = "" if weights.size is None else f", {weights.size / 1e6:.2f} MB"
    found = [("from", weights.origin), ("terms", weights.terms), ("trained on", weights.trained_on)]
    found.append(("files", files + size))
    if weights.classifier:
        found.append(("classifier", weights.classifier))
    if problem:
        found.append(("problem", problem))
    return found
