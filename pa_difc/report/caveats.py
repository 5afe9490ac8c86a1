"""What a reader of a table has to know: late phases, mixed versions or threads, shared features, overlapping splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..data.protocol import NO_SOURCE
from ..training.origins import seen_before
from .phases import never_began
from .run import AS_IS, Run

#: Packages that numbers may depend on; this package's own code is part of a run's identity.
_PACKAGES = ("pytorch-adapt", "torch", "torchvision", "numpy", "pillow", "scikit-learn", "timm")


def caveats(runs: Sequence[Run], longer: str = "more epochs") -> list[str]:
    """Lines without a full stop on a grid's runs.

    Args:
        runs: of the grid.
        longer: what would let them train for longer, in words.
    """
    late = never_began((run.settings for run in runs), longer)
    mixed = [*_mixed_versions(runs), *_mixed_threads(runs)]
    return [
        *late,
        *_left_out_by_label(runs),
        *_seen_before(runs),
        *mixed,
        *_shared_features(runs),
        *_overlapping_splits(runs),
    ]


def _left_out_by_label(runs: Sequence[Run]) -> list[str]:
    """On faces of the target that its labels kept out of training."""
    target = runs[0].record["data"]["target"]
    gone = [f"{number:,} {word}" for word, number in sorted((target.get("excluded") or {}).items()) if number]
    pairs = target.get("duplicates") or {}
    gone += ["images whose copies have different labels"] * bool(pairs.get("conflicting") and pairs.get("dropped"))
    if not gone:
        return []
    return [f"Left out of {target['name']} by their labels, also of its training faces: {', '.join(gone)}"]


def _seen_before(runs: Sequence[Run]) -> list[str]:
    """On faces of the test splits that the weights of a grid may have been trained on."""
    record = runs[0].record
    names = [record["data"][side]["name"] for side in ("source", "target")]
    line = seen_before(record.get("model", {}).get("origins", []), [name for name in names if name != NO_SOURCE])
    return [line] if line else []


def _mixed_versions(runs: Sequence[Run]) -> list[str]:
    mixed = []
    for name in _PACKAGES:
        counts = Counter(str(v) for run in runs if (v := run.record.get("versions", {}).get(name)) is not None)
        if len(counts) > 1:
            each = [f"{version} ({n} run{'s' * (n > 1)})" for version, n in sorted(counts.items())]
            mixed.append(f"{name} {' and '.join(each)}")
    return [f"Trained with different versions: {'; '.join(mixed)}"] if mixed else []


def _mixed_threads(runs: Sequence[Run]) -> list[str]:
    """On runs of other numbers of threads, whose sums differ by rounding, and whose scores by more after many steps."""
    trained = [
        run.record
        for run in runs
        if run.method != AS_IS and str(run.settings["run"].get("device", "cpu")).startswith("cpu")
    ]
    counts = Counter(n for record in trained if (n := record.get("machine", {}).get("threads")) is not None)
    each = " and ".join(f"{threads} ({n} run{'s' * (n > 1)})" for threads, n in sorted(counts.items()))
    return [f"Trained with different numbers of threads, which changes scores: {each}"] if len(counts) > 1 else []


def _shared_features(runs: Sequence[Run]) -> list[str]:
    several = len({run.cell[2] for run in runs}) > 1
    frozen = several and all(run.record["data"]["target"].get("features_of") for run in runs)
    return ["Frozen features are of one network: seeds vary what is trained on them, not the network"] if frozen else []


def _overlapping_splits(runs: Sequence[Run]) -> list[str]:
    target = runs[0].record["data"]["target"]
    found = target.get("duplicates") or {}
    if not found.get("across_splits") or found.get("dropped"):
        return []
    images = f"{found['across_splits']:,} image{'s' * (found['across_splits'] != 1)}"
    return [f"{images} of {target['name']} in both splits: scored faces were trained on; --deduplicate leaves them out"]
