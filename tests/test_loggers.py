"""What a logger is given: each epoch once, whatever happened in between, and the scores at the end."""

import sys

import pytest
from made import random_faces

from pa_difc.data import Domain
from pa_difc.training import loggers
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import DivergedError, UserError

made: list = []


class Told:
    """Keeps what it is told."""

    def __init__(self, folder, title, config):
        self.folder, self.title, self.config, self.said, self.closed = folder, title, config, [], False
        made.append(self)

    def log(self, epoch, values):
        self.said.append((epoch, dict(values)))

    def close(self):
        self.closed = True


@pytest.fixture
def told(monkeypatch):
    made.clear()
    monkeypatch.setitem(loggers.LOGGERS, "told", Told)
    return made


@pytest.fixture
def pair():
    return Domain("a", random_faces(45, 1), random_faces(14, 2)), Domain("b", random_faces(61, 3), random_faces(21, 4))


def config(**more):
    return resolve(Settings.of(method="dann", loss="difc", epochs=3, crop_px=32, batch_size=16, **more))


def test_every_epoch_and_then_the_scores(pair, told, tmp_path):
    record = run_cell(config(), *pair, tmp_path, title="dann · difc", progress=False, log="told")
    (logger,) = told
    assert [epoch for epoch, _ in logger.said] == [1, 2, 3, 3] and logger.closed
    assert logger.title == "dann · difc" and logger.config["loss.epsilon"] == 0.02
    for (_, values), entry in zip(logger.said, record["history"], strict=False):
        assert values["lr"] == entry["lr"] and values["margins/fear"] == entry["state"]["margins"][1]
        assert all(isinstance(v, float) for v in values.values())
    assert logger.said[-1][1]["target/macro_recall"] == record["scores"]["target"]["macro_recall"]


def test_a_run_that_goes_on_tells_a_new_logger_all_of_it(pair, told, tmp_path, monkeypatch):
    def stop(self, epoch, values):
        self.said.append((epoch, dict(values)))
        if epoch == 2:
            raise DivergedError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(Told, "log", stop)
        with pytest.raises(DivergedError):
            run_cell(config(), *pair, tmp_path, progress=False, log="told")
    run_cell(config(), *pair, tmp_path, progress=False, log="told")
    first, second = told
    assert [e for e, _ in first.said] == [1, 2] and [e for e, _ in second.said] == [1, 2, 3, 3]
    assert second.said[:2] == first.said


def test_logging_changes_no_number_and_no_identity(pair, told, tmp_path):
    a = run_cell(config(), *pair, tmp_path / "a", progress=False, log="told")
    b = run_cell(config(), *pair, tmp_path / "b", progress=False)
    assert a["key"] == b["key"] and a["scores"] == b["scores"]


def test_tensorboard_shows_an_interrupted_run_as_an_undisturbed_one(pair, tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def power_cut(record):
        raise DivergedError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr("pa_difc.training.run.final_scores", power_cut)  # after all epochs were logged, before the close
        with pytest.raises(DivergedError):
            run_cell(config(), *pair, tmp_path, progress=False, log="tensorboard")
    next(tmp_path.rglob("record.json")).unlink()
    record = run_cell(config(), *pair, tmp_path, progress=False, log="tensorboard")
    events = EventAccumulator(str(next(tmp_path.rglob("tensorboard"))))
    events.Reload()
    margins = [(e.step, e.value) for e in events.Scalars("margins/fear")]
    expected = [(h["epoch"], h["state"]["margins"][1]) for h in record["history"]]
    assert [s for s, _ in margins] == [s for s, _ in expected]
    assert [v for _, v in margins] == pytest.approx([v for _, v in expected])


def test_an_unknown_logger_is_one_line(pair, tmp_path):
    with pytest.raises(UserError, match="unknown logger 'tensorbord': did you mean 'tensorboard'"):
        run_cell(config(), *pair, tmp_path, progress=False, log="tensorbord")


class Program:
    """A stand-in for mlflow or wandb that keeps what it is called with."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return self

        return call


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_other_programs_are_told_settings_epochs_scores_and_the_end(name, pair, tmp_path, monkeypatch):
    program = Program()
    monkeypatch.setitem(sys.modules, name, program)
    record = run_cell(config(), *pair, tmp_path, title="dann · difc", progress=False, log=name)
    called = [call for call, _, _ in program.calls]
    settings, log, end = {"mlflow": ("log_params", "log_metrics", "end_run"), "wandb": ("init", "log", "finish")}[name]
    assert called.count(log) == 4 and called[-1] == end
    (kept,) = (kwargs.get("config") or args[0] for call, args, kwargs in program.calls if call == settings)
    assert float(kept["loss.epsilon"]) == 0.02
    epochs = [kwargs.get("step") or args[0]["epoch"] for call, args, kwargs in program.calls if call == log]
    assert epochs == [1, 2, 3, 3]
    last = [args[0] for call, args, _ in program.calls if call == log][-1]
    assert last["target/macro_recall"] == record["scores"]["target"]["macro_recall"]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_without_the_package_it_says_what_to_install(name, pair, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"--log {name} needs the package: pip install 'pa-difc\[{name}\]'"):
        run_cell(config(), *pair, tmp_path, progress=False, log=name)


def test_a_resumed_run_is_the_same_one_for_wandb(pair, tmp_path, monkeypatch):
    program = Program()
    monkeypatch.setitem(sys.modules, "wandb", program)
    for folder in (tmp_path / "a", tmp_path / "a", tmp_path / "b"):
        loggers.make_logger("wandb", folder, "x", config())
    ids = [kwargs["id"] for call, _, kwargs in program.calls if call == "init"]
    assert ids[0] == ids[1] != ids[2]
