"""No more workers are started than memory has room for, and a line says so."""

import numpy as np
import pytest
from made import random_faces

from pa_difc.data import Domain
from pa_difc.data.features import FeatureSet
from pa_difc.training import memory
from pa_difc.training.memory import WORKER, free_bytes, worker_bytes, workers_that_fit
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings

PAIR = [Domain(name, random_faces(28, 0), random_faces(14, 1)) for name in "st"]


def settings(**values):
    return resolve(Settings.of(**{"crop_px": 32, **values}))


@pytest.mark.parametrize(("jobs", "free", "fit"), [(4, 40, 4), (4, 2.9, 2), (4, 0.1, 1), (1, 0.1, 1)])
def test_as_many_as_fit_and_one_at_least(jobs, free, fit, monkeypatch, capsys):
    each = worker_bytes(settings(), PAIR[0])
    monkeypatch.setattr(memory, "free_bytes", lambda: int(free * each))
    assert workers_that_fit(jobs, settings(), *PAIR) == fit
    line = (
        f"{fit} workers instead of 4: each needs about {each / 1e9:.1f} GB, and {free * each / 1e9:.1f} GB of memory "
    )
    assert capsys.readouterr().out == ("" if fit == jobs else f"{line}are free\n")


def test_where_nothing_is_known_all_are_started(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: None)
    assert workers_that_fit(7, settings(), *PAIR) == 7


def test_a_worker_takes_more_for_larger_batches_and_networks_and_little_for_features():
    small, large = (worker_bytes(settings(batch_size=n), PAIR[0]) for n in (8, 16))
    assert 1.5 < (large - WORKER) / (small - WORKER) < 2
    faces = Domain("s", random_faces(28, 0, size_px=112), random_faces(14, 1, size_px=112))
    deep = worker_bytes(settings(backbone="ir18", crop_px=112, batch_size=16), faces)
    assert deep - WORKER > 20 * (large - WORKER)
    features = FeatureSet(np.ones((28, 4), np.float32), np.arange(28) % 7, tuple(map(str, range(28))))
    assert worker_bytes(settings(), Domain("s", features, features)) == WORKER
    assert worker_bytes(settings().but(device="cuda:0"), PAIR[0]) == WORKER


def group(folder, limit, used, files, names):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {files}\n")


@pytest.mark.parametrize(
    ("line", "top", "names"),
    [
        ("0::/job/step", "", ("memory.max", "memory.current")),
        ("9:memory:/job/step", "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")),
    ],
)
def test_the_limit_of_a_job_counts_and_files_that_can_be_dropped_do_not(line, top, names, tmp_path):
    groups = tmp_path / "cgroup"
    groups.write_text(f"1:cpu:/\n{line}\n")
    group(tmp_path / top / "job" / "step", "max", 10, 0, names)  # no limit of its own
    group(tmp_path / top / "job", 1000, 700, 200, names)
    assert list(memory._of_groups(groups, tmp_path)) == [500]
    assert list(memory._of_groups(tmp_path / "none", tmp_path)) == []


def test_this_machine_tells():
    free = free_bytes()
    assert free is None or 1e6 < free < 1e14
