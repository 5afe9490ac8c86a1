"""The comparison table: a row per method and loss, with means and spreads over seeds and gains over cross-entropy."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from ..evaluation.metrics import COLLAPSED, ENOUGH_FACES, ENOUGH_NOTE, METRICS
from ..util.markdown import markdown_cell
from ..util.names import escaped, shown_loss
from ..util.numbers import fixed, plus_minus, signed
from .printed import aligned, notes
from .seeds import marks_of, named, seeds_note
from .variants import variant_names

BASELINE_LOSS = "ce"
COLLAPSE_MARK = "†"
COLLAPSE_NOTE = f"{COLLAPSE_MARK} collapsed: in at least one run {COLLAPSED}"
TRANSDUCTIVE_MARK = "‡"
TRANSDUCTIVE_NOTE = (
    f"{TRANSDUCTIVE_MARK} the target has one split: scored on the faces that it was adapted to, as in CD-FER"
)
GAIN_COLUMNS = ("macro_recall_vs_ce", "macro_recall_vs_ce_std", "macro_recall_vs_ce_seeds")  #: of the CSV
FOOTER = "target test split, last epoch, no target label used in training or selection"


Record = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A method and a loss over their seeds; scores in [0, 1]."""

    method: str
    loss: str
    seeds: tuple[int, ...]
    means: dict[str, float | None]  #: by metric; None for a mean recall over no class
    stds: dict[str, float | None]  #: sample standard deviations; None for a single seed or no value
    seconds: float  #: training time of a run, mean over seeds
    collapsed: bool
    transductive: bool  #: scored on the target's training faces
    recall_gain: float | None  #: mean recall minus that of cross-entropy, over shared seeds; None without any
    recall_gain_std: float | None = None  #: over these seeds; None for a single one
    recall_gain_seeds: tuple[int, ...] = ()  #: these seeds
    frequent: bool = False  #: whether all classes on the target have at least 20 test faces


def rows_from_records(records: Sequence[Record]) -> list[Row]:
    """One row per method and loss, in the order of their first records; each set of options gets its own row.

    Args:
        records: in the order in which they finished.
    """
    return rows_of(zip(variant_names(records), records, strict=True))


def rows_of(named: Iterable[tuple[tuple[str, str], Record]]) -> list[Row]:
    """The rows of records with the names of their methods and losses, in the order of each row's first record."""
    cells: dict[tuple[str, str], dict[int, Record]] = {}
    for names, record in named:
        cells.setdefault(names, {})[record["settings"]["run"]["seed"]] = record
    return [
        _row(method, loss, by_seed, cells.get((method, BASELINE_LOSS), {})) for (method, loss), by_seed in cells.items()
    ]


def to_csv(rows: Sequence[Row]) -> str:
    """The table as CSV text; see :func:`csv_rows`."""
    return csv_text(csv_rows(rows))


def csv_rows(rows: Sequence[Row]) -> list[list[Any]]:
    """The table for programs: scores in [0, 1]; the spread of a single seed is empty."""
    spread = [f"{metric}_{part}" for metric in METRICS for part in ("mean", "std")]
    table: list[list[Any]] = [["method", "loss", "seeds", *spread, "seconds", *GAIN_COLUMNS, "collapsed"]]
    for row in rows:
        numbers: list[Any] = []
        for metric in METRICS:
            numbers += ["" if value is None else f"{value:.6f}" for value in (row.means[metric], row.stds[metric])]
        gain = ["" if value is None else f"{value:.6f}" for value in (row.recall_gain, row.recall_gain_std)]
        seeds, shared = (" ".join(map(str, found)) for found in (row.seeds, row.recall_gain_seeds))
        table.append([row.method, row.loss, seeds, *numbers, f"{row.seconds:.1f}", *gain, shared, row.collapsed])
    return table


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV text; names that a spreadsheet would run as formulas are escaped."""
    buffer = io.StringIO()
    plain = ([escaped(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    csv.writer(buffer, lineterminator="\n").writerows(plain)
    return buffer.getvalue()


def to_markdown(rows: Sequence[Row], title: str) -> str:
    """The table as Markdown, in percent."""
    head, *body = _cells(rows)
    lines = [f"# {title}", "", _markdown_line(head), _markdown_line(["---"] * 2 + ["---:"] * (len(head) - 2))]
    lines += [_markdown_line(cells) for cells in body]
    return "\n".join([*lines, "", f"In %, {FOOTER}.", *_notes(rows)]) + "\n"


def to_terminal(rows: Sequence[Row]) -> str:
    """The table for a terminal, in percent; consecutive rows do not repeat a method's name."""
    head, *body = _cells(rows)
    above = ["", *(cells[0] for cells in body)]
    body = [["" if name == before else name, *cells] for before, (name, *cells) in zip(above, body, strict=False)]
    return "\n".join([*aligned([head, *body], keys=2), *notes([f"in %, {FOOTER}", *_notes(rows)])])


def _row(method: str, loss: str, by_seed: Mapping[int, Record], baseline: Mapping[int, Record]) -> Row:
    scores = [record["scores"]["target"] for record in by_seed.values()]
    values = {metric: [s[metric] for s in scores if s[metric] is not None] for metric in METRICS}
    shared = [] if loss == BASELINE_LOSS else sorted(seed for seed in by_seed if seed in baseline)
    gains = [_recall(by_seed[seed]) - _recall(baseline[seed]) for seed in shared]
    return Row(
        method=method,
        loss=loss,
        seeds=tuple(sorted(by_seed)),
        means={metric: mean(v) if v else None for metric, v in values.items()},
        stds={metric: stdev(v) if len(v) > 1 else None for metric, v in values.items()},
        seconds=mean(record["seconds"]["training"] for record in by_seed.values()),
        collapsed=any(s["collapsed"] for s in scores),
        transductive=any(record["data"]["target"]["transductive"] for record in by_seed.values()),
        recall_gain=mean(gains) if gains else None,
        recall_gain_std=stdev(gains) if len(gains) > 1 else None,
        recall_gain_seeds=tuple(shared),
        frequent=_all_frequent(scores),
    )


def _recall(record: Record) -> float:
    return float(record["scores"]["target"]["macro_recall"])


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    metrics = _metrics(rows)
    head = ["method", "loss", *metrics.values(), "Δ recall vs ce", "time"]
    table, seeds = [head], marks_of(_seeds(rows))
    for row in rows:
        table.append(
            [
                row.method,
                " ".join(filter(None, [shown_loss(row.method, row.loss), *_marks(row), seeds[row.method, row.loss]])),
                *(_percent(row.means[metric], row.stds[metric]) for metric in metrics),
                _gain(row),
                f"{int(row.seconds) // 60}:{int(row.seconds) % 60:02d}",
            ]
        )
    return table


def _gain(row: Row) -> str:
    """The gain over cross-entropy, with its seeds if the row has others too."""
    if row.recall_gain is None:
        return ""
    mark = [] if row.recall_gain_seeds == row.seeds else [named(row.recall_gain_seeds)]
    return " ".join([_percent(row.recall_gain, row.recall_gain_std, signed), *mark])


def _seeds(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[int, ...]]:
    return {(row.method, row.loss): row.seeds for row in rows}


def tells_frequent(scores: Iterable[Mapping[str, Any]]) -> bool:
    """Whether mean recall over the classes with at least 20 test faces is known somewhere, and differs from that over
    all classes because some have fewer."""
    found = list(scores)
    return any(one["macro_recall_20"] is not None for one in found) and not _all_frequent(found)


def _all_frequent(scores: Sequence[Mapping[str, Any]]) -> bool:
    found = [one.get("confusion") for one in scores]
    return all(found) and not any(0 < sum(row) < ENOUGH_FACES for matrix in found for row in matrix or [])


def shown_metrics(frequent: bool) -> dict[str, str]:
    """The metrics that tables show, and their names.

    Args:
        frequent: whether these have mean recall over the classes with at least 20 test faces; :func:`tells_frequent`.
    """
    return {metric: name for metric, name in METRICS.items() if frequent or metric != "macro_recall_20"}


def _metrics(rows: Sequence[Row]) -> dict[str, str]:
    known = any(row.means["macro_recall_20"] is not None for row in rows)
    return shown_metrics(known and not all(row.frequent for row in rows))


def _percent(value: float | None, std: float | None, form: Callable[[float], str] = fixed) -> str:
    return "–" if value is None else plus_minus(100 * value, None if std is None else 100 * std, form)


def _marks(row: Row) -> list[str]:
    marks = {COLLAPSE_MARK: row.collapsed, TRANSDUCTIVE_MARK: row.transductive}
    return [mark for mark, applies in marks.items() if applies]


def _notes(rows: Sequence[Row]) -> list[str]:
    marks = {mark for row in rows for mark in _marks(row)}
    notes = {COLLAPSE_MARK: COLLAPSE_NOTE, TRANSDUCTIVE_MARK: TRANSDUCTIVE_NOTE}
    enough = [ENOUGH_NOTE] if "macro_recall_20" in _metrics(rows) else []
    return [*enough, *seeds_note(_seeds(rows)), *(note for mark, note in notes.items() if mark in marks)]


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(markdown_cell, cells)) + " |"
