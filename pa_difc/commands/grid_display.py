"""Progress in a terminal while workers train a grid: a line for the whole grid, and one for each worker."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection

from ..training.expected import Expected
from ..training.slots import Slot, Slots
from ..util.bars import tqdm
from ..util.durations import duration, time_left

#: Stands for the time left as long as it can't be told.
ESTIMATING = "estimating …"

#: Columns of a line, at most.
WIDTH = 80


class GridDisplay:
    """Progress lines that stay at the bottom of a terminal; nothing is shown if the output is no terminal.

    Args:
        slots: the workers, which may come and go.
        expected: how long cells take.
        total: the number of cells.
        shown: False hides the lines.
    """

    def __init__(self, slots: Slots, expected: Expected, total: int, *, shown: bool) -> None:
        self.slots, self.expected, self.total = slots, expected, total
        self._bars: list[tqdm] = []
        self._disable = None if shown else True
        self._room()

    def _room(self) -> None:
        """Adds bars until there is one for the grid and one for each worker."""
        while len(self._bars) < 1 + len(self.slots):
            bar = tqdm(bar_format="{desc}", position=len(self._bars), leave=False, disable=self._disable)
            self._bars.append(bar)

    def close(self) -> None:
        """Removes the lines."""
        for bar in reversed(self._bars):
            bar.close()

    def print(self, line: str) -> None:
        """Prints a line above the progress lines."""
        with tqdm.external_write_mode():
            print(line, flush=True)

    def watch(self, waiting: Collection[int]) -> None:
        """Updates the lines; ``waiting`` holds the cells that have not begun."""
        if self._bars[0].disable:
            return
        busy = sum(slot.number is not None for slot in self.slots)
        left = self.left(waiting) or (ESTIMATING if waiting or busy else "")
        lines = [f"{self.total - len(waiting) - busy} of {self.total} runs done  {left}".rstrip()]
        lines += [line(i, slot, self.expected) for i, slot in enumerate(self.slots, 1)]
        self._room()
        lines += [""] * (len(self._bars) - len(lines))  # of workers that are gone
        columns = min(WIDTH, shutil.get_terminal_size().columns) - 1
        for bar, text in zip(self._bars, lines, strict=True):
            bar.set_description_str(text[:columns])

    def left(self, waiting: Collection[int]) -> str:
        """The time that the command has left in words; empty if that can't be told yet, or is under a second."""
        busy = [slot for slot in self.slots if slot.number is not None]
        for slot in busy:
            if (progress := slot.watched()) is not None and (rest := progress.seconds_left) is not None:
                assert slot.number is not None
                self.expected.note(slot.number, time.perf_counter() - slot.began + rest)
        running = [slot_left(slot, self.expected) for slot in busy]
        if running and all(rest is None for rest in running):
            return ""
        seconds = self.expected.left(waiting, [rest for rest in running if rest is not None], max(1, len(self.slots)))
        return time_left(seconds) if seconds and seconds >= 1 else ""


def line(number: int, slot: Slot, expected: Expected) -> str:
    """A worker's progress line."""
    if slot.number is None:
        return f"  {number}"
    if (progress := slot.watched()) is None:
        return f"  {number}  starting"
    share = f"{progress.done / progress.total:4.0%}" if progress.total else ""
    seconds = slot_left(slot, expected)
    more = "" if seconds is None else f"  {duration(seconds)}"
    return f"  {number}  {progress.title:<52.52}  {share}{more}"


def slot_left(slot: Slot, expected: Expected) -> float | None:
    """Seconds until a slot's cell is done, by its own pace or by the time such cells take; None if unknown."""
    if (progress := slot.watched()) is not None and (seconds := progress.seconds_left) is not None:
        return seconds
    assert slot.number is not None
    whole = expected.of(slot.number)
    return None if whole is None else max(0.0, whole - (time.perf_counter() - slot.began))
