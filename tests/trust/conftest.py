"""The helpers lie beside the tests, the modules of a study beside its command."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent.parent / "hpo")]


@pytest.fixture(scope="module")
def pair(data_root):
    return ["--source", "folder:bright", "--target", "folder:dim", "--data-root", data_root]
