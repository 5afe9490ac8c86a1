"""The style of an error page: a single file for phones, dark mode and print."""

from __future__ import annotations

import html
from collections.abc import Sequence

#: Marks a page as written by this command.
GENERATOR = "<meta name='generator' content='pa_difc errors'>"

#: The page loads nothing: pictures and style are in it, and it has no script.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #8881; --mark: #D55E00; --bar: #0072B2; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: auto; padding: 1rem clamp(1rem, 3vw, 2.5rem); }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 0; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .3rem; }
h3 { font-size: 1.05rem; margin: 0; } section > h3 { margin-top: 1.5rem; }
ul { padding-left: 1.2rem; } p { max-width: 48rem; margin: .5rem 0; }
.about, small, .note { color: color-mix(in srgb, CanvasText 68%, Canvas); } .about { overflow-wrap: anywhere; }
.lead { font-size: 1.2rem; max-width: 54rem; } .lead b { font-weight: 650; }
.warn { border-left: 4px solid var(--mark); padding: .2rem .8rem; }
nav { position: sticky; top: 0; z-index: 1; background: Canvas; border-bottom: 1px solid var(--line); }
nav { padding: .5rem 0; display: flex; gap: 1.1rem; overflow-x: auto; white-space: nowrap; }
h2 { scroll-margin-top: 3rem; }
a { color: LinkText; } :focus-visible { outline: 3px solid var(--mark); }
.pair { display: grid; grid-template-columns: 15rem 1fr; gap: .6rem 1.5rem; }
.pair { padding: 1rem 0; border-bottom: 1px solid var(--line); }
.bar { height: .5rem; border-radius: .25rem; background: var(--quiet); margin: .4rem 0; overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--bar); }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); gap: .9rem .8rem; }
.pair .faces { grid-template-columns: repeat(8, 1fr); } section > .faces { margin-top: .8rem; }
figure { margin: 0; min-width: 0; }
figure img { display: block; width: 100%; height: auto; max-width: 9rem; border-radius: .3rem; }
figcaption { font-size: .85rem; line-height: 1.35; margin-top: .25rem; overflow-wrap: anywhere; }
figcaption small { font-size: .7rem; display: inline-block; } .true { color: var(--mark); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; position: sticky; left: 0; background: Canvas; }
thead th { vertical-align: bottom; font-weight: 600; } tbody th { font-weight: 600; } caption { text-align: left; }
.matrix td, .matrix th { padding: .35rem .6rem; text-align: right; } .matrix th:first-child { text-align: left; }
.matrix td { background: color-mix(in srgb, var(--mark) calc(var(--share) * 1%), Canvas); }
.matrix td.right { background: color-mix(in srgb, var(--bar) calc(var(--share) * .7%), Canvas); }
td small { display: block; line-height: 1.2; }
details summary { cursor: pointer; }
@media (max-width: 40rem) {
  .pair { grid-template-columns: 1fr; } .pair .faces { grid-template-columns: repeat(4, 1fr); }
  .faces { grid-template-columns: repeat(auto-fill, minmax(6rem, 1fr)); }
  .lead { font-size: 1.1rem; } th, td { padding-right: .6rem; } .matrix td, .matrix th { padding: .35rem .4rem; }
  tbody th:first-child { white-space: normal; min-width: 5rem; max-width: 8rem; overflow-wrap: break-word; }
}
@media print {
  body { font-size: 9.5pt; max-width: none; padding: 0; } nav { display: none; } .scroll { overflow: visible; }
  h2, h3, h2 + p, h3 + p { break-after: avoid; } .lead { font-size: 11.5pt; }
  figure, .pair, tr { break-inside: avoid; } p { orphans: 3; widows: 3; }
  .faces { grid-template-columns: repeat(8, 1fr); } .pair { grid-template-columns: 9rem 1fr; }
  .pair .faces { grid-template-columns: repeat(8, 1fr); } th, td { padding-right: .4rem; font-size: 7.5pt; }
  .bar i, .matrix td { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


def document(title: str, body: str) -> str:
    """A complete HTML page.

    Args:
        title: plain text.
        body: HTML.
    """
    title = html.escape(title)
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
    head += (
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><meta name="referrer" content="no-referrer">'
    )
    return (
        f"<!doctype html><html lang='en'><head>{head}{GENERATOR}<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def bdi(text: str) -> str:
    """A name whose writing direction does not affect the text around it."""
    return f"<bdi>{html.escape(text)}</bdi>"


def table(rows: Sequence[Sequence[str]], title: str) -> str:
    """An HTML table that scrolls in its own box on narrow screens.

    Args:
        rows: plain text; the first row is the header, the first column the row headers. Further lines of a cell are
            set small.
        title: for screen readers.
    """
    head = "".join(f"<th scope='col'>{bdi(name)}</th>" for name in rows[0])
    body = "".join(f"<tr><th scope='row'>{bdi(row[0])}</th>{''.join(map(_cell, row[1:]))}</tr>" for row in rows[1:])
    return scrolling(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", title)


def scrolling(content: str, title: str) -> str:
    """Wide content in a frame that scrolls and can be reached by keyboard."""
    label = html.escape(title, quote=True)
    return f"<div class='scroll' tabindex='0' role='region' aria-label='{label}'>{content}</div>"


def _cell(text: str) -> str:
    first, *more = html.escape(text).split("\n")
    return f"<td>{first}{''.join(f'<small>{line}</small>' for line in more)}</td>"
