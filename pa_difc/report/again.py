"""The commands that reproduce a table's runs: the original ones, and one for each row."""

from __future__ import annotations

import argparse
import html
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..util.errors import UserError
from ..util.names import cell_name
from ..util.options import About, describe
from .grid import Grid
from .run import Run

#: Keys that are written as flags, which read better and, unlike ``--set``, keep spaces at a value's ends.
_FLAGS = {
    "data.source": "--source",
    "data.target": "--target",
    "data.root": "--data-root",
    "data.labels": "--labels",
    "data.group_by": "--group-by",
    "model.pretrained": "--pretrained",
    "run.epochs": "--epochs",
    "run.device": "--device",
}
#: Keys that a page shows elsewhere.
_SHOWN = ("model.backbone", "optimiser.name", "optimiser.lr")
#: Keys that a model folder given as --pretrained sets unless the command line does.
_OF_WEIGHTS = ("model.backbone", "model.pool", "model.maps")
#: The file of a run's settings next to its record.
_FILE = "settings.toml"
#: The folder for reproduced runs.
_OUT = ("--out", "again")

#: The heading of a page's commands, and the sentences before them.
HEADING = "Commands to repeat this"
WHERE = "Run these in the same folder as before, with the same data and weights:"
EACH = "One row of the table only, into the folder again/; click a command to select it:"
THINNED = (
    "The budget decided which faces these cells saw: only the whole command repeats them, with its plan.json, if any."
)


def table_commands(grid: Grid) -> list[str]:
    """The commands that trained the runs of a grid, each once."""
    return list(dict.fromkeys(said for run in grid.runs if (said := run.record.get("command"))))


def row_commands(grid: Grid) -> list[tuple[str, str]]:
    """A command for each row of a grid's table, with all of its seeds, by the row's name.

    Each is made from the records' settings, whichever flags or files those came from, and trains runs of the same
    identity. A run that settings do not describe, such as a recipe's own method, keeps its original command. Rows of a
    label-shift sweep have none: no command trains one row on every shift.
    """
    if any(run.settings["data"].get("target_shift") is not None for run in grid.runs):
        return []
    found = []
    for method in grid.methods:
        for loss in grid.losses:
            lines: dict[str, list[int]] = {}
            for seed, run in grid.of(method, loss).items():
                lines.setdefault(_line(run), []).append(seed)
            for line, seeds in lines.items():
                several = f" · seed {' '.join(map(str, seeds))}" if len(lines) > 1 else ""
                found.append(
                    (cell_name(method, loss, " · ") + several, line.replace(_SEEDS, " ".join(map(str, seeds))))
                )
    return [(name, line) for name, line in found if line]


def whole_command(run: Run) -> str | None:
    """The command that trains the whole network of a run on frozen features; None if its record has none."""
    line = _line(run, heads_alone=False).replace(_SEEDS, str(run.cell[2]))
    return line if line and "frozen" not in shlex.split(line) else None


def again_html(grid: Grid) -> str:
    """The page's section of commands as HTML; empty if the records hold none."""
    if not (given := table_commands(grid)):
        return ""
    lines = "\n".join(given)
    page = f"<h2 id='again'>{HEADING}</h2><p>{WHERE}</p>{_block(lines)}"
    if _thinned(grid):
        return f"{page}<p>{THINNED}</p>"
    rows = "".join(f"<p>{html.escape(name)}</p>{_block(line)}" for name, line in row_commands(grid))
    return f"{page}<details><summary>Each row alone</summary><p>{EACH}</p>{rows}</details>" if rows else page


def again_markdown(grid: Grid) -> list[str]:
    """The same section as Markdown paragraphs."""
    if not (given := table_commands(grid)):
        return []
    found = [f"## {HEADING}", WHERE, "```sh\n" + "\n".join(given) + "\n```"]
    if _thinned(grid):
        return [*found, THINNED]
    rows = [f"# {name}\n{line}" for name, line in row_commands(grid)]
    return [*found, EACH.partition(";")[0] + ":", "```sh\n" + "\n".join(rows) + "\n```"] if rows else found


def _block(text: str) -> str:
    """A command that one click selects whole."""
    return f"<pre style='white-space: pre-wrap; user-select: all'><code>{html.escape(text)}</code></pre>"


def _thinned(grid: Grid) -> bool:
    return any(side.get("part_of") for run in grid.runs for side in run.record["data"].values())


#: Placeholder for a command's seeds.
_SEEDS = "\0seeds"


def _line(run: Run, *, heads_alone: bool = True) -> str:
    """The command that trains a run's row, with :data:`_SEEDS` for the seeds; on frozen features if the run was."""
    record = run.record
    identity, said = record["identity"], str(record.get("command", ""))
    words = shlex.split(said)
    start, plugins = _start(words), _plugins(words)
    foreign = identity.get("code", {}).keys() - {"pa_difc"}
    if "recipe" in foreign or identity.get("processes") or (foreign and not plugins and not _is_ours(words)):
        return said
    settings = _given(run) or ["--config", str(run.path / _FILE)]
    frozen = ["--features", "frozen"] if heads_alone and record["common"].get("features") else []
    cell = ["--methods", run.method, "--losses", run.loss, "--seeds", _SEEDS]
    line = shlex.join([*start, "compare", *plugins, *cell, *settings, *frozen, *_OUT])
    return line.replace(shlex.quote(_SEEDS), _SEEDS)


def _start(words: list[str]) -> list[str]:
    """How pa-difc was started, as words of a command."""
    return words[:3] if words[1:3] == ["-m", "pa_difc"] else ["pa-difc"]


def _is_ours(words: list[str]) -> bool:
    return words[:1] == ["pa-difc"] or words[1:3] == ["-m", "pa_difc"]


def _plugins(words: list[str]) -> list[str]:
    """The ``--plugin`` flags of a command line, with their values."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--plugin", action="append", default=[])
    return [word for file in parser.parse_known_args(words)[0].plugin for word in ("--plugin", file)]


def _given(run: Run) -> list[str] | None:
    """Flags for a run's settings that do not follow from others; None if a value can't be written on a command line."""
    known, flags, assignments = _known(run), list[str](), list[str]()
    for key, value in _chosen(run, known).items():
        about, text = known.get(key), _text(value)
        if key in _FLAGS:
            flags += [f"{_FLAGS[key]}={text}"] if text.startswith("-") else [_FLAGS[key], text]
        elif about is not None and not _is_read_as(about, text, value):
            return None
        else:
            assignments.append(f"{key}={text}")
    return [*flags, *(["--set", *assignments] if assignments else [])]


def _chosen(run: Run, known: Mapping[str, About]) -> dict[str, Any]:
    """The settings that neither follow from others nor have their defaults, and those that are always written."""
    follows, flat = _follows(run), _flat(run.settings)

    def usual(key: str, value: Any) -> bool:
        return (about := known.get(key)) is not None and _same(value, about.default) and not _needed(key, flat)

    return {key: value for key, value in flat.items() if key not in follows and not usual(key, value)}


def set_for_all(runs: Sequence[Run]) -> list[str]:
    """The settings, such as "loss.epsilon=0.5", that differ from their defaults alike in all runs that have them.

    Those with a flag of their own, or a place of their own on the page, are left out.
    """
    values: dict[str, set[str]] = {}
    for run in runs:
        for key, value in _flat(run.settings).items():
            values.setdefault(key, set()).add(_text(value))
    chosen = dict.fromkeys(key for run in runs for key in _chosen(run, _known(run)))
    shared = [key for key in chosen if key not in (*_FLAGS, *_SHOWN) and len(values[key]) == 1]
    return [f"{key}={next(iter(values[key]))}" for key in shared]


def _needed(key: str, flat: dict[str, Any]) -> bool:
    """Whether a key is written even at its default: the datasets, and keys that a model folder would set."""
    return key in ("data.source", "data.target") or (key in _OF_WEIGHTS and flat.get("model.pretrained") is not None)


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """All settings by full key, except the method, loss and seed that identify a cell."""
    from ..training.keys import CELL_KEYS

    groups = {group: {**values, **values.get("options", {})} for group, values in settings.items()}
    found = {f"{group}.{key}": value for group, values in groups.items() for key, value in values.items()}
    return {key: value for key, value in found.items() if not key.endswith(".options") and key not in CELL_KEYS}


def _follows(run: Run) -> set[str]:
    """The keys whose values followed from others, as listed in the settings file next to the record."""
    from ..training.settings_file import FOLLOWS
    from ..util.toml import read_toml

    try:
        return set(read_toml(run.path / _FILE).get(FOLLOWS, []))
    except UserError:  # then all values are written, which gives the same run
        return set()


def _known(run: Run) -> dict[str, About]:
    """The declarations of settings keys, without options of plugins that this process has not loaded."""
    from ..training.keys import entry_options, fixed_keys

    found = fixed_keys()
    settings = run.settings
    for group, name in (("method", run.method), ("loss", run.loss), ("model", settings["model"]["backbone"])):
        try:
            options = describe(entry_options(group, name))
        except UserError:
            continue
        found |= {f"{group}.{key}": about for key, about in options.items()}
    return found


def _text(value: Any) -> str:
    """A value as written on a command line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _is_read_as(about: About, text: str, value: Any) -> bool:
    """Whether a command line's text is parsed as exactly this value."""
    try:
        return text == text.strip() and _same(about.parse(text), value)
    except UserError:
        return False


def _same(one: Any, other: Any) -> bool:
    """Whether two values give a run the same hash: 1 and 1.0 do not, a tuple and a list do."""
    one, other = (list(v) if isinstance(v, tuple) else v for v in (one, other))
    return json.dumps(one) == json.dumps(other)
