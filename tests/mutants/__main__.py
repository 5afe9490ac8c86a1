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
from .trials import BROKEN, OPTIONS, Trials


@dataclass(frozen=True)
class Group:
    """Files, the tests that say what is true of them, and the least share of mutants that these have to notice."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    least: float | None  #: None: each one that they don't notice has a reason

    def found(self) -> list[str]:
        return sorted(str(path.relative_to(ROOT)) for pattern in self.files for path in ROOT.glob(pattern))


GROUPS = (
    Group(
        ("pa_difc/counts.py", "pa_difc/functional.py", "pa_difc/losses/*.py"),
        (
            "tests/losses", "tests/golden/test_functional_golden.py", "tests/contracts/test_losses_learn.py",
            # Two processes for each change would take half a minute.
            "--deselect=tests/losses/test_ignored.py::test_two_processes_average_to_the_loss_of_the_whole",
        ),
        None,
    ),
    Group(
        ("pa_difc/methods/*.py",),
        (
            "tests/methods", "tests/contracts/test_methods.py", "tests/contracts/test_host_parity.py",
            "tests/contracts/test_heads.py", "tests/contracts/test_adaptation.py", "tests/test_joint_features.py",
            "tests/contracts/test_attach.py", "tests/contracts/test_epochs.py", "tests/contracts/test_hooks_add_up.py",
            "tests/contracts/test_hooks_refused.py", "tests/contracts/test_hooks_odd.py",
            "tests/contracts/test_wrong_models.py", "tests/contracts/test_confusion.py",
            "tests/contracts/test_unchecked.py", "tests/contracts/test_attach_cases.py",
            "tests/training/test_plugin_methods.py", "tests/training/test_other_teacher.py",
        ),
        0.9,
    ),
    Group(("pa_difc/evaluation/*.py",), ("tests/evaluation", "tests/report/test_selection.py"), 0.9),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE", help="of the package; none: all that have tests here")
    parser.add_argument("--sample", type=int, help="at most so many mutants of a file, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/mutants"), help="folder for the results")
    arguments = parser.parse_args()
    known = [file for group in GROUPS for file in group.found()]
    if unknown := set(arguments.files) - set(known):
        parser.error(f"no tests are named for {', '.join(sorted(unknown))}: must be of {', '.join(known)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    # hypothesis draws the same examples each time, keeps none, and minds no clock on a busy machine.
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("mutants")

    reasons, tried, noticed, wrong = accepted.read(), {}, {}, []
    for group in GROUPS:
        files = [file for file in group.found() if file in (arguments.files or known)]
        existing = {file: mutants(file, (ROOT / file).read_text()) for file in files}
        drawn = {file: _draw(found, arguments.sample, f"{arguments.seed} {file}") for file, found in existing.items()}
        noticed |= _tried([m for found in drawn.values() for m in found], group, arguments.out, arguments.workers)
        wrong += accepted.complaints(drawn, noticed, reasons, group.least) + accepted.stale(existing, reasons)
        tried |= drawn
    text = accepted.report(tried, noticed, reasons)
    (arguments.out / "mutants.md").write_text(text)
    print(text)
    sys.exit("\n".join(f"error: {line}" for line in wrong) or 0)


def _draw(found: list[Mutant], most: int | None, seed: str) -> list[Mutant]:
    if most is None or len(found) <= most:
        return found
    return sorted(random.Random(seed).sample(found, most), key=lambda mutant: mutant.line)


def _tried(drawn: list[Mutant], group: Group, out: Path, workers: int) -> dict[str, bool]:
    """Whether the tests notice each mutant, by its key. What an earlier call found out of the same code is kept."""
    state = _fingerprint()
    kept = out / f"noticed-{state}.jsonl"
    noticed = dict(json.loads(line) for line in kept.read_text().splitlines()) if kept.exists() else {}
    left = [m for m in drawn if m.key not in noticed]
    if not left:
        return noticed
    with kept.open("a") as lines:

        def record(mutant: Mutant, seen: bool) -> None:
            noticed[mutant.key] = seen
            print(json.dumps([mutant.key, seen]), file=lines, flush=True)

        trials = Trials(left, out / f"reach-{GROUPS.index(group)}-{state}.json", record, workers)
        code = pytest.main([*OPTIONS, *group.tests], plugins=[trials])
    if code == BROKEN:
        kept.unlink()
    if code:
        sys.exit(int(code))
    return noticed


def _fingerprint() -> str:
    files = [p for top in ("pa_difc", "tests") for p in sorted((ROOT / top).rglob("*.py"))]
    return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()[:12]


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
