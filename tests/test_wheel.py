"""A wheel built from the checkout holds what it needs and works outside of it."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = tmp_path.glob("pa_difc-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert "pa_difc/py.typed" in names and "pa_difc/methods/mcd.py" in names
    assert {f"pa_difc/report/{name}" for name in ("page.css", "page.js", "cells.js")} <= set(names)
    assert not [n for n in names if n.startswith(("tests", "recipes", "hpo"))]
    assert "pa_difc_hpo/search.py" in names
    assert {"pa_difc/deploy/page/page.html", "pa_difc/deploy/page/page.css", "pa_difc/deploy/page/page.js"} < set(names)
    code = "import pa_difc, pathlib; print(pa_difc.__file__); print(pa_difc.make_loss('ce'))"
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout and "CrossEntropyLoss" in done.stdout
    search = [sys.executable, "-W", "ignore", "-m", "pa_difc", "search", "--help"]
    done = subprocess.run(search, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "--trials" in done.stdout, done.stderr


def test_the_wheel_s_list_of_packages_is_whole():
    text = (ROOT / "pyproject.toml").read_text()
    listed = set(re.findall(r'^    "(pa_difc[\w.]*)",$', text, re.MULTILINE))
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "pa_difc").rglob("__init__.py")}
    assert listed == found | {"pa_difc_hpo"}
