"""``pa-difc doctor`` lists every optional part that can be installed."""

import sys

import pytest
from made import ROOT

from pa_difc.commands import doctor


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is new in Python 3.11")
def test_every_extra_is_listed_by_one_of_its_packages():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = {name: package for name, (package, _) in doctor._EXTRAS.items()}
    assert set(listed) == set(extras) - {"dev", "docs", "bench", "mutants"}  # those of the checkout
    for name, package in listed.items():
        assert any(line.startswith(package) for line in extras[name]), name
