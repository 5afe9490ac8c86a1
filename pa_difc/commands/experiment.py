"""The experiment that ``compare`` is asked for: its grids and pairs of datasets, and which cells are done."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..util.errors import UserError
from .given_cells import settings_of_grid

if TYPE_CHECKING:
    from ..training.expected import Kind
    from ..training.grid_file import Block
    from ..training.settings import Settings


@dataclass(frozen=True)
class PairGrid:
    """The cells of one grid on one pair."""

    title: str  #: of the grid in a --grid file; empty otherwise
    cells: list[Settings]
    frozen: bool  #: heads on frozen features

    @property
    def pair(self) -> str:
        data = self.cells[0].data
        return f"{data.source} → {data.target}"


def planned(parsed: argparse.Namespace, methods: Sequence[str], losses: Sequence[str]) -> list[PairGrid]:
    """All grids that the flags and the --grid file ask for; flags override the file.

    Args:
        parsed: compare's parsed flags.
        methods, losses: defaults, if neither flags nor file name any.

    Raises:
        UserError: a value is not valid, or no pair of two different datasets is left.
    """
    from ..training.grid_file import Block, read_grid_file

    if parsed.grid and parsed.config:
        raise UserError("--grid and --config: a file of grids has its own settings; give one of them")
    blocks = read_grid_file(parsed.grid) if parsed.grid else [Block()]
    return [made for block in blocks for made in _of_block(parsed, block, methods, losses)]


def keep_grid_file(file: Path, out: Path) -> None:
    """Copies a file of grids to ``grids/NAME-HASH.toml``, which the command line names from now on.

    So the commands in records and command.txt stay true when the file is edited. A pipe, which can't be read twice, is
    not copied.

    Raises:
        UserError: the copy can't be written, or was edited.
    """
    from ..util.files import file_digest, write_atomic
    from ..util.process import name_copy

    if not file.is_file():
        return
    digest = file_digest(file)
    name = file.stem if file.stem.endswith(f"-{digest}") else f"{file.stem}-{digest}"
    copy, content = out / "grids" / f"{name}.toml", file.read_bytes()
    if not copy.exists():
        write_atomic(copy, lambda to: to.write(content))
    elif file_digest(copy) != digest:
        raise UserError(f"{copy}: this copy of {file} was edited; rename it, and its commands in command.txt")
    name_copy("--grid", copy)


def _of_block(
    parsed: argparse.Namespace, block: Block, methods: Sequence[str], losses: Sequence[str]
) -> Iterator[PairGrid]:
    one = argparse.Namespace(**vars(parsed))
    for name in ("methods", "losses", "seeds"):
        if getattr(one, name) is None:
            setattr(one, name, getattr(block, name))
    if parsed.grid:
        one.block = block.settings
    sources, targets = (_names(parsed, block, side) for side in ("source", "target"))
    _require_known(parsed, block, [name for name in (*sources, *targets) if name is not None])
    pairs = [(s, t) for s, t in product(sources, targets) if s is None or s != t]
    if not pairs:
        raise UserError(
            f"sources {' '.join(map(str, sources))} are also the targets: there is no pair of two different datasets"
        )
    for source, target in pairs:
        own: dict[str, Any] = {"data__source": source, "data__target": target}
        cells = settings_of_grid(
            one, methods=methods, losses=losses, **{key: name for key, name in own.items() if name is not None}
        )
        _require_two_datasets(cells[0])
        yield PairGrid(block.title, cells, (parsed.features or block.features) == "frozen")


def _require_two_datasets(cell: Settings) -> None:
    """Refuses a pair of a dataset with itself.

    Raises:
        UserError: the labels that a method learns from would be the target's, which no method may see.
    """
    if _plain(cell.data.source) == _plain(cell.data.target):
        raise UserError(
            f"source and target are both {cell.data.source}: training would see the target's labels; "
            "give two different datasets"
        )


def _names(parsed: argparse.Namespace, block: Block, side: str) -> list[str | None]:
    """The datasets of one side; None stands for the one of --source or --target, of --config, or the default."""
    one, several = getattr(parsed, side), getattr(parsed, f"{side}s")
    if one is not None and several is not None:
        raise UserError(f"--{side} {one} and --{side}s {' '.join(several)}: give one of them")
    if one is not None:
        return [None]
    named = several or getattr(block, f"{side}s")
    return list(dict.fromkeys(map(_plain, named))) if named else [None]


def _require_known(parsed: argparse.Namespace, block: Block, names: Sequence[str]) -> None:
    """Refuses words that name no dataset, before the grids above are trained; folders may still be missing."""
    from ..data.datasets import require_known
    from ..training.groups import DataSettings

    for name in names:
        try:
            require_known(name, Path(parsed.data_root or DataSettings.root))
        except UserError as error:
            raise UserError(f"{block.where}: {error}" if parsed.grid else str(error)) from None


def _plain(name: str) -> str:
    """A dataset's name with its path normalised: ``folder:./faces/`` becomes ``folder:faces``."""
    kind, _, path = name.partition(":")
    return f"{kind}:{Path(path).as_posix()}" if path else name


def listing(grids: Sequence[PairGrid], out: Path) -> Iterator[str]:
    """Lines that list the grids' cells: for each method and loss the seeds done and left. Reads no data.

    A cell counts as done if a record has its settings and today's code. Whether data or weights have changed since is
    checked only when it is run.
    """
    from ..report.printed import aligned

    done = _done(out)
    total = left = 0
    for grid in grids:
        yield " · ".join(filter(None, [grid.title, grid.pair, "frozen features" if grid.frozen else ""]))
        rows: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
        for cell in grid.cells:
            seeds = rows.setdefault((cell.method.name, cell.loss.name), ([], []))
            seeds[_key(cell, grid.frozen) not in done].append(str(cell.run.seed))
        shown = [["method", "loss", "seeds done", "seeds left"]]
        shown += [[*names, " ".join(there) or "–", " ".join(rest) or "–"] for names, (there, rest) in rows.items()]
        yield from (f"  {line}" for line in aligned(shown, keys=2))
        yield ""
        total += len(grid.cells)
        left += sum(len(rest) for _, rest in rows.values())
    yield f"{total} run{'s' * (total != 1)}: {total - left} done, {left} left"


def kinds_left(grids: Sequence[PairGrid], out: Path) -> list[list[Kind]]:
    """The kinds of each grid's cells that do not count as done; see :func:`listing`."""
    from ..training.expected import kind_of

    done = _done(out)
    return [[kind_of(cell, one.frozen) for cell in one.cells if _key(cell, one.frozen) not in done] for one in grids]


def _key(cell: Settings, frozen: bool) -> str:
    from ..training.identity import plugin_digests
    from ..training.resolve import identity

    return _key_of(identity(cell), frozen, plugin_digests(cell))


def _key_of(settings: dict[str, Any], frozen: bool, plugins: dict[str, str]) -> str:
    """A hash of all settings but ``head_init``: on frozen features it follows from the extracted features."""
    from ..training.identity import hash_of

    return hash_of([settings | {"model": settings["model"] | {"head_init": None}}, frozen, plugins])


def _done(out: Path) -> set[str]:
    """The :func:`_key` of each cell that has a record made with today's code."""
    from ..training.identity import code_digest
    from ..training.record import read_record

    records = []
    for path in sorted((out / "runs").glob("*/record.json")):
        with suppress(UserError):  # a damaged one is reported when its cell or the tables need it
            records.append(read_record(path))
    return {
        _key_of(
            record["identity"]["settings"],
            record["common"]["features"] is not None,
            {kind: digest for kind, digest in record["identity"]["code"].items() if kind != "pa_difc"},
        )
        for record in records
        if record["identity"]["code"]["pa_difc"] == code_digest()
    }
