"""``pa-difc report``: writes one page from the records of a grid."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..util.errors import UserError

#: As in :mod:`pa_difc.report.paper`, which needs NumPy.
COLUMNS = ("accuracy", "recall", "recall20", "f1", "gain", "as_is", "seeds", "published")

EXAMPLES = """\
  pa-difc report runs/demo
  pa-difc report runs/demo --latex --figures pdf   # for a paper
  pa-difc report runs/demo --latex --columns accuracy recall gain
  python recipes/report.py runs/mux2fer --out mux2fer_report"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, help="a folder with runs below it, such as the --out of pa-difc compare")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the page (default: report/ in the folder)")
    about = "also write each table as LaTeX (booktabs, graphicx), with the best values in bold"
    parser.add_argument("--latex", action="store_true", help=about)
    about = f"columns of the main table in LaTeX, beside method and loss: {', '.join(COLUMNS)} (default: all)"
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=[], metavar="NAME", help=about)
    about = "formats of the files in figures/, black on white (default: svg)"
    parser.add_argument("--figures", nargs="+", choices=("svg", "pdf", "png"), default=["svg"], help=about)
    about = "show faces whose prediction DIFC changed; check the data's terms before you share the page"
    parser.add_argument("--with-images", action="store_true", help=about)
    about = "folder of datasets, for --with-images (default: %(default)s)"
    parser.add_argument("--data-root", type=Path, default=Path("data"), metavar="DIR", help=about)


def run(parsed: argparse.Namespace) -> int:
    if parsed.columns and not parsed.latex:
        raise UserError("--columns: chooses columns of tables in LaTeX; give --latex too")
    from ..report.grid_report import write_grid_report
    from ..report.page import require_ours

    out = parsed.out or parsed.runs / "report"
    require_ours(out)
    data_root = parsed.data_root if parsed.with_images else None
    for page in write_grid_report(parsed.runs, out, data_root, parsed.figures, parsed.latex, parsed.columns):
        print(f"written: {page}")
    return 0
