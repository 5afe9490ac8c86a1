"""The time left of a grid: nothing is said of it before enough is known."""

import time

import pytest

from pa_difc.commands import grid_display
from pa_difc.commands.grid_display import ESTIMATING, GridDisplay
from pa_difc.training.expected import Expected
from pa_difc.training.progress import FEWEST_STEPS, Progress, ProgressFile, read_progress
from pa_difc.training.settings import Settings
from pa_difc.training.slots import Slot, Slots


def cells(*methods):
    return [Settings.of(method=method, seed=i) for i, method in enumerate(methods)]


@pytest.mark.parametrize(("before", "done", "left"), [(0, 1, None), (0, 5, 47.5), (40, 44, None), (40, 45, 27.5)])
def test_a_run_s_first_steps_say_nothing_of_the_rest(before, done, left, tmp_path):
    """Of 100 steps at two a second; those before it was resumed don't count."""
    assert FEWEST_STEPS == 5 and Progress("t", done, 100, 2.0, before).seconds_left == left
    bar = ProgressFile(tmp_path / "p.json", total=100, initial=before)
    bar.update(done - before)
    bar.refresh()
    assert (read_progress(tmp_path / "p.json").done, read_progress(tmp_path / "p.json").before) == (done, before)


def display(tmp_path, methods, running):
    """A grid of which these cells run, each with its progress, and have begun 10 s ago."""
    slots = Slots()
    for number, progress in running.items():
        slot = Slot(lambda: None, None, tmp_path / f"{number}.json", number=number, began=time.perf_counter() - 10)
        slot.watched = lambda progress=progress: progress
        slots.append(slot)
    return GridDisplay(slots, Expected(cells(*methods)), len(methods), shown=False)


def test_what_runs_tells_how_long_its_kind_takes(tmp_path):
    """10 s are gone and 20 s left, so that the next one of its kind takes 30 s."""
    shown = display(tmp_path, ["dann", "dann"], {0: Progress("t", 20, 60, 2.0)})
    assert shown.left([1]) == "50 s left"
    shown.expected.learn(0, 100.0)  # a finished one counts
    assert shown.left([1]) == "2 min left"


def test_before_most_is_known_it_is_being_estimated(tmp_path, monkeypatch):
    slow, quick = Progress("t", 3, 60, 0.1), Progress("t", 20, 60, 2.0)
    assert display(tmp_path, ["dann", "dann"], {0: slow}).left([1]) == ""  # of three steps, one with its warm-up
    many = ["source_only", "dann", "mcd", "safn"]
    assert display(tmp_path, many, {0: quick}).left([1, 2, 3]) == ""  # a quick baseline says nothing of three others
    assert display(tmp_path, ["dann", *many[1:]], {0: quick}).left([1, 2]) != ""
    lines = []
    made = display(tmp_path, many, {0: slow})
    made._bars = [type("Bar", (), {"disable": False, "set_description_str": lambda _, text: lines.append(text)})()] * 2
    monkeypatch.setattr(grid_display, "WIDTH", 200)
    made.watch([1, 2, 3])
    assert lines[0] == f"0 of 4 runs done  {ESTIMATING}"
