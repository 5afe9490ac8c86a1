"""``pa-difc errors``: shows the faces that a run gets wrong or is unsure of."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..util.errors import UserError

EXAMPLES = """\
  pa-difc errors runs/demo/runs/mcd-difc-seed0-*
  pa-difc errors runs/demo/runs/mcd-difc-seed0-* --groups people.csv   # recall by age, camera, …
  pa-difc errors runs/demo          # a page for every run below it"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    about = "a run's folder, or one with runs below it; predictions are read from disk, no network is run"
    add("runs", nargs="+", type=Path, metavar="RUN", help=about)
    about = "a CSV with a column image and columns of groups, such as age or camera: recall by group, and the gap"
    add("--groups", type=Path, metavar="FILE.csv", help=about)
    add("--data-root", type=Path, metavar="DIR", help="folder of datasets (default: the one of the training)")
    add("--out", type=Path, metavar="DIR", help="where the page of a single run goes (default: errors/ in its folder)")


def run(parsed: argparse.Namespace) -> int:
    from ..report.errors_page import require_our_page, write_error_page
    from ..report.face_groups import read_groups
    from ..report.reviewed import reviewed_runs
    from ..report.run import read_runs

    for folder in parsed.runs:
        if (folder / "model.safetensors").exists() and not (folder / "record.json").exists():
            raise UserError(f"{folder} is an exported model, which keeps no predictions: give the folder of its run")
    runs = [one for folder in parsed.runs for one in read_runs(folder)]
    if parsed.out and len(runs) > 1:
        raise UserError(f"--out {parsed.out}: there are {len(runs)} runs; give it with the folder of one run")
    folders = [parsed.out or one.path / "errors" for one in runs]
    for one, folder in zip(runs, folders, strict=True):
        if parsed.groups and not one.labelled:
            raise UserError(f"--groups: {one.pair[1]} has no labels to count recall by")
        require_our_page(folder)
    for reviewed, folder in zip(reviewed_runs(runs, parsed.data_root), folders, strict=True):
        groups = read_groups(parsed.groups, reviewed.faces.names, reviewed.elsewhere) if parsed.groups else None
        written = write_error_page(reviewed, folder, groups)
        print(f"{reviewed.model}, {reviewed.about}\n{' '.join(written.said)}")
        for note in groups.notes if groups else ():
            print(note)
        print(f"written: {', '.join(map(str, written.files))}", flush=True)
    return 0
