"""Durations in words, the same ones on every line."""


def duration(seconds: float) -> str:
    """Seconds in words: "40 s" or "12 min"."""
    return f"{seconds:.0f} s" if seconds < 99.5 else f"{seconds / 60:.0f} min"


def time_left(seconds: float) -> str:
    """The time left in words: "12 min left"."""
    return f"{duration(seconds)} left"
