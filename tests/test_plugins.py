"""What other packages add, through entry points of tiny packages made here."""

import importlib
import json
import os
import subprocess
import sys

import pytest
from made import ROOT

from pa_difc import DATASETS
from pa_difc.util.errors import UserError
from pa_difc.util.registry import installed


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes an importable, installed-looking package; returns a function (module text, entry points)."""

    def make(code, entries, name="somebodys_package"):
        (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entries)
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        installed.cache_clear()
        return tmp_path

    yield make
    installed.cache_clear()
    sys.modules.pop("somebodys_package", None)


DATASET = """
from pathlib import Path
from pa_difc.data import DatasetSpec
from pa_difc.data.labels import SEVEN
from pa_difc.data.readers import Listing, Sample

def read(root: Path) -> Listing:
    files = sorted(root.glob("*.png"))
    return Listing([Sample(p.name, SEVEN[int(p.name[0])], p.name.split("_")[1], p) for p in files])

SPEC = DatasetSpec("ten faces of somebody", read, "ask them", "<class>_<split>_N.png")
"""


def test_a_dataset_of_another_package(package, tmp_path):
    import numpy as np
    from PIL import Image

    where = package(DATASET, "[pa_difc.datasets]\nsomebodys_faces = somebodys_package:SPEC\n")
    (tmp_path / "data" / "somebodys_faces").mkdir(parents=True)
    for split in ("train", "test"):
        for k in range(7):
            path = tmp_path / "data" / "somebodys_faces" / f"{k}_{split}_0.png"
            Image.fromarray(np.full((20, 20), 30 * k, dtype=np.uint8)).save(path)
    from pa_difc.data import load_domain

    domain = load_domain("somebodys_faces", tmp_path / "data", size_px=32)
    assert domain.train_counts == domain.test_counts == [1] * 7
    environment = {**os.environ, "PYTHONPATH": f"{where}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "pa_difc", "datasets", "somebodys_faces", "--data-root", str(tmp_path / "data")]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0 and "ten faces of somebody" in said.stdout and "14 samples" in said.stdout


METHOD = (ROOT / "recipes" / "your_own_method.py").read_text()


def test_a_method_and_a_loss_of_another_package_in_the_table(package, data_root, tmp_path):
    loss = "from pa_difc.losses import LossSpec, FocalLoss\nSHARP = LossSpec('sharp', lambda inputs: FocalLoss(5.0))\n"
    where = package(
        METHOD + loss,
        "[pa_difc.methods]\ncoral = somebodys_package:CORAL\nmcd = somebodys_package:CORAL\n\n"
        "[pa_difc.losses]\nsharp = somebodys_package:SHARP\n",
    )
    command = [sys.executable, "-W", "ignore", str(ROOT / "recipes" / "compare.py"), "--methods", "coral", "mcd"]
    command += ["--losses", "ce", "sharp", "--source", "folder:bright", "--target", "folder:dim", "--epochs", "1"]
    command += ["--data-root", str(data_root), "--out", str(tmp_path / "out"), "--set", "crop_px=32"]
    environment = {**os.environ, "PYTHONPATH": f"{where}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert said.returncode == 0, said.stderr
    table = (tmp_path / "out" / "table.csv").read_text().splitlines()
    assert [tuple(line.split(",")[:2]) for line in table[1:]] == [
        ("coral", "ce"), ("coral", "sharp"), ("mcd", "ce"), ("mcd", "sharp"),
    ]  # fmt: skip
    records = [p.read_text() for p in (tmp_path / "out" / "runs").glob("*/record.json")]
    assert sum("coral_loss" in r for r in records) == 2  # a name of ours stays ours
    foreign = [json.loads(r)["identity"]["code"].keys() - {"pa_difc"} for r in records]
    assert sorted(sorted(f) for f in foreign) == [
        [],
        ["loss"],
        ["loss", "method"],
        ["method"],
    ]  # edited, it is another run


def test_a_broken_package_is_a_warning_and_no_error(package):
    package("raise RuntimeError('broken\\nin two lines')", "[pa_difc.datasets]\nbroken = somebodys_package:SPEC\n")
    said = r"^dataset broken \(somebodys_package:SPEC\) can't be loaded: RuntimeError: broken$"
    with pytest.warns(UserWarning, match=said):
        assert "broken" not in DATASETS.loaded()
    with pytest.raises(UserError, match=said):  # unless it is asked for
        DATASETS.lookup("broken")
