"""The helpers lie beside the tests, the modules of a study beside its command."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent.parent / "hpo")]


@pytest.fixture(scope="module")
def pair(data_root):
    return ["--source", "folder:bright", "--target", "folder:dim", "--data-root", data_root]


@pytest.fixture(scope="module")
def run_folder(pair, tmp_path_factory):
    """A finished run."""
    from damage import TRAIN, command

    out = tmp_path_factory.mktemp("runs")
    code, _, err = command("train", *pair, *TRAIN, "--out", out)
    assert code == 0, err
    return next(out.glob("runs/*/record.json")).parent
