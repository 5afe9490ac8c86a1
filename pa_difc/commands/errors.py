"""``pa-difc errors``: shows the faces that a run gets wrong or is unsure of."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..util.errors import UserError

if TYPE_CHECKING:
    from ..report.run import Run

EXAMPLES = """\
  pa-difc errors runs/demo/runs/mcd-difc-seed0-*
  pa-difc errors runs/demo/runs/mcd-difc-seed0-* --groups people.csv   # recall by age, camera, …
  pa-difc errors runs/demo          # a page for every run below it"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    about = "a run's folder, one with runs below it, or the model/ of adapt; no network is run"
    add("runs", nargs="+", type=Path, metavar="RUN", help=about)
    about = "a CSV with a column image and columns of groups, such as age or camera: recall by group, and the gap"
    add("--groups", type=Path, metavar="FILE.csv", help=about)
    add("--data-root", type=Path, metavar="DIR", help="folder of datasets (default: the one of the training)")
    add("--out", type=Path, metavar="DIR", help="where the page of a single run goes (default: errors/ in its folder)")


def run(parsed: argparse.Namespace) -> int:
    from ..report.errors_page import require_our_page, write_error_page
    from ..report.face_groups import read_groups
    from ..report.reviewed import reviewed_runs

    runs, exported = _runs(parsed.runs)
    if parsed.out and len(runs) > 1:
        raise UserError(f"--out {parsed.out}: there are {len(runs)} runs; give it with the folder of one run")
    folders = [parsed.out or one.path / "errors" for one in runs]
    for one, folder in zip(runs, folders, strict=True):
        if parsed.groups and not one.labelled:
            raise UserError(f"--groups: {one.pair[1]} has no labels to count recall by")
        require_our_page(folder)
    for one, reviewed, folder in zip(runs, reviewed_runs(runs, parsed.data_root), folders, strict=True):
        if one.record["key"] in exported:
            reviewed = replace(reviewed, about=f"{reviewed.about}: the run of the exported model")
        groups = read_groups(parsed.groups, reviewed.faces.names, reviewed.elsewhere) if parsed.groups else None
        written = write_error_page(reviewed, folder, groups)
        print(f"{reviewed.model}, {reviewed.about}\n{' '.join(written.said)}")
        for note in groups.notes if groups else ():
            print(note)
        print(f"written: {', '.join(map(str, written.files))}", flush=True)
    return 0


def _runs(folders: Sequence[Path]) -> tuple[list[Run], set[str | None]]:
    """The runs of folders, those of exported models first, and the keys of these.

    Raises:
        UserError: a folder has no run, or is an exported model whose run is not beside it.
    """
    from ..report.run import read_runs

    runs: list[Run] = []
    exported: set[str | None] = set()
    for folder in folders:
        if _is_exported(folder):
            key = _run_of(folder)
            own = [path.parent for path in folder.absolute().parent.glob(f"runs/*-{key}/record.json")] if key else []
            if not own:
                raise UserError(
                    f"{folder} is an exported model, which keeps no predictions: give the folder of its run"
                )
            runs += read_runs(own[0])
            exported.add(key)
        else:
            runs += read_runs(folder)
            if _is_exported(folder / "model"):
                exported.add(_run_of(folder / "model"))
    exported.discard(None)
    return sorted(runs, key=lambda run: run.record["key"] not in exported), exported


def _is_exported(folder: Path) -> bool:
    return (folder / "model.safetensors").exists() and not (folder / "record.json").exists()


def _run_of(model: Path) -> str | None:
    """The key of an exported model's run; None if its settings can't be read."""
    from ..training.stored import read_settings

    try:
        return str(read_settings(model)["run"])
    except UserError:
        return None
