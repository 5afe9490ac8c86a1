"""``pa-difc compare``: adaptation methods × classification losses × seeds on one source → target pair.

Each cell is trained once: a cell with a record is not run again, an interrupted grid goes on where it stopped, and a
cell that fails is reported while the others finish. Ends with a table here, and in table.csv and table.md.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from itertools import product
from pathlib import Path

from ..data import EXPRESSIONS, Domain
from ..data.domains import describe_counts
from ..losses import LOSSES
from ..methods import METHODS
from ..report import aligned, csv_text, rows_from_records, to_csv, to_markdown, to_terminal
from ..report.grid import Grid, Run
from ..report.page import markdown_table
from ..report.selection import candidates_table, numbers, select, selection_notes
from ..training.build import load_pair
from ..training.frozen import FEATURES, freeze
from ..training.record import run_path
from ..training.run import run_cell
from ..training.settings import Config
from ..util.errors import UserError
from ..util.files import write_text
from ..util.names import lookup
from .flags import add_log_flag, add_training_flags, config_from

EXAMPLES = """\
  pa-difc compare
  pa-difc compare --methods dann mcd --losses ce drw margin di difc --seeds 0 1 2
  pa-difc compare --source muxspace --target fer2013 --data-root data --epochs 3 --out runs/mux2fer
  pa-difc compare --features frozen --epochs 20 --seeds 0 1 2 3 4 --out runs/frozen   # a hundred times cheaper"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_training_flags(parser)
    add_log_flag(parser)
    default = ["source_only", "dann", "safn", "mcd"]
    about = f"all, or some of {', '.join(METHODS)} (default: {' '.join(default)})"
    parser.add_argument("--methods", nargs="+", default=default, metavar="NAME", help=about)
    parser.add_argument(
        "--losses",
        nargs="+",
        default=["ce", "di", "difc"],
        metavar="NAME",
        help=f"all, or some of {', '.join(LOSSES)} (default: ce di difc)",
    )
    about = "train the whole network, or heads on features that were extracted once (default: full)"
    parser.add_argument("--features", choices=FEATURES, default="full", help=about)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N", help="(default: 0)")


def run(parsed: argparse.Namespace) -> int:
    # Every config is made, and so checked, before anything is read or trained.
    grid = product(expand("method", parsed.methods), expand("loss", parsed.losses), parsed.seeds)
    configs = [config_from(parsed, method=m, loss=loss, seed=s) for m, loss, s in grid]
    write_text(parsed.out / "command.txt", shlex.join(["python", *sys.argv]) + "\n")  # fails here if it can't
    source, target = load_pair(configs[0])
    announce(source, target)
    if parsed.features == "frozen":
        source, target = freeze(configs[0], source, target, parsed.out / "features")
    records, failures = run_grid(configs, source, target, parsed.out, parsed.log)
    if records:
        title = f"{source.name} → {target.name}"
        tables = of_scores(records, title) if target.labelled else of_choice(records, title, parsed.out)
        for name, text in zip(("table.csv", "table.md"), tables, strict=False):
            write_text(parsed.out / name, text)
        print(f"\n{tables[-1]}\nwritten: {parsed.out / 'table.md'}, {parsed.out / 'table.csv'}")
    return failed(failures)


def of_scores(records: list[dict], title: str) -> tuple[str, str, str]:
    """The comparison's table as CSV, as Markdown and for the terminal."""
    rows = rows_from_records(records)
    return to_csv(rows), to_markdown(rows, title), to_terminal(rows)


def of_choice(records: list[dict], title: str, out: Path) -> tuple[str, str, str]:
    """The same of a target without labels: what a choice can go by, and the chosen cell."""
    source, target = title.split(" → ")
    selection = select(Grid(source, target, [Run(run_path(out, record), record) for record in records]))
    if selection is None:
        raise UserError(f"{out}: outputs.npz of a run is gone; remove its record to have both made anew")
    rows, notes = candidates_table(selection), selection_notes(selection)
    model = selection.chosen.runs[0].path
    export = f"pa-difc export --model {model} --out my_model"
    markdown = f"# {title}\n\n{markdown_table(rows)}\n\n{' '.join(f'{note}.' for note in notes)}\n"
    terminal = "\n".join([*aligned(rows), *notes, f"\nchosen: {selection.chosen.name}; to use it: {export}"])
    return csv_text(numbers(selection)), markdown, terminal


def failed(failures: list[tuple[str, Exception]]) -> int:
    """Says which cells failed; returns the exit code."""
    for name, problem in failures:
        print(f"failed: {name}: {first_line(problem)}", file=sys.stderr)
    mendable = all(isinstance(problem, UserError) for _, problem in failures)
    return 0 if not failures else 2 if mendable else 1


def expand(kind: str, names: list[str]) -> list[str]:
    """The named entries, each once and in the order given; "all" stands for the whole registry."""
    registry = METHODS if kind == "method" else LOSSES
    if "all" in names:
        names = [n for n, spec in registry.items() if getattr(spec, "same_as", None) not in registry]
    for name in names:
        lookup(kind, name, registry)
    return list(dict.fromkeys(names))


def announce(source: Domain, target: Domain) -> None:
    print(f"{source.name} → {target.name}")
    print(f"  source  {describe_counts(source.train.class_counts, len(source.train))}")
    if target.labelled:
        others = "the same ones" if target.transductive else f"{len(target.test):,} others"
        print(f"  target  {len(target.train):,} faces, unlabelled in training; scored on {others}")
    else:
        print(f"  target  {len(target.train):,} faces without labels: nothing can be scored on them")
    for domain in (source, target):
        if domain.bad_images:
            first = domain.bad_images[0]
            number = len(domain.bad_images)
            print(f"  left out of {domain.name}: {number} unreadable images, such as {first.name} ({first.reason})")
        if domain.duplicates:
            print(f"  in {domain.name}: {domain.duplicates}")
        if domain.store and domain.store["without_face"]:
            print(f"  not in the store of {domain.name}: {domain.store['without_face']:,} images without a face")
        if domain.excluded:
            print(f"  left out of {domain.name}: {domain.excluded} images of expressions that are not among the seven")
    print(flush=True)


def run_grid(
    configs: list[Config], source: Domain, target: Domain, out: Path, log: str | None = None
) -> tuple[list[dict], list[tuple[str, Exception]]]:
    """The records of all cells, and what went wrong with the others."""
    records, failures = [], []
    several_seeds = len({c.seed for c in configs}) > 1
    for number, config in enumerate(configs, 1):
        name = f"{config.method} · {config.loss}" + (f" · seed {config.seed}" if several_seeds else "")
        title = f"{number}/{len(configs)}  {name}"
        started = time.perf_counter()
        try:
            record = run_cell(config, source, target, out, title=title, log=log)
        except (UserError, RuntimeError) as error:
            failures.append((name, error))
            print(f"{title}  failed", flush=True)
            continue
        records.append(record)
        took = time.perf_counter() - started
        print(f"{title:<32} {in_brief(record['scores'])}  {took:4.0f} s", flush=True)
    return records, failures


def in_brief(scores: dict) -> str:
    """A run's scores on the target, or where it has no labels on held-out source, in a few words."""
    if target := scores.get("target"):
        return f"accuracy {target['accuracy']:6.1%}  mean recall {target['macro_recall']:6.1%}"
    classes = sum(count > 0 for count in scores["unlabelled_target"]["predicted"])
    return f"source recall {scores['source']['macro_recall']:6.1%}  predicts {classes} of {len(EXPRESSIONS)} classes"


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
