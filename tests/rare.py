"""Marks parameters of a test as slow: the same assertions with further values, which the default run leaves out."""

import pytest


def slow(*cases):
    """Each case, a value or a tuple of values, for ``pytest.mark.parametrize``; run with ``-m slow``."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) for case in cases]
