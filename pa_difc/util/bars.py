"""Bars of progress by a clock that never jumps: tqdm's own is the day's, which is put back now and then."""

from __future__ import annotations

import time
from typing import Any

from tqdm import tqdm as _tqdm  # type: ignore[import-untyped]


class tqdm(_tqdm):
    """tqdm whose rate and time left are never negative, whatever becomes of the clock."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._time = time.monotonic
        self.start_t = self.last_print_t = time.monotonic()
