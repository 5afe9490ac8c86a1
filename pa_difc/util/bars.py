"""Progress bars on a monotonic clock; tqdm's own uses the time of day, which may be set back."""

from __future__ import annotations

import time
from typing import Any

from tqdm import tqdm as _tqdm  # type: ignore[import-untyped]


class tqdm(_tqdm):
    """tqdm whose rate and time left are never negative, even if the system's clock is set back."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._time = time.monotonic
        self.start_t = self.last_print_t = time.monotonic()
