"""Workers of a cluster come and go; those that can't do the work get none, and the first of them end the command."""

import pickle
from concurrent.futures import BrokenExecutor, Future
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from pa_difc import __version__
from pa_difc.training import cluster
from pa_difc.training.on_cluster import Seen, look_around
from pa_difc.util.errors import UserError
from pa_difc.util.process import package_digest

WORD = "a word"

#: What is said by a worker that is as it should be.
SAME = Seen("host", __version__, package_digest(), ())


class Scheduler:
    """A client of a scheduler, as far as slots need it; ``look_around`` is told what the worker sees."""

    status = "running"

    def __init__(self, threads):
        self.threads, self.wrong, self.asked, self.futures = threads, {}, [], []

    def nthreads(self):
        return self.threads

    def run(self, look, *args, workers, on_error):
        self.asked += workers
        return {address: self.wrong.get(address, SAME) for address in workers}

    def get_executor(self, *, workers, **kwargs):
        def submit(*args):
            self.futures.append(Future())
            return self.futures[-1]

        return SimpleNamespace(submit=submit)


@pytest.fixture
def slots(tmp_path, monkeypatch):
    """Makes slots of a scheduler."""

    def made(scheduler, most=99):
        monkeypatch.setattr(cluster, "_LOOK_S", 0.0)
        setup = SimpleNamespace(go="go")
        monkeypatch.setattr(cluster, "pickle", SimpleNamespace(dumps=lambda call: b"", loads=pickle.loads))
        found = cluster._OnCluster(
            scheduler, "tcp://s", partial(cluster._Thread, scheduler, None, setup), tmp_path, most
        )
        found.check = partial(cluster._check, scheduler, "go", WORD, [], tmp_path)
        found.look()
        return found

    return made


def places(slots):
    return [(thread.address, thread.number) for thread in (slots._threads_of[id(slot)] for slot in slots)]


def test_a_slot_for_each_thread_and_the_first_of_each_worker_first(slots):
    there = slots(Scheduler({"a": 3, "b": 1}))
    assert places(there) == [("a", 0), ("b", 0), ("a", 1), ("a", 2)]
    assert places(slots(Scheduler({"a": 3, "b": 1}), most=2)) == [("a", 0), ("b", 0)]


def test_workers_that_come_later_are_looked_at_and_get_cells(slots, capsys):
    scheduler = Scheduler({})
    there = slots(scheduler)
    assert not there and capsys.readouterr().out == "no workers at tcp://s yet; waiting for some\n"
    scheduler.threads = {"a": 1, "b": 1}
    scheduler.wrong["b"] = Seen("other", "0.1", "abc", ())
    there.look()
    there.look()
    assert places(there) == [("a", 0)] and sorted(scheduler.asked) == ["a", "b"]
    ours = f"{__version__} ({package_digest()})"
    about = f"worker b on other has pa_difc 0.1 (abc), but this is {ours}: install the same on both; it gets no runs\n"
    assert capsys.readouterr().out == about


def test_what_a_lost_worker_did_fails_and_its_place_goes_to_another(slots, monkeypatch):
    scheduler = Scheduler({"a": 1, "b": 1})
    there = slots(scheduler, most=1)
    (slot,) = there
    slot.begin(0, None, "cell")
    scheduler.threads = {"b": 1}
    there.look()
    assert isinstance(slot.future.exception(), BrokenExecutor) and list(there) == [slot]
    slot.end()
    monkeypatch.setattr(cluster, "_LOOK_S", 3600.0)  # however lately it was looked at
    there.look()
    assert places(there) == [("b", 0)]


def test_a_process_that_was_lost_is_followed_by_another_of_the_same_worker(slots):
    scheduler = Scheduler({"a": 1})
    there = slots(scheduler)
    (slot,) = there
    slot.begin(0, None, "cell")
    scheduler.futures[0].set_exception(BrokenExecutor("its process was killed"))
    assert isinstance(slot.end()[1], BrokenExecutor)
    there.look()
    slot.begin(0, None, "cell")
    assert len(scheduler.futures) == 2 and not slot.future.done()


def test_a_scheduler_that_is_gone_is_said_in_a_line(slots):
    scheduler = Scheduler({"a": 1})
    there = slots(scheduler)
    scheduler.status = "connecting"
    with pytest.raises(UserError, match=r"^--cluster tcp://s: the scheduler is gone; "):
        there.look()


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (replace(SAME, missing=("go",)), r"worker a on host does not see {out}, or can't write"),
        (
            replace(SAME, missing=("/x.npz",)),
            r"worker a on host does not see /x\.npz: it must be",
        ),
        (replace(SAME, code="other"), rf"worker a on host has pa_difc {__version__} \(other\), but this is"),
        (ModuleNotFoundError("No module named 'pa_difc'"), r"worker a can't run pa_difc \(ModuleNotFoundError: No"),
    ],
)
def test_at_the_start_one_that_cannot_do_the_work_ends_the_command(seen, line, slots, tmp_path):
    scheduler = Scheduler({"a": 1})
    scheduler.wrong["a"] = seen
    with pytest.raises(UserError, match=line.format(out=tmp_path.resolve())):
        slots(scheduler)


def test_a_worker_says_what_it_does_not_see(tmp_path):
    go = tmp_path / "go"
    go.write_text(WORD)
    fine = look_around(str(go), WORD, [str(tmp_path)])
    assert (fine.version, fine.code, fine.missing) == (__version__, package_digest(), ())
    assert look_around(str(go), WORD, [str(tmp_path / "no")]).missing == (str(tmp_path / "no"),)
    assert look_around(str(go), "another machine's", []).missing == (str(go),)
    assert look_around(str(tmp_path / "none" / "go"), WORD, []).missing == (str(tmp_path / "none" / "go"),)
    assert [path.name for path in tmp_path.iterdir()] == ["go"]
