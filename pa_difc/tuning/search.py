"""Runs a study from beginning to end: trials, the choice, and only then target labels, if there are any.

The study maximises an unsupervised criterion under the constraint that recall on held-out source faces stays near
source-only's. Trial 0 has the settings' own values, the paper's by default. The same command resumes a stopped study.
With a database as storage, any number of machines can work on it, and with ``--jobs`` one command uses several cores.
"""

from __future__ import annotations

from dataclasses import replace

import optuna

from ..data.domains import Domain, require_labels
from ..evaluation.criteria import SOURCE_TOLERANCE
from ..training.build import load_pair
from ..training.frozen import freeze, source_only
from ..training.memory import workers_that_fit
from ..util.errors import Stopped
from ..util.files import write_text
from ..util.interrupts import deferred
from ..util.process import command_line, typed_line
from ..util.terminal import wrapped
from ..util.toml import to_toml
from .assessment import TrainAll, assess, test_recalls
from .explained import few_trials, near_ends, reasons, trained_with
from .jobs import run_in_workers
from .objective import Objective, Task, blind, show, source_recall, train
from .plan import StudyPlan
from .progress import Progress
from .report import write_report
from .retries import recover_all
from .space import REWEIGHT, REWEIGHT_EPOCH, candidate, defaults
from .steady import one_line_errors
from .storage import open_storage
from .study import ORACLE, choose, complete_trials, objective_criterion, open_study
from .trials import run_trials
from .workers import Worker, sweep


def run_study(plan: StudyPlan, train_all: TrainAll) -> None:
    """Runs a study, or resumes it.

    Args:
        plan: of the study.
        train_all: trains the cells to be scored at the end.

    Raises:
        UserError: a value is not valid, or the data, weights or storage can't be used.
        Stopped: Ctrl-C.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    write_text(plan.folder / "command.txt", command_line() + "\n")  # an --out that can't be written fails here
    with one_line_errors(plan.address.clean):
        with deferred():
            storage = open_storage(plan.address)
        source, target = load_pair(plan.settings)
        if plan.select == ORACLE or plan.confirm:
            require_labels(target, "--select oracle and --confirm score by them")
        task = make_task(plan, source, target)
        with deferred():
            study = plan_study(plan, storage, plan.identity(task.source, task.target))
            if plan.address.url.startswith("sqlite"):
                recover_all(study, plan.space)  # this process holds the file's lock: nobody else works on it
        _all_trials(plan, study, task)
        finish(plan, study, task, target, train_all)


def plan_study(plan: StudyPlan, storage: optuna.storages.BaseStorage, identity: dict[str, object]) -> optuna.Study:
    """Opens the study of a plan in a storage; see :func:`.study.open_study`."""
    return open_study(
        storage,
        plan.name,
        identity,
        sampler=plan.sampler,
        pruner=plan.pruner,
        seed=plan.settings.run.seed,
        must_exist=plan.must_exist,
    )


def _all_trials(plan: StudyPlan, study: optuna.Study, task: Task) -> None:
    """Runs the remaining trials, in this process or in workers.

    Raises:
        Stopped: Ctrl-C.
    """
    try:
        if plan.jobs is None:
            progress = Progress(study, plan.trials, task.criterion)
            objective = Objective(task, plan.space, progress.title)
            with Worker(plan.folder) as worker:
                first = defaults(plan.settings, plan.space)
                run_trials(
                    study, objective, first, plan.trials, worker, heartbeat_s=plan.heartbeat_s, after=progress.say
                )
        else:
            jobs = workers_that_fit(plan.jobs, plan.settings, task.source, task.target)
            run_in_workers(plan, study, task, jobs)
        sweep(plan.folder)
    except KeyboardInterrupt as stop:
        try:
            with deferred():
                done = f"{len(complete_trials(study))} of {plan.trials} trials done"
        except Exception:  # the storage does not answer, which may be why the study was stopped
            done = ""
        told = "; ".join(filter(None, [str(stop) or "stopped", done]))
        raise Stopped(told, hint=f"Resume with: {typed_line()}") from None


def make_task(plan: StudyPlan, source: Domain, target: Domain) -> Task:
    """The trials' common data, without target labels, and the source recall that they have to keep.

    The latter needs a source-only run, which is trained here.
    """
    hidden = blind(target)
    if plan.features == "frozen":
        source, hidden = freeze(plan.settings, source, hidden, plan.folder)
    criterion, prune = objective_criterion(plan.select), plan.pruner != "none"
    task = Task(plan.settings, source, hidden, plan.folder, criterion, prune)
    reference, _ = train(source_only(plan.settings), task, "source-only reference")
    recall = source_recall(show(reference, task, plan.settings.run.device))
    return replace(task, source_floor=recall - SOURCE_TOLERANCE)


def finish(plan: StudyPlan, study: optuna.Study, task: Task, target: Domain, train_all: TrainAll) -> None:
    """Chooses a trial and writes it to best.toml; only then reads target labels, if any, and writes the report."""
    oracle = test_recalls(complete_trials(study), target) if plan.select == ORACLE else None
    choice = choose(study, plan.select, oracle)
    best = plan.folder / "best.toml"
    write_text(best, best_toml(plan, choice.chosen))
    values = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in choice.chosen.params.items())
    print(f"\nchosen: trial {choice.chosen.number}  " + "  ".join(values), flush=True)
    hints = (*few_trials(choice), *near_ends(choice, plan.space, plan.settings))
    for sentence in (*reasons(choice, plan.select), *hints):
        print(wrapped(sentence, indent=2), flush=True)
    found = None
    if target.labelled:
        found = assess(choice, task, target, plan.space, train_all, seeds=plan.seeds, confirm=plan.confirm)
    report = write_report(plan, study, choice, found, task)
    written = (best, *(plan.folder / name for name in ("report.html", "report.md", "trials.csv")))
    print(f"{report}\nwritten: {', '.join(map(str, written))}")


def best_toml(plan: StudyPlan, trial: optuna.trial.FrozenTrial) -> str:
    """The chosen values as TOML for ``--config``."""
    lines = [
        f"# {trained_with(plan.settings, list(plan.space), plan.features)}",
        f"# Study {plan.name}: trial {trial.number}, chosen by {plan.select} from {plan.trials}.",
        "# USES TARGET LABELS: an upper bound, for reference only."
        if plan.select == ORACLE
        else "# No target label was used.",
    ]
    flat = candidate(plan.settings, trial.params).flat()
    names = {REWEIGHT_EPOCH if name == REWEIGHT else name for name in trial.params}
    chosen = {key: value for key, value in flat.items() if key in names or key.partition(".")[2] in names}
    return "\n".join(lines) + "\n" + to_toml(chosen)
