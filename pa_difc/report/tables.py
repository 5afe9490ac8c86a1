"""The paper's tables, out of records: rows of text whose first one is the head."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

import numpy as np
from scipy.stats import ttest_rel

from ..data.labels import EXPRESSIONS
from .grid import Grid, Run
from .published import published_accuracy

METRICS = {"accuracy": "accuracy", "macro_recall": "mean recall", "macro_f1": "macro-F1"}
BASE = "ce"
CONFUSING = 3  #: so many classes count as confusing

Rows = list[list[str]]


def ablation(grid: Grid) -> Rows:
    """Every method and loss (Table 2): means and spreads over seeds, and the paired difference to cross-entropy."""
    published = {
        (m, k): value
        for m in grid.methods
        for k in grid.losses
        if (value := published_accuracy(grid.source, grid.target, m, k)) is not None
    }
    head = ["method", "loss", *METRICS.values(), "Δ recall vs ce", "p", "seeds"]
    rows = [head + (["published accuracy"] if published else [])]
    for method in grid.methods:
        for loss in grid.losses:
            if not (runs := grid.of(method, loss)):
                continue
            mark = " †" if any(r.scores["collapsed"] for r in runs.values()) else ""
            cells = [spread([100 * r.scores[m] for r in runs.values()]) for m in METRICS]
            gain, p = paired(runs, grid.of(method, BASE)) if loss != BASE else ("", "")
            row = [method, loss + mark, *cells, gain, p, str(len(runs))]
            if published:
                value = published.get((method, loss))
                row.append("" if value is None else f"{value:.2f}")
            rows.append(row)
    return rows


def methods_by_losses(grid: Grid, metric: str) -> Rows:
    """Methods down, losses across (Table 5)."""
    rows = [["method", *grid.losses]]
    for method in grid.methods:
        cells = [[100 * r.scores[metric] for r in grid.of(method, loss).values()] for loss in grid.losses]
        rows.append([method, *(spread(values) if values else "" for values in cells)])
    return rows


def confusion_order(grid: Grid) -> Rows:
    """The classes by confusion on the target, the most confused first (Table 3), in the last epoch of DIFC."""
    rows = [["method", *(f"{i + 1}." for i in range(len(EXPRESSIONS)))]]
    for method in grid.methods:
        if order := _order(next(iter(grid.of(method, "difc").values()), None)):
            rows.append([method, *(EXPRESSIONS[k] for k in order)])
    return rows


def confusing_recall(grid: Grid) -> Rows:
    """Recall of the most confused classes and of the others, with cross-entropy and with DIFC (Table 4), in %."""
    rows = [["method", "classes", "ce", "difc", "change"]]
    for method in grid.methods:
        before, after = grid.of(method, BASE), grid.of(method, "difc")
        seeds = [s for s in after if s in before and _order(after[s])]
        if not seeds:
            continue
        orders = {s: _order(after[s]) for s in seeds}
        for name, part in (("most confused", slice(None, CONFUSING)), ("others", slice(CONFUSING, None))):
            values = [[_recall(runs[s], orders[s][part]) for s in seeds] for runs in (before, after)]
            change = [b - a for a, b in zip(*values, strict=True)]
            label = f"{name} ({', '.join(EXPRESSIONS[k] for k in orders[seeds[0]][part])})"
            rows.append([method, label, spread(values[0]), spread(values[1]), f"{mean(change):+.1f}"])
    return rows


def changed_predictions(grid: Grid) -> Rows:
    """Target test faces whose prediction DIFC turned from wrong to right or back (Table 6), summed over seeds."""
    rows = [["method", "faces", "changed", "wrong → right", "right → wrong", "wrong → other wrong"]]
    for method in grid.methods:
        pairs = list(both_outputs(grid, method))
        if not pairs:
            continue
        counts = np.zeros(5, dtype=int)
        for _, a, b in pairs:
            y, p, q = a["target_labels"], a["target_probs"].argmax(1), b["target_probs"].argmax(1)
            moved = p != q
            gained, lost = moved & (q == y), moved & (p == y)
            counts += [len(y), moved.sum(), gained.sum(), lost.sum(), (moved & ~gained & ~lost).sum()]
        rows.append([method, *(f"{c:,}" for c in counts)])
    return rows


def imbalance(grid: Grid) -> Rows:
    """Samples per class of the domains with labels; the target's were never seen in training (Fig. 1)."""
    data = grid.runs[0].record["data"]
    rows = [["split", *EXPRESSIONS, "largest : smallest"]]
    for side in ("source", "target") if grid.labelled else ("source",):
        for split in ("train", "test"):
            counts = data[side][f"{split}_counts"]
            present = [c for c in counts if c]
            rows.append([f"{side} {split}", *(f"{c:,}" for c in counts), f"{max(present) / min(present):.0f} : 1"])
    return rows


def runs(grid: Grid) -> Rows:
    """Every run by itself, scores in [0, 1]; an absent class has no recall. To be looked up by key.

    Of a target without labels: how many of its faces were predicted to be of each class.
    """
    if not grid.labelled:
        return _unscored_runs(grid)
    recalls = [f"recall_{name}" for name in EXPRESSIONS]
    rows = [["method", "loss", "seed", "key", *METRICS, *recalls, "collapsed", "seconds"]]
    for run in sorted(grid.runs, key=lambda r: r.cell):
        method, loss, seed = run.cell
        numbers = [*(run.scores[m] for m in METRICS), *run.scores["recall"]]
        cells = ["" if v is None else f"{v:.4f}" for v in numbers]
        took = f"{run.record['seconds']['training']:.1f}"
        rows.append([method, loss, str(seed), run.record["key"], *cells, str(run.scores["collapsed"]), took])
    return rows


def _unscored_runs(grid: Grid) -> Rows:
    rows = [["method", "loss", "seed", "key", *(f"predicted_{name}" for name in EXPRESSIONS), "collapsed", "seconds"]]
    for run in sorted(grid.runs, key=lambda r: r.cell):
        method, loss, seed = run.cell
        tally, took = run.record["scores"]["unlabelled_target"], f"{run.record['seconds']['training']:.1f}"
        counts = map(str, tally["predicted"])
        rows.append([method, loss, str(seed), run.record["key"], *counts, str(tally["collapsed"]), took])
    return rows


def both_outputs(grid: Grid, method: str):
    """Seed and outputs with cross-entropy and with DIFC, where both were kept on the same faces."""
    before, after = grid.of(method, BASE), grid.of(method, "difc")
    for seed, run in after.items():
        a, b = before[seed].outputs if seed in before else None, run.outputs
        if a and b and len(a["target_labels"]) == len(b["target_labels"]):
            yield seed, a, b


def spread(values: Sequence[float]) -> str:
    """ "52.1 ± 0.4", without a spread for one seed."""
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def paired(runs: dict[int, Run], base: dict[int, Run], metric: str = "macro_recall") -> tuple[str, str]:
    """Mean paired difference in points over shared seeds, and the p of a paired t-test (three seeds or more)."""
    shared = [seed for seed in runs if seed in base]
    if not shared:
        return "", ""
    a, b = ([100 * group[s].scores[metric] for s in shared] for group in (runs, base))
    gain = f"{mean(a) - mean(b):+.1f}"
    if len(shared) < 3 or len({x - y for x, y in zip(a, b, strict=True)}) == 1:
        return gain, "–"
    p = float(ttest_rel(a, b).pvalue)
    return gain, "< 0.001" if p < 0.001 else f"{p:.3f}"


def _order(run: Run | None) -> list[int] | None:
    """Classes by the last known confusion; one that is never predicted is the most confused."""
    epochs = [h["difc"]["confusion"] for h in run.record["history"] if "difc" in h] if run else []
    known = [c for c in epochs if any(v is not None for v in c)]
    if not known:
        return None
    value = [np.inf if v is None or v == "inf" else float(v) for v in known[-1]]
    return sorted(range(len(value)), key=lambda k: -value[k])


def _recall(run: Run, classes: Sequence[int]) -> float:
    known = [100 * r for k in classes if (r := run.scores["recall"][k]) is not None]
    return mean(known) if known else float("nan")
