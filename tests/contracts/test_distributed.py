"""Several processes on one run give what one gives; real processes over gloo on the CPU."""

import json

import pytest
import several
import torch
from processes import ROOT, run

LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A case's checkpoint and record, of one process and of two."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    code, _, err = run(*LAUNCH, 2, ROOT / "tests" / "several.py", two)
    assert code == 0, err
    torch.set_default_dtype(torch.float64)
    try:
        for case in several.CASES:
            several.train(case, one)
    finally:
        torch.set_default_dtype(torch.float32)
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
        assert a["lr"] == b["lr"] and a.get("difc", {}).get("margins") == b.get("difc", {}).get("margins")
        assert b["losses"] == pytest.approx(a["losses"], rel=1e-9, abs=1e-11)
    assert record_two["scores"] == record_one["scores"]
    assert record_two["identity"]["processes"] == 2 and record_two["key"] != record_one["key"]


@pytest.mark.parametrize("case", [c for c, options in several.CASES.items() if "loss" not in options])
def test_margins_are_those_of_the_whole_to_the_bit(runs, case):
    (one, _), (two, _) = runs(case)
    a, b = one["misc"]["difc"], two["misc"]["difc"]
    assert not a["margins"].equal(a["base_margins"])
    assert a["margins"].equal(b["margins"])
    torch.testing.assert_close(b["confusion"], a["confusion"], rtol=1e-6, atol=0)
    torch.testing.assert_close(b["gap_sums"], a["gap_sums"], rtol=1e-6, atol=0)
    assert a["gap_counts"].equal(b["gap_counts"])


def test_class_proportions_are_those_of_the_whole(runs):
    (one, _), (two, _) = runs("class_ratio")
    for side in ("source", "target"):
        torch.testing.assert_close(two["misc"]["class_ratio"][side], one["misc"]["class_ratio"][side])
