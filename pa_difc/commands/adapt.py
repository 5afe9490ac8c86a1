"""``pa-difc adapt``: trains the best classifier for unlabelled faces within a time budget, chosen without labels.

The grid is small and fixed: :data:`FROM_CLASSIFIER` and :data:`FROM_SCRATCH` say what each cell is for. The budget
decides how long each cell is trained. The decision is kept in plan.json, so that a resumed run trains the same cells.
Training stops when the budget ends, and the choice is then among the cells that have finished.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.protocol import NO_SOURCE
from ..util.errors import UserError
from .flags import add_jobs_flags, add_log_flag, check_log, read_jobs
from .given_cells import settings_of_rows

if TYPE_CHECKING:
    from ..training.settings import Settings
    from .budget import Plan

EXAMPLES = """\
  pa-difc adapt   # on synthetic faces: a few minutes
  pa-difc adapt --source folder:my_labelled_faces \\
      --target images:my_other_faces --data-root .
  pa-difc adapt --source muxspace --target images:holiday --data-root data \\
      --pretrained downloads/face_api --budget 40m
  pa-difc adapt --source none --target images:holiday --data-root . \\
      --pretrained downloads/face_api"""

#: Method, loss and options of each cell, when the pretrained weights include a classifier.
FROM_CLASSIFIER: tuple[tuple[str, str, dict[str, Any]], ...] = (
    # The classifier without training: the baseline that all others have to beat.
    ("as_is", "ce", {}),
    # Its extractor, trained on the target alone with the classifier's pseudo-labels and DI: no source can hurt it.
    ("source_free", "ce", {"method.target_loss": "di"}),
    # Training on the source alone: adapted cells have to keep its recall on held-out source faces.
    ("source_only", "ce", {}),
    # The source with deferred re-weighting, the target with pseudo-labels from averaged weights (the teacher).
    ("mean_teacher", "drw", {}),
    # The same with DIFC on the source, and minimum class confusion (MCC) on the target.
    ("mcc+mean_teacher", "difc", {}),
)
#: The cells without such weights: everything is learnt from the source.
FROM_SCRATCH: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("source_only", "ce", {}),
    ("mean_teacher", "difc", {}),
    ("mcc+mean_teacher", "difc", {}),
)

#: What is said before them.
_NO_WEIGHTS = (
    "no --pretrained: all is learnt from the source; pa-difc weights lists public networks to start from, which did "
    "better on real faces"
)

#: Settings of all cells, with or without pretrained weights.
_BOTH = {"eval.views": "flip", "optimiser.ema": 0.99}
_FINE_TUNING = {
    "data.batch_size": 64,
    "model.channels_last": True,
    "optimiser.lr": 0.0003,  # self-training did no harm on real faces at this rate: docs/results.md
    "optimiser.schedule": "constant",
    "optimiser.start_share": 0.3,
}
#: Epochs that are enough if each has hundreds of steps; with fewer steps more are trained, see :func:`.epochs_at_most`.
_ENOUGH_EPOCHS = {"fine-tuning": 4, "from scratch": 5}


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--source", metavar="NAME", help="labelled dataset, or none (default: toy_studio)")
    add("--target", metavar="NAME", help="unlabelled dataset, or images:PATH (default: toy_street)")
    add(
        "--data-root",
        metavar="DIR",
        help="folder that holds the datasets, each in a folder of its name (default: data)",
    )
    add(
        "--labels",
        metavar="SET",
        help="the classes: expressions, expressions8, valence, folders or FILE.toml (default: expressions)",
    )
    about = "weights to start from, ideally of an expression network; see pa-difc weights (default: none)"
    add("--pretrained", metavar="PLACE", help=about)
    about = "feature extractor (default: a model folder's own; expression with other weights; else small)"
    add("--backbone", metavar="NAME", help=about)
    about = "wall time, such as 90s, 20m or 1h30m; training stops in time and can be resumed (default: %(default)s)"
    add("--budget", default="20m", metavar="TIME", help=about)
    add("--device", metavar="NAME", help="cpu, cuda or cuda:N (default: cpu)")
    about = "where the runs, report.html and model/ go (default: %(default)s)"
    add("--out", type=Path, default=Path("runs/adapt"), metavar="DIR", help=about)
    about = "any other key for all cells, such as lr=0.002 or target_loss=difc; pa-difc compare --help lists them"
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=about)
    add_log_flag(parser)
    add_jobs_flags(parser, cluster=False)


def run(parsed: argparse.Namespace) -> int:
    from .budget import read_budget

    started, budget, team = time.perf_counter(), read_budget(parsed.budget), read_jobs(parsed)
    check_log(parsed)
    team.get_ready()
    cells = _cells(parsed)  # this checks all settings before anything is read or trained

    from ..report.asked import keep_asked
    from ..report.page import require_ours
    from ..training.build import load_pair
    from ..training.cores import threads_of
    from ..util.files import write_text
    from ..util.process import command_line
    from ..util.terminal import wrapped
    from .adapt_choice import conclude
    from .adapt_plan import make_plan
    from .adapt_time import overrun, training_ends, unfinished
    from .budget import epochs_at_most, fewer_faces, planned, steps_per_epoch, used_in_part
    from .grid import on_first, report_failures, run_grid, sized
    from .grid_lines import in_brief_without_labels
    from .outputs import COMMAND, require_own
    from .scores import announce, announce_phases

    out: Path = parsed.out
    require_ours(out)
    _require_this_pair(out, cells[0])
    require_own(out, COMMAND)
    write_text(out / "command.txt", command_line() + "\n")  # an --out that can't be written fails before training
    cells = on_first(cells, parsed.devices)
    source, target = load_pair(cells[0])
    announce(source, target)
    team = sized(team, cells, source, target)
    with threads_of(team.jobs):
        steps = steps_per_epoch(source, target, cells[0].data.batch_size)
        most_epochs = epochs_at_most(_ENOUGH_EPOCHS["fine-tuning" if parsed.pretrained else "from scratch"], steps)
        plan = make_plan(
            out,
            cells,
            source,
            target,
            precisions=_precisions(parsed, cells),
            budget=budget,
            started=started,
            most_epochs=most_epochs,
            jobs=team.jobs or 1,
        )
    cells = planned(cells[: len(plan.seconds)], plan)
    longer = _longer(plan, most_epochs)
    announce_phases(cells, longer)
    source, target = fewer_faces(source, plan, by_label=True), fewer_faces(target, plan, by_label=False)
    brief = in_brief_without_labels  # target labels are read after the choice
    until = training_ends(budget, time.perf_counter() - started)
    how: dict[str, Any] = {"team": team, "brief": brief, "until": until}
    records, failures = run_grid(cells, source, target, out, parsed.log, plan.seconds, **how)
    report_failures(failures)
    keep_asked(out, [record["key"] for record in records], {})
    late = unfinished(len(cells), len(records), len(failures), parsed.budget)
    if not records:
        raise UserError(f"none of the {len(cells)} cells could be trained")
    limits = [line for line in (plan.left_out, used_in_part([source, target]), _from_nothing(parsed)) if line]
    conclude(records, out, target, longer=longer, crop=plan.crop, late=late, limits=limits)
    if line := overrun(parsed.budget, budget, time.perf_counter() - started):
        print(wrapped(line, indent=2))
    return 0 if all(failure.mendable for _, failure in failures) else 1


def _cells(parsed: argparse.Namespace) -> list[Settings]:
    """The resolved settings of the grid's cells, before the budget decides epochs, precision and crop."""
    from ..training.given import read_assignments
    from ..util.terminal import wrapped

    for key, given in read_assignments(parsed.set):
        if key in ("epochs", "run.epochs"):
            raise UserError(f"{given.where}: set by --budget; pa-difc compare accepts it")
    alone = parsed.source == NO_SOURCE
    if alone and parsed.pretrained is None:
        raise UserError("--source none: give --pretrained, weights that include a classifier")
    if parsed.pretrained is None:
        print(wrapped(_NO_WEIGHTS, indent=2), flush=True)
        return settings_of_rows(parsed, FROM_SCRATCH, {"model.backbone": "small", **_BOTH})
    from ..training.identity import weights_digest
    from ..training.stored import network_of

    made = network_of(parsed.pretrained) or {"model.backbone": "expression"}
    defaults = {**made, **_BOTH, **_FINE_TUNING}
    if alone:
        rows = tuple(row for row in FROM_CLASSIFIER if row[0] in ("as_is", "source_free"))
        return settings_of_rows(parsed, rows, defaults)
    rows = FROM_CLASSIFIER
    (probe,) = settings_of_rows(parsed, [("source_only", "ce", {})], defaults)
    weights_digest(probe)  # missing weights fail here, before any data is read
    if probe.model.head_init != "pretrained":
        said = f"{parsed.pretrained}: classifiers start random, so as_is and source_free are left out"
        print(wrapped(said, indent=2), flush=True)
        rows = FROM_SCRATCH
    return settings_of_rows(parsed, rows, defaults)


def _require_this_pair(out: Path, cell: Settings) -> None:
    """Refuses a folder that holds another pair's page and model, which would be overwritten.

    Raises:
        UserError: the folder has runs of another pair.
    """
    from ..training.record import read_record

    asked = cell.data.source, cell.data.target
    for path in sorted((out / "runs").glob("*/record.json")):
        data = read_record(path)["settings"]["data"]
        if (data["source"], data["target"]) != asked:
            there, wanted = (" → ".join(pair) for pair in ((data["source"], data["target"]), asked))
            raise UserError(f"--out {out}: holds the page and model of {there}; give another folder for {wanted}")


def _from_nothing(parsed: argparse.Namespace) -> str:
    """What to try next, for the page, if there were no weights to start from."""
    return "" if parsed.pretrained else f"{_NO_WEIGHTS[0].upper()}{_NO_WEIGHTS[1:]}"


def _precisions(parsed: argparse.Namespace, cells: Sequence[Settings]) -> list[str]:
    """The candidates: a network of any size is fine-tuned with the faster one; the small one has no use for bf16."""
    return ["float32", "bf16"] if parsed.pretrained else [cells[0].model.precision]


def _longer(plan: Plan, most: int) -> str:
    """What would let the cells of a plan train for longer: a larger budget, or another command."""
    if plan.epochs < most:
        return "a larger --budget"
    return f"more epochs than the {most} of adapt (pa-difc compare --epochs)"
