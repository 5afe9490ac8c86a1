"""A cell that fails fails alone, and says why in a file; a run is trained by one process at a time."""

import os
import threading

import pytest
from made import random_faces
from processes import killed_while_it_writes

from pa_difc.data import Domain
from pa_difc.training.outcome import failure_file, try_cell
from pa_difc.training.record import RunFolder
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError
from pa_difc.util.lock import LOCK, OWNER, holding

PAIR = (
    Domain("s", random_faces(28, 0), random_faces(14, 1)),
    Domain("t", random_faces(35, 2), random_faces(7, 3)),
)


def settings(**values):
    return resolve(Settings.of(**{"crop_px": 32, "epochs": 1, "batch_size": 8, "method": "source_only", **values}))


@pytest.mark.parametrize(
    ("error", "reason", "mendable"),
    [
        (MemoryError("no room\nfor this"), "MemoryError: for this", False),
        (SystemExit(3), "SystemExit: 3", False),
        (UserError("no such thing"), "no such thing", True),
        (AssertionError(), "AssertionError", False),
    ],
)
def test_whatever_a_cell_raises_is_its_failure(error, reason, mendable, tmp_path, monkeypatch):
    def raising(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("pa_difc.training.run.make_adapter", raising)
        failure = try_cell(settings(), *PAIR, tmp_path, progress=False).failure
    assert (failure.reason, failure.mendable) == (reason, mendable)
    assert failure.file == failure_file(tmp_path, settings())
    story = failure.file.read_text()
    assert "Traceback" in story and "in raising" in story and type(error).__name__ in story
    killed_while_it_writes(failure.file)
    assert try_cell(settings(), *PAIR, tmp_path, progress=False).record is not None
    assert not list(failure.file.parent.iterdir())  # it is no failure any more


def test_ctrl_c_is_no_failure(tmp_path, monkeypatch):
    def raising(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("pa_difc.training.run.make_adapter", raising)
    with pytest.raises(KeyboardInterrupt):
        try_cell(settings(), *PAIR, tmp_path, progress=False)
    assert not (tmp_path / "failed").exists()


def test_a_failure_on_a_full_disk_is_one_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "failed").write_text("in the way")
    monkeypatch.setattr("pa_difc.training.run.make_adapter", lambda *args: 1 / 0)
    failure = try_cell(settings(), *PAIR, tmp_path, progress=False).failure
    assert failure.reason == "ZeroDivisionError: division by zero" and failure.file is None


def test_cells_that_differ_have_files_of_their_own(tmp_path):
    several = [settings(), settings(lr=0.5), settings(method="dann"), settings(seed=1), settings(loss="ce")]
    assert len({failure_file(tmp_path, s) for s in several}) == 5
    assert failure_file(tmp_path, settings()) == failure_file(tmp_path, settings().but(device="cuda:1"))


def test_a_run_that_another_process_trains_is_left_to_it(tmp_path):
    folder = RunFolder.of(tmp_path, settings(), *PAIR).path
    with holding(folder, "is training this run"):
        outcome = try_cell(settings(), *PAIR, tmp_path, progress=False)
        assert outcome.record is None and outcome.failure is None
        assert f"process {os.getpid()} on " in outcome.held and outcome.held.endswith("is training this run")
        assert not (folder / "settings.toml").exists()
    assert try_cell(settings(), *PAIR, tmp_path, progress=False).record is not None
    assert not {LOCK, OWNER} & {p.name for p in folder.iterdir()}


def test_who_waits_takes_the_record_of_the_one_that_was_waited_for(tmp_path, monkeypatch):
    """Two commands on one folder: the second one trains nothing."""
    trained, go_on, began = [], threading.Event(), threading.Event()
    fit = run_cell.__globals__["fit"]

    def slow_fit(*args, **kwargs):
        trained.append(threading.current_thread().name)
        began.set()
        assert go_on.wait(60)
        return fit(*args, **kwargs)

    monkeypatch.setitem(run_cell.__globals__, "fit", slow_fit)
    records, said, waits = {}, [], threading.Event()

    def say(line, **kwargs):
        said.append(line)
        waits.set()

    monkeypatch.setattr("pa_difc.util.lock.print", say, raising=False)

    def train(name):
        records[name] = run_cell(settings(), *PAIR, tmp_path, progress=False)

    threads = [threading.Thread(target=train, args=(name,), name=name) for name in ("first", "second")]
    threads[0].start()
    assert began.wait(60)
    threads[1].start()
    assert waits.wait(60)
    go_on.set()
    for thread in threads:
        thread.join(120)
    assert trained == ["first"] and records["first"] == records["second"]
    (line,) = said
    assert (
        line.startswith("waiting: ") and f"process {os.getpid()} on " in line and line.endswith("is training this run")
    )


def test_the_lock_of_a_killed_process_is_swept_from_a_finished_run(tmp_path):
    run_cell(settings(), *PAIR, tmp_path, progress=False)
    folder = RunFolder.of(tmp_path, settings(), *PAIR).path
    (folder / LOCK).touch()
    (folder / OWNER).write_text("{}")
    run_cell(settings(), *PAIR, tmp_path, progress=False)
    assert not {LOCK, OWNER} & {p.name for p in folder.iterdir()}


def test_nobody_waits_for_himself(tmp_path):
    with holding(tmp_path, "works here"):
        same = holding(tmp_path / ".." / tmp_path.name, "works here", wait=True)
        with pytest.raises(RuntimeError, match="is held by this very thread already"), same:
            pass
        assert (tmp_path / LOCK).exists()
    with holding(tmp_path, "works here"):
        pass
