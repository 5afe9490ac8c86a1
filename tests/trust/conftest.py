"""The helpers lie beside the tests, the modules of a study beside its command."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


@pytest.fixture(scope="module")
def workplace(run_folder, tmp_path_factory):
    """Data, a model and runs to report."""
    from damage import command
    from work import many_pictures

    root = tmp_path_factory.mktemp("root")
    shutil.copytree(run_folder, root / "grid" / "runs" / run_folder.name)
    assert command("export", "--model", run_folder, "--out", root / "model")[0] == 0
    many_pictures(root / "many", 24)
    for i in range(3):
        (root / "album").mkdir(exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "album" / f"{i}.png")
    return root
