"""The commands as people run them: real processes, real kills, real bad input."""

import csv
import json
import resource
import runpy
import shutil
import signal
import sys
import time

import pytest
from processes import ROOT, apart, here, run, start


def flags(data_root, out, *more):
    return [
        "--source", "folder:bright", "--target", "folder:dim", "--data-root", str(data_root), "--out", str(out),
        "--set", "crop_px=32", "batch_size=16", *more,
    ]  # fmt: skip


def table(out):
    with (out / "table.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


GRID = ["--methods", "dann", "mcd", "--losses", "ce", "difc", "--seeds", "0", "1", "--epochs", "4"]


def test_compare_killed_and_restarted_gives_the_table_of_an_undisturbed_run(data_root, tmp_path):
    code, out, err = apart("compare", *flags(data_root, tmp_path / "a"), *GRID)
    assert code == 0, err
    assert "folder:bright → folder:dim" in out and "table.md" in out
    undisturbed = table(tmp_path / "a")
    assert [(r["method"], r["loss"], r["seeds"]) for r in undisturbed] == [
        (m, loss, "0 1") for m in ("dann", "mcd") for loss in ("ce", "difc")
    ]

    process = start("recipes/compare.py", *flags(data_root, tmp_path / "b"), *GRID)
    deadline = time.time() + 120
    while not list((tmp_path / "b").glob("runs/mcd-*/checkpoint.pt")):
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = {p: p.stat().st_mtime_ns for p in (tmp_path / "b").glob("runs/*/record.json")}
    assert len(finished) < 8 and not (tmp_path / "b" / "table.csv").exists()

    code, _, err = apart("compare", *flags(data_root, tmp_path / "b"), *GRID)
    assert code == 0, err
    assert table(tmp_path / "b") == undisturbed
    assert all(path.stat().st_mtime_ns == then for path, then in finished.items())  # none was run again


def test_ctrl_c_keeps_the_checkpoint_and_says_how_to_go_on(data_root, tmp_path):
    more = ["--loss", "difc", "--epochs", "4000"]
    process = start("recipes/source_only.py", *flags(data_root, tmp_path), *more)
    deadline = time.time() + 120
    while not list(tmp_path.glob("runs/*/checkpoint.pt")):
        assert time.time() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Resume with the same command" in err and "Traceback" not in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("method", ["source_only", "dann", "mcd", "safn"])
def test_each_recipe_gives_the_numbers_of_the_grid(method, data_root, tmp_path, monkeypatch, capsys):
    given = flags(data_root, tmp_path / "recipe", "beta=0.9")
    code, out, err = command(monkeypatch, capsys, f"recipes/{method}.py", *given, "--epochs", "2")
    assert code == 0, err
    assert "mean recall" in out and "last epoch" in out
    grid = ["--methods", method, "--losses", "difc", "--epochs", "2"]
    code, _, err = here("compare", *flags(data_root, tmp_path / "grid", "beta=0.9"), *grid)
    assert code == 0, err
    scores = [
        json.loads(next((tmp_path / side).glob("runs/*/record.json")).read_text())["scores"]
        for side in ("recipe", "grid")
    ]
    assert scores[0] == scores[1]


def test_a_full_disk_is_one_line_and_the_grid_goes_on_when_there_is_room(data_root, tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    grid = ["--methods", "source_only", "--losses", "ce", "--epochs", "2"]
    code, _, err = run("recipes/compare.py", *flags(data_root, tmp_path), *grid, preexec_fn=small_files)
    assert code == 2 and "cannot write" in err and "Traceback" not in err
    assert not list(tmp_path.glob("runs/*/checkpoint.pt")) and not list(tmp_path.glob("runs/*/.checkpoint*"))
    code, _, err = here("compare", *flags(data_root, tmp_path), *grid)
    assert code == 0, err


def command(monkeypatch, capsys, script, *arguments):
    """A command in this process; quick enough for many of them."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    return stop.value.code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "toy_studo"], "unknown dataset 'toy_studo': did you mean 'toy_studio'"),
        (["--methods", "mdc"], "unknown method 'mdc': did you mean 'm"),
        (["--losses", "dfic"], "unknown loss 'dfic': did you mean 'difc'"),
        (["--set", "epsilo=1"], "unknown key 'epsilo': did you mean 'epsilon'"),
        (["--set", "epsilon=much"], "epsilon=much: must be a number"),
        (["--set", "flip=perhaps"], "true or false"),
        (["--set", "epsilon"], "must be key=value"),
        (["--set", "epsilon=-1"], "epsilon=-1.0: must be a finite number"),
        (["--set", "beta=2"], "beta=2.0"),
        (["--set", "unseen=never"], "unknown unseen 'never'"),
        (["--epochs", "0"], "epochs=0"),
        (["--backbone", "smal"], "unknown backbone 'smal': did you mean 'small'"),
        (["--device", "tpu"], "device 'tpu'"),
        (["--source", "fer2013", "--data-root", "/nowhere"], "toy_street needs none"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(arguments, words, data_root, tmp_path, monkeypatch, capsys):
    given = flags(data_root, tmp_path / "out")
    code, _, err = command(monkeypatch, capsys, "recipes/compare.py", *given, "--losses", "difc", *arguments)
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("error: ") and words in err


def test_an_empty_source_class_is_named(data_root, tmp_path, monkeypatch, capsys):
    shutil.copytree(data_root, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "bright" / "train" / "fear")
    grid = ["--methods", "source_only", "--losses", "difc"]
    code, _, err = command(
        monkeypatch, capsys, "recipes/compare.py", *flags(tmp_path / "data", tmp_path / "out"), *grid
    )
    assert code == 2 and "class fear has no source sample" in err and err.count("\n") == 1


def test_a_prior_that_can_t_be_estimated_costs_no_cell(data_root, tmp_path):
    """The source's test split lacks a class: predictions stay as they are, and the records say why."""
    shutil.copytree(data_root, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "bright" / "test" / "fear")
    grid = ["--methods", "source_only", "--losses", "ce", "di", "--epochs", "1"]
    code, _, err = here("compare", *flags(tmp_path / "data", tmp_path / "out", "prior_correction=rlls"), *grid)
    assert code == 0 and "Traceback" not in err, err
    records = [json.loads(path.read_text()) for path in tmp_path.glob("out/runs/*/record.json")]
    said = {record["model"]["adjustment"]["refused"] for record in records}
    assert len(records) == 2 and said == {"no held-out source sample of 1 class"}


def test_an_output_that_can_t_be_written(data_root, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    code, _, err = command(monkeypatch, capsys, "recipes/compare.py", *flags(data_root, tmp_path / "file" / "out"))
    assert code == 2 and "cannot write" in err and err.count("\n") == 1


def test_a_failing_cell_is_reported_and_the_others_finish(data_root, tmp_path, monkeypatch, capsys):
    grid = ["--methods", "source_only", "--losses", "ce", "di", "--epochs", "1"]
    assert command(monkeypatch, capsys, "recipes/compare.py", *flags(data_root, tmp_path), *grid)[0] == 0
    record = next(tmp_path.glob("runs/source_only-ce-*/record.json"))
    record.write_text("{")
    code, _, err = command(monkeypatch, capsys, "recipes/compare.py", *flags(data_root, tmp_path), *grid)
    assert code == 2 and "source_only · ce" in err and "record.json" in err and "Traceback" not in err
    assert [row["loss"] for row in table(tmp_path)] == ["di"]
    assert record.read_text() == "{"


def test_landmark_branches_without_landmarks_say_what_to_do(data_root, tmp_path, monkeypatch, capsys):
    given = [f for f in flags(data_root, tmp_path) if f != "crop_px=32"]
    code, _, err = command(monkeypatch, capsys, "recipes/compare.py", *given, "--backbone", "ir18")
    assert code == 2 and "have no landmarks" in err and "global_only" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--pretrained", "nowhere.pt"], "nowhere.pt"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--landmark-branch", "ir"], "landmark_branch='ir' has no effect with feature_head='global_only'"),
        (["--set", "classifier=sine"], "unknown classifier 'sine'"),
    ],
)
def test_backbone_and_config_files(more, words, data_root, tmp_path, monkeypatch, capsys):
    grid = ["--methods", "source_only", "--losses", "ce"]
    code, _, err = command(monkeypatch, capsys, "recipes/compare.py", *flags(data_root, tmp_path), *grid, *more)
    assert code == 2 and words in err and "Traceback" not in err and err.count("\n") == 1, err


def test_a_config_file_of_keys(data_root, tmp_path, monkeypatch, capsys):
    for text, words in (("epsilo = 1", "unknown key 'epsilo'"), ("[a.b]\nc = 1", "single value"), ("=", "not TOML")):
        (tmp_path / "c.toml").write_text(text)
        given = flags(data_root, tmp_path / "out")
        code, _, err = command(monkeypatch, capsys, "recipes/compare.py", *given, "--config", tmp_path / "c.toml")
        assert code == 2 and words in err and err.count("\n") == 1, err
