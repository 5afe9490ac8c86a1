"""The notebook in the docs runs from top to bottom, and shows what its text says."""

import os
import sys
from pathlib import Path

import pytest
from made import ROOT


@pytest.mark.timeout(900)
def test_the_notebook_runs(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "docs" / "quickstart.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # none is committed that could be out of date
    for name, value in {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }.items():
        monkeypatch.setenv(name, value)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell.source: said(cell) for cell in notebook.cells if cell.cell_type == "code"}
    table, shown, losses = (outputs[find(outputs, word)] for word in ("read_csv", "to_dataframe", "criterion"))
    assert table.count("safn") >= 2 and "difc" in table
    assert any("<Predictor: safn · difc" in text for text in outputs.values())
    assert shown.count("image") >= 4
    before, after = (eval(part[: part.index("]") + 1]) for part in losses.split("tensor(")[1:3])
    rises = [b - a for a, b in zip(before, after, strict=True)]
    assert rises[0] == max(rises) > 0


def said(cell):
    return "".join(f"{output.get('text', '')}{output.get('data', '')}" for output in cell.outputs)


def find(outputs, word):
    return next(source for source in outputs if word in source)
