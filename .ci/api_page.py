"""A hook of mkdocs: the API page without the marks that docstrings have for Sphinx, which Markdown does not read."""

import re
from typing import Any

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):<code>[~.]?")


def on_page_content(html: str, **_: Any) -> str:
    """The page with ``:class:`.Face``` as ``Face``, and one colon before a block of code."""
    return re.sub(r"::(</p>\s*<pre>)", r":\1", ROLE.sub("<code>", html))
