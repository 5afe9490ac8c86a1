"""One name that is an attack on everything that shows it: terminal, Markdown, CSV, HTML, LaTeX, SVG, a shell."""

import ast
import base64
import csv
import hashlib
import html.parser
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from records import flat_scores, outputs, record, write

import pa_difc
from pa_difc.commands.console import exit_with
from pa_difc.commands.tables import Tables
from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.latex import latex_table
from pa_difc.report.printed import aligned
from pa_difc.report.run import all_runs
from pa_difc.report.table import csv_text
from pa_difc.util import process
from pa_difc.util.markdown import markdown_cell, write_markdown
from pa_difc.util.names import escaped

NAME = "=cmd|' /C calc'!A0|\n<script>alert(1)</script>\x1b[31m$&_%\x9b2J\u202e"
CLASSES = ["a", "b", NAME]


@pytest.fixture
def runs(tmp_path):
    """A grid of two losses on domains of that name, with a class of that name."""
    for loss in ("ce", "difc"):
        for seed in (0, 1):
            scores = flat_scores(3, 0.5 + 0.1 * seed)
            about = record(
                "mcd", loss, seed, names=CLASSES, source=NAME, target="=" + NAME,
                scores={"source": scores, "target": scores}, command=f"pa-difc compare --source {NAME!r}",
            )  # fmt: skip
            write(tmp_path / "grid", about, outputs(np.array([0, 1, 2]), np.eye(3), seed))
    return tmp_path / "grid"


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.scripts = [], []

    def handle_starttag(self, tag, attributes):
        self.found += [tag, *(name for name, _ in attributes)]
        self.runs = tag == "script" and "type" not in dict(attributes)  # not a block of data
        if self.runs:
            self.scripts.append("")

    def handle_data(self, data):
        if self.lasttag == "script" and self.cdata_elem and self.runs:
            self.scripts[-1] += data


def commands_of(text):
    return re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


def test_a_report_of_it_is_a_report(runs, tmp_path):
    write_grid_report(runs, tmp_path / "out", None, ["svg"], True)
    written = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert {p.suffix for p in written} >= {".html", ".md", ".csv", ".svg", ".tex"}
    for path in written:
        text = path.read_text()
        if path.suffix in (".html", ".svg"):
            tags = Tags()
            tags.feed(text)
            assert not {"onerror", "onload"} & {*tags.found}, path
            allowed = re.findall("'sha256-([^']*)'", text)  # by the page's policy: our own
            ours = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in tags.scripts]
            assert ours == allowed, path
        elif path.suffix == ".md":
            outside = re.sub(r"(?ms)^```.*?^```", "", text)
            assert "<script" not in outside and not commands_of(text), path
            tables = re.findall(r"(?m)^\|.*", outside)
            assert all(line.endswith("|") for line in tables)
        elif path.suffix == ".csv":
            for row in csv.reader(io.StringIO(text)):
                assert not any(re.match(r"[=@]|[+-](?![\d.])", cell) for cell in row), (path, row)


def test_the_tables_of_a_grid_and_what_is_printed(runs, capsys):
    def work():
        Tables(runs).finish([run.record for run in all_runs(runs).runs])

    with pytest.raises(SystemExit) as stop:
        exit_with(work)
    said = capsys.readouterr().out
    assert stop.value.code == 0 and said and not commands_of(said)
    assert not commands_of((runs / "table.md").read_text()) and "<script" not in (runs / "table.md").read_text()
    rows = list(csv.DictReader((runs / "table.csv").open(newline="")))
    assert rows[0]["source"] == escaped(NAME) == "\\x3d" + NAME[1:]  # and back again


def test_each_way_to_write_it(tmp_path):
    assert commands_of("\n".join(aligned([["a", NAME], ["bb", "c"]]))) == []
    assert len(aligned([["a", NAME], ["bb", "c"]])) == 2
    assert not re.search(r"(?<!\\)\||\n|<", markdown_cell(NAME))
    write_markdown(tmp_path / "x.md", f"# {NAME}\n\n```sh\na < b\n```\n")
    assert "&lt;script" in (tmp_path / "x.md").read_text() and "a < b" in (tmp_path / "x.md").read_text()
    (row,) = csv.reader(io.StringIO(csv_text([[NAME, "-0.5", "+4.3 ± 0.2", "-1", "- x", "@x", "–"]])))
    assert row == ["\\x3d" + NAME[1:], "-0.5", "+4.3 ± 0.2", "-1", "\\x2d x", "\\x40x", "–"]
    table = latex_table([["method", "recall"], [NAME, "1"], ["x", "2"]], NAME, "l")
    bare = re.sub(r"\$[^$]*\$|\\.", "", table.split("\\toprule")[1].split("\\bottomrule")[0])
    assert not re.search(r"[%#_^~{}]|<", re.sub(r"[{}]", "", bare)) and table.count("\\\\") == 3


def test_a_command_line_is_one_line_that_a_shell_reads_back(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pa-difc", "compare", "--out", NAME, "it's", "\\"])
    line = process.command_line()
    assert "\n" not in line and not re.search("[\x00-\x1f\x7f]", line)
    echo = f"printf '%s\\0' {line}"
    said = subprocess.run(["bash", "-c", echo], capture_output=True, check=True).stdout.decode().split("\0")
    assert said[:-1] == ["pa-difc", "compare", "--out", NAME, "it's", "\\"]


#: Modules that may make HTML, Markdown tables, CSV or LaTeX by themselves: the ones with the functions for it.
ESCAPING = {
    "csv.writer": {"report/table.py"},
    "csv.DictWriter": {"deploy/rows.py"},
}


def test_nobody_writes_csv_or_reaches_the_terminal_by_another_way():
    root = Path(pa_difc.__file__).parent
    for path in root.rglob("*.py"):
        name = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                said = f"{node.value.id}.{node.attr}"
                assert name in ESCAPING.get(said, {name}), f"{name}: {said}"
                assert said not in ("sys.__stdout__", "sys.__stderr__"), name
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and name != "util/markdown.py":
                assert r"\|" not in node.value, f"{name}: a cell of Markdown is escaped by util.markdown"
