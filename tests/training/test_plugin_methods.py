"""Methods and losses of others: what can't be resumed or recorded is refused before it costs anything."""

from dataclasses import dataclass

import pytest
import torch
from made import random_faces

from pa_difc import LOSSES, METHODS, SourceOnly, option
from pa_difc.data import Domain
from pa_difc.losses import LossSpec
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

PAIR = Domain("s", random_faces(28, 0), random_faces(14, 1)), Domain("t", random_faces(35, 2), random_faces(7, 3))


def train(out, **values):
    return run_cell(resolve(Settings.of(crop_px=32, epochs=1, batch_size=8, **values)), *PAIR, out, progress=False)


class Forgetful(SourceOnly):
    """Keeps a module where no checkpoint sees it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mean = torch.nn.BatchNorm1d(2)


class Remembering(SourceOnly):
    """Keeps it where it belongs."""

    def method_state(self):
        self.mean = torch.nn.BatchNorm1d(2)
        return {"mean": self.mean}


def test_state_that_no_checkpoint_holds_is_refused(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "forgetful", Forgetful)
    monkeypatch.setitem(METHODS, "remembering", Remembering)
    train(tmp_path, method="remembering", loss="ce")
    with pytest.raises(
        UserError, match=r"Forgetful.mean would be lost when a run is resumed: return it from method_st"
    ):
        train(tmp_path, method="forgetful", loss="ce")


class Counting(torch.nn.Module):
    """Its weight of a step depends on how many there were."""

    needs_target_logits = False

    def __init__(self):
        super().__init__()
        self.steps = 0

    def forward(self, logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels) / (1 + self.steps)

    def update(self, target_logits=None):
        self.steps += 1


class CountingWhereItIsSaved(Counting):
    def get_extra_state(self):
        return self.steps

    def set_extra_state(self, state):
        self.steps = state


class Averaging(torch.nn.Module):
    """A running mean, and no update() that would tell of it."""

    def __init__(self, persistent=True):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()), persistent=persistent)

    def forward(self, logits, labels):
        loss = torch.nn.functional.cross_entropy(logits, labels)
        self.mean = self.mean.lerp(loss.detach(), 0.1)
        return loss


class CountingMethod(SourceOnly):
    steps = 0

    def training_step(self, *args, **kwargs):
        self.steps += 1
        return super().training_step(*args, **kwargs)


def test_state_that_no_checkpoint_would_hold_is_found_when_it_changes(monkeypatch, tmp_path):
    for name, loss in (
        ("Counting.steps", Counting),
        ("Averaging.mean", Averaging),
        ("Averaging.mean", lambda: Averaging(persistent=False)),
    ):
        monkeypatch.setitem(LOSSES, "mine", LossSpec("x", lambda inputs, make=loss: make()))
        with pytest.raises(UserError, match=f"{name} changes in training and would be lost when a run is resumed"):
            train(tmp_path / name, method="source_only", loss="mine")
    monkeypatch.setitem(LOSSES, "mine", LossSpec("x", lambda inputs: CountingWhereItIsSaved()))
    train(tmp_path, method="source_only", loss="mine")
    monkeypatch.setitem(METHODS, "mine", CountingMethod)
    with pytest.raises(UserError, match=r"CountingMethod.steps changes in training"):
        train(tmp_path, method="mine", loss="ce")


class Talkative(torch.nn.Module):
    def forward(self, logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels)

    def describe(self):
        return {"tensor": torch.ones(2)}


def test_what_a_loss_says_of_itself_has_to_be_plain(monkeypatch, tmp_path):
    monkeypatch.setitem(LOSSES, "talkative", LossSpec("x", lambda inputs: Talkative()))
    with pytest.raises(UserError, match=r"Talkative.describe\(\): must be plain finite values"):
        train(tmp_path, method="source_only", loss="talkative")


@pytest.mark.parametrize(
    ("name", "default", "words"),
    [
        ("a", option(-1.0, "too low", at_least=0), "method odd: the default a=-1.0: must be"),
        ("a", option("q", "no number"), "method odd: the default a=q: must be a number"),
        ("a", 1.0, "method odd: its option 'a' must be made with option"),
        ("loss", option(1.0, "taken"), "method odd: its option 'loss' has a name that is taken"),
        ("name", option(1.0, "taken"), "method odd: its option 'name' has a name that is taken"),
    ],
)
def test_options_that_can_t_be(name, default, words, monkeypatch):
    body = {"__annotations__": {name: float}, name: default}
    options = dataclass(frozen=True)(type("Options", (SourceOnly.Options,), body))
    monkeypatch.setitem(METHODS, "odd", type("Odd", (SourceOnly,), {"Options": options}))
    with pytest.raises(UserError, match=words):
        resolve(Settings.of(method="odd"))
