"""What a logger is given: each epoch once, whatever happened in between, and the scores at the end."""

import sys

import pytest
from made import random_faces
from processes import apart, here

from pa_difc.data import Domain
from pa_difc.training import loggers
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import DivergedError, UserError
from pa_difc.util.version import VERSION

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
    record = run_cell(config(seed=3), *pair, tmp_path, title="dann · difc", progress=False, log=["told"])
    (logger,) = told
    assert [epoch for epoch, _ in logger.said] == [1, 2, 3, 3] and logger.closed
    assert logger.title == "toy_studio → toy_street · dann · difc · seed 3" and logger.config["loss.epsilon"] == 0.02
    for (_, values), entry in zip(logger.said, record["history"], strict=False):
        assert values["lr"] == entry["lr"] and values["margins/fear"] == entry["state"]["margins"][1]
        assert all(isinstance(v, float) for v in values.values())
    assert logger.said[-1][1]["target/macro_recall"] == record["scores"]["target"]["macro_recall"]


class Second(Told):
    """Another program."""


@pytest.fixture
def both(told, monkeypatch):
    monkeypatch.setitem(loggers.LOGGERS, "second", Second)
    return told


def test_two_loggers_are_told_the_same(pair, both, tmp_path):
    run_cell(config(), *pair, tmp_path, progress=False, log=["told", "second"])
    first, second = both
    assert (type(first), type(second)) == (Told, Second) and first.folder == second.folder
    assert first.said == second.said and len(first.said) == 4 and first.closed and second.closed


def broken(self, *_):
    raise OSError("disk\nfull")


def test_a_logger_that_cannot_be_made_leaves_none_of_the_others_open(pair, both, tmp_path, monkeypatch):
    def refused(self, *_):
        raise UserError("no such project")

    monkeypatch.setattr(Second, "__init__", refused)
    with pytest.raises(UserError, match=r"^no such project$"):
        run_cell(config(), *pair, tmp_path, progress=False, log=["told", "second"])
    assert both[0].closed and not both[0].said


@pytest.mark.parametrize("part", ["__init__", "log", "close"])
def test_a_logger_that_fails_costs_neither_the_run_nor_another_logger(part, pair, both, tmp_path, monkeypatch, capsys):
    """A tracking server that goes away in the middle of a night's grid."""
    expected = run_cell(config(), *pair, tmp_path / "without", progress=False)
    monkeypatch.setattr(Second, part, broken)
    record = run_cell(config(), *pair, tmp_path, progress=False, log=["second", "told"])
    assert record["scores"] == expected["scores"]
    assert (
        both[-1].closed
        and len(both[-1].said) == 4
        and [part != "close"] * len(both[:-1]) == [logger.closed for logger in both[:-1]]
    )
    said = " ".join(capsys.readouterr().out.split())
    line = "toy_studio → toy_street · dann · difc · seed 0: --log second failed and gets no more of this run"
    assert said.count("--log second") == said.count(f"{line} (OSError: disk full)") == 1


def on_faces(cell, data_root, out):
    loss = "--loss" if cell[0] == "train" else "--losses"
    faces = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", data_root, "--set", "crop_px=32"]
    return [*cell, "source_only", loss, "ce", *faces, "--epochs", "1", "--out", out]


def test_the_flag_may_be_given_for_each_logger(data_root, tmp_path, both):
    words = on_faces(["train", "--method"], data_root, tmp_path)
    code, _, err = here(*words, "--log", "second", "--log", "told", "--log", "second")
    assert code == 0 and [type(logger) for logger in both] == [Second, Told], err
    assert both[0].said == both[1].said and [epoch for epoch, _ in both[0].said] == [1, 1]
    _, out, _ = here(*words, "--log", "second", "--log", "told")
    assert "\n--log second --log told: one run was trained before, and only training is logged\n" in out


PLUGIN = """\
from pa_difc import LOGGERS

@LOGGERS.register("lines")
class Lines:
    def __init__(self, folder, title, settings):
        self.file = open(folder / "lines.txt", "w")

    def log(self, epoch, values):
        print(epoch, file=self.file)

    def close(self):
        self.file.close()
"""


def test_workers_log_to_each_too(data_root, tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    words = on_faces(["compare", "--jobs", "1", "--methods"], data_root, tmp_path / "out")
    code, _, err = apart(*words, "--plugin", tmp_path / "mine.py", "--log", "lines", "--log", "tensorboard")
    assert code == 0, err
    (lines,) = tmp_path.rglob("lines.txt")
    assert lines.read_text() == "1\n1\n" and list((lines.parent / "tensorboard").iterdir())


def test_each_of_several_loggers_is_checked_first(both, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    code, _, err = here("train", "--log", "told", "--log", "wandb", "--out", tmp_path / "out")
    assert (code, err) == (2, "error: --log wandb needs the package: pip install 'pa-difc[wandb]'\n")
    assert not (tmp_path / "out").exists()


def test_a_check_that_fails_is_one_line(both, tmp_path, monkeypatch):
    monkeypatch.setattr(Second, "require", classmethod(broken), raising=False)
    code, _, err = here("train", "--log", "second", "--out", tmp_path / "out")
    assert (code, err) == (2, "error: --log second can't be used (OSError: disk full)\n")


def test_a_run_that_goes_on_tells_a_new_logger_all_of_it(pair, told, tmp_path, monkeypatch):
    def stop(self, epoch, values):
        self.said.append((epoch, dict(values)))
        if epoch == 2:
            raise DivergedError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(Told, "log", stop)
        with pytest.raises(DivergedError):
            run_cell(config(), *pair, tmp_path, progress=False, log=["told"])
    run_cell(config(), *pair, tmp_path, progress=False, log=["told"])
    first, second = told
    assert [e for e, _ in first.said] == [1, 2] and [e for e, _ in second.said] == [1, 2, 3, 3]
    assert second.said[:2] == first.said


def test_logging_changes_no_number_and_no_identity(pair, told, tmp_path):
    a = run_cell(config(), *pair, tmp_path / "a", progress=False, log=["told"])
    b = run_cell(config(), *pair, tmp_path / "b", progress=False)
    assert a["key"] == b["key"] and a["scores"] == b["scores"]


def test_tensorboard_shows_an_interrupted_run_as_an_undisturbed_one(pair, tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def power_cut(record):
        raise DivergedError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr("pa_difc.training.run.final_scores", power_cut)  # after all epochs were logged, before the close
        with pytest.raises(DivergedError):
            run_cell(config(), *pair, tmp_path, progress=False, log=["tensorboard"])
    next(tmp_path.rglob("record.json")).unlink()
    record = run_cell(config(), *pair, tmp_path, progress=False, log=["tensorboard"])
    events = EventAccumulator(str(next(tmp_path.rglob("tensorboard"))))
    events.Reload()
    margins = [(e.step, e.value) for e in events.Scalars("margins/fear")]
    expected = [(h["epoch"], h["state"]["margins"][1]) for h in record["history"]]
    assert [s for s, _ in margins] == [s for s, _ in expected]
    assert [v for _, v in margins] == pytest.approx([v for _, v in expected])


def test_an_unknown_logger_is_one_line(pair, tmp_path):
    with pytest.raises(UserError, match="unknown logger 'tensorbord': did you mean 'tensorboard'"):
        run_cell(config(), *pair, tmp_path, progress=False, log=["tensorbord"])


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
    record = run_cell(config(), *pair, tmp_path, title="dann · difc", progress=False, log=[name])
    called = [call for call, _, _ in program.calls]
    settings, log, end = {"mlflow": ("log_params", "log_metrics", "end_run"), "wandb": ("init", "log", "finish")}[name]
    assert called.count(log) == 4 and called[-1] == end
    (title,) = (kwargs[key] for _, _, kwargs in program.calls for key in ("run_name", "name") if key in kwargs)
    assert title == "toy_studio → toy_street · dann · difc · seed 0"
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
        run_cell(config(), *pair, tmp_path, progress=False, log=[name])


def test_a_resumed_run_is_the_same_one_for_wandb(pair, tmp_path, monkeypatch):
    program = Program()
    monkeypatch.setitem(sys.modules, "wandb", program)
    for folder in (tmp_path / "a", tmp_path / "a", tmp_path / "b"):
        loggers.make_logger("wandb", folder, config())
    ids = [kwargs["id"] for call, _, kwargs in program.calls if call == "init"]
    assert ids[0] == ids[1] != ids[2]


def test_a_tracker_can_select_and_group_by_what_distinguishes_runs(tmp_path, monkeypatch):
    program = Program()
    for name in ("mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, name, program)
        loggers.make_logger(name, tmp_path, config(seed=3))
    said = {call: kwargs for call, _, kwargs in program.calls}
    cell = {"pair": "toy_studio → toy_street", "method": "dann", "loss": "difc", "seed": "3", "pa_difc": VERSION}
    assert said["start_run"]["tags"].items() >= cell.items()
    wandb = said["init"]
    assert wandb["group"] == "toy_studio → toy_street" and wandb["job_type"] == "dann"
    assert wandb["tags"] == ["dann", "difc", "seed 3"] and wandb["config"]["pa_difc"] == VERSION


def test_wandb_is_silent_and_its_own_variables_come_first(tmp_path, monkeypatch):
    program = Program()
    monkeypatch.setitem(sys.modules, "wandb", program)
    for variable in ("WANDB_DIR", "WANDB_RUN_GROUP", "WANDB_SILENT"):
        monkeypatch.delenv(variable, raising=False)
    loggers.make_logger("wandb", tmp_path, config())
    for variable, value in (("WANDB_DIR", "elsewhere"), ("WANDB_RUN_GROUP", "mine"), ("WANDB_SILENT", "false")):
        monkeypatch.setenv(variable, value)
    loggers.make_logger("wandb", tmp_path, config())
    first, second = (kwargs for call, _, kwargs in program.calls if call == "init")
    assert first["dir"] == str(tmp_path) and first["settings"] == {"silent": True}
    assert not {"dir", "group", "settings"} & second.keys()


def test_long_paths_fit_into_names_of_groups(tmp_path, monkeypatch):
    program = Program()
    monkeypatch.setitem(sys.modules, "wandb", program)
    loggers.make_logger("wandb", tmp_path, config(target=f"folder:{'long/' * 60}faces"))
    (group,) = (kwargs["group"] for call, _, kwargs in program.calls if call == "init")
    assert len(group) == 128 and group.endswith("long/faces")


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_failed_run_ends_its_log_as_failed(name, pair, tmp_path, monkeypatch):
    program = Program()
    monkeypatch.setitem(sys.modules, name, program)

    def diverged(*args, **kwargs):
        raise DivergedError("not finite")

    monkeypatch.setattr("pa_difc.training.run.fit", diverged)
    with pytest.raises(DivergedError):
        run_cell(config(), *pair, tmp_path, progress=False, log=[name])
    last = program.calls[-1]
    assert last == {"mlflow": ("end_run", ("FAILED",), {}), "wandb": ("finish", (), {"exit_code": 1})}[name]


@pytest.mark.parametrize(
    "command", [["compare", "--methods", "dann"], ["train"], ["adapt", "--source", "toy_studio", "--budget", "9s"]]
)
def test_a_missing_package_is_one_line_before_anything_is_read(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    code, out, err = here(*command, "--log", "wandb", "--out", tmp_path / "out")
    assert code == 2 and out == "" and not (tmp_path / "out").exists()
    assert err == "error: --log wandb needs the package: pip install 'pa-difc[wandb]'\n"


def test_a_tracker_that_cannot_be_used_is_one_line(monkeypatch):
    class Broken(Program):
        def search_experiments(self, **_):
            raise RuntimeError("no such server\nmore")

        def login(self, **_):
            raise RuntimeError("no API key\nmore")

        def get_tracking_uri(self):
            return "http://there"

    for variable in ("MLFLOW_EXPERIMENT_NAME", "WANDB_MODE"):
        monkeypatch.delenv(variable, raising=False)
    for name, line in (("mlflow", "http://there can't be used: no such server"), ("wandb", "no API key")):
        monkeypatch.setitem(sys.modules, name, Broken())
        with pytest.raises(UserError, match=f"^--log {name}: {line}$"):
            loggers.require_loggers([name])
    monkeypatch.setenv("WANDB_MODE", "offline")  # which needs no login
    loggers.require_loggers(["wandb"])


@pytest.mark.parametrize("cell", [["train", "--method"], ["compare", "--jobs", "1", "--methods"]])
def test_runs_that_were_trained_before_are_not_logged_and_it_says_so(cell, data_root, tmp_path, told):
    words = on_faces(cell, data_root, tmp_path)
    code, out, err = here(*words)
    assert code == 0 and "--log" not in out, err
    _, out, _ = here(*words, "--log", "told")
    assert "\n--log told: one run was trained before, and only training is logged\n" in out and not told
