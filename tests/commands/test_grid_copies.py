"""The commands that a folder names train its runs again, also after their grid file was edited."""

import json
import shlex

import pytest
from made import class_folders
from processes import here

from pa_difc.data.labels import SEVEN

GRID = """
[[grid]]
sources = ["folder:a"]
targets = ["folder:b"]
methods = ["source_only"]
losses = ["ce"]
settings = {lr = 0.5}
"""
SMALL = ["--data-root", ".", "--epochs", "1", "--set", "crop_px=32", "batch_size=16"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, domain in enumerate("ab"):
        class_folders(tmp_path / domain, SEVEN, seed, per_class=4)
    (tmp_path / "mine.toml").write_text(GRID)
    return tmp_path


def compare(*words):
    code, out, err = here("compare", *words, "--out", "runs", *SMALL)
    assert code == 0, err
    return out


def keys(out):
    return {json.loads(path.read_text())["key"] for path in out.glob("runs/*/record.json")}


@pytest.mark.parametrize("flag", [["--grid", "./mine.toml"], ["--grid=mine.toml"], ["--gri", "mine.toml"]])
def test_a_command_trains_the_same_run_after_its_grid_file_was_edited(flag, home):
    compare(*flag)
    first = keys(home / "runs")
    (home / "mine.toml").write_text(GRID.replace("0.5", "0.1"))
    (line,) = (home / "runs" / "command.txt").read_text().splitlines()
    (record,) = (home / "runs").glob("runs/*/record.json")
    assert json.loads(record.read_text())["command"] == line
    words = shlex.split(line)[1:]
    words[words.index("runs")] = "again"
    assert here(*words)[0] == 0 and keys(home / "again") == first


def test_each_content_has_one_copy_and_one_command(home):
    for rate in ("0.5", "0.1", "0.5"):
        (home / "mine.toml").write_text(GRID.replace("0.5", rate))
        compare("--grid", "mine.toml")
    copies = sorted((home / "runs" / "grids").iterdir())
    assert sorted(path.read_text() for path in copies) == sorted([GRID, GRID.replace("0.5", "0.1")])
    lines = (home / "runs" / "command.txt").read_text().splitlines()
    assert len(lines) == 2
    assert "kept" in here(*shlex.split(lines[0])[1:])[1]  # a copy of a copy is the same file
    assert sorted((home / "runs" / "grids").iterdir()) == copies


def test_an_edited_copy_is_neither_used_nor_overwritten(home):
    compare("--grid", "mine.toml")
    (copy,) = (home / "runs" / "grids").iterdir()
    copy.write_text("# mine\n" + GRID)
    code, _, err = here("compare", "--grid", "mine.toml", "--out", "runs", *SMALL)
    assert code == 2 and f"runs/grids/{copy.name}: this copy of mine.toml was edited" in err
    assert copy.read_text() == "# mine\n" + GRID


def test_a_list_writes_nothing(home):
    compare("--grid", "mine.toml", "--list")
    assert not (home / "runs").exists()
