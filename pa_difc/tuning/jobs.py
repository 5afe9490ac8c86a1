"""Runs a study's trials in several processes of this command, each a worker like those of other commands."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import optuna

from ..data.shared import share
from ..training.ready import ENVIRONMENT, workers_context
from ..util.errors import UserError
from ..util.forks import replaced
from ..util.interrupts import Interrupts, deferred
from ..util.registry import loaded_plugins
from .child import main
from .objective import Task
from .plan import StudyPlan
from .progress import Board

#: Most workers that may be lost between two finished trials; more mean that something else is wrong.
LOSSES = 3

#: Seconds between checks of the workers; and seconds in which they may stop before they are killed.
LOOK_S, STOP_S = 0.5, 20.0


@dataclass(frozen=True)
class Job:
    """A worker's instructions; sent through a pipe, because they may contain a password.

    Attributes:
        plan: of the study.
        task: the file with the trials' common data, see :func:`pa_difc.data.shared.share`.
        go: a file; workers stop when it is removed.
        progress: the file to which the worker writes its progress.
        parent: id of the process that started the worker, which ends with it.
        command: the parent's command line, for records.
        plugins: the user's plugin files.
    """

    plan: StudyPlan
    task: Path
    go: Path
    progress: Path
    parent: int
    command: tuple[str, ...]
    plugins: tuple[Path, ...]


def run_in_workers(plan: StudyPlan, study: optuna.Study, task: Task, jobs: int) -> None:
    """Runs trials in single-threaded processes until the study has enough; a killed process is replaced.

    Args:
        plan: of the study.
        study: the open study.
        task: the trials' common data.
        jobs: the number of processes.

    Raises:
        UserError: a worker reported an error that the user can mend, or workers keep being killed.
        KeyboardInterrupt: Ctrl-C; the workers' trials are queued again.
    """
    with tempfile.TemporaryDirectory(prefix="pa_difc-") as temporary:
        folder = Path(temporary)
        go = folder / "go"
        go.touch()
        shared = share(task, folder / "task")
        argv, plugins = tuple(sys.argv), tuple(loaded_plugins())
        crew = [
            _Process(i, Job(plan, shared, go, folder / f"{i}.json", os.getpid(), argv, plugins), folder)
            for i in range(1, jobs + 1)
        ]
        board = Board(study, plan.trials, task.criterion, [one.job.progress for one in crew])
        try:
            _watch(plan, crew, board)
        except KeyboardInterrupt:
            board.print("stopping")
            raise
        finally:
            with deferred() as again:
                go.unlink(missing_ok=True)
                _end(crew, again)
                for one in crew:
                    one.say(board)
                board.close()


def _watch(plan: StudyPlan, crew: list[_Process], board: Board) -> None:
    """Starts the workers, and replaces lost ones, until all trials are done."""
    lost, done = 0, 0
    for one in crew:
        one.start()
    while True:
        for one in crew:
            one.say(board)
            code = one.code()
            if code is None or one.ended:
                continue
            if code == 0:
                one.ended = True
            elif code == 2:
                raise UserError(one.last_words())
            else:
                lost += 1
                if lost > LOSSES:
                    raise UserError(f"{lost} workers were lost without a trial between them: {one.last_words()}")
                board.print(f"worker {one.number} was lost ({one.last_words()}); another takes its place")
                one.start()
        with deferred():
            now = board.look()
        if now > done:
            lost, done = 0, now
        if done >= plan.trials or all(one.ended for one in crew):
            return
        time.sleep(LOOK_S)


def _end(crew: list[_Process], again: Interrupts) -> None:
    """Waits for workers that were told to stop, until a limit or another Ctrl-C, and kills those that do not."""
    end = time.monotonic() + STOP_S
    while any(one.code() is None for one in crew) and not again.came and time.monotonic() < end:
        time.sleep(0.05)
    for one in crew:
        one.kill()


class _Process:
    """A worker process, its output, and its exit code."""

    def __init__(self, number: int, job: Job, folder: Path) -> None:
        self.number, self.job, self.ended = number, job, False
        self._output, self._errors = folder / f"{number}.out", folder / f"{number}.err"
        self._process: BaseProcess | None = None
        self._shown = 0  # bytes of its output

    def start(self) -> None:
        """Starts the process, which a terminal's Ctrl-C doesn't reach."""
        self._forget()
        context = workers_context(main.__module__) or get_context("spawn")
        work = partial(main, self.job, self._output, self._errors)
        with replaced(os.environ, ENVIRONMENT):
            self._process = context.Process(target=work)
            self._process.start()

    def _forget(self) -> None:
        """Removes the files of a process that was lost."""
        self._shown = 0
        for file in (self.job.progress, self._output, self._errors):
            file.unlink(missing_ok=True)

    def code(self) -> int | None:
        """Its exit code; None while it runs, and 0 before it was started."""
        return self._process.exitcode if self._process else 0

    def kill(self) -> None:
        """Kills the process if it is still running."""
        if self._process and self._process.exitcode is None:
            self._process.kill()
            self._process.join()

    def say(self, board: Board) -> None:
        """Prints the new lines of its output."""
        with suppress(FileNotFoundError), self._output.open("rb") as file:
            file.seek(self._shown)
            whole, newline, _ = file.read().rpartition(b"\n")
            self._shown += len(whole + newline)
            for line in whole.decode(errors="backslashreplace").splitlines():
                board.print(line.rstrip())

    def last_words(self) -> str:
        """The last line of its standard error; for a killed process, the signal."""
        code = self.code() or 0
        if code < 0:
            return f"signal {-code}"
        lines: list[str] = []
        with suppress(FileNotFoundError):
            lines = self._errors.read_text(encoding="utf-8", errors="backslashreplace").strip().splitlines()
        return lines[-1] if lines else f"exit code {code}"
