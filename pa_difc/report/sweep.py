"""Finds label-shift sweeps: runs with a shifted target, and the unshifted runs that belong to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .asked import by_asked
from .groups import differences, headings, sweep_key, telling
from .paths import page_folder
from .run import Run


@dataclass(frozen=True)
class Sweep:
    """Runs on one source → target pair that differ only in the target's shift and sampler, method, loss and seed."""

    source: str
    target: str
    runs: Sequence[Run]  #: in the order in which they finished
    differs: Sequence[str] = ()  #: how it differs from the other sweeps of its pair, in words
    heading: str = ""  #: the same, shortened
    mark: str = ""  #: tells it apart from sweeps with the same heading

    @property
    def asked(self) -> list[str]:
        """The keys of its runs in the order in which they were asked for."""
        return [run.record["key"] for run in by_asked(self.runs)[0]]

    @property
    def title(self) -> str:
        more = f" · {self.heading}" if self.heading else ""
        return f"{self.source} → {self.target} under label shift{more}"

    @property
    def folder(self) -> str:
        """The name of its page's folder, which no grid or other sweep has."""
        return page_folder(self.source, self.target, f"label shift {self.heading}".rstrip(), self.mark)


def split_sweeps(runs: Sequence[Run], of_shift: Collection[str] = ()) -> tuple[list[Sweep], list[Run]]:
    """Splits runs into label-shift sweeps and the unshifted runs of plain grids.

    An unshifted run that shares everything else with shifted ones counts in both: it is the sweep's "no shift" column.

    Args:
        runs: in the order in which they finished.
        of_shift: the keys of runs that are a sweep's even if none of it is shifted.
    """
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(sweep_key(run.record), []).append(run)
    swept = {
        key: group
        for key, group in members.items()
        if any(_shift(run) is not None or run.record["key"] in of_shift for run in group)
    }
    plain = [run for run in runs if _shift(run) is None]
    pairs: dict[tuple[str, str], list[list[Run]]] = {}
    for group in swept.values():
        pairs.setdefault(group[0].pair, []).append(group)
    return [sweep for groups in pairs.values() for sweep in _sweeps(groups)], plain


def _sweeps(groups: list[list[Run]]) -> list[Sweep]:
    groups = sorted(groups, key=lambda group: str(group[-1].record["finished"]))  # the newest last
    differs = differences([group[0].record for group in groups], swept=True)
    short = headings(differs)
    marks = telling(short, [sweep_key(group[0].record) for group in groups])
    words = zip(groups, differs, short, marks, strict=True)
    return [Sweep(*group[0].pair, group, d, heading, mark) for group, d, heading, mark in words]


def _shift(run: Run) -> float | None:
    shift: float | None = run.settings["data"].get("target_shift")
    return shift
