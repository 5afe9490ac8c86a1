"""The page on pytorch-adapt, run from top to bottom, and what it says of errors and names."""

import re

import pytest
import torch
from checkpoints import TYPES
from made import OLD_TORCH, ROOT

from pa_difc.losses.schedule import Phase

PAGE = (ROOT / "docs" / "inside.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.skipif(OLD_TORCH, reason="safe_globals came with torch 2.5")
def test_the_programs_run_and_end_where_they_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope, said = {}, []
    for block in BLOCKS:
        exec(compile(block, "inside.md", "exec"), scope)
        printed = capsys.readouterr().out
        if "# difc" in block:
            assert "difc" in printed, block
        said.append(printed)
    assert len(said) == len(BLOCKS)
    for adapter in scope["adapters"]:
        assert adapter.loss.step == 1 and adapter.misc["difc"] is adapter.loss
    assert scope["criterion"].phase is Phase.DIFC and scope["attached"].loss.step == 1
    evaluated = scope["evaluated"].adapter
    assert evaluated.loss.confusion.isfinite().any() and not evaluated.loss.needs_target_logits
    assert all(model.training for model in evaluated.models.values())
    resumed = scope["resumed"].adapter
    assert resumed.loss.step == 12 and scope["resumed"].validator.epochs.tolist() == [1, 2, 3, 4, 5, 6]
    assert scope["score"] == pytest.approx(scope["best_score"], rel=1e-6)
    assert [t for t in scope["ALLOWED"] if t not in TYPES] == [] and len(scope["ALLOWED"]) == len(TYPES)

    straight = scope["wrapped"]("straight")
    straight.run(scope["datasets"], dataloader_creator=scope["creator"], max_epochs=6)
    assert straight.adapter.loss.margins.equal(resumed.loss.margins)
    for name, model in straight.adapter.models.items():
        others = resumed.models[name].parameters()
        assert all(p.equal(q) for p, q in zip(model.parameters(), others, strict=True))

    (quoted,) = re.findall(r"UnpicklingError: (.*?)…(.*?)\n```", PAGE, re.DOTALL)
    with pytest.raises(Exception, match="Weights only") as error:
        scope["wrapped"]("checkpoints").run(scope["datasets"], max_epochs=6, resume=3)
    message = " ".join(str(error.value).split())
    assert all(" ".join(part.split()) in message for part in quoted)
    assert not set(TYPES) & set(torch.serialization.get_safe_globals())  # no longer allowed


def test_it_names_the_adapters_that_take_the_loss_and_those_that_do_not():
    """All classification adapters of the host's; contracts/test_attach.py tries each."""
    from pytorch_adapt import adapters

    (listed,) = re.findall(r"This works for (.*?)\. (`ADDA`.*?) adapters", PAGE, re.DOTALL)
    takes, refused = (set(re.findall(r"`(\w+)`", part)) for part in listed)
    multi = {name for name in vars(adapters) if name.startswith("MultiLabel")}
    every = {name for name, cls in vars(adapters).items() if isinstance(cls, type)} - multi
    assert takes | refused == {name for name in every if not name.startswith("Base")}
    assert refused == {"ADDA", "AdaBN"}
