"""The tables of a grid, several in the form of the paper's: rows of text, the first one the header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan
from statistics import mean
from typing import Any

import numpy as np

from ..evaluation.metrics import METRICS
from ..util.names import NO_LOSS, shown_loss
from ..util.numbers import signed, spread
from .compared import Gains
from .grid import BASE, DIFC, Grid
from .run import AS_IS, Array, Run
from .seeds import named
from .statistics import Difference, differences, over
from .table import shown_metrics

AGREES = "agrees with as_is"  #: header of a column: the share of target faces with the same predicted class
UNTRAINED = "no loss"  #: header of the column of as_is in tables of methods × losses
_CONFUSING = 3  #: at most this many classes, and at most half of them, count as most confused
_LISTED = 10  #: with more classes than this, tables list only the first ones, or are transposed

Rows = list[list[str]]


def ablation(grid: Grid) -> Rows:
    """Every method and loss (paper's Table 2): mean and spread over seeds, and paired gain over cross-entropy."""
    published = {cell: value for cell in grid.cells if (value := grid.published(*cell)) is not None}
    over_ce = Gains(BASE, [d for d in differences(grid, "macro_recall") if d.over == (d.cell[0], BASE)])
    over_as_is = Gains(AS_IS, _over_as_is(grid), f" vs {AS_IS}")
    metrics = shown_metrics(grid.tells_frequent)
    head = ["method", "loss", *metrics.values(), *over_ce.head]
    head += [*over_as_is.head, AGREES] if grid.as_is else []
    rows = [[*head, "seeds"] + (["published accuracy"] if published else [])]
    marks = grid.seed_marks
    for method in grid.methods:
        for loss in grid.losses:
            if not (runs := grid.of(method, loss)):
                continue
            mark = " †" if any(r.scores["collapsed"] for r in runs.values()) else ""
            values = [spread([percent(r.scores[m]) for r in runs.values()]) for m in metrics]
            row = [method, shown_loss(method, loss) + mark, *values, *over_ce.row((method, loss))]
            if grid.as_is:
                row += [*over_as_is.row((method, loss)), _agreement_with(grid.as_is, runs)]
            row.append(f"{len(runs)} {marks[method, loss]}".rstrip())
            if published:
                value = published.get((method, loss))
                row.append("" if value is None else f"{value:.2f}")
            rows.append(row)
    return rows


def methods_by_losses(grid: Grid, metric: str) -> Rows:
    """Methods down, losses across (paper's Table 5); cells with unusual seeds name them.

    ``as_is``, which is not trained, has a column of its own, :data:`UNTRAINED`.
    """
    shown = {cell: UNTRAINED if shown_loss(*cell) == NO_LOSS else cell[1] for cell in grid.cells}
    heads = [head for head in (UNTRAINED, *grid.losses) if head in shown.values()]
    rows, marks = [["method", *heads]], grid.seed_marks
    for method in grid.methods:
        row = dict.fromkeys(heads, "")
        for cell in (cell for cell in grid.cells if cell[0] == method):
            values = [percent(r.scores[metric]) for r in grid.of(*cell).values()]
            row[shown[cell]] = f"{spread(values)} {marks[cell]}".rstrip()
        rows.append([method, *row.values()])
    return rows


def confusion_order(grid: Grid) -> Rows:
    """The classes by DIFC's confusion on the target in the last epoch, the most confused first (paper's Table 3).

    If seeds differ, the table shows the first one's order and names that seed.
    """
    shown = min(len(grid.classes), _LISTED)
    rows = [["method", *(f"{i + 1}." for i in range(shown))]]
    for method, loss in _difc_cells(grid):
        orders = {seed: order for seed, run in grid.of(method, loss).items() if (order := _order(run))}
        if orders:
            seed, first = next(iter(orders.items()))
            alike = all(order == first for order in orders.values())
            name = _difc_name(method, loss) + ("" if alike else f" (seed {seed})")
            rows.append([name, *(grid.classes[k] for k in first[:shown])])
    return rows


def confusing_recall(grid: Grid) -> Rows:
    """Recall in % of the most confused classes and the others, with cross-entropy and DIFC (paper's Table 4)."""
    rows = [["method", "classes", "ce", "difc", "change"]]
    n = min(_CONFUSING, len(grid.classes) // 2)
    for method, loss in _difc_cells(grid):
        before, after = grid.base(method), grid.of(method, loss)
        orders = {s: order for s, run in after.items() if s in before and (order := _order(run))}
        if not orders:
            continue
        for name, part in (("most confused", slice(None, n)), ("others", slice(n, None))):
            values = [[_recall(runs[s], order[part]) for s, order in orders.items()] for runs in (before, after)]
            change = mean(b - a for a, b in zip(*values, strict=True))
            label = f"{name} ({_which([order[part] for order in orders.values()], grid.classes)})"
            label += f" {named(orders)}" if len(orders) < len(after) else ""
            gain = "–" if isnan(change) else signed(change)
            rows.append([_difc_name(method, loss), label, spread(values[0]), spread(values[1]), gain])
    return rows


def changed_predictions(grid: Grid) -> Rows:
    """Predictions on target test faces that DIFC turned right or wrong (paper's Table 6), summed over seeds."""
    rows = [["method", "faces × seeds", "changed", "wrong → right", "right → wrong", "wrong → other wrong"]]
    for method, loss in _difc_cells(grid):
        pairs = list(both_outputs(grid, method, loss))
        if not pairs:
            continue
        counts = np.zeros(5, dtype=int)
        for _, a, b in pairs:
            y, p, q = a["target_labels"], a["target_probs"].argmax(1), b["target_probs"].argmax(1)
            moved = p != q
            gained, lost = moved & (q == y), moved & (p == y)
            counts += [len(y), moved.sum(), gained.sum(), lost.sum(), (moved & ~gained & ~lost).sum()]
        rows.append([_difc_name(method, loss), *(f"{c:,}" for c in counts)])
    return rows


def imbalance(grid: Grid) -> Rows:
    """Samples per class of the domains with labels (paper's Fig. 1); training never saw the target's labels."""
    data = grid.runs[0].record["data"]
    rows = [["split", *grid.classes, "largest : smallest"]]
    for side in sides(grid):
        for split in ("train", "test"):
            counts = data[side][f"{split}_counts"]
            present = [c for c in counts if c]
            ratio = f"{max(present) / min(present):.0f} : 1" if present else "–"
            rows.append([f"{side} {split}", *(f"{c:,}" for c in counts), ratio])
    if len(grid.classes) <= _LISTED:
        return rows
    rows[0][0] = "class"
    return [list(column) for column in zip(*rows, strict=True)]


def sides(grid: Grid) -> list[str]:
    """The domains of a grid that have labels."""
    there = {"source": grid.runs[0].has_source, "target": grid.labelled}
    return [side for side, labelled in there.items() if labelled]


def every_run(grid: Grid) -> Rows:
    """A row for each run, with scores in [0, 1], empty for an absent class; its key is part of its folder's name.

    For a target without labels, the numbers of predicted faces by class.
    """
    if not grid.labelled:
        return _unscored_runs(grid)
    recalls = [f"recall_{name}" for name in grid.classes]
    rows = [["method", "loss", "seed", "key", *METRICS, *recalls, "collapsed", "seconds"]]
    for run in grid.runs:
        method, loss, seed = run.cell
        numbers = [*(run.scores[m] for m in METRICS), *run.scores["recall"]]
        shown = ["" if v is None else f"{v:.6f}" for v in numbers]
        took = f"{run.record['seconds']['training']:.1f}"
        rows.append([method, loss, str(seed), run.record["key"], *shown, str(run.scores["collapsed"]), took])
    return rows


def _unscored_runs(grid: Grid) -> Rows:
    rows = [["method", "loss", "seed", "key", *(f"predicted_{name}" for name in grid.classes), "collapsed", "seconds"]]
    for run in grid.runs:
        method, loss, seed = run.cell
        said, took = run.record["scores"]["unlabelled_target"], f"{run.record['seconds']['training']:.1f}"
        counts = map(str, said["predicted"])
        rows.append([method, loss, str(seed), run.record["key"], *counts, str(said["collapsed"]), took])
    return rows


def both_outputs(grid: Grid, method: str, loss: str) -> Iterator[tuple[int, dict[str, Array], dict[str, Array]]]:
    """Yields seed, outputs with cross-entropy, and outputs with another loss, if both were kept for the same faces."""
    before, after = grid.base(method), grid.of(method, loss)
    for seed, run in after.items():
        a, b = before[seed].outputs if seed in before else None, run.outputs
        if a and b and len(a["target_labels"]) == len(b["target_labels"]):
            yield seed, a, b


def percent(share: Any) -> float:
    """A share in %; NaN for None, the mean recall over no class."""
    return float("nan") if share is None else 100 * float(share)


def _over_as_is(grid: Grid) -> list[Difference]:
    """The difference of each trained cell from the classifier without training, corrected for all of them."""
    if (base := grid.as_is) is None:
        return []
    trained = dict.fromkeys(run.cell[:2] for run in grid.runs if run.cell[:2] != base.cell[:2])
    return over(grid, trained, base.cell[:2], "macro_recall")


def _agreement_with(base: Run, runs: dict[int, Run]) -> str:
    return "" if base in runs.values() else spread([percent(agreement(run, base)) for run in runs.values()])


def agreement(run: Run, base: Run) -> float | None:
    """The share of target test faces for which two runs predict the same class; None if outputs were not kept."""
    a, b = run.outputs, base.outputs
    if not a or not b or len(a["target_labels"]) != len(b["target_labels"]):
        return None
    return float((a["target_probs"].argmax(axis=1) == b["target_probs"].argmax(axis=1)).mean())


def _which(orders: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """The names of each seed's classes or, if seeds differ, how many they are."""
    if len({frozenset(order) for order in orders}) > 1:
        return f"{len(orders[0])} of each seed's own"
    classes = [names[k] for k in orders[0]]
    return ", ".join(classes) if len(classes) <= _LISTED else f"{len(classes)} classes"


def _difc_cells(grid: Grid) -> list[tuple[str, str]]:
    """Each method with each variant of DIFC that it was run with."""
    return [(m, k) for m in grid.methods for k in grid.variants(DIFC) if grid.of(m, k)]


def _difc_name(method: str, loss: str) -> str:
    return method if loss == DIFC else f"{method} · {loss}"


def _order(run: Run) -> list[int] | None:
    """Classes by the last known confusion, the most confused first; a class that is never predicted comes first."""
    found = [state.get("confusion", []) for _, state in run.states]
    known = [confusion for confusion in found if any(v is not None for v in confusion)]
    if not known:
        return None
    value = [np.inf if v is None or v == "inf" else float(v) for v in known[-1]]
    return sorted(range(len(value)), key=lambda k: -value[k])


def _recall(run: Run, classes: Sequence[int]) -> float:
    known = [100 * r for k in classes if (r := run.scores["recall"][k]) is not None]
    return mean(known) if known else float("nan")
