"""Tables have their rows in the order in which a command asked for them, and their grid's title."""

import csv
import re

import pytest
from records import flat_scores, load_grids, record, write

from pa_difc.commands.tables import Tables
from pa_difc.report.asked import FILE, by_asked, keep_asked, read_asked
from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.run import all_runs

ASKED = [("mcd", "difc"), ("mcd", "ce"), ("dann", "difc"), ("dann", "ce")]


def finished_in_reverse(folder, target="fer2013"):
    """Runs that finished in the reverse order, as parallel workers may; their records in the order asked for."""
    made = []
    for place, (method, loss) in enumerate(ASKED):
        scores = {side: flat_scores(7, 0.3 + 0.1 * place) for side in ("source", "target")}
        made.append(record(method, loss, scores=scores, target=target, finished=f"2026-01-0{9 - place}"))
        made[-1]["key"] += f"-{target}"
    for one in reversed(made):
        write(folder, one)
    return made


def cells_of(lines):
    """The first two cells of each row of a Markdown or LaTeX table; a method that is not repeated is filled in."""
    found, method = [], ""
    for cells in lines:
        method = cells[0] or method
        found.append((method, cells[1]))
    return [cell for cell in found if cell in ASKED]


def test_all_tables_have_the_rows_in_the_order_asked_for(tmp_path, capsys):
    tables = Tables(tmp_path)
    tables.finish(finished_in_reverse(tmp_path))
    printed = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines() if "  " in line]
    write_grid_report(tmp_path, tmp_path / "out", latex=True)
    with (tmp_path / "table.csv").open() as file:
        numbers = [(row["method"], row["loss"]) for row in csv.DictReader(file)]
    markdown = [line.strip("| ").split(" | ") for line in (tmp_path / "table.md").read_text().splitlines()]
    latex = (tmp_path / "out" / "tables" / "methods-and-losses.tex").read_text().splitlines()
    page = (tmp_path / "out" / "report.md").read_text().partition("## Mean recall")[0].splitlines()
    assert numbers == ASKED == cells_of(row for row in markdown if len(row) > 1)
    assert cells_of(printed) == ASKED == cells_of([c.strip() for c in line.split("&")] for line in latex if "&" in line)
    assert cells_of(line.strip("| ").split(" | ") for line in page if " | " in line) == ASKED


def test_runs_that_no_command_asked_for_come_last_in_the_order_of_finishing(tmp_path):
    made = finished_in_reverse(tmp_path)
    keep_asked(tmp_path, [made[1]["key"]], {})
    assert [run.cell[:2] for run in by_asked(all_runs(tmp_path).runs)[0]] == [ASKED[i] for i in (1, 3, 2, 0)]
    keep_asked(tmp_path, [made[2]["key"]], {})  # a later command adds to them
    assert [run.cell[:2] for run in by_asked(all_runs(tmp_path).runs)[0]] == [ASKED[i] for i in (1, 2, 3, 0)]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runs": 3, "titles": {}}', '{"runs": [], "titles": []}'])
def test_tables_do_without_a_damaged_file(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert list(read_asked(tmp_path).runs) == []
    (tmp_path / FILE).unlink()
    assert read_asked(tmp_path).titles == {}


def test_a_grid_s_title_stands_above_its_tables(tmp_path, capsys):
    tables = Tables(tmp_path)
    for title, target in (("Table 1 of a paper", "fer2013"), ("Another, milder", "toy_street")):
        tables.entitle(title, made := finished_in_reverse(tmp_path, target))
        tables.keep(made)
    tables.finish(made)
    assert "\nAnother, milder · toy_studio → toy_street\n" in capsys.readouterr().out
    found = re.findall("^# (.*)", (tmp_path / "table.md").read_text(), re.MULTILINE)
    titles = ["Table 1 of a paper · toy_studio → fer2013", "Another, milder · toy_studio → toy_street"]
    assert set(titles) <= set(found)
    with (tmp_path / "table.csv").open() as file:
        assert {(row["target"], row["grid"]) for row in csv.DictReader(file)} == {
            ("fer2013", "Table 1 of a paper"),
            ("toy_street", "Another, milder"),
        }
    overview, *pages = write_grid_report(tmp_path, tmp_path / "out")
    assert all(f">{title}</h2>" in overview.read_text() for title in titles)
    assert {re.search("<h1.*?>(.*?)</h1>", page.read_text())[1] for page in pages} == set(titles)


def test_pairs_of_one_title_share_it(tmp_path):
    made = [*finished_in_reverse(tmp_path, "a"), *finished_in_reverse(tmp_path, "b")]
    keep_asked(tmp_path, [], {"Table 1": [one["key"] for one in made]})
    write_grid_report(tmp_path, tmp_path / "out")
    assert "\n## Table 1 · Mean recall on every target\n" in (tmp_path / "out" / "report.md").read_text()
    assert {grid.named for grid in load_grids(tmp_path)} == {"Table 1"}
