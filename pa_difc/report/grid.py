"""Sorts runs into grids: methods × losses × seeds that differ in nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..util.names import cell_name
from .asked import by_asked
from .caveats import caveats
from .groups import differences, group_key, headings, telling
from .paths import page_folder
from .published import published_accuracy
from .run import AS_IS, Run
from .seeds import marks_of, named, seeds_note, usual_seeds
from .table import tells_frequent
from .variants import variant_names

#: The baseline loss, and this package's own.
BASE, DIFC = "ce", "difc"

#: Method and loss, by their names in the table.
Cell = tuple[str, str]


@dataclass(frozen=True)
class Grid:
    """Runs on one source → target pair that differ only in method, loss and seed, one run for each."""

    source: str
    target: str
    runs: Sequence[Run]  #: by method, loss and seed; methods and losses in the order in which they were asked for
    replaced: int = 0  #: runs left out because a newer one has the same cell and seed
    differs: Sequence[str] = ()  #: how it differs from the other grids of its pair, in words
    heading: str = ""  #: the same, shortened
    mark: str = ""  #: tells it apart from grids with the same heading
    titles: Mapping[Cell, str] = field(default_factory=dict)  #: for each cell, the --grid file's grids of its runs

    @classmethod
    def of_runs(cls, runs: Sequence[Run], differs: Sequence[str] = (), heading: str = "", mark: str = "") -> Grid:
        """Makes a grid of runs that belong in one table, given in the order in which they finished.

        Runs without names get those that tell them apart from each other.
        """
        told_apart = runs if all(run.names for run in runs) else with_names(runs)
        newest = {run.cell: run for run in told_apart}
        asked, titles = by_asked(list(newest.values()))
        methods = together([(run.method, run.cell[0]) for run in asked])
        by_method = sorted(asked, key=lambda run: methods.index(run.cell[0]))
        losses = together([(run.loss, run.cell[1]) for run in by_method])
        ordered = sorted(by_method, key=lambda r: (methods.index(r.cell[0]), losses.index(r.cell[1]), r.cell[2]))
        of_cell: dict[Cell, list[str]] = {}
        for run, own in zip(asked, titles, strict=True):
            of_cell.setdefault(run.cell[:2], []).extend(own)
        left_out = len(told_apart) - len(newest)
        joined = {cell: ", ".join(dict.fromkeys(own)) for cell, own in of_cell.items()}
        return cls(*runs[0].pair, ordered, left_out, differs, heading, mark, joined)

    @property
    def named(self) -> str:
        """The titles of the --grid file's grids that its runs are from; empty if some are from no such grid."""
        return ", ".join(dict.fromkeys(self.titles.values())) if all(self.titles.values()) else ""

    @property
    def title(self) -> str:
        """Its title in a --grid file, the pair, and how the grid differs from the pair's other grids."""
        return " · ".join(filter(None, [self.named, f"{self.source} → {self.target}", self.heading]))

    @property
    def folder(self) -> str:
        """The name of its page's folder, which no other grid has."""
        return page_folder(self.source, self.target, self.heading, self.mark)

    @property
    def classes(self) -> list[str]:
        """The names of the classes, by index."""
        return self.runs[0].classes

    @property
    def methods(self) -> list[str]:
        return together([(run.method, run.cell[0]) for run in self.runs])

    @property
    def losses(self) -> list[str]:
        return together([(run.loss, run.cell[1]) for run in self.runs])

    @property
    def cells(self) -> list[Cell]:
        """Each method with each loss that it was run with, in the order of all tables."""
        return list(dict.fromkeys(run.cell[:2] for run in self.runs))

    @property
    def backbone(self) -> str:
        return str(self.runs[0].settings["model"]["backbone"])

    @property
    def labelled(self) -> bool:
        """Whether every run was scored on the target."""
        return all(run.labelled for run in self.runs)

    @property
    def tells_frequent(self) -> bool:
        """Whether tables have mean recall over the classes with at least 20 test faces."""
        return self.labelled and tells_frequent(run.scores for run in self.runs)

    @property
    def as_is(self) -> Run | None:
        """The run of the pretrained classifier without training, the baseline of all others; None without one."""
        return next((run for run in self.runs if run.method == AS_IS), None)

    @property
    def caveats(self) -> list[str]:
        """Lines on what its numbers need: phases that never began, mixed versions, and so on."""
        return caveats(self.runs)

    def variants(self, loss: str) -> list[str]:
        """The table's names for a loss: one for each set of its options."""
        return list(dict.fromkeys(run.cell[1] for run in self.runs if run.loss == loss))

    def of(self, method: str, loss: str) -> dict[int, Run]:
        """The runs of a method and a loss by seed, in ascending order, since workers finish in any order."""
        found = {run.cell[2]: run for run in self.runs if run.cell[:2] == (method, loss)}
        return dict(sorted(found.items()))

    @property
    def ranked(self) -> dict[Cell, dict[int, Run]]:
        """The cells that can be ranked, with their runs of the same seeds: those that most cells have.

        A cell that lacks one of these is left out. ``as_is`` is deterministic: its one run stands for all.
        """
        seeds = usual_seeds(own for cell, own in self._seeds.items() if not _untrained(cell))
        runs = {cell: self.of(*cell) for cell in self.cells}
        return {
            cell: own if _untrained(cell) else {seed: own[seed] for seed in seeds}
            for cell, own in runs.items()
            if _untrained(cell) or own.keys() >= set(seeds)
        }

    @property
    def unranked(self) -> list[str]:
        """The other cells' names with their seeds, such as "mcd + difc (has seeds 0, 1)"."""
        return [
            f"{cell_name(*cell)} (has {named(self.of(*cell))[1:]}" for cell in self.cells if cell not in self.ranked
        ]

    def published(self, method: str, loss: str) -> float | None:
        """The paper's accuracy in % for a cell; None if it has none, or if there are variants to choose from."""
        plain = {run.cell[:2]: (run.method, run.loss) for run in self.runs}
        name = plain.get((method, loss))
        if name is None or list(plain.values()).count(name) > 1:
            return None
        return published_accuracy(self.source, self.target, *name, self.backbone)

    @property
    def seed_marks(self) -> dict[tuple[str, str], str]:
        """The marks of cells whose seeds differ from the other cells', by method and loss; see :func:`.marks_of`."""
        return marks_of(self._seeds)

    @property
    def seeds_note(self) -> list[str]:
        """A note on the seeds of cells without such a mark; see :func:`.seeds_note`."""
        return seeds_note(self._seeds)

    @property
    def _seeds(self) -> dict[tuple[str, str], list[int]]:
        seeds: dict[tuple[str, str], list[int]] = {}
        for run in self.runs:
            seeds.setdefault(run.cell[:2], []).append(run.cell[2])
        return seeds

    def base(self, method: str) -> dict[int, Run]:
        """A method's runs with plain cross-entropy, by seed: the baseline of its other losses."""
        return self.of(method, BASE)


def _untrained(cell: Cell) -> bool:
    return cell[0].partition(" ")[0] == AS_IS


def with_names(runs: Sequence[Run]) -> list[Run]:
    """Runs, in the order in which they finished, with the names that tell their methods and losses apart."""
    names = variant_names([run.record for run in runs])
    return [replace(run, names=own) for run, own in zip(runs, names, strict=True)]


def together(names: Sequence[tuple[str, str]]) -> list[str]:
    """Names in a table, each once: in the order of their first places, but those of one plain name together.

    Args:
        names: the plain name and the name in the table, such as ("difc", "difc max_margin=1").
    """
    plain = list(dict.fromkeys(name for name, _ in names))
    return list(dict.fromkeys(shown for _, shown in sorted(names, key=lambda both: plain.index(both[0]))))


def over_seeds(runs: Sequence[Run]) -> str:
    """A caption's sentence on the seeds of runs."""
    trained = [run for run in runs if run.method != AS_IS]
    seeds = sorted({run.cell[2] for run in trained or runs})
    if len(seeds) == 1:
        return f"Seed {seeds[0]}."
    single = f" {AS_IS} is deterministic: one run." if len(trained) < len(runs) else ""
    return f"Mean and standard deviation over seeds {', '.join(map(str, seeds))}{_unlike(runs)}.{single}"


def _unlike(runs: Sequence[Run]) -> str:
    by_cell: dict[tuple[str, ...], set[int]] = {}
    for run in runs:
        if run.method != AS_IS:
            by_cell.setdefault((*run.pair, *run.cell[:2]), set()).add(run.cell[2])
    return ", of which not every cell has all" if len({frozenset(seeds) for seeds in by_cell.values()}) > 1 else ""


def make_grids(runs: Sequence[Run]) -> list[Grid]:
    """Sorts runs into grids: one for each pair and each set of common settings, code and data.

    A name stands for the same method or loss, with the same options and code, in all of these grids.

    Args:
        runs: in the order in which they finished.
    """
    pairs: dict[tuple[str, str], dict[str, list[Run]]] = {}
    for run in with_names(runs):
        pairs.setdefault(run.pair, {}).setdefault(group_key(run.record), []).append(run)
    grids: list[Grid] = []
    for by_key in pairs.values():
        groups = sorted(by_key.values(), key=lambda group: str(group[-1].record["finished"]))  # the newest last
        differs = differences([group[0].record for group in groups])
        short = headings(differs)
        marks = telling(short, [group_key(group[0].record) for group in groups])
        words = zip(groups, differs, short, marks, strict=True)
        made = {id(group): Grid.of_runs(group, d, heading, mark) for group, d, heading, mark in words}
        grids += [made[id(group)] for group in by_key.values()]
    return grids
