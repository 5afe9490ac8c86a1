"""Shows the progress of a running study: titles of trials, and a line for each of several workers."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import optuna

from ..training.progress import read_progress
from ..util.bars import tqdm
from ..util.durations import time_left
from .study import complete_trials
from .trials import FINISHED

#: Most columns of a line.
WIDTH = 80


class Progress:
    """Titles of trials and lines on finished ones, with the best value so far and the time left.

    Args:
        study: the study; its trials that are finished now get no line.
        budget: total number of trials.
        criterion: the name of what trials maximise.
    """

    def __init__(self, study: optuna.Study, budget: int, criterion: str) -> None:
        self.study, self.budget, self.criterion, self.started = study, budget, criterion, time.monotonic()
        self._told = {trial.number for trial in self.finished()}
        self._before = len(complete_trials(study))

    def title(self, trial: optuna.Trial) -> str:
        """A trial's title."""
        done = complete_trials(self.study)
        return f"trial {trial.number}  {len(done)} of {self.budget} done{self.so_far(done)}"

    def finished(self) -> list[optuna.trial.FrozenTrial]:
        """The trials that are complete or were stopped early."""
        return self.study.get_trials(deepcopy=False, states=FINISHED)

    def news(self, finished: Sequence[optuna.trial.FrozenTrial]) -> Iterator[str]:
        """A line for each of the finished trials that has had none."""
        for trial in finished:
            if trial.number not in self._told:
                self._told.add(trial.number)
                value = f"{self.criterion} {trial.value:.4f}" if is_complete(trial) else "stopped early"
                so_far = self.so_far([t for t in finished if t.number in self._told and is_complete(t)])
                yield f"trial {trial.number}  {value}  {len(self._told)} of {self.budget} done{so_far}"

    def say(self) -> None:
        """Prints these lines above a progress bar."""
        for line in self.news(self.finished()):
            _print(line)

    def so_far(self, done: Sequence[optuna.trial.FrozenTrial]) -> str:
        """The best value of the complete trials ``done``, and the time left, as far as they are known."""
        text = f" · best {self.criterion} {max(t.value or 0.0 for t in done):.4f}" if done else ""
        new, rest = len(done) - self._before, max(0, self.budget - len(done))
        if new and rest:
            text += f" · {time_left((time.monotonic() - self.started) / new * rest)}"
        return text


class Board:
    """Progress lines at the bottom of a terminal: one for the study, and one for each worker.

    Each finished trial is also printed on a line of its own.

    Args:
        study: the study.
        budget: total number of trials.
        criterion: the name of what trials maximise.
        files: the workers' progress files.
    """

    def __init__(self, study: optuna.Study, budget: int, criterion: str, files: Sequence[Path]) -> None:
        self._budget, self._files = budget, files
        self._progress = Progress(study, budget, criterion)
        self._bars = [tqdm(bar_format="{desc}", position=i, leave=False, disable=None) for i in range(1 + len(files))]

    def look(self) -> int:
        """Updates the lines; returns the number of finished trials."""
        finished = self._progress.finished()
        for line in self._progress.news(finished):
            self.print(line)
        so_far = self._progress.so_far([trial for trial in finished if is_complete(trial)])
        if not self._bars[0].disable:
            lines = [f"{len(finished)} of {self._budget} trials done{so_far}", *map(_line, count(1), self._files)]
            columns = min(WIDTH, shutil.get_terminal_size().columns) - 1
            for bar, text in zip(self._bars, lines, strict=True):
                bar.set_description_str(text[:columns])
        return len(finished)

    def print(self, line: str) -> None:
        """Prints a line above the progress lines."""
        _print(line)

    def close(self) -> None:
        """Removes the lines."""
        for bar in reversed(self._bars):
            bar.close()


def is_complete(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial has a value; one that was stopped early has none."""
    return trial.state is optuna.trial.TrialState.COMPLETE


def _print(line: str) -> None:
    """Prints a line above all progress bars."""
    with tqdm.external_write_mode():
        print(line, flush=True)


def _line(number: int, file: Path) -> str:
    """A worker's progress line."""
    progress = read_progress(file)
    if progress is None:
        return f"  {number}"
    share = f"{progress.done / progress.total:4.0%}" if progress.total else ""
    return f"  {number}  {progress.title:<52.52}  {share}"
