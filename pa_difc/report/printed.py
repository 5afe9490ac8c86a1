"""Tables and lists as a terminal shows them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import combinations

from ..util.numbers import with_minus
from ..util.terminal import columns, on_one_line, wrapped

#: Between two columns.
_GAP = "  "


def aligned(rows: Sequence[Sequence[str]], keys: int = 1) -> list[str]:
    """Lines of text with the rows' columns below each other, in letters that standard output has.

    On a terminal that is too narrow for them, heads take several lines; if that is not enough, the last columns stand
    in a second table below the first.

    Args:
        rows: the head and at least one row.
        keys: how many first columns name a row, which may leave out a name that is also the row's above; each of
            several tables has those that are needed to tell rows apart.
    """
    rows = [[on_one_line(with_minus(cell)) for cell in row] for row in rows]
    telling = _telling(_filled(rows[1:], keys), keys)
    room, tallest = columns(), max(len(head.split()) for head in rows[0])
    choices = []
    for height in range(1, tallest + 1):
        widths = [_width([row[i] for row in rows], height) for i in range(len(rows[0]))]
        choices.append((widths, list(_blocks(widths, keys, telling, room))))
    widths, blocks = min(choices, key=lambda choice: len(choice[1]))  # the first of these has the lowest heads
    lines: list[str] = []
    for block in blocks:
        lines += [*([""] if lines else []), *_lines(rows, block, widths)]
    return lines


def notes(lines: Sequence[str]) -> list[str]:
    """Notes below a table; on a terminal that is too narrow for one, its further lines are indented."""
    return [wrapped(with_minus(line), indent=2) for line in lines]


def _width(column: Sequence[str], height: int) -> int:
    """The least width of a column whose head may take so many lines."""
    head, least = column[0], max([1, *map(len, column[1:]), *map(len, column[0].split())])
    return next(width for width in range(least, least + len(head) + 1) if len(_wrap(head, width)) <= height)


def _wrap(head: str, width: int) -> list[str]:
    return textwrap.wrap(head, width, break_long_words=False, break_on_hyphens=False)


def _filled(body: Sequence[Sequence[str]], keys: int) -> list[list[str]]:
    """The first columns of each row, with the names that are left out because they are also the row's above."""
    found: list[list[str]] = []
    for row in body:
        above = found[-1] if found else [""] * keys
        found.append([cell or before for cell, before in zip(row[:keys], above, strict=False)])
    return found


def _telling(names: Sequence[Sequence[str]], keys: int) -> list[int]:
    """The fewest of the first columns that tell all rows apart; all of them if none do."""
    choices = (list(columns) for n in range(1, keys) for columns in combinations(range(keys), n))
    every = list(range(keys))
    return next((c for c in choices if len({tuple(row[i] for i in c) for row in names}) == len(names)), every)


def _blocks(widths: Sequence[int], keys: int, telling: Sequence[int], room: int) -> Iterator[list[int]]:
    """The columns of each table that fits, by number; one that is wider than the room alone stands alone."""
    start = min(keys, len(widths))
    first = list(range(start))
    block, used = list(first), sum(widths[i] + len(_GAP) for i in first)
    for i in range(start, len(widths)):
        if used + widths[i] > room and len(block) > len(first):
            yield block
            first = [j for j in telling if j < start]
            block, used = list(first), sum(widths[j] + len(_GAP) for j in first)
        block.append(i)
        used += widths[i] + len(_GAP)
    yield block


def _lines(rows: Sequence[Sequence[str]], block: Sequence[int], widths: Sequence[int]) -> Iterator[str]:
    """A table's lines: its heads, which end on one line, and its rows."""
    heads = [_wrap(rows[0][i], widths[i]) for i in block]
    height = max(map(len, heads))
    stacked = zip(*([""] * (height - len(head)) + head for head in heads), strict=True)
    for cells in (*stacked, *([row[i] for i in block] for row in rows[1:])):
        yield _GAP.join(cell.ljust(widths[i]) for cell, i in zip(cells, block, strict=True)).rstrip()
