"""``pa-difc adapt`` keeps its time: training stops when the budget ends, and what has finished is chosen among."""

import json
import re
import subprocess

import pytest
from made import class_folders
from processes import PYTHON, ROOT, here

from pa_difc.commands import adapt_time, measuring
from pa_difc.commands import budget as planning
from pa_difc.commands.adapt import FROM_CLASSIFIER, FROM_SCRATCH
from pa_difc.commands.measuring import Pace
from pa_difc.commands.parser import main
from pa_difc.data.labels import SEVEN
from pa_difc.data.loaders import PairLoader
from pa_difc.util import clock

TRAINED = ("source_free", "source_only", "mean_teacher", "mcc+mean_teacher")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Folders of 32 faces to train on, and a model of a run on the source."""
    home = tmp_path_factory.mktemp("time")
    for seed, domain in enumerate(("bright", "dim")):
        class_folders(home / domain, SEVEN, seed, per_class=8)
    given = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", str(home), "--epochs", "1"]
    out = ["--set", "crop_px=32", "batch_size=16", "--out", str(home / "before")]
    assert main(["train", "--method", "source_only", "--loss", "ce", *given, *out]) == 0
    return home


def words(home, out, budget, *more):
    pair = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", home, "--out", out]
    return ["adapt", *pair, "--budget", budget, *more]


def from_model(home):
    (model,) = (home / "before" / "runs").iterdir()
    return ["--pretrained", model, "--set", "batch_size=16"]


@pytest.fixture
def slow(monkeypatch):
    """A machine that was measured as fast, alone, and then takes so many seconds for every batch."""
    monkeypatch.setattr("loky.cpu_count", lambda *_, **__: 1)
    monkeypatch.setattr(measuring, "measure", lambda *_, **__: Pace("float32", 1.0, dict.fromkeys(TRAINED, 1e-4), 1e-4))
    monkeypatch.setattr(planning, "MOST_STEPS", 15)
    ahead, seconds, own, epoch = [0.0], [0.0], clock.now, PairLoader.epoch

    def batches(self, *args, **kwargs):
        for batch in epoch(self, *args, **kwargs):
            ahead[0] += seconds[0]
            yield batch

    monkeypatch.setattr(clock, "now", lambda: own() + ahead[0])
    monkeypatch.setattr(PairLoader, "epoch", batches)
    return seconds


def methods_of(out):
    return {json.loads(path.read_text())["settings"]["method"]["name"] for path in out.glob("runs/*/record.json")}


def test_the_cell_that_the_end_of_the_budget_finds_is_stopped_and_a_finished_one_is_the_model(home, tmp_path, slow):
    """5 epochs of 3 steps of 100 s in 1,500 s, 75 of which are kept for the end: 14 steps of the second cell."""
    slow[0] = 100.0
    code, said, err = here(*words(home, tmp_path, "25m", *from_model(home)))
    assert code == 0, err
    assert methods_of(tmp_path) == {"as_is"} and (tmp_path / "model" / "config.json").exists()
    assert re.search(r"\n1/5  source_free · ce +stopped after epoch 4 of 5 \(checkpoint 4 written\)\n", said)
    told = "--budget 25m ended before 4 of the 5 cells had finished: the model is the one that had"
    assert told in said and re.search(r"\nresume with: .*adapt --source folder:bright", said)
    assert "chosen without labels: as_is" in said and told in (tmp_path / "report.md").read_text()
    slow[0] = 0.0  # resuming trains the others, by the same plan
    code, said, err = here(*words(home, tmp_path, "25m", *from_model(home)))
    assert code == 0 and methods_of(tmp_path) == {method for method, *_ in FROM_CLASSIFIER}, err
    assert "ended before" not in said and "ended before" not in (tmp_path / "report.md").read_text()


def test_what_has_finished_in_the_budget_is_chosen_among_and_labels_are_read_after_it(home, tmp_path, slow):
    """15 steps of 100 s each: in 3,600 s, of which 180 are kept, the third cell is not finished."""
    slow[0] = 100.0
    code, said, err = here(*words(home, tmp_path, "60m", "--set", "crop_px=32", "batch_size=16"))
    assert code == 0, err
    assert methods_of(tmp_path) == {"source_only", "mean_teacher"}
    before, after = said.split("chosen without labels: ")
    assert "--budget 60m ended before 1 of the 3 cells had finished: the choice is among the 2 that had" in before
    assert "accuracy" not in before and "read after the choice: accuracy" in after


def test_without_a_finished_cell_there_is_no_model_and_the_error_says_so(home, tmp_path, slow):
    slow[0] = 100.0
    given = words(home, tmp_path, "10m", "--set", "crop_px=32", "batch_size=16")
    code, said, err = here(*given)
    assert (code, methods_of(tmp_path)) == (2, set()) and not (tmp_path / "model").exists()
    assert err.count("\n") == 1 and "--budget 10m: over before one of the 3 cells had finished, so there is no" in err
    assert re.search(r"\n0/3  source_only · ce +stopped after epoch 1 of 5 \(checkpoint 1 written\)\n", said)
    assert said.splitlines()[-1].startswith("resume with: ") and "chosen" not in said
    slow[0] = 0.0
    assert here(*given)[0] == 0 and methods_of(tmp_path) == {method for method, *_ in FROM_SCRATCH}


@pytest.mark.parametrize(("budget", "kept"), [(40, 10), (100, 15), (300, 15), (3600, 180)])
def test_a_part_of_the_budget_is_kept_for_the_page_and_the_model(budget, kept, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: 1000.0)
    assert adapt_time.training_ends(budget, spent=7.0) == 1000 + budget - 7 - kept


ENDLESS = """\
import sys
from pa_difc.commands import budget, measuring
budget.MOST_STEPS = budget.MOST_EPOCHS = 10**6
methods = ("source_free", "source_only", "mean_teacher", "mcc+mean_teacher")
fast = measuring.Pace("float32", 1.0, dict.fromkeys(methods, 1e-7), 1e-7)
measuring.measure = lambda *a, **k: fast
from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
if __name__ == "__main__":
    exit_with(lambda: main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_process_whose_training_would_take_days_ends_with_its_budget_and_a_model(home, tmp_path):
    """Two workers train, each without an end; as_is is the model. Reading and the page vary with the machine's load."""
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    given = [str(word) for word in words(home, tmp_path / "out", "15s", *from_model(home), "--jobs", "2")]
    done = subprocess.run(
        [*PYTHON, str(script), *given], capture_output=True, text=True, timeout=200, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr  # and not a timeout
    assert methods_of(tmp_path / "out") == {"as_is"} and (tmp_path / "out" / "model" / "config.json").exists()
    assert len(re.findall(r"stopped after epoch \d+ of \d{6} \(checkpoint \d+ written\)", done.stdout)) == 2
    assert "ended before 4 of the 5 cells had finished" in done.stdout


@pytest.mark.parametrize(("took", "said"), [(180, ""), (197, ""), (199, "this took 3 min, longer than --budget 3m")])
def test_a_command_that_takes_longer_says_so(took, said):
    line = adapt_time.overrun("3m", 180.0, took)
    assert line.startswith(said) and bool(line) is bool(said)
