"""``pa-difc shift``: methods × losses on a target whose class proportions are drawn anew, more and more severely."""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product

from ..data import Domain
from ..data.domains import require_labels
from ..data.label_shift import CANT_SHIFT, shift_labels
from ..data.sampling import TARGET_SAMPLERS
from ..losses import LOSSES
from ..methods import METHODS
from ..report import aligned
from ..report.shift import METRICS, gains_table, lines_from_records, table, write_shift_report
from ..training.build import load_pair
from ..training.frozen import FEATURES, extract, standardised
from ..training.settings import Config
from ..util.errors import UserError
from ..util.names import unknown
from .compare import announce, expand, failed, run_grid
from .flags import add_training_flags, config_from

EXAMPLES = """\
  pa-difc shift --features frozen --methods source_only dann --losses ce difc --out runs/shift
  pa-difc shift --source muxspace --target fer2013 --data-root data --features frozen --draws 5 --out runs/shift"""

NONE = "none"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_training_flags(parser)
    parser.set_defaults(adjust="rlls")
    add = parser.add_argument
    methods, losses = ["source_only", "dann", "mcd"], ["ce", "drw", "di", "difc"]
    about = f"all, or some of {', '.join(METHODS)} (default: {' '.join(methods)})"
    add("--methods", nargs="+", default=methods, metavar="NAME", help=about)
    about = f"all, or some of {', '.join(LOSSES)} (default: {' '.join(losses)})"
    add("--losses", nargs="+", default=losses, metavar="NAME", help=about)
    about = "α of the Dirichlet distributions; smaller is more severe, none leaves the target as it is"
    add("--alphas", nargs="+", default=[NONE, "10", "3", "1", "0.3"], metavar="A", help=f"{about} (default: all five)")
    add("--draws", type=int, default=3, metavar="N", help="draws of each α; draw n has seed n (default: %(default)s)")
    about = "how the target is drawn in training, side by side (default: all)"
    add("--target-samplers", nargs="+", default=list(TARGET_SAMPLERS), metavar="NAME", help=about)
    about = "train the whole network, or heads on features that were extracted once (default: full)"
    add("--features", choices=FEATURES, default="full", help=about)


def run(parsed: argparse.Namespace) -> int:
    if parsed.draws < 1:
        raise UserError(f"--draws {parsed.draws}: must be at least 1")
    cells = product(expand("method", parsed.methods), expand("loss", parsed.losses), samplers(parsed.target_samplers))
    configs = [config_from(parsed, method=m, loss=k, target_sampler=s, target_shift=None) for m, k, s in cells]
    tasks = list(product(range(parsed.draws), map(alpha, parsed.alphas)))
    source, target = load_pair(configs[0])
    require_labels(target, CANT_SHIFT)
    announce(source, target)
    if parsed.features == "frozen":
        source, target = extract(configs[0], source, target, parsed.out / "features")
    records, failures = [], []
    for number, (draw, a) in enumerate(tasks, 1):
        print(f"task {number}/{len(tasks)}: {'no shift' if a is None else f'α = {a:g}'}, draw {draw}", flush=True)
        made, cells = shifted(source, target, a, draw), [replace(c, seed=draw) for c in configs]
        if a is not None:
            cells = [replace(c, target_shift=a, shift_draw=draw) for c in cells]
        done, problems = run_grid(cells, *made, parsed.out)
        records, failures = records + done, failures + problems
    if records:
        page = write_shift_report(records, parsed.out)
        show(records)
        print(f"written: {page}")
    return failed(failures)


def show(records: list[dict]) -> None:
    """Prints the tables."""
    lines = lines_from_records(records)
    for metric, name in METRICS.items():
        print(f"\n{name} in %, last epoch; target labels made the task and scored it")
        print("\n".join(aligned(table(lines, metric))))
        print(f"\n{name}, points gained over the method's plain cross-entropy, paired by draw")
        print("\n".join(aligned(gains_table(lines, metric))))


def shifted(source: Domain, target: Domain, a: float | None, draw: int) -> tuple[Domain, Domain]:
    """The pair with one draw's target; features are standardised by what the target has then."""
    target = target if a is None else shift_labels(target, a, draw)
    return (standardised(source), standardised(target)) if target.features_of else (source, target)


def samplers(names: list[str]) -> list[str]:
    """The named target samplers.

    Raises:
        UserError: there is no such sampler.
    """
    for name in names:
        if name not in TARGET_SAMPLERS:
            raise unknown("target-sampler", name, TARGET_SAMPLERS)
    return names


def alpha(text: str) -> float | None:
    """α of a flag; the config checks its range.

    Raises:
        UserError: it is no number above 0.
    """
    if text == NONE:
        return None
    try:
        return Config(target_shift=float(text)).target_shift
    except ValueError:
        raise UserError(f"--alphas {text}: must be {NONE} or a number above 0") from None
