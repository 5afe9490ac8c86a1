"""``pa-difc search``: the study of hpo/, from a checkout or as it was installed."""

from __future__ import annotations

import argparse

EXAMPLES = """\
  pa-difc search --target toy_street --features frozen --trials 12
  pa-difc search --target fer2013 --source muxspace --data-root data --features frozen --trials 30
  pa-difc search --target fer2013 --storage postgresql+psycopg2://me@db/studies   # on every machine"""


def arguments(parser: argparse.ArgumentParser) -> None:
    from ..tuning import search

    search.arguments(parser)


def run(parsed: argparse.Namespace) -> int:
    from ..tuning import search

    search.run(parsed)
    return 0
