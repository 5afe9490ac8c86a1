"""Tune DIFC's margin cap and ε for a target without labels, and report whether tuning was worth it.

The study maximises an unsupervised criterion under the constraint that recall on held-out source stays near
source-only's. Trial 0 is the paper's defaults. Target test labels are read once, after the choice is written down.
The same command goes on where it stopped; with a database as storage, any number of machines run it at once.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

import optuna

from ..commands.flags import add_training_flags, config_from, run_command
from ..data import Domain
from ..data.domains import require_labels
from ..evaluation.criteria import SOURCE_TOLERANCE
from ..methods import METHODS
from ..training.build import load_pair
from ..training.engine import Stopped
from ..training.frozen import FEATURES, freeze, source_only
from ..training.record import code_digest
from ..training.settings import Config
from ..util.distributed import require_one_process
from ..util.errors import UserError
from ..util.files import write_text
from ..util.names import lookup
from .assessment import look_back, test_recalls
from .interrupts import held
from .objective import Objective, Task, blind, candidate_config, show, source_recall, train
from .report import write_report
from .space import defaults, search_space, tunable
from .storage import one_line_errors, open_storage, recover_lost_trials
from .study import (
    PRUNERS,
    SAMPLERS,
    SELECTIONS,
    choose,
    complete_trials,
    objective_criterion,
    open_study,
    run_trials,
)

EXAMPLES = """\
  python hpo/search.py --target toy_street --features frozen --trials 12
  python hpo/search.py --target fer2013 --source muxspace --data-root data --features frozen --trials 30
  python hpo/search.py --target fer2013 --storage postgresql+psycopg2://me@db/studies   # on every machine"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"examples:\n{EXAMPLES}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments(parser)
    run_command(lambda: run(parser.parse_args()))


@one_line_errors()
def run(parsed: argparse.Namespace) -> None:
    """Runs, or goes on with, the study that the flags name.

    Raises:
        UserError: a value is not valid, or something is missing.
    """
    require_one_process("search")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    check(parsed)
    config = config_from(parsed, method=parsed.method, loss="difc", seed=parsed.seed)
    space = search_space(config, parsed.tune)
    lookup("selection", parsed.select, SELECTIONS)
    if parsed.select == "oracle" and not parsed.allow_target_labels:
        raise UserError("--select oracle reads target labels and is no result: it needs --allow-target-labels")
    name = study_name(parsed, config)
    out = parsed.out / name
    write_text(out / "command.txt", again() + "\n")  # fails here if it can't
    url = parsed.storage or f"sqlite:///{out / 'study.db'}"
    with held():
        storage = open_storage(url, parsed.heartbeat)

    source, target = load_pair(config)
    if parsed.select == "oracle" or parsed.confirm:
        require_labels(target, "--select oracle and --confirm score by them")
    hidden = blind(target)
    train_on, hidden = (source, hidden) if parsed.features == "full" else freeze(config, source, hidden, out)
    task = Task(config, train_on, hidden, out, objective_criterion(parsed.select), prune=parsed.pruner != "none")
    reference = show(train(source_only(config), task, "source-only reference")[0], task, config.device)
    task = replace(task, source_floor=source_recall(reference) - SOURCE_TOLERANCE)
    same = identity(parsed, config, train_on, hidden)
    with held():
        study = open_study(
            storage,
            name,
            same,
            sampler=parsed.study_sampler,
            pruner=parsed.pruner,
            seed=parsed.seed,
            must_exist=parsed.resume,
        )
        recover_lost_trials(study, url)
    progress = Progress(study, parsed.trials)
    try:
        run_trials(study, Objective(task, space, progress.title), defaults(config, space), parsed.trials)
    except KeyboardInterrupt as stop:
        with held():
            done = f"{len(complete_trials(study))} of {parsed.trials} trials done"
        raise Stopped("; ".join(filter(None, [str(stop), done, again()]))) from None
    finish(parsed, study, task, target, space)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of a study."""
    add_training_flags(parser)
    parser.set_defaults(source=None, target="fer2013", out=Path("runs/search"))
    add = parser.add_argument
    add("--method", default="mcd", help=f"{', '.join(METHODS)} (default: %(default)s)")
    add("--seed", type=int, default=0, help="of weights, batches and the sampler (default: 0)")
    add("--trials", type=int, default=30, metavar="N", help="all workers together (default: 30)")
    add("--tune", nargs="+", default=[], metavar="KEY", help=f"search these too: {', '.join(tunable(Config()))}")
    add("--features", choices=FEATURES, default="full", help="tune all of the network, or heads on frozen features")
    choices = "; ".join(f"{name}: {about}" for name, about in SELECTIONS.items())
    add("--select", default="consensus", metavar="NAME", help=f"the final choice (default: consensus). {choices}")
    add("--allow-target-labels", action="store_true", help="for --select oracle; marks everything")
    kinds = "sqlite:///FILE (one process), postgresql+psycopg2://…, journal:FILE, grpc://HOST:PORT"
    add("--storage", metavar="URL", help=f"{kinds} (default: an sqlite file below --out)")
    beats = "seconds between a worker's heartbeats; after three without, its trial is lost (default: 60)"
    add("--heartbeat", type=int, default=60, metavar="S", help=beats)
    add("--study-sampler", choices=SAMPLERS, default="tpe", help="how values are suggested (default: tpe)")
    add(
        "--pruner",
        choices=PRUNERS,
        default="none",
        help="stops poor trials early; early scores mislead (default: none)",
    )
    add("--confirm", type=int, default=0, metavar="K", help="re-train the K best with the whole network")
    add("--confirm-seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="of re-training (default: 0 1 2)")
    add("--resume", action="store_true", help="refuse to begin a new study")


def check(parsed: argparse.Namespace) -> None:
    """Refuses what can't be, and fills in the source that follows from the target."""
    if parsed.trials < 1:
        raise UserError(f"--trials {parsed.trials}: must be at least 1")
    if parsed.source is None:
        parsed.source = "toy_studio" if parsed.target.startswith("toy_") else "raf_db"


def study_name(arguments: argparse.Namespace, config: Config) -> str:
    """A name that says what was tuned, and aloud if labels chose."""
    parts = [config.source, config.target, config.method, config.backbone, arguments.features, arguments.select]
    mark = "-USES-TARGET-LABELS" if arguments.select == "oracle" else ""
    return "-".join(parts).replace(":", "_").replace("/", "_") + mark


def identity(arguments: argparse.Namespace, config: Config, source: Domain, hidden: Domain) -> dict:
    """Everything that trials' values depend on."""
    return {
        "config": config.identity(),
        "tune": sorted(arguments.tune),
        "select": arguments.select,
        "features": arguments.features,
        "sampler": arguments.study_sampler,
        "pruner": arguments.pruner,
        "code": code_digest(),
        "data": [source.train.fingerprint, source.test.fingerprint, hidden.train.fingerprint, hidden.test.fingerprint],
    }


def finish(arguments: argparse.Namespace, study: optuna.Study, task: Task, target: Domain, space: dict) -> None:
    """Writes the choice down, and only then looks at target labels, if there are any."""
    oracle = test_recalls(complete_trials(study), target) if arguments.select == "oracle" else None
    choice = choose(study, arguments.select, oracle)
    chosen = candidate_config(task.config, choice.chosen.params)
    best = task.out / "best.toml"
    write_text(best, best_toml(chosen, choice.chosen, arguments))
    values = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in choice.chosen.params.items())
    print(f"\nchosen: trial {choice.chosen.number}  " + "  ".join(values), flush=True)
    aftermath = look_back(choice, task, target, space, arguments) if target.labelled else None
    report = write_report(task.out, study, choice, aftermath, task, space, arguments)
    print(f"{report}\nwritten: {best}, {task.out / 'report.html'}, {task.out / 'report.md'}")


def best_toml(config: Config, trial: optuna.trial.FrozenTrial, arguments: argparse.Namespace) -> str:
    """The chosen values as a file that the recipes take with --config."""
    oracle = arguments.select == "oracle"
    lines = [
        f"# Trial {trial.number}, chosen by {arguments.select} from {arguments.trials} ({arguments.features}).",
        "# USES TARGET LABELS: a bound, not a result." if oracle else "# No target label was used.",
    ]
    names = [name for name in (*trial.params, "reweight_epoch") if name != "reweight"]
    for name in dict.fromkeys(names):
        value = getattr(config, name)
        lines.append(f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {str(value).lower()}")
    return "\n".join(lines) + "\n"


def again() -> str:
    """The command line, to be given again."""
    return shlex.join(["python", *sys.argv])


class Progress:
    """Titles of trials with what is left and the best so far; called between polls, it waits.

    Args:
        study: the study.
        budget: trials in all.
    """

    def __init__(self, study: optuna.Study, budget: int) -> None:
        self.study, self.budget, self.started, self.before = study, budget, time.monotonic(), None

    def title(self, trial: optuna.Trial) -> str:
        done = complete_trials(self.study)
        if self.before is None:
            self.before = len(done)
        text = f"trial {trial.number + 1}/{self.budget}"
        if done:
            text += f" · best {max(t.value for t in done):.3f}"
        new = len(done) - self.before
        if new:
            left = (time.monotonic() - self.started) / new * (self.budget - len(done))
            text += f" · eta {int(left) // 60}:{int(left) % 60:02d}"
        if not sys.stderr.isatty():
            print(text, flush=True)
        return text
