"""``pa-difc train``: one method, one loss, one seed."""

from __future__ import annotations

import argparse

from ..losses import LOSSES
from ..methods import METHODS
from ..training.build import load_pair
from ..training.record import RunFolder
from ..training.run import run_cell
from .flags import add_log_flag, add_training_flags, config_from, print_scores

EXAMPLES = """\
  pa-difc train --method mcd --loss difc
  pa-difc train --method safn --loss di --source folder:labelled --target folder:others --data-root . --epochs 20
  pa-difc train --config runs/search/…/best.toml --method mcd --seed 1"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_training_flags(parser)
    add_log_flag(parser)
    add = parser.add_argument
    add("--method", default="mcd", metavar="NAME", help=f"{', '.join(METHODS)} (default: %(default)s)")
    add("--loss", default="difc", metavar="NAME", help=f"{', '.join(LOSSES)} (default: %(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of weights, batches and dropout (default: %(default)s)")


def run(parsed: argparse.Namespace) -> int:
    config = config_from(parsed, method=parsed.method, loss=parsed.loss, seed=parsed.seed)
    source, target = load_pair(config)
    record = run_cell(config, source, target, parsed.out, log=parsed.log)
    print_scores(record, RunFolder.of(parsed.out, config, source, target).path)
    return 0
