"""The end of ``pa-difc adapt``: chooses a cell without labels, writes the page and the model, and says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data.domains import Domain
from ..deploy.export import export_model, run_record
from ..deploy.model import FaceModel, load_model
from ..report.caveats import caveats
from ..report.certainty import certainty, learnt_little
from ..report.choice_tables import candidates_table, selection_notes
from ..report.grid import Grid
from ..report.grid_page import write_grid
from ..report.phases import never_began
from ..report.printed import aligned, notes
from ..report.run import Run
from ..report.selection import Candidate, Selection, select
from ..report.written import Options, replaced
from ..training.record import run_path
from ..util.errors import UserError
from ..util.process import quoted
from ..util.terminal import wrapped
from .grid_lines import in_brief


def conclude(
    records: Sequence[dict[str, Any]],
    out: Path,
    target: Domain,
    *,
    longer: str,
    crop: str = "",
    late: str = "",
    limits: Sequence[str] = (),
) -> None:
    """Chooses a cell, writes the page and the model, and prints the choice, how certain it is and how to use it.

    Args:
        records: of the cells' runs.
        out: the folder above their folders.
        target: the data; its labels, if any, are read after the choice.
        longer: what would let the cells train for longer, in words.
        crop: how the crop was chosen, in a sentence without a full stop, for the page's notes.
        late: the same on cells that did not finish, for the page's top; the terminal has said it.
        limits: the same on what could not be trained, for the page's top and the terminal.

    Raises:
        UserError: a run's outputs are missing, or a file can't be written.
    """
    grid = Grid.of_runs([Run(run_path(out, record), record) for record in records])
    selection = select(grid)
    if selection is None:
        raise UserError(f"{out}: outputs.npz of a run is missing; delete its record.json and rerun to write both")
    selection = replace(selection, longer=longer, remarks=[crop] * bool(crop), limits=[*[late] * bool(late), *limits])
    with replaced(out, Options()):
        page = write_grid(grid, out, None, choice=selection).page
    chosen = selection.chosen
    model = load_model(chosen.runs[0].path)
    export_model(model, out / "model", ("safetensors",), run_record(chosen.runs[0].path))
    said_before = never_began((run.settings for run in grid.runs), longer)
    others = [line for line in caveats(grid.runs, longer) if line not in said_before]
    table = aligned(candidates_table(selection, narrow=True), keys=2)
    print("", *table, *notes([*selection_notes(selection), *others]), "", sep="\n")
    print(f"chosen without labels: {chosen.name}")
    for line in [*certainty(selection), *(f"{limit}." for limit in limits), *_scored(chosen, selection, target)]:
        print(wrapped(f"  {line}", indent=2))
    print(f"\nwritten: {page}, {out / 'model'}")
    print(wrapped(_whether_to_use(selection, model), indent=2))
    print(f"  {_command(model, out / 'model')}")  # on a line of its own, not wrapped: it is there to be copied


def _scored(chosen: Candidate, selection: Selection, target: Domain) -> list[str]:
    """Lines with the chosen cell's scores by target labels, read after the choice; none if there are no labels."""
    if not target.labelled:
        return []
    lines = [f"labels of {target.name}, read after the choice: {in_brief(chosen.runs[0].record)}"]
    if chosen.method != "as_is":
        untrained = [c for c in selection.candidates if c.method == "as_is"]
        lines += [f"as_is, without training: {in_brief(c.runs[0].record)}" for c in untrained]
    return lines


def _whether_to_use(selection: Selection, model: FaceModel) -> str:
    """The line before the command that uses the model: whether to use it, and on which images."""
    cut = "" if model.settings["input"]["prepared"] else " on images cut like those of the target"
    if learnt_little(selection):
        return f"do not use it yet: it may be little better than guessing, see above. To try it{cut}:"
    if not selection.chosen.eligible:
        return f"do not rely on it: no cell passes the rules of the choice. To try it{cut}:"
    return f"to use it{cut}:"


def _command(model: FaceModel, folder: Path) -> str:
    """The command that uses the model, with the crop of its training images."""
    images = "photo.jpg" if model.settings["input"]["prepared"] else "--crop none face.jpg"
    return f"pa-difc predict --model {quoted(str(folder))} {images}"
