"""``pa-difc search``: the study of hpo/, from a checkout or as it was installed."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError

EXAMPLES = """\
  pa-difc search --target toy_street --features frozen --trials 12
  pa-difc search --target fer2013 --source muxspace --data-root data --features frozen --trials 30
  pa-difc search --target fer2013 --storage postgresql+psycopg2://me@db/studies   # on every machine"""


def arguments(parser: argparse.ArgumentParser) -> None:
    _study().arguments(parser)


def run(parsed: argparse.Namespace) -> int:
    _study().run(parsed)
    return 0


def _study():
    """The module hpo/search.py, whose neighbours import each other as scripts do.

    Raises:
        UserError: it is nowhere.
    """
    beside = Path(__file__).parents[2] / "hpo"
    installed = find_spec("pa_difc_hpo")
    places = [beside, *map(Path, installed.submodule_search_locations if installed else [])]
    folder = next((p for p in places if (p / "search.py").exists()), None)
    if folder is None:
        raise UserError("hpo/search.py is missing from this installation: reinstall pa-difc")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return import_module("search")
