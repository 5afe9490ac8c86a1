"""A study from beginning to end: trials, the choice, and only then target labels, if there are any.

The study maximises an unsupervised criterion under the constraint that recall on held-out source stays near
source-only's. Trial 0 is the paper's defaults. The same command resumes a study that was stopped; with a database as
storage, any number of machines run it at once.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import optuna

from ..data.domains import Domain, require_labels
from ..evaluation.criteria import SOURCE_TOLERANCE
from ..training.build import load_pair
from ..training.frozen import freeze, source_only
from ..util.errors import Stopped
from ..util.files import write_text
from ..util.process import command_line
from ..util.toml import to_toml
from .assessment import assess, test_recalls
from .interrupts import deferred
from .objective import Objective, Task, blind, show, source_recall, train
from .plan import StudyPlan
from .report import write_report
from .space import REWEIGHT, candidate, defaults
from .storage import one_line_errors, open_storage, recover_lost_trials
from .study import ORACLE, choose, complete_trials, objective_criterion, open_study, run_trials


@one_line_errors()
def run_study(plan: StudyPlan) -> None:
    """Runs a study, or resumes it.

    Raises:
        UserError: a value is not valid, or something is missing.
        Stopped: Ctrl-C.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    write_text(plan.folder / "command.txt", command_line() + "\n")  # fails here if it can't
    with deferred():
        storage = open_storage(plan.url, plan.heartbeat_s)
    source, target = load_pair(plan.settings)
    if plan.select == ORACLE or plan.confirm:
        require_labels(target, "--select oracle and --confirm score by them")
    task = make_task(plan, source, target)
    with deferred():
        study = open_study(
            storage,
            plan.name,
            plan.identity(task.source, task.target),
            sampler=plan.sampler,
            pruner=plan.pruner,
            seed=plan.settings.run.seed,
            must_exist=plan.must_exist,
        )
        recover_lost_trials(study, plan.url)
    progress = Progress(study, plan.trials)
    objective = Objective(task, plan.space, progress.title)
    try:
        run_trials(study, objective, defaults(plan.settings, plan.space), plan.trials)
    except KeyboardInterrupt as stop:
        with deferred():
            done = f"{len(complete_trials(study))} of {plan.trials} trials done"
        raise Stopped("; ".join(filter(None, [str(stop), done, command_line()]))) from None
    finish(plan, study, task, target)


def make_task(plan: StudyPlan, source: Domain, target: Domain) -> Task:
    """What the trials share: data without target labels, and the recall on held-out source that they have to keep."""
    hidden = blind(target)
    if plan.features == "frozen":
        source, hidden = freeze(plan.settings, source, hidden, plan.folder)
    criterion, prune = objective_criterion(plan.select), plan.pruner != "none"
    task = Task(plan.settings, source, hidden, plan.folder, criterion, prune)
    reference, _ = train(source_only(plan.settings), task, "source-only reference")
    recall = source_recall(show(reference, task, plan.settings.run.device))
    return replace(task, source_floor=recall - SOURCE_TOLERANCE)


def finish(plan: StudyPlan, study: optuna.Study, task: Task, target: Domain) -> None:
    """Writes the choice down, and only then looks at target labels, if there are any."""
    oracle = test_recalls(complete_trials(study), target) if plan.select == ORACLE else None
    choice = choose(study, plan.select, oracle)
    best = plan.folder / "best.toml"
    write_text(best, best_toml(plan, choice.chosen))
    values = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in choice.chosen.params.items())
    print(f"\nchosen: trial {choice.chosen.number}  " + "  ".join(values), flush=True)
    found = None
    if target.labelled:
        found = assess(choice, task, target, plan.space, seeds=plan.seeds, confirm=plan.confirm)
    report = write_report(plan, study, choice, found, task)
    print(f"{report}\nwritten: {best}, {plan.folder / 'report.html'}, {plan.folder / 'report.md'}")


def best_toml(plan: StudyPlan, trial: optuna.trial.FrozenTrial) -> str:
    """The chosen values as a file that commands and recipes take with --config."""
    lines = [
        f"# Trial {trial.number}, chosen by {plan.select} from {plan.trials} ({plan.features}).",
        "# USES TARGET LABELS: a bound, not a result." if plan.select == ORACLE else "# No target label was used.",
    ]
    flat = candidate(plan.settings, trial.params).flat()
    names = {"reweight_epoch" if name == REWEIGHT else name for name in trial.params}
    chosen = {key: value for key, value in flat.items() if key in names or key.partition(".")[2] in names}
    return "\n".join(lines) + "\n" + to_toml(chosen)


class Progress:
    """Titles of trials with what is left and the best so far; called between polls, it waits.

    Args:
        study: the study.
        budget: trials in all.
    """

    def __init__(self, study: optuna.Study, budget: int) -> None:
        self.study, self.budget, self.started = study, budget, time.monotonic()
        self.before: int | None = None  #: trials that were done when this process began

    def title(self, trial: optuna.Trial) -> str:
        """A trial's title; where the output is no terminal, it is printed."""
        done = complete_trials(self.study)
        if self.before is None:
            self.before = len(done)
        text = f"trial {trial.number + 1}/{self.budget}"
        if done:
            text += f" · best {max(t.value or 0.0 for t in done):.3f}"
        new = len(done) - self.before
        if new:
            left = (time.monotonic() - self.started) / new * (self.budget - len(done))
            text += f" · eta {int(left) // 60}:{int(left) % 60:02d}"
        if not sys.stderr.isatty():
            print(text, flush=True)
        return text
