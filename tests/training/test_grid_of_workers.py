"""Which cell goes next, what a lost worker costs, what is done with a cell that another process holds."""

import math
from collections import Counter
from concurrent.futures import BrokenExecutor, Future

import pytest

from pa_difc.training import grid
from pa_difc.training.expected import Course, Expected, kind_of
from pa_difc.training.grid import TRIES, train_cells
from pa_difc.training.outcome import Failure, Outcome
from pa_difc.training.settings import Settings
from pa_difc.training.slots import Slot, Slots
from pa_difc.training.team import ALONE, Team
from pa_difc.util import clock


def cells(*methods):
    return [Settings.of(method=method, seed=i) for i, method in enumerate(methods)]


def test_methods_that_nobody_has_timed_go_first_and_then_the_longest():
    expected = Expected(cells("dann", "dann", "mcd", "mcd", "safn"))
    assert expected.next([0, 1, 2, 3, 4], set()) == 0
    assert expected.next([1, 2, 3, 4], {0}) == 2
    assert expected.next([1, 3, 4], {0, 2}) == 4
    expected.learn(0, 10.0)
    expected.learn(2, 30.0)
    assert expected.of(3) == 30 and expected.of(4) is None
    assert expected.next([1, 3], {0, 2, 4}) == 3
    expected.learn(3, 50.0)
    assert expected.of(2) == 40


def test_seconds_that_are_known_already_decide_alone():
    expected = Expected(cells("dann", "dann", "mcd"), [1.0, 7.0, 3.0])
    assert expected.next([0, 1, 2], set()) == 1
    assert expected.next([0, 2], {1}) == 2


def test_what_is_left():
    """Work over workers, or the longest cell if that is more; unknown methods take as long as the known on average."""
    expected = Expected(cells("dann", "dann", "mcd", "safn"))
    assert expected.left([0, 1], [], 2) is None
    expected.learn(0, 10.0)
    expected.learn(2, 40.0)
    assert expected.left([0, 1, 2], [30.0], 2) == (10 + 10 + 40 + 30) / 2
    assert expected.left([0, 2], [], 4) == 40
    assert expected.left([1, 2, 3], [], 1) == 10 + 40 + 25
    assert expected.left([], [5.0, 90.0], 3) == 90
    assert expected.left([], [], 3) == 0


def test_what_is_left_of_all_grids():
    """What an earlier grid took counts until this one has a cell of the same kind; frozen features are another kind."""
    course = Course()
    Expected(cells("dann", "mcd"), course=course).learn(0, 10.0)
    ahead = [kind_of(cell, False) for cell in cells("dann", "safn")]
    expected = Expected(cells("dann", "dann"), course=Course(False, ahead, course.seen))
    assert expected.of(0) == 10 and expected.left([0, 1], [], 1) == 4 * 10
    expected.learn(0, 20.0)
    assert expected.of(1) == 20 and expected.left([1], [4.0], 1) == 4 + 20 + 15 + 35 / 2
    frozen = Expected(cells("dann"), course=Course(True, [], course.seen))
    assert frozen.of(0) is None and frozen.left([0], [], 1) is None


class Scripted:
    """An executor whose results are told, by the number of a cell and of its try."""

    def __init__(self, script, log):
        self.script, self.log = script, log

    def submit(self, fn, settings, title, progress):
        number = settings.run.seed
        attempt = sum(n == number for n, _ in self.log)
        self.log.append((number, settings.run.device))
        future = Future()
        result = self.script(number, attempt)
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result((result, f"said by {number}"))
        return future

    def shutdown(self):
        self.log.append(("shutdown", None))


def ended(step):
    """Whether a step is the last one of its cell."""
    return step.outcome is not None and step.outcome.held is None


DONE = Outcome(record={"seconds": {"training": 1.0}})


def trained(script, tmp_path, number=3, slots=1, devices=(None,)):
    """The steps of a grid, and what was given to executors."""
    log, made = [], []

    def make():
        made.append(1)
        return Scripted(script, log)

    there = Slots(Slot(make, None, tmp_path / f"{i}.json", devices[i % len(devices)]) for i in range(slots))
    some = cells(*["dann"] * number)
    steps = list(
        train_cells(some, [f"cell {i}" for i in range(number)], there, tmp_path, Expected(some), lambda n: None)
    )
    return steps, log, len(made)


def test_a_killed_worker_costs_its_cell_one_try(tmp_path):
    def script(number, attempt):
        return BrokenExecutor("killed") if number == 1 and attempt == 0 else DONE

    steps, _, made = trained(script, tmp_path)
    assert [(s.number, ended(s)) for s in steps] == [(0, True), (1, False), (2, True), (1, True)]
    assert made == 2 and steps[0].said == "said by 0"
    assert [s.left for s in steps] == [(1, 2), (2, 1), (1,), ()]


def test_a_cell_that_kills_its_workers_fails_and_the_others_finish(tmp_path):
    steps, log, _ = trained(lambda n, attempt: BrokenExecutor("killed") if n == 1 else DONE, tmp_path)
    assert Counter(n for n, _ in log)[1] == TRIES == 3
    outcomes = {s.number: s.outcome for s in steps if ended(s)}
    assert outcomes[0].record and outcomes[2].record
    failure = outcomes[1].failure
    assert "killed" in failure.reason and not failure.mendable and "killed" in failure.file.read_text()


def test_a_result_that_cannot_travel_is_its_cell_s_failure(tmp_path):
    steps, _, made = trained(lambda n, attempt: TypeError("cannot pickle") if n == 0 else DONE, tmp_path)
    assert made == 1 and steps[0].outcome.failure.reason == "TypeError: cannot pickle"
    assert [bool(s.outcome.record) for s in steps] == [False, True, True]


def test_a_held_cell_is_looked_at_again_after_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "LOOK_S", 0.05)
    monkeypatch.setattr(grid, "WATCH_S", 0.01)

    def script(number, attempt):
        return Outcome(held="process 7") if number == 0 and attempt < 3 else DONE

    steps, log, _ = trained(script, tmp_path)
    assert [n for n, _ in log] == [0, 1, 2, 0, 0, 0]
    assert [s.number for s in steps if ended(s)] == [1, 2, 0]


def test_cells_are_spread_over_devices(tmp_path):
    _, log, _ = trained(lambda *_: DONE, tmp_path, number=6, slots=3, devices=("cuda:0", "cuda:1"))
    assert Counter(device for _, device in log) == {"cuda:0": 4, "cuda:1": 2}
    assert sorted(n for n, _ in log) == list(range(6))


def test_a_gpu_s_number_makes_no_other_run():
    from pa_difc.training.resolve import identity, resolve

    cpu, one, other = (identity(resolve(Settings.of(device=d))) for d in ("cpu", "cuda:0", "cuda:1"))
    assert one == other != cpu and one == identity(resolve(Settings.of(device="cuda")))


def test_a_failure_says_where_more_is(capsys, tmp_path):
    from pa_difc.commands.grid import report_failures

    file = tmp_path / "x.txt"
    assert report_failures([("mcd · ce", Failure("KeyError: 'a\nb'", False, file))]) == 1
    assert capsys.readouterr().err == f"failed: mcd · ce: KeyError: 'a b' ({file})\n"
    assert report_failures([("mcd · ce", Failure("too few classes", True, file))]) == 2
    assert capsys.readouterr().err == "failed: mcd · ce: too few classes\n"


@pytest.mark.parametrize(("jobs", "words"), [("0", "--jobs 0: must be at least 1"), ("-2", "--jobs -2")])
def test_a_number_of_jobs_that_is_none(jobs, words):
    import argparse

    from pa_difc.commands.flags import add_jobs_flags, read_jobs
    from pa_difc.util.errors import UserError

    parser = argparse.ArgumentParser()
    add_jobs_flags(parser)
    with pytest.raises(UserError, match=words):
        read_jobs(parser.parse_args([f"--jobs={jobs}"]))
    assert read_jobs(parser.parse_args([])) == Team(None, [], None) and not ALONE.works
    assert read_jobs(parser.parse_args(["--devices", "cuda:0", "cuda:1"])).jobs == 2
    assert read_jobs(parser.parse_args(["--devices", "cuda:0", "--jobs", "3"])).jobs == 3
    on_cluster = read_jobs(parser.parse_args(["--cluster", "tcp://host:8786"]))
    assert on_cluster == Team(cluster="tcp://host:8786", devices=[]) and on_cluster.works
    with pytest.raises(UserError, match=r"--devices and --cluster: .* CUDA_VISIBLE_DEVICES, and give --device cuda$"):
        read_jobs(parser.parse_args(["--cluster", "tcp://host:8786", "--devices", "cuda:0"]))


def test_a_failure_of_many_cells_is_one_line_with_their_number(capsys, tmp_path):
    from pa_difc.commands.grid import report_failures

    file = tmp_path / "failed" / "mcd.txt"
    alike = [(f"mine · {loss}", Failure("KeyError: a", False, file)) for loss in ("ce", "di", "difc")]
    other = [("dann · ce", Failure("KeyError: b", False, file)), ("safn · ce", Failure("no face", True, file))]
    assert report_failures([*alike, *other, ("safn · di", Failure("no face", True, file))]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"failed: mine · ce: KeyError: a ({file}) … and 2 more runs",
        f"failed: dann · ce: KeyError: b ({file})",
        "failed: safn · ce: no face … and 1 more run",
    ]


def in_time(script, tmp_path, until, kept=()):
    """The numbers of the cells that begin in a grid of two slots, in order; each takes the clock 10 s further."""
    log = []
    there = Slots(Slot(lambda: Scripted(script, log), None, tmp_path / f"{i}.json") for i in range(2))
    some = cells("source_only", "dann", "mcd", "safn")
    expected = Expected(some, [1.0, 7.0, 3.0, 5.0])
    list(train_cells(some, ["cell"] * 4, there, tmp_path, expected, lambda n: None, kept, until))
    return [number for number, _ in log if number != "shutdown"]


def test_with_an_end_cells_begin_in_their_order_and_without_one_the_longest_first(tmp_path):
    assert in_time(lambda n, attempt: DONE, tmp_path, 1e12) == [0, 1, 2, 3]
    assert in_time(lambda n, attempt: DONE, tmp_path, math.inf) == [1, 3, 2, 0]
    assert in_time(lambda n, attempt: DONE, tmp_path, 1e12, kept=[0]) == [1, 2, 3]


def test_after_the_end_no_cell_begins_and_none_is_tried_again(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(clock, "now", lambda: now[0])

    def script(number, attempt):
        now[0] += 10
        return BrokenExecutor("killed") if number == 1 else DONE

    assert in_time(script, tmp_path, 1015.0) == [0, 1]
    assert in_time(script, tmp_path, 0.0) == [0]  # one begins however late it is
    assert in_time(script, tmp_path, 0.0, kept=[0]) == []
