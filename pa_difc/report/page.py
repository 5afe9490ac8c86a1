"""Self-contained HTML pages for screen, phone and print, and tables in Markdown."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from pathlib import Path

from ..util.files import refuse_foreign
from ..util.markdown import markdown_cell
from ..util.numbers import with_minus

#: Figures wider than this, in points, take a whole row of the page.
_WIDE = 450.0

#: Marks a page as written by this program.
_GENERATOR = "<meta name='generator' content='pa_difc'>"

_HERE = Path(__file__).parent
STYLE = (_HERE / "page.css").read_text(encoding="utf-8")
#: The script that sorts and filters tables, and folds details.
SCRIPT = (_HERE / "page.js").read_text(encoding="utf-8")

#: Tables with more rows than this scroll under a fixed header.
_LONG = 25

#: A column of names has more width on a phone if one is longer than this.
_NAME = 12

_HEADING = re.compile(r"<h2(?: id='([^']*)')?>(.*?)</h2>", re.DOTALL)

#: Places inside a name at which a narrow column may break it: "mcd+|mean_|teacher", "max_|margin=|0.5".
_JOINT = re.compile(r"(?<=[\w&;][_+=])(?=\w)")

#: A number with its spread and stars, and the draws or seeds that it is over, which stand on a line of their own.
_MARKED = re.compile(r"([+−-]?\d[\d.,]*(?: ± [\d.,]+)?(?: [*†])*) (\((?:draw|seed)s? [^)]*\))")

#: Flags in a page's text, which must not break after their hyphens, and what is no prose.
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_MARKUP = re.compile(r"(<(?:script|style|svg|pre|code)\b.*?</(?:script|style|svg|pre|code)>|<[^>]*>)", re.DOTALL)

Rows = Sequence[Sequence[str]]


def slug(title: str) -> str:
    """A title as a file name or an HTML id; letters of every script stay."""
    return re.sub(r"[\W_]+", "-", title.lower().replace("→", "to").replace("×", "x")).strip("-")[:80] or "report"


def markdown_table(rows: Rows) -> str:
    """A Markdown table whose first row is the header."""
    head, *body = rows
    lines = [[markdown_cell(cell) for cell in cells] for cells in (head, *body)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [lines[0], ["---"] * len(head), *lines[1:]])


def html_table(rows: Rows, title: str, *, published: str = "published") -> str:
    """An HTML table that scrolls in its own box on narrow screens; columns of published numbers are set apart.

    Args:
        rows: plain text; the first one is the header.
        title: for screen readers.
        published: the prefix of a published column's name.
    """
    head, *body = ([html.escape(cell) for cell in row] for row in rows)
    body = [[_in_lines(cell) for cell in row] for row in body]
    kinds = []
    for i, name in enumerate(head):
        column = [row[i] for row in rows[1:]]
        wordy = i > 0 and any(len(cell) > 20 and not _MARKED.fullmatch(cell) for cell in column)
        text = all(not cell or cell[0].isalpha() for cell in column)
        text_kind = "text name" if any(len(cell) > _NAME for cell in column) else "text"
        kind = "published" if name.startswith(published) else "words" if wordy else text_kind if text else ""
        kinds.append(f" class='{kind}'" if kind else "")
    head = [_JOINT.sub("<wbr>", name) for name in head]
    top = "<tr>" + "".join(f"<th scope='col'{k}>{c}</th>" for c, k in zip(head, kinds, strict=True)) + "</tr>"
    lines = ["<tr>" + "".join(f"<td{k}>{c}</td>" for c, k in zip(row, kinds, strict=True)) + "</tr>" for row in body]
    long = " long" if len(body) > _LONG else ""
    region = f"<div class='scroll{long}' tabindex='0' role='region' aria-label='{html.escape(title)}'>"
    return f"{region}<table><thead>{top}</thead><tbody>{''.join(lines)}</tbody></table></div>"


def _in_lines(cell: str) -> str:
    """A cell's HTML with the places at which a narrow column may break it."""
    if marked := _MARKED.fullmatch(cell):
        return " ".join(f"<span class='flag'>{part}</span>" for part in marked.groups())
    return _JOINT.sub("<wbr>", cell)


def html_figure(title: str, picture: str, caption: str = "") -> str:
    """An HTML figure; a wide one scrolls in its own box on narrow screens.

    Args:
        title: what it shows, for screen readers too.
        picture: the HTML of an SVG or an image.
        caption: added to the title above the figure.
    """
    title, said = html.escape(title), f" <small>{html.escape(caption)}</small>" if caption else ""
    width = re.match(r"<svg [^>]*?\bwidth=\"([0-9.]+)pt\"", picture)
    wide = " class='wide' tabindex='0'" if width and float(width[1]) > _WIDE else ""
    picture = f"<div role='img' aria-label='{title}'>{picture}</div>"
    return f"<figure{wide}><figcaption>{title}{said}</figcaption>{picture}</figure>"


def require_ours(folder: Path) -> None:
    """Refuses a folder in which a report would overwrite somebody else's file.

    Raises:
        UserError: it holds a report.html or report.md that this program did not write.
    """
    page, text = folder / "report.html", folder / "report.md"
    ours = page.is_file() and _GENERATOR in page.read_text(encoding="utf-8", errors="replace")
    for file in (page, text):
        refuse_foreign(file, ours=lambda _: ours, writer="this command", instead="another --out")


def html_page(title: str, body: str, scripts: Sequence[str] = ()) -> str:
    """A complete page that needs no network, and whose content security policy forbids it.

    It lists its ``<h2>`` headings at the side, or at the top of a narrow screen. Without scripts it loses no number.

    Args:
        title: of the page.
        body: HTML below the title; an ``<h2>`` without an id gets one.
        scripts: further scripts that the page needs; these may compile code, as Vega does.
    """
    title, (contents, body) = html.escape(title), _with_contents(_typeset(body))
    scripts = [_script(text) for text in (*scripts, SCRIPT)]
    meta = "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
    classes = " class='with-contents'" if contents else ""
    return (
        f"<!doctype html><html lang='en'><head>{meta}{_policy(scripts)}{_GENERATOR}<title>{title}</title>"
        f"<style>{STYLE}</style></head><body{classes}>{contents}<main><h1>{title}</h1>{body}</main>"
        f"{''.join(f'<script>{text}</script>' for text in scripts)}</body></html>\n"
    )


def _with_contents(body: str) -> tuple[str, str]:
    """Links to a page's ``<h2>`` headings, empty if there is only one, and the page with an id at each."""
    links: list[str] = []

    def linked(match: re.Match[str]) -> str:
        place = match[1] or slug(html.unescape(match[2]))
        links.append(f"<li><a href='#{place}'>{match[2]}</a></li>")
        return f"<h2 id='{place}'>{match[2]}</h2>"

    body = _HEADING.sub(linked, body)
    if len(links) < 2:
        return "", body
    return f"<nav class='contents' aria-label='Contents'><ul>{''.join(links)}</ul></nav>", body


def _typeset(body: str) -> str:
    """The page with each flag that its prose names on one line, and a minus sign before each negative number."""
    parts = _MARKUP.split(body)
    parts[::2] = [_FLAG.sub(r"<span class='flag'>\g<0></span>", with_minus(text)) for text in parts[::2]]
    return "".join(parts)


def _script(text: str) -> str:
    """A script safe to embed: nothing in it closes the element, and its line endings are those that browsers hash."""
    return text.replace("\r\n", "\n").replace("</script", "<\\/script")


def _policy(scripts: Sequence[str]) -> str:
    """A policy under which nothing is loaded or sent, and only these scripts run, even if a name slips past escaping.

    ``unsafe-eval`` is for Vega, which compiles a plot's expressions. Vega's interpreter would not need it, but no
    Python package has it.
    """
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) + (" 'unsafe-eval'" if len(scripts) > 1 else "")
    rules = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; "
    return f"<meta http-equiv=\"Content-Security-Policy\" content=\"{rules}base-uri 'none'; form-action 'none'\">"
