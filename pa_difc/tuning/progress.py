"""Shows the progress of a running study: titles of trials, and a line for each of several workers."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import optuna

from ..training.progress import read_progress
from ..util.bars import tqdm
from .study import complete_trials
from .trials import FINISHED

#: Most columns of a line.
WIDTH = 80


class Progress:
    """Makes the titles of trials, with the best value so far and the time left.

    Args:
        study: the study.
        budget: total number of trials.
        criterion: the name of what trials maximise.
        printed: print each title if standard error is not a terminal.
    """

    def __init__(self, study: optuna.Study, budget: int, criterion: str, *, printed: bool = True) -> None:
        self.study, self.budget, self.criterion, self.started = study, budget, criterion, time.monotonic()
        self.printed = printed and not sys.stderr.isatty()
        self.before: int | None = None  #: number of trials done when this process began

    def title(self, trial: optuna.Trial) -> str:
        """A trial's title."""
        done = complete_trials(self.study)
        text = f"trial {trial.number}  {len(done)} of {self.budget} done{self.so_far(done)}"
        if self.printed:
            print(text, flush=True)
        return text

    def so_far(self, done: Sequence[optuna.trial.FrozenTrial]) -> str:
        """The best value of the complete trials ``done``, and the time left, as far as they are known."""
        if self.before is None:
            self.before = len(done)
        text = f" · best {self.criterion} {max(t.value or 0.0 for t in done):.4f}" if done else ""
        if new := len(done) - self.before:
            left = (time.monotonic() - self.started) / new * max(0, self.budget - len(done))
            text += f" · eta {int(left) // 60}:{int(left) % 60:02d}"
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
        self._study, self._budget, self._files = study, budget, files
        self._progress = Progress(study, budget, criterion, printed=False)
        self._told = {trial.number for trial in self._finished()}
        self._progress.so_far(complete_trials(study))
        self._bars = [tqdm(bar_format="{desc}", position=i, leave=False, disable=None) for i in range(1 + len(files))]

    def look(self) -> int:
        """Updates the lines; returns the number of finished trials."""
        finished = self._finished()
        for trial in finished:
            if trial.number not in self._told:
                self._told.add(trial.number)
                value = f"{self._progress.criterion} {trial.value:.4f}" if _is_complete(trial) else "stopped early"
                so_far = self._progress.so_far([t for t in finished if t.number in self._told and _is_complete(t)])
                self.print(f"trial {trial.number}  {value}  {len(self._told)} of {self._budget} done{so_far}")
        so_far = self._progress.so_far([t for t in finished if _is_complete(t)])
        if not self._bars[0].disable:
            lines = [f"{len(finished)} of {self._budget} trials done{so_far}", *map(_line, count(1), self._files)]
            columns = min(WIDTH, shutil.get_terminal_size().columns) - 1
            for bar, text in zip(self._bars, lines, strict=True):
                bar.set_description_str(text[:columns])
        return len(finished)

    def print(self, line: str) -> None:
        """Prints a line above the progress lines."""
        with tqdm.external_write_mode():
            print(line, flush=True)

    def close(self) -> None:
        """Removes the lines."""
        for bar in reversed(self._bars):
            bar.close()

    def _finished(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=FINISHED)


def _is_complete(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.state is optuna.trial.TrialState.COMPLETE


def _line(number: int, file: Path) -> str:
    """A worker's progress line."""
    progress = read_progress(file)
    if progress is None:
        return f"  {number}"
    share = f"{progress.done / progress.total:4.0%}" if progress.total else ""
    return f"  {number}  {progress.title:<52.52}  {share}"
