"""``pa-difc errors``: shows the faces that a run gets wrong or is unsure of."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..util.errors import UserError
from ..util.terminal import wrapped

if TYPE_CHECKING:
    from ..report.reviewed import Reviewed
    from ..report.run import Run

EXAMPLES = """\
  pa-difc errors runs/demo/runs/mcd-difc-seed0-*
  pa-difc errors runs/demo/runs/mcd-difc-seed0-* \\
      --groups people.csv           # recall by age, camera, …
  pa-difc errors runs/demo          # a page for every run below it"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    about = "a run's folder, a folder with runs below it, or the model/ that adapt wrote"
    add("runs", nargs="+", type=Path, metavar="RUN", help=about)
    about = "show recall by group, and the gap; the CSV has a column image and columns of groups, such as age or camera"
    add("--groups", type=Path, metavar="FILE.csv", help=about)
    add("--data-root", type=Path, metavar="DIR", help="folder of datasets (default: that of the training)")
    add("--out", type=Path, metavar="DIR", help="where the page of a single run goes (default: errors/ in its folder)")


def run(parsed: argparse.Namespace) -> int:
    from ..report.errors_page import require_our_page
    from ..report.reviewed import Reviewer

    runs, exported, failed = _runs(parsed.runs)
    if parsed.out and len(runs) > 1:
        raise UserError(f"--out {parsed.out}: there are {len(runs)} runs; give it with the folder of one run")
    folders = [parsed.out or one.path / "errors" for one in runs]
    for one, folder in zip(runs, folders, strict=True):
        if parsed.groups and not one.labelled:
            raise UserError(f"--groups: {one.pair[1]} has no labels to count recall by")
        require_our_page(folder)
    reviewer, left_out = Reviewer(parsed.data_root), len(failed)
    for one, folder in zip(runs, folders, strict=True):
        try:
            reviewed = reviewer.review(one)
            if one.record["key"] in exported:
                reviewed = replace(reviewed, about=f"{reviewed.about}: the run of the exported model")
            _write(reviewed, folder, parsed.groups)
        except UserError as error:  # it concerns this run alone
            failed.append(error)
    if len(failed) == left_out + len(runs):
        raise failed[left_out if runs else 0]
    for problem in failed:
        print(wrapped(f"left out: {problem}", 2), flush=True)
    return 0


def _write(reviewed: Reviewed, folder: Path, groups_file: Path | None) -> None:
    """Writes a run's page, and prints what it says."""
    from ..report.errors_page import write_error_page
    from ..report.face_groups import read_groups

    groups = None
    if groups_file:
        groups = read_groups(groups_file, reviewed.faces.names, reviewed.elsewhere, reviewed.unscored)
    written = write_error_page(reviewed, folder, groups)
    print(wrapped(f"{reviewed.model}, {reviewed.about}", 2))
    for line in (" ".join(written.said), *reviewed.notes, *(groups.notes if groups else ())):
        print(wrapped(line, 0))
    print(f"written: {', '.join(map(str, written.files))}", flush=True)


def _runs(folders: Sequence[Path]) -> tuple[list[Run], set[str | None], list[UserError]]:
    """The runs of folders, those of exported models first, the keys of these, and the errors of damaged records.

    Raises:
        UserError: a folder has no run that can be read, or is an exported model whose run is not beside it.
    """
    from ..report.run import all_runs, require_runs

    runs: list[Run] = []
    exported: set[str | None] = set()
    damaged: list[UserError] = []
    for folder in folders:
        place = folder
        if _is_exported(folder):
            key = _run_of(folder)
            own = [path.parent for path in folder.absolute().parent.glob(f"runs/*-{key}/record.json")] if key else []
            if not own:
                raise UserError(
                    f"{folder} is an exported model, which keeps no predictions: give the folder of its run"
                )
            place = own[0]
            exported.add(key)
        elif _is_exported(folder / "model"):
            exported.add(_run_of(folder / "model"))
        found = all_runs(place)
        if not found.damaged:
            require_runs(place, found)
        runs += found.runs
        damaged += found.damaged
    exported.discard(None)
    return sorted(runs, key=lambda run: run.record["key"] not in exported), exported, damaged


def _is_exported(folder: Path) -> bool:
    return (folder / "model.safetensors").exists() and not (folder / "record.json").exists()


def _run_of(model: Path) -> str | None:
    """The key of an exported model's run; None if its settings can't be read."""
    from ..training.stored import read_settings

    try:
        return str(read_settings(model)["run"])
    except UserError:
        return None
