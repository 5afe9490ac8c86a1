"""The clock by which work ends in time."""

import time


def now() -> float:
    """Seconds on a clock that all processes of a machine share; setting the time of day doesn't change it."""
    return time.monotonic()
