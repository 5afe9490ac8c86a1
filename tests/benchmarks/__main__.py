"""make bench: runs the sections and writes benchmarks.json and benchmarks.md."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from pa_difc.util.files import write_json, write_text

from . import cost, growth, libraries, overhead, peers, photographs, variants, vision, workers
from .report import markdown, setting, to_dict

SECTIONS = {
    "difc": cost.difc,
    "methods": cost.methods,
    "engine": overhead.engine,
    "mcd": variants.mcd,
    "flags": variants.flags,
    "landmarks": vision.landmarks,
    "prepare": vision.prepare,
    "photographs": photographs.photographs,
    "host": peers.host,
    "skada": peers.skada,
    "libraries": libraries.libraries,
    "growth": growth.growth,
    "workers": workers.workers,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; none: all")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"), help="folder for the results")
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help="cpu or cuda (default: %(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"unknown section {', '.join(sorted(unknown))}: must be of {', '.join(SECTIONS)}")
    torch.set_num_threads(1)
    figures = []
    for name in arguments.sections or SECTIONS:
        start = time.perf_counter()
        figures += SECTIONS[name](arguments.device)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        known = {**setting(arguments.device), "sections": arguments.sections or list(SECTIONS)}
        write_json(arguments.out / "benchmarks.json", {**known, "figures": [to_dict(f) for f in figures]})
        write_text(arguments.out / "benchmarks.md", markdown(known, figures))
    print((arguments.out / "benchmarks.md").read_text())


if __name__ == "__main__":
    main()
