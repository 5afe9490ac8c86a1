"""Features that workers make: the same to the bit whatever their number, and a killed one costs its chunk."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from extracted import all_of

from pa_difc.training import chunks, spread
from pa_difc.training.team import ALONE, Team
from pa_difc.util.errors import UserError


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(chunks, "FACES", 10)


def killed_once(setup, task, title, progress):
    """A worker that is killed at one chunk, the first time."""
    chunk, _ = task
    mark = Path(os.environ["KILLED"]) / f"{chunk.part}-{chunk.start}"
    mark.write_text(f"{mark.read_text() if mark.exists() else ''}{os.getpid()} ")
    if (chunk.part, chunk.start) == ("target_train", 10) and len(mark.read_text().split()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return spread_make(setup, task, title, progress)


spread_make = spread.make_chunk


def test_the_same_to_the_bit_and_a_killed_worker_costs_its_chunk(tmp_path, monkeypatch):
    """Without workers there is one thread here, too."""
    monkeypatch.setenv("KILLED", str(tmp_path / "killed"))
    (tmp_path / "killed").mkdir()
    monkeypatch.setattr(spread, "make_chunk", killed_once)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    alone, both = all_of(tmp_path / "alone", ALONE), all_of(tmp_path / "both", Team(jobs=2))
    for a, b in zip(both, alone, strict=True):
        np.testing.assert_array_equal(a, b)
    said = {mark.name: mark.read_text().split() for mark in (tmp_path / "killed").iterdir()}
    assert len(said) == 3 + 2 + 4 + 1  # of 28, 14, 35 and 7 faces
    assert {name for name, pids in said.items() if len(pids) > 1} == {"target_train-10"}
    assert len(set(said["target_train-10"])) == 2  # another worker took it up
    assert not list(tmp_path.rglob("chunks"))


def broken(setup, task, title, progress):
    raise UserError(f"a picture of {task[0].part} can't be read")


def killed(setup, task, title, progress):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("what", "line"), [(broken, "a picture of source_train can't"), (killed, "3 workers were kill")]
)
def test_what_workers_raise_ends_the_pass(what, line, tmp_path, monkeypatch):
    monkeypatch.setattr(spread, "make_chunk", what)
    with pytest.raises(UserError, match=line):
        all_of(tmp_path, Team(jobs=1))


def test_what_is_there_is_not_made_again(tmp_path, monkeypatch, capsys):
    """A pass that ended early goes on with the chunks that lack, also those that are damaged."""
    asked = []

    def some(source, target, missing, *rest):
        asked.append([(chunk.part, chunk.start) for chunk in missing])
        raise MemoryError

    whole = all_of(tmp_path / "whole", ALONE)
    made = chunks.extracted
    monkeypatch.setattr(chunks, "extracted", lambda *args: 1 / 0 if len(args[1].faces) == 5 else made(*args))
    with pytest.raises(ZeroDivisionError):
        all_of(tmp_path / "out", ALONE)
    monkeypatch.setattr(chunks, "extracted", made)
    next((tmp_path / "out").rglob("source_test-*-10.npz")).write_bytes(b"half")
    with monkeypatch.context() as patch:
        patch.setattr("pa_difc.training.frozen.make_chunks", some)
        with pytest.raises(MemoryError):
            all_of(tmp_path / "out", Team(jobs=2))
    assert asked == [[("source_test", 10), ("target_train", 30), ("target_test", 0)]]
    for a, b in zip(all_of(tmp_path / "out", Team(jobs=1)), whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_says_how_long_it_still_takes(monkeypatch, capsys):
    clock = iter([0.0, 90.0, 90.0, 180.0, 180.0])
    monkeypatch.setattr(chunks, "time", SimpleNamespace(monotonic=lambda: next(clock)))  # bars have the real one
    passed = chunks._Told(100)
    passed.kept = passed.done = 20  # of a pass that was stopped
    passed.add(30)
    passed.add(30)
    said = capsys.readouterr().out.splitlines()
    assert said == ["features of 50 of 100 faces  2 min left", "features of 80 of 100 faces  60 s left"]
