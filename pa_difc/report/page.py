"""Self-contained pages that print and read on a phone, and the same in Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from ..util.files import refuse_foreign
from ..util.markdown import markdown_cell

#: Figures that are wider than this have a row of the page to themselves, in points.
_WIDE = 450.0

#: By which a page of ours is known.
_GENERATOR = "<meta name='generator' content='pa_difc'>"

STYLE = """
:root { color-scheme: light dark; --line: #8886; --mark: #D55E00; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; } h3 { font-size: 1rem; }
.lead { font-size: 1.15rem; } .warn { border-left: 4px solid var(--mark); padding: .3rem .8rem; }
.scroll { overflow-x: auto; } table { border-collapse: separate; border-spacing: 0; } caption { text-align: left; }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, .words, .text { text-align: left; }
td.words { white-space: normal; min-width: 14rem; }
th.published, td.published { border-left: 3px double var(--line); padding-left: .8rem; font-style: italic; }
th:first-child, td:first-child { position: sticky; left: 0; background: Canvas; }
.figures { display: grid; align-items: start; gap: 1.2rem; margin-top: 1rem; }
.figures { grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); }
figure { margin: 0; min-width: 0; } figure svg, figure img { width: 100%; height: auto; }
figure.wide { grid-column: 1 / -1; overflow-x: auto; } figure.wide svg { min-width: 38rem; max-width: 52rem; }
code { overflow-wrap: anywhere; }
nav a { margin-right: .8rem; } :focus-visible { outline: 3px solid var(--mark); }
@media print {
  body { font-size: 10pt; max-width: none; padding: 0; } nav { display: none; }
  h1, h2, h3 { break-after: avoid; break-inside: avoid; } p { orphans: 3; widows: 3; }
  .scroll { overflow: visible; } table { font-size: 7.5pt; } tr, figure { break-inside: avoid; }
  th, td { padding-right: .5rem; } th { white-space: normal; vertical-align: bottom; }
  th:first-child, td:first-child { position: static; } td.words { min-width: 0; }
  .figures { grid-template-columns: 1fr 1fr; } figure.wide { overflow: visible; } figure.wide svg { min-width: 0; }
}
"""

Rows = Sequence[Sequence[str]]


def slug(title: str) -> str:
    """A title as the name of a file or a place in a page; letters of every script stay."""
    return re.sub(r"[\W_]+", "-", title.lower().replace("→", "to").replace("×", "x")).strip("-")[:80] or "report"


def markdown_table(rows: Rows) -> str:
    """A table whose first row is the head."""
    head, *body = rows
    lines = [[markdown_cell(cell) for cell in cells] for cells in (head, *body)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [lines[0], ["---"] * len(head), *lines[1:]])


def html_table(rows: Rows, title: str, *, published: str = "published") -> str:
    """A table that scrolls by itself on a narrow screen; columns of published numbers are set apart.

    Args:
        rows: the first one is the head.
        title: for screen readers.
        published: how the head of a column begins that is not ours.
    """
    head, *body = ([html.escape(cell) for cell in row] for row in rows)
    kinds = []
    for i, name in enumerate(head):
        column = [row[i] for row in body]
        wordy = i > 0 and any(len(cell) > 20 for cell in column)
        text = all(not cell or cell[0].isalpha() for cell in column)
        kind = "published" if name.startswith(published) else "words" if wordy else "text" if text else ""
        kinds.append(f" class='{kind}'" if kind else "")
    top = "<tr>" + "".join(f"<th scope='col'{k}>{c}</th>" for c, k in zip(head, kinds, strict=True)) + "</tr>"
    lines = ["<tr>" + "".join(f"<td{k}>{c}</td>" for c, k in zip(row, kinds, strict=True)) + "</tr>" for row in body]
    region = f"<div class='scroll' tabindex='0' role='region' aria-label='{html.escape(title)}'>"
    return f"{region}<table><thead>{top}</thead><tbody>{''.join(lines)}</tbody></table></div>"


def html_figure(title: str, picture: str, caption: str = "") -> str:
    """A figure of an SVG's text; a wide one scrolls by itself on a narrow screen.

    Args:
        title: what it shows, for screen readers too.
        picture: the SVG.
        caption: what else is said above it.
    """
    title, said = html.escape(title), f" <small>{html.escape(caption)}</small>" if caption else ""
    width = re.match(r"<svg [^>]*?\bwidth=\"([0-9.]+)pt\"", picture)
    wide = " class='wide' tabindex='0'" if width and float(width[1]) > _WIDE else ""
    picture = f"<div role='img' aria-label='{title}'>{picture}</div>"
    return f"<figure{wide}><figcaption>{title}{said}</figcaption>{picture}</figure>"


def require_ours(folder: Path) -> None:
    """Refuses a folder in which a report would be written over somebody else's.

    Raises:
        UserError: there is a report.html or report.md that no report wrote.
    """
    page, text = folder / "report.html", folder / "report.md"
    ours = page.is_file() and _GENERATOR in page.read_text(encoding="utf-8", errors="replace")
    for file in (page, text):
        refuse_foreign(file, ours=ours, writer="this command", instead="another --out")


def html_page(title: str, body: str) -> str:
    """A whole page."""
    title = html.escape(title)
    meta = "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
    return (
        f"<!doctype html><html lang='en'><head>{meta}{_GENERATOR}<title>{title}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{title}</h1>{body}</main></body></html>\n"
    )
