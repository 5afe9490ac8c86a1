"""Several processes on one run give what one gives; real processes over gloo on the CPU."""

import gc
import json
import os
import re
import signal
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import several
import torch
from made import random_faces
from processes import ROOT, start

from pa_difc.data import EvalLoader, PairLoader
from pa_difc.methods.heads import FeatureHead
from pa_difc.util import replicas as module
from pa_difc.util.errors import UserError
from pa_difc.util.replicas import Replicas, _Replica

TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)


def finished(process, timeout_s=280):
    try:
        out, err = process.communicate(timeout=timeout_s)
    finally:
        process.terminate()  # a launcher that waits for ever ends its processes too
    assert process.returncode == 0, out + err
    return out, err


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A case's checkpoint and record, of one process and of two."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    process = start(*TWO, ROOT / "tests" / "several.py", two, "cases")
    torch.set_default_dtype(torch.float64)
    try:
        for case, options in several.CASES.items():
            several.train(case, one, options)
    finally:
        torch.set_default_dtype(torch.float32)
    finished(process)
    return lambda case: [load(root / case) for root in (one, two)]


def load(out):
    (folder,) = (out / "runs").iterdir()
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    return checkpoint, json.loads((folder / "record.json").read_text())


@pytest.mark.parametrize("case", several.CASES)
def test_two_processes_train_as_one_on_the_same_batches(runs, case):
    (one, record_one), (two, record_two) = runs(case)
    assert one["models"].keys() == two["models"].keys()
    for name, weights in one["models"].items():
        assert weights.keys() == two["models"][name].keys()
        for key, value in weights.items():
            torch.testing.assert_close(two["models"][name][key], value, rtol=1e-9, atol=1e-11)
    for a, b in zip(record_one["history"], record_two["history"], strict=True):
        assert a["lr"] == b["lr"]
        assert b["losses"] == pytest.approx(a["losses"], rel=1e-9, abs=1e-11)
    assert record_two["scores"] == record_one["scores"]
    assert record_two["identity"]["processes"] == 2 and record_two["key"] != record_one["key"]


@pytest.mark.parametrize("case", [c for c, options in several.CASES.items() if "loss" not in options])
def test_margins_are_those_of_the_whole_to_the_bit(runs, case):
    (one, record_one), (two, record_two) = runs(case)
    margins = [[epoch["state"]["margins"] for epoch in r["history"]] for r in (record_one, record_two)]
    assert margins[0] == margins[1]
    a, b = one["misc"]["difc"], two["misc"]["difc"]
    assert a["margins"].equal(b["margins"]) and not a["margins"].equal(a["base_margins"])
    assert a["gap_counts"].equal(b["gap_counts"])
    for key in ("confusion", "gap_sums"):  # an evaluation pass gives float32
        torch.testing.assert_close(b[key], a[key], rtol=1e-6, atol=0)


def test_class_proportions_are_those_of_the_whole(runs):
    (one, _), (two, _) = runs("class_ratio")
    for side in ("source", "target"):
        assert not one["misc"]["class_ratio"][side].allclose(torch.tensor(1 / 7, dtype=torch.float64))
        torch.testing.assert_close(two["misc"]["class_ratio"][side], one["misc"]["class_ratio"][side])


@pytest.mark.parametrize("processes", [2, 3])
def test_parts_of_a_batch_are_the_batch(processes):
    source, target = random_faces(45, 1), random_faces(56, 2)  # 12 · 4 + 8
    options = {"batch_size": 12, "seed": 5, "zoom": 0.2}
    parts = [PairLoader(source, target, rank=r, processes=processes, **options) for r in range(processes)]
    for step, (whole, *split) in enumerate(
        zip(PairLoader(source, target, **options).epoch(3), *(p.epoch(3) for p in parts), strict=True)
    ):
        for key in ("src_labels", "src_domain", "src_sample_idx", "target_domain", "target_sample_idx"):
            assert torch.cat([part[key] for part in split]).equal(whole[key])
        for key in ("src_imgs", "target_imgs"):  # mirrored and zoomed alike
            assert torch.cat([part[key].image for part in split]).equal(whole[key].image)
        sizes = [len(part["src_labels"]) for part in split]
        assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 2
        assert [p.share(step) for p in parts] == pytest.approx(np.array(sizes) / np.mean(sizes))


def test_parts_of_an_evaluation_are_the_domain():
    faces = random_faces(29, 1)
    parts = [EvalLoader(faces, batch_size=4, rank=r, processes=3) for r in range(3)]
    batches = [list(part) for part in parts]
    assert [len(b) for b in batches] == [len(p) for p in parts]
    assert torch.cat([b.image for part in batches for b in part]).equal(next(iter(EvalLoader(faces))).image)


def test_too_many_processes_for_a_batch():
    with pytest.raises(UserError, match="3 processes: too many for batches of 5"):
        PairLoader(random_faces(20, 1), random_faces(20, 2), batch_size=5, processes=3)


def test_one_process_trains_its_own_models():
    models = {"G": FeatureHead(3)}
    before = models["G"]
    with Replicas(models).training():
        assert models["G"] is before


@pytest.fixture
def group(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_a_replica_has_its_models_attributes(group):
    replica = _Replica(FeatureHead(3))
    assert replica.num_features == 256
    with pytest.raises(AttributeError, match="no_such"):
        replica.no_such  # noqa: B018


def test_gradients_count_by_the_share_of_the_samples_and_no_replica_outlives_its_run(group, monkeypatch):
    """One that did would keep threads, which may end the process with an abort."""
    monkeypatch.setattr(module, "processes", lambda: 2)
    model = torch.nn.Linear(3, 2, bias=False)
    models, found = {"G": model}, []
    replicas = Replicas(models)
    for share in (1.0, 0.25):
        replicas.share = share
        model.zero_grad()
        with replicas.training():
            models["G"](torch.ones(4, 3)).sum().backward()
        found.append(model.weight.grad.clone())
    assert found[0].equal(torch.full((2, 3), 4.0)) and found[1].equal(torch.ones(2, 3))
    alive = [weakref.ref(replica) for replica in replicas._replicas.values()]
    del replicas
    gc.collect()
    assert [one() for one in alive] == [None]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_method_trains_on_two_processes_or_says_why_not(tmp_path):
    finished(start(*TWO, ROOT / "tests" / "several.py", tmp_path, "rest"), timeout_s=1000)
    for case in several.EVERY:
        checkpoint, record = load(tmp_path / case)
        losses = [value for epoch in record["history"] for value in epoch["losses"].values()]
        assert np.isfinite(losses).all() and not any("module." in key for key in checkpoint["models"]["G"])
    for rank in range(2):
        said = json.loads((tmp_path / f"{rank}.json").read_text())
        assert re.fullmatch(
            r"1 of 2 processes find .*checkpoint.pt: all must share the disk of --out", said.pop("disk")
        )
        assert said == {
            "command": "compare runs in one process; several on one run are for `pa-difc train` and the recipes",
            "device": "device 'cuda:1' with several processes: must be cpu or cuda, and each takes its own",
            "agra": "AGRA's state is made from whole batches: train it in one process",
            "batch": "2 processes: too many for batches of 2, 45 source and 61 target samples; each needs two samples",
            "drifting": "drifting · difc: its misc is no longer the same in all 2 processes: train it in one",
        }


@pytest.mark.slow
@pytest.mark.parametrize(("method", "killed"), [("mcd", 0), ("dann", 1)])  # DANN's discriminator drops features out
def test_a_run_goes_on_after_one_process_was_killed(method, killed, data_root, tmp_path):
    def launch(out):
        flags = ("--source", "folder:bright", "--target", "folder:dim", "--data-root", data_root, "--epochs", 8)
        return start(*TWO, ROOT / "recipes" / f"{method}.py", *flags, "--out", out, "--set", "batch_size=4")

    out, _ = finished(launch(tmp_path / "undisturbed"))
    assert out.count("last epoch, no target label used") == 1  # one process speaks
    process = launch(tmp_path / "killed")
    wait_for(tmp_path / "killed", "runs/*/checkpoint.pt")
    os.kill(workers(process)[killed], signal.SIGKILL)
    process.communicate(timeout=120)  # the launcher ends the other
    assert process.returncode != 0 and not list((tmp_path / "killed").glob("runs/*/record.json"))
    done = len(next((tmp_path / "killed").glob("runs/*/log.jsonl")).read_text().splitlines())
    assert 1 <= done < 8
    finished(launch(tmp_path / "killed"))
    (one, record_one), (two, record_two) = load(tmp_path / "undisturbed"), load(tmp_path / "killed")
    assert timeless(record_one) == timeless(record_two)
    for name, weights in one["models"].items():
        assert all(value.equal(two["models"][name][key]) for key, value in weights.items())


def wait_for(folder, pattern):
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline, pattern
        time.sleep(0.02)


def workers(launcher):
    """Its processes, in the order of their start."""
    return sorted(map(int, Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()))


def timeless(record):
    history = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in record["history"]]
    changing = ("seconds", "finished", "command", "digest")  # the command names --out; the digest is of all the rest
    return {k: v for k, v in record.items() if k not in changing} | {"history": history}
