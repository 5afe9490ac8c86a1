"""The notebook in the docs runs from top to bottom, and shows what its text says."""

import ast
import dataclasses
import glob
import json
import os
import shlex
import sys
from pathlib import Path

import pytest
from made import ROOT
from processes import here

from pa_difc.data import toy

NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"


def shows_what_its_text_says(outputs):
    """Whether the texts under its cells, by their source, are what a reader is told."""
    table, shown, losses = (outputs[find(outputs, word)] for word in ("read_csv", "to_dataframe", "criterion"))
    assert table.count("safn") >= 2 and "difc" in table
    assert any("<Predictor: safn · difc" in text for text in outputs.values())
    assert shown.count("image") >= 4
    before, after = (eval(part[: part.index("]") + 1]) for part in losses.split("tensor(")[1:3])
    rises = [b - a for a, b in zip(before, after, strict=True)]
    assert rises[0] == max(rises) > 0


def find(outputs, word):
    return next(source for source in outputs if word in source)


def test_its_cells_run_in_turn(tmp_path, monkeypatch):
    """As below, without a kernel and with fewer toy faces."""
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    for name, domain in toy.TOY_DOMAINS.items():
        monkeypatch.setitem(toy.TOY_DOMAINS, name, dataclasses.replace(domain, train_count=80, test_count=60))
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)  # none is committed that could be out of date
    scope, sources = {}, ["".join(cell["source"]) for cell in cells]
    shows_what_its_text_says({source: output_of(source, scope) for source in sources})


def output_of(source, scope):
    """What a cell shows: lines of a command, or its last value."""
    if source.startswith("!pa-difc "):
        words = shlex.split(source.replace("\\\n", " "))[1:]
        code, out, err = here(*(found for word in words for found in (glob.glob(word) if "*" in word else [word])))
        assert code == 0, err
        return out
    *lines, last = ast.parse(source).body
    exec(compile(ast.Module(lines, []), "cell", "exec"), scope)
    assert isinstance(last, ast.Expr)
    return repr(eval(compile(ast.Expression(last.value), "cell", "eval"), scope))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_runs_in_a_kernel(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for name, value in {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }.items():
        monkeypatch.setenv(name, value)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shows_what_its_text_says({cell.source: said(cell) for cell in notebook.cells if cell.cell_type == "code"})


def said(cell):
    return "".join(f"{output.get('text', '')}{output.get('data', '')}" for output in cell.outputs)
