"""A report replaces the one before it: nothing in its folder is of other runs."""

import json

import pytest
from records import record, write

from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.written import WRITTEN


def grid(folder, losses, seeds=(0,), **values):
    for loss in losses:
        for seed in seeds:
            write(folder, record("dann", loss, seed, **values))


def files(out):
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} - {WRITTEN}


def test_tables_in_latex_and_figures_keep_up_with_the_page(tmp_path, capsys):
    grid(tmp_path, ["ce", "di"])
    out = tmp_path / "out"
    write_grid_report(tmp_path, out, formats=("pdf",), latex=True, columns=["recall", "gain"])
    assert "earlier" not in capsys.readouterr().out
    grid(tmp_path, ["difc"])
    write_grid_report(tmp_path, out)
    assert "as in the earlier report: --latex --columns recall gain --figures svg pdf\n" in capsys.readouterr().out
    table = (out / "tables" / "methods-and-losses.tex").read_text()
    assert "difc" in table and "& F1 " not in table
    stems = {kind: {path.stem for path in out.glob(f"figures/*.{kind}")} for kind in ("svg", "pdf")}
    assert stems["svg"] == stems["pdf"] and stems["svg"]
    write_grid_report(tmp_path, out, latex=True)  # all columns are asked for now
    assert "& F1 " in (out / "tables" / "methods-and-losses.tex").read_text()


def test_what_an_earlier_report_wrote_and_this_one_does_not_is_gone(tmp_path):
    """One grid has its tables beside the page; of two grids, each has a folder."""
    out = tmp_path / "out"
    grid(tmp_path, ["ce", "di"])
    write_grid_report(tmp_path, out, latex=True)
    assert {"tables/runs.csv", "tables/methods-and-losses.tex"} < files(out) and any(out.glob("figures/*.svg"))
    edited, mine = out / "tables" / "runs.csv", out / "figures" / "mine.svg"
    edited.write_text("edited by hand")
    mine.write_text("<svg/>")
    grid(tmp_path, ["ce"], target="another")
    write_grid_report(tmp_path, out)
    beside = {path for name in ("tables", "figures") for path in (out / name).iterdir()}
    assert {edited, mine} < beside and edited.read_text() == "edited by hand"  # nothing of the user's
    noted = json.loads((out / WRITTEN).read_text())["files"]
    assert files(out) - set(noted) == {"tables/runs.csv", "figures/mine.svg"}
    assert not [name for name in noted if name.startswith("figures/")]


@pytest.mark.parametrize("content", [b"", b"{", b'{"files": {"../../x": "0"}}'])
def test_a_damaged_note_of_what_was_written_costs_nothing(tmp_path, content):
    grid(tmp_path, ["ce"])
    out = tmp_path / "out"
    write_grid_report(tmp_path, out)
    before = files(out)
    (out / WRITTEN).write_bytes(content)
    write_grid_report(tmp_path, out)
    assert files(out) == before


def test_a_note_leads_to_no_file_outside(tmp_path):
    from pa_difc.report.written import Options, replaced
    from pa_difc.util.files import file_digest, write_sealed

    (tmp_path / "theirs.txt").write_text("theirs")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "theirs.txt")
    (tmp_path / "out" / "folder").symlink_to(tmp_path)
    digest = file_digest(tmp_path / "theirs.txt")
    options = {"latex": False, "columns": [], "formats": ["svg"]}
    listed = dict.fromkeys(("../theirs.txt", "link", "folder/theirs.txt", str(tmp_path / "theirs.txt")), digest)
    write_sealed(tmp_path / "out" / WRITTEN, {"files": listed, "options": options})
    with replaced(tmp_path / "out", Options()):
        pass
    assert (tmp_path / "theirs.txt").read_text() == "theirs" and (tmp_path / "out" / "link").is_symlink()
