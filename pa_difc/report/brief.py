"""The first sentences of a page: short enough to be read at a glance, with the rest below them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

#: A page's lead has no more words than this, unless its first sentence has.
MOST_WORDS = 40

_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z])")


def split_lead(text: str) -> tuple[str, str]:
    """The first sentences of a text, at most :data:`MOST_WORDS` words, and the rest of it, which may be empty."""
    sentences = _SENTENCE.split(text)
    n = len(sentences)
    while n > 1 and len(" ".join(sentences[:n]).split()) > MOST_WORDS:
        n -= 1
    return " ".join(sentences[:n]), " ".join(sentences[n:])


def html_lead(lead: str, detail: str = "", limits: Sequence[str] = ()) -> str:
    """A page's lead, the limits of what it says, which are never folded, and, folded on a phone, what it leaves out."""
    shown = f"<p class='lead'>{html.escape(lead)}</p>"
    shown += "".join(f"<p class='limit'>{html.escape(limit)}</p>" for limit in limits)
    if not detail:
        return shown
    said = f"<p>{html.escape(detail)}</p>"
    return f"{shown}<details class='detail fold-narrow' open><summary>In detail</summary>{said}</details>"
