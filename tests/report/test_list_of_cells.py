"""What ``compare --list`` takes for done."""

import json

import pytest
from records import record

from pa_difc.commands.experiment import PairGrid, listing
from pa_difc.training.identity import code_digest
from pa_difc.training.resolve import identity, resolve
from pa_difc.training.settings import Settings


@pytest.mark.parametrize(("code", "done"), [({}, 1), ({"loss": "an edited plugin"}, 0), ({"recipe": "of a file"}, 0)])
def test_a_cell_of_other_code_is_left(code, done, tmp_path):
    """A plugin's method was edited after it ran, or a recipe composed a method of that name: it is trained again."""
    cell = resolve(Settings().but(**{"method.name": "dann", "loss.name": "ce"}))
    made = record("dann", "ce", identity={"settings": identity(cell), "code": {"pa_difc": code_digest(), **code}})
    folder = tmp_path / "runs" / "dann-ce-seed0-0"
    folder.mkdir(parents=True)
    made["common"]["features"] = None
    (folder / "record.json").write_text(json.dumps(made))
    assert list(listing([PairGrid("", [cell], False)], tmp_path))[-1] == f"1 run: {done} done, {1 - done} left"
