"""Whether a classifier has learnt enough to be used, judged on held-out source faces alone."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from ..util.intervals import Share, mean_of, wilson

#: A classifier that may be less than this share of the way from guessing to perfect has learnt too little.
_LITTLE = 0.1


def source_recall(records: Sequence[dict[str, Any]]) -> Share | None:
    """The mean recall on held-out source faces with its 95 % interval; None without a source.

    Args:
        records: of the runs of one cell; the interval is the mean of theirs, since they share the held-out faces.
    """
    found = [share for record in records if (share := _of_run(record)) is not None]
    if not found:
        return None
    return Share(*(mean(getattr(share, end) for share in found) for end in ("value", "low", "high")))


def learnt_little(records: Sequence[dict[str, Any]]) -> str | None:
    """A clause that says why a cell should not be used: on held-out source it may hardly beat guessing; else None.

    The lower limit of its mean recall's interval decides. Source labels alone are read.

    Args:
        records: of the cell's runs.
    """
    recall, k = source_recall(records), len(records[0]["labels"]["names"])
    if recall is None or recall.low > 1 / k + _LITTLE * (1 - 1 / k):
        return None
    return (
        f"its mean recall on held-out source is {recall.value:.1%} (95 % interval {100 * recall.low:.1f} to "
        f"{recall.high:.1%}), and guessing among {k} classes has {1 / k:.1%}"
    )


def _of_run(record: dict[str, Any]) -> Share | None:
    if (scores := record["scores"].get("source")) is None:
        return None
    counts = record["data"]["source"]["test_counts"]
    known = [(r, n) for r, n in zip(scores["recall"], counts, strict=True) if r is not None and n]
    return mean_of([wilson(round(r * n), n) for r, n in known]) if known else None
