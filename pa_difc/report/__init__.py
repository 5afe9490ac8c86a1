"""Tables, figures and pages from the records of runs; no network is loaded here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from .printed import aligned as aligned
    from .table import Row as Row
    from .table import csv_text as csv_text
    from .table import rows_from_records as rows_from_records
    from .table import to_csv as to_csv
    from .table import to_markdown as to_markdown
    from .table import to_terminal as to_terminal

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "printed": ["aligned"],
        "table": [
            "Row",
            "csv_text",
            "rows_from_records",
            "to_csv",
            "to_markdown",
            "to_terminal",
        ],
    },
)
