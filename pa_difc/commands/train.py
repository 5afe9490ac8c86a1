"""``pa-difc train``: trains one method with one loss and one seed."""

from __future__ import annotations

import argparse

from .flags import add_cell_flags, add_log_flag, add_training_flags, check_log
from .given_cells import settings_of_cell

EXAMPLES = """\
  pa-difc train --method mcd --loss difc
  pa-difc train --method safn --loss di --source folder:labelled \\
      --target folder:others --data-root . --epochs 20
  pa-difc train --config runs/search/…/best.toml --method mcd --seed 1"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_training_flags(parser)
    add_log_flag(parser)
    add_cell_flags(parser)


def run(parsed: argparse.Namespace) -> int:
    settings = settings_of_cell(parsed)
    check_log(parsed)

    from ..training.build import load_pair
    from ..training.loggers import not_logged
    from ..training.record import RunFolder
    from ..training.run import kept_record, run_cell
    from .scores import announce, announce_phases, print_scores

    source, target = load_pair(settings)
    announce(source, target)
    announce_phases([settings])
    if parsed.log and kept_record(settings, source, target, parsed.out) is not None:
        print(not_logged(parsed.log, 1))
    record = run_cell(settings, source, target, parsed.out, log=parsed.log)
    print_scores(record, RunFolder.of(parsed.out, settings, source, target).path)
    return 0
