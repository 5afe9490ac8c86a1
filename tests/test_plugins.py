"""What other packages add, through entry points of tiny packages made here."""

import importlib
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from pa_difc.plugins import plugins


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
        plugins.cache_clear()
        return tmp_path

    yield make
    plugins.cache_clear()
    sys.modules.pop("somebodys_package", None)


DATASET = """
from pathlib import Path
from pa_difc.data import DatasetSpec
from pa_difc.data.readers import Listing, Sample

def read(root: Path) -> Listing:
    files = sorted(root.glob("*.png"))
    return Listing([Sample(p.name, int(p.name[0]), p.name.split("_")[1], p) for p in files])

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
    assert domain.train.class_counts == domain.test.class_counts == [1] * 7
    environment = {**os.environ, "PYTHONPATH": f"{where}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "pa_difc", "datasets", "somebodys_faces", "--data-root", str(tmp_path / "data")]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0 and "ten faces of somebody" in said.stdout and "14 samples" in said.stdout


def test_a_broken_package_is_a_warning_and_no_error(package):
    package("raise RuntimeError('broken\\nin two lines')", "[pa_difc.datasets]\nbroken = somebodys_package:SPEC\n")
    with pytest.warns(UserWarning, match=r"broken \(somebodys_package:SPEC\) can't be loaded: broken$"):
        assert "broken" not in plugins("pa_difc.datasets")
