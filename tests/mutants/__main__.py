"""make mutants: changes the formulas one place at a time and counts which changes the tests notice."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from . import accepted
from .changed import ROOT
from .mutations import Mutant, mutants
from .trials import OPTIONS, Trials


@dataclass(frozen=True)
class Group:
    """Files, the tests that say what is true of them, and the least share of mutants that these have to notice."""

    files: list[str]
    tests: list[str]
    least: float | None  #: None: each one that they don't notice has a reason


GROUPS = [
    Group(
        ["pa_difc/functional.py", "pa_difc/losses/*.py"],
        [
            "tests/test_functional.py", "tests/golden/test_functional_golden.py", "tests/test_difc_loss.py",
            "tests/test_losses.py", "tests/test_loss_options.py", "tests/test_label_smoothing.py",
            "tests/test_schedule.py", "tests/contracts/test_losses_learn.py",
        ],
        None,
    ),
    Group(
        ["pa_difc/methods/*.py"],
        [
            "tests/methods", "tests/contracts/test_methods.py", "tests/contracts/test_host_parity.py",
            "tests/contracts/test_heads.py", "tests/contracts/test_adaptation.py", "tests/test_joint_features.py",
        ],
        0.9,
    ),
    Group(["pa_difc/evaluation/*.py"], ["tests/evaluation", "tests/report/test_selection.py"], 0.9),
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE", help="of the package; none: all that have tests here")
    parser.add_argument("--sample", type=int, help="at most so many mutants of a file, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/mutants"), help="folder for the results")
    arguments = parser.parse_args()
    known = {file: group for group in GROUPS for pattern in group.files for file in _matching(pattern)}
    if unknown := set(arguments.files) - set(known):
        parser.error(f"no tests are named for {', '.join(sorted(unknown))}: must be of {', '.join(sorted(known))}")
    chosen = [file for file in known if file in (arguments.files or known)]
    _leave_no_trace()
    arguments.out.mkdir(parents=True, exist_ok=True)
    drawn = {file: _draw(file, arguments.sample, arguments.seed) for file in chosen}
    results: dict[str, bool] = {}
    for group in GROUPS:
        if files := [file for file in chosen if known[file] is group]:
            results |= _tried([m for file in files for m in drawn[file]], group, arguments)
    least = {file: known[file].least for file in chosen}
    text, complaints = accepted.report(drawn, results, least)
    (arguments.out / "mutants.md").write_text(text)
    print(text)
    sys.exit("\n".join(f"error: {complaint}" for complaint in complaints) or 0)


def _matching(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))


def _draw(file: str, most: int | None, seed: int) -> list[Mutant]:
    found = mutants(file, (ROOT / file).read_text())
    if most is None or len(found) <= most:
        return found
    return sorted(random.Random(f"{seed} {file}").sample(found, most), key=lambda mutant: mutant.line)


def _tried(drawn: list[Mutant], group: Group, arguments: argparse.Namespace) -> dict[str, bool]:
    """Whether the tests notice each mutant, by its key. What an earlier call found out of the same code is kept."""
    kept, state = arguments.out, _fingerprint()
    file = kept / f"noticed-{state}.jsonl"
    noticed = dict(json.loads(line) for line in file.read_text().splitlines()) if file.exists() else {}
    with file.open("a") as lines:

        def record(mutant: Mutant, seen: bool) -> None:
            noticed[mutant.key] = seen
            print(json.dumps([mutant.key, seen]), file=lines, flush=True)

        left = [m for m in drawn if m.key not in noticed]
        trials = Trials(left, kept / f"reach-{GROUPS.index(group)}-{state}.json", record, arguments.workers)
        if left and (code := pytest.main([*OPTIONS, *group.tests], plugins=[trials])):
            sys.exit(int(code))
    return noticed


def _leave_no_trace() -> None:
    """hypothesis draws the same examples each time, keeps none, and minds no clock on a busy machine."""
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("mutants")


def _fingerprint() -> str:
    files = [p for top in ("pa_difc", "tests") for p in sorted((ROOT / top).rglob("*.py"))]
    return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()[:12]


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
