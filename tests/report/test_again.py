"""The commands on a page: what it says is run as it stands, and trains the very runs that the page is about."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from made import class_folders
from processes import ROOT, apart, run
from records import load_grids, record, write

from pa_difc.data.labels import SEVEN
from pa_difc.report.again import again_markdown, row_commands, table_commands

pytestmark = pytest.mark.timeout(1500)  # workers of other tests may be busy beside it

PLUGIN = '''
from dataclasses import dataclass

from pa_difc import METHODS, PenaltyMethod, option


@METHODS.register("my_method")
class Mine(PenaltyMethod):
    """A penalty with odd options."""

    about = "nothing"
    loss_name = "my_loss"

    @dataclass(frozen=True)
    class Options(PenaltyMethod.Options):
        word: str = option("a", "a word")
        shares: tuple[float, ...] = option((0.5,), "shares")

    def __init__(self, *args, word="a", shares=(0.5,), **kwargs):
        super().__init__(*args, **kwargs)

    def penalty(self, step):
        return 0 * step.src_features.sum()
'''


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A grid of odd settings under odd names, started by ``python -m pa_difc``, and its page."""
    home = tmp_path_factory.mktemp("home of it's own")
    for seed, domain in enumerate(("my faces", "their $faces & all")):
        class_folders(home / "the data" / domain, SEVEN, seed, per_class=4)
    (home / "my plugin.py").write_text(PLUGIN)
    (home / "settings.toml").write_text('lr = 0.03\n"data.zoom" = 0.1\n')
    words = ["--source", "folder:my faces", "--target", "folder:their $faces & all", "--data-root", "the data"]
    words += ["--plugin", "my plugin.py", "--config", "settings.toml", "--epochs", "1", "--group-by", "\\d+ ?"]
    words += ["--methods", "my_method", "--losses", "ce", "difc", "--seeds", "3", "0"]
    words += ["--out", "the runs", "--set", "crop_px=32", "batch_size=16", "flip=false", "epsilon=0.5"]
    words += ["word=two words", "shares=0.25,1e-05"]
    code, _, err = run("-m", "pa_difc", "compare", *words, cwd=home)
    assert code == 0, err
    code, _, err = apart("report", "the runs", cwd=home)  # without the plugin
    assert code == 0, err
    return home


def sh(line, home):
    """A line of a shell, in which ``python`` is this one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(["sh", "-c", line], cwd=home, env=given, capture_output=True, text=True, timeout=500)


def rows_of(home):
    text = (home / "the runs" / "report" / "report.md").read_text().rpartition("```sh\n")[2]
    return dict(re.findall(r"^# (.*)\n(.*)$", text, re.MULTILINE))


def test_a_row_s_command_trains_its_runs_and_no_others(home):
    rows = rows_of(home)
    assert set(rows) == {"my_method · ce", "my_method · difc"}
    assert rows["my_method · difc"].startswith("python -m pa_difc compare --plugin 'my plugin.py' ")
    done = sh(rows["my_method · difc"], home)
    assert done.returncode == 0, done.stderr
    made, before = ({path.name for path in (home / out / "runs").iterdir()} for out in ("again", "the runs"))
    assert made == {name for name in before if name.startswith("my_method-difc-")} and len(made) == 2
    for name in made:  # and may stand in one table with the others
        one, other = (
            json.loads((home / out / "runs" / name / "record.json").read_text()) for out in ("again", "the runs")
        )
        assert one["identity"] == other["identity"] and one["common"] == other["common"]
        assert one["scores"] == other["scores"]


@pytest.mark.slow
def test_into_the_same_folder_it_finds_all_done(home):
    line = rows_of(home)["my_method · ce"].replace("--out again", "--out 'the runs'")
    records = {path: path.stat().st_mtime_ns for path in (home / "the runs" / "runs").glob("*/record.json")}
    done = sh(line, home)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (home / "the runs" / "runs").glob("*/record.json")} == records


def test_a_page_has_them_folded_and_marked_by_a_click(home):
    page = (home / "the runs" / "report" / "report.html").read_text()
    section = page.partition("<h2 id='again'>")[2]
    assert section.count("<details>") == 1 and section.count("user-select: all") == 1 + 2
    assert "their $faces &amp; all" in section and "& all" not in section


def command(tmp_path, said="pa-difc compare", follows=(), **more):
    """The one row's command of a run with a record written by hand."""
    path = write(tmp_path, record("dann", "ce", command=said, **more))
    (path / "settings.toml").write_text(f"follows = {json.dumps(list(follows))}\n")
    ((_, line),) = row_commands(load_grids(tmp_path)[0])
    return shlex.split(line)


def test_what_follows_from_other_values_is_left_to_do_so(tmp_path):
    words = command(tmp_path, follows=["data.crop_px", "model.feature_head", "loss.confusion_epoch", "optimiser.lr"])
    assert words[words.index("--epochs") + 1] == "8" and "--set" not in words
    assert words[:7] == ["pa-difc", "compare", "--methods", "dann", "--losses", "ce", "--seeds"]


def test_a_value_that_no_text_stands_for_comes_from_the_run_s_file(tmp_path):
    """A file's ``lr = 1`` is a whole number, and --set lr=1 is not: another hash, another run."""
    words = command(tmp_path, optimiser={"lr": 1})
    assert Path(words[words.index("--config") + 1]).name == "settings.toml" and "--set" not in words
    assert "lr=1" not in " ".join(words)


@pytest.mark.parametrize("said", ["python recipes/mcd.py --loss ce", "torchrun --nproc 2 -m pa_difc train"])
def test_what_no_settings_describe_has_the_command_that_trained_it(tmp_path, said):
    code = {"recipe": "abc"} if "recipes" in said else {}
    more = {"identity": {"code": code, **({} if code else {"processes": 2})}}
    assert command(tmp_path, said, **more) == shlex.split(said)


def test_frozen_features_are_asked_for(tmp_path):
    plain = record("dann", "ce")
    words = command(tmp_path, common={**plain["common"], "features": "f0"})
    assert words[words.index("--features") + 1] == "frozen"


def test_cells_that_saw_a_part_of_the_faces_have_no_command_of_their_own(tmp_path):
    data = record("dann", "ce")["data"]
    data["source"]["part_of"] = {"train": 9000, "test": 2000}
    write(tmp_path, record("dann", "ce", command="pa-difc adapt"))
    (grid,) = load_grids(tmp_path)
    for run_ in grid.runs:
        run_.record["data"] = data
    assert table_commands(grid) == ["pa-difc adapt"]
    text = "\n".join(again_markdown(grid))
    assert "only the whole command repeats them" in text and "--methods" not in text
