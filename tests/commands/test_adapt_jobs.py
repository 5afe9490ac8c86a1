"""``pa-difc adapt --jobs``: the same cells by several workers, in a budget that counts them."""

import json
import re
import shutil

import numpy as np
import pytest
from made import class_folders, random_faces

from pa_difc.commands import budget as planning
from pa_difc.commands.budget import decide, describe, makespan
from pa_difc.commands.measuring import Pace, measure
from pa_difc.commands.parser import main
from pa_difc.data import Domain
from pa_difc.data.labels import SEVEN
from pa_difc.training import cores, pace
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util import clock
from pa_difc.util.errors import UserError

pytestmark = pytest.mark.timeout(1500)  # workers take their time to start on a busy machine


def test_cells_go_in_their_order_and_a_free_worker_takes_the_next():
    assert makespan([4.0, 3.0, 2.0, 2.0], 2) == 6.0  # 4 + 2 and 3 + 2
    assert makespan([2.0, 2.0, 3.0, 4.0], 2) == 6.0  # 2 + 3 and 2 + 4
    assert makespan([1.0, 2.0, 4.0], 2) == 5.0  # 1 + 4 beside 2
    assert makespan([4.0, 3.0, 2.0, 2.0], 1) == 11.0
    assert makespan([4.0, 3.0], 5) == 4.0


def plan_of(budget, jobs, start=0.0):
    """A plan for a source of 3,000 faces, 100 steps an epoch, at 0.01 s a predicted face, of which there are 60."""
    source = Domain("s", random_faces(3000, 0), random_faces(40, 1))
    target = Domain("t", random_faces(100, 2), random_faces(20, 3))
    steps = {"source_only": 0.5, "dann": 1.0, "mean_teacher": 1.25}
    found = Pace("float32", 0.9, steps, 0.01, start)
    more = {"batch_size": 30, "most_epochs": 5, "key": "k", "budget": budget, "spent": 0.0, "jobs": jobs}
    return decide(list(steps), found, source, target, **more), source, target


def test_two_workers_have_time_for_more():
    """65 % of 500 s. One after the other, a step is 2.75 s; two at a time, 0.5 + 1.25 = 1.75 s beside 1 s."""
    one, *_ = plan_of(500, 1)
    two, source, target = plan_of(500, 2)
    assert 200 > (325 - 3 * 0.6) / 2.75 > 100 and (one.epochs, one.steps) == (2, 58)
    assert 185 < (325 - 2 * 0.6) / 1.75 < 186 and (two.epochs, two.steps) == (2, 92)
    assert "about 5 min from here, 2 cells at a time" in describe(two, source, target, 5, 2)


def test_more_workers_than_cells_help_no_more():
    """The longest cell alone: (325 − 0.6) / 1.25 = 259 steps."""
    assert plan_of(500, 3)[0] == plan_of(500, 16)[0] and plan_of(500, 3)[0].epochs == 2


def test_the_time_in_which_workers_start_is_gone():
    """65 % of 200 s are 130: 128.8 / 1.75 = 73 steps, 36 an epoch; with 31 s until workers are ready 55."""
    assert [plan_of(200, 2)[0].steps, plan_of(200, 2, start=31.0)[0].steps] == [36, 27]


@pytest.mark.parametrize(("refused", "steps"), [({1}, {"source_only": 2.0}), ((), {"source_only": 2.0, "dann": 6.0})])
def test_paces_are_those_of_as_many_workers_as_there_will_be(refused, steps, monkeypatch):
    """What can't be made is reported later; what there was no time to measure is assumed to be slow."""
    asked = []

    def side_by_side(cells, source, target, jobs, until):
        asked.append(([cell.method.name for cell in cells], jobs))
        return pace.SideBySide([2.0, None], 0.2, 3.0, 0.25, 4.0, frozenset(refused))

    monkeypatch.setattr(pace, "prediction_seconds", lambda *_: 0.1)
    monkeypatch.setattr(pace, "measure_side_by_side", side_by_side)
    domain = Domain("s", random_faces(40, 0), random_faces(10, 1))
    cells = [resolve(Settings.of(method=m, loss="ce", crop_px=32, batch_size=20)) for m in ("dann", "source_only")]
    found = measure(cells, domain, domain, budget=2000, precisions=["float32"], scales=[1.0], jobs=2)
    assert asked == [(["source_only", "dann"], 2)]
    assert found == Pace("float32", 1.0, steps, 0.2, 3.0, 0.25, 4.0)


def test_workers_that_are_not_ready_in_time_are_not_waited_for():
    """They take seconds to start, and are killed after a tenth of one."""
    domain = Domain("s", random_faces(40, 0), random_faces(10, 1))
    cells = [resolve(Settings.of(method=m, loss="ce", crop_px=32, batch_size=20)) for m in ("source_only", "dann")]
    assert pace.measure_side_by_side(cells, domain, domain, 2, until=clock.now() + 0.1) is None
    found = measure(cells, domain, domain, budget=0.01, precisions=["float32"], scales=[1.0], jobs=2)
    assert found.step.keys() == {"source_only", "dann"} and all(found.step.values())
    assert found.face > 0 and found.start > 0 and found.end > 0


def test_workers_measure_beside_each_other():
    domain = Domain("s", random_faces(40, 0), random_faces(10, 1))
    cells = [resolve(Settings.of(method=m, loss="ce", crop_px=32, batch_size=20)) for m in ("source_only", "dann")]
    found = pace.measure_side_by_side(cells, domain, domain, 2)
    assert all(0 < seconds < 60 for seconds in found.steps) and 0 < found.face < 60 and found.start > 0
    assert 0 < found.epoch < 60 and 0 < found.end < 60


def content(out):
    found = {}
    for path in sorted(out.glob("runs/*/record.json")):
        record = json.loads(path.read_text())
        with np.load(path.with_name("outputs.npz")) as arrays:
            outputs = {name: arrays[name].tobytes() for name in arrays.files}
        found[path.parent.name] = record["scores"], record["machine"]["threads"], outputs
    return found


@pytest.mark.slow
def test_two_workers_end_as_one_does(tmp_path, monkeypatch, capsys):
    """The plan is kept, so that the same cells are trained: the same records to the bit, and the same choice."""
    monkeypatch.chdir(tmp_path)
    for seed, domain in enumerate(("bright", "dim")):
        class_folders(tmp_path / domain, SEVEN, seed, per_class=4)
    monkeypatch.setattr(planning, "FEWEST_SCORED", 10)
    monkeypatch.setattr(planning, "MOST_STEPS", 10)
    pair = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", ".", "--budget", "30m"]
    chosen = []
    for jobs in ("2", "1"):
        assert main(["adapt", *pair, "--jobs", jobs, "--out", jobs, "--set", "crop_px=32", "batch_size=16"]) == 0
        said = capsys.readouterr().out
        chosen.append(re.search(r"chosen without labels: (.+)", said)[1])
        assert ("2 cells at a time" in said, "measuring" in said) == (jobs == "2", jobs == "2")
        (tmp_path / "1").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "2" / "plan.json", tmp_path / "1")
    one, two = content(tmp_path / "1"), content(tmp_path / "2")
    assert one == two and len(one) == 3 and {threads for _, threads, _ in one.values()} == {1}
    assert chosen[0] == chosen[1]
    other = ["--source", "folder:dim", "--target", "folder:nowhere", "--data-root", ".", "--out", "1"]
    with pytest.raises(UserError, match="holds the page and model of folder:bright → folder:dim; give another folder"):
        main(["adapt", *other])


def test_unless_it_is_said_there_are_as_many_workers_as_cores_and_never_more_than_cells(monkeypatch):
    cells = [resolve(Settings.of(method=m)) for m in ("source_only", "dann", "mcd")]
    for number, expected in ((1, 1), (2, 2), (8, 3)):
        monkeypatch.setattr("loky.cpu_count", lambda number=number: number)
        assert cores.usual_jobs(cells) == expected
    on_gpu = [cell.but(device="cuda:1") for cell in cells]
    assert cores.usual_jobs(on_gpu) is None


def test_a_worker_knows_nothing_of_what_the_script_has_registered(monkeypatch):
    from pa_difc import DANN, METHODS

    mine = type("Mine", (DANN,), {"__module__": "__main__"})
    monkeypatch.setitem(METHODS, "mine", mine)
    monkeypatch.setattr("loky.cpu_count", lambda: 2)
    cells = [resolve(Settings.of(method=m)) for m in ("source_only", "mine")]
    assert cores.usual_jobs(cells) == 1 and cores.usual_jobs(cells[:1] * 2) == 2


@pytest.mark.parametrize("jobs", [None, 1])
def test_one_after_the_other_a_cell_has_one_thread_too(jobs):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with cores.threads_of(jobs):
            assert torch.get_num_threads() == (2 if jobs is None else 1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
