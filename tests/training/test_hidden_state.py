"""State of a plugin that no checkpoint holds is refused wherever it is; what stands still, or is held, is not."""

import itertools
import random
from dataclasses import dataclass, field
from functools import cache, partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made import random_faces
from pytorch_adapt.adapters import Classifier
from pytorch_adapt.adapters.utils import with_opt
from pytorch_adapt.hooks import ClassifierHook
from pytorch_adapt.hooks.base import BaseHook
from pytorch_adapt.weighters import SumWeighter
from torch.nn import functional as F

from pa_difc import BACKBONES, LOSSES, METHODS, LossSlot, SourceOnly
from pa_difc.backbones import BackboneSpec
from pa_difc.data import Domain
from pa_difc.losses import LossSpec
from pa_difc.methods.composition import joined
from pa_difc.training.build import make_adapter, make_loader
from pa_difc.training.engine import fit
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

PAIR = Domain("s", random_faces(28, 0), random_faces(14, 1)), Domain("t", random_faces(35, 2), random_faces(7, 3))


def train(out, **values):
    settings = Settings.of(**{"crop_px": 32, "epochs": 1, "batch_size": 8, "method": "source_only", **values})
    return run_cell(resolve(settings), *PAIR, out, progress=False)


@dataclass(repr=False)
class Bank:
    """A helper that is no module."""

    rows: list = field(default_factory=list)
    seen: int = 0


class Slotted:
    __slots__ = ("count",)

    def __init__(self):
        self.count = 0


class Scale(torch.nn.Module):
    """A module whose running value is a plain attribute."""

    def __init__(self):
        super().__init__()
        self.value = torch.ones(())


class Helped(SourceOnly):
    """Changes something of its helper at each step."""

    make = staticmethod(Bank)
    change = staticmethod(lambda helper: None)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.helper = self.make()
        self.me = [self]  # a circle

    def training_step(self, batch, **kwargs):
        self.change(self.helper)
        return super().training_step(batch, **kwargs)


def append(bank):
    bank.rows.append(torch.zeros(2))


def replace_item(values):
    values[0].rows[:] = [values[0].rows]


def count(helper, name="seen"):
    setattr(helper, name, getattr(helper, name) + 1)


@pytest.mark.parametrize(
    ("make", "change", "name"),
    [
        (Bank, append, "Bank.rows"),
        (Bank, count, "Bank.seen"),
        (lambda: {"a": [Bank()]}, lambda held: count(held["a"][0]), "Bank.seen"),
        (lambda: (Bank(rows=[[]]),), replace_item, "Bank.rows"),
        (lambda: SimpleNamespace(seen=0), count, "SimpleNamespace.seen"),
        (lambda: partial(print, Bank()), lambda held: count(held.args[0]), "Bank.seen"),
        (Slotted, partial(count, name="count"), "Slotted.count"),
        (Scale, lambda scale: setattr(scale, "value", scale.value / 2), "Scale.value"),
        (lambda: itertools.count(3), next, "Of.helper"),
        (lambda: np.random.default_rng(3), lambda rng: rng.random(), "Of.helper"),
        (lambda: np.random.RandomState(3), lambda rng: rng.rand(), "Of.helper"),
        (lambda: random.Random(3), lambda rng: rng.random(), "Of.helper"),
        (lambda: torch.Generator().manual_seed(3), lambda rng: torch.rand(1, generator=rng), "Of.helper"),
        (Bank, lambda bank: None, None),
        (lambda: Bank(rows=[torch.ones(5_000_000), Bank(), np.arange(3)]), lambda bank: None, None),
        (lambda: torch.rand(3_000_000), lambda big: big.mul_(2), "Of.helper"),
    ],
)
def test_a_helper_of_the_method(make, change, name, monkeypatch, tmp_path):
    body = {"make": staticmethod(make), "change": staticmethod(change)}
    monkeypatch.setitem(METHODS, "helped", type("Of", (Helped,), body))
    if name is None:
        train(tmp_path, method="helped", loss="ce")
        return
    with pytest.raises(UserError, match=rf"^{name} changes in training and would be lost when a run is resumed: make"):
        train(tmp_path, method="helped", loss="ce")


class Warming(BaseHook):
    """Its weight grows with its steps."""

    def __init__(self):
        super().__init__()
        self.steps = 0

    def call(self, inputs, losses):
        self.steps += 1
        return {}, {"warm_loss": inputs["src_imgs_features"].square().mean() * self.steps}

    def _loss_keys(self):
        return ["warm_loss"]

    def _out_keys(self):
        return []


class Hooked(LossSlot, Classifier):
    """As the page on methods of one's own has it."""

    about = "a hook of its own"

    def init_hook(self, hook_kwargs):
        own = {"weighter": SumWeighter(), "post": [Warming()]}
        self.hook = ClassifierHook(opts=with_opt(list(self.optimizers)), **joined(ClassifierHook, own, hook_kwargs))


def test_an_attribute_of_a_hook(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "hooked", Hooked)
    with pytest.raises(UserError, match=r"^Warming\.steps changes in training and would be lost"):
        train(tmp_path, method="hooked", loss="ce")


class Tally:
    total = 0
    rows: list = []  # noqa: RUF012


def of_class(logits, labels, tally=Tally):
    tally.total += 1
    return F.cross_entropy(logits, labels)


class WithDefault(torch.nn.Module):
    def forward(self, logits, labels, memory=[]):  # noqa: B006
        memory.append(float(logits.mean()))
        return F.cross_entropy(logits, labels) + sum(memory)


class WithHelper(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bank = Bank()

    def forward(self, logits, labels):
        self.bank.seen += 1
        return F.cross_entropy(logits, labels) / self.bank.seen


def with_default(logits, labels, *, memory={"n": 0}):  # noqa: B006
    memory["n"] += 1
    return F.cross_entropy(logits, labels) / memory["n"]


LOG = []
NUMBER = 0


def of_module(logits, labels):
    LOG.append(1)
    return F.cross_entropy(logits, labels) / len(LOG)


def of_number(logits, labels):
    global NUMBER
    NUMBER += 1
    return F.cross_entropy(logits, labels) / NUMBER


def with_attribute(logits, labels):
    with_attribute.calls = getattr(with_attribute, "calls", 0) + 1
    return F.cross_entropy(logits, labels) / with_attribute.calls


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda inputs: of_class, r"Tally\.total"),
        (lambda inputs: WithDefault(), r"a default argument of WithDefault.forward\(\)"),
        (lambda inputs: with_default, r"a default argument of with_default\(\)"),
        (lambda inputs: WithHelper(), r"Bank\.seen"),
        (lambda inputs: of_module, r"the global LOG of test_hidden_state\.py"),
        (lambda inputs: of_number, r"the global NUMBER of test_hidden_state\.py"),
        (lambda inputs: with_attribute, r"with_attribute\.calls"),
        (lambda inputs: partial(of_module), r"the global LOG of test_hidden_state\.py"),
    ],
)
def test_state_of_a_loss(make, name, monkeypatch, tmp_path):
    monkeypatch.setitem(LOSSES, "mine", LossSpec("x", make))
    with pytest.raises(UserError, match=rf"^{name} changes in training and would be lost when a run is resumed: make"):
        train(tmp_path, loss="mine")


class Growing(torch.nn.Module):
    """Its features shrink from batch to batch."""

    def __init__(self, feature_head, landmark_branch):
        super().__init__()
        self.num_features, self.calls = 3, 0
        self.scale = torch.nn.Parameter(torch.ones(3))

    def forward(self, face):
        self.calls += self.training
        return self.scale * face.image.mean((2, 3)) / (1 + self.calls)


def test_an_attribute_of_a_backbone(monkeypatch, tmp_path):
    monkeypatch.setitem(BACKBONES, "growing", BackboneSpec(Growing, 32, 0.02, "x", feature_head="global_only"))
    with pytest.raises(UserError, match=r"^Growing\.calls changes in training and would be lost"):
        train(tmp_path, loss="ce", backbone="growing")


MADE = []


class Leaking(SourceOnly):
    """Starts from what the last one has left."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        MADE.append(0)
        self.weight_now = len(MADE)


class Numbered(SourceOnly):
    made = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        type(self).made += 1


class Constant(SourceOnly):
    """Computes something once."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.table = table_of(4)


@cache
def table_of(size):
    return torch.eye(size)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (Leaking, r"the global MADE of test_hidden_state\.py"),
        (type("Joined", (Leaking,), {}), r"the global MADE of test_hidden_state\.py"),
        (Numbered, r"Numbered\.made"),
        (Constant, None),
    ],
)
def test_what_the_next_run_of_the_process_would_start_from(method, name, monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "leaking", method)
    for seed in (0, 1) if name is None else ():
        train(tmp_path, method="leaking", loss="ce", seed=seed)
    if name is not None:
        with pytest.raises(
            UserError, match=f"^{name} changes when a run is made, so that the next run of the same process"
        ):
            train(tmp_path, method="leaking", loss="ce")
    assert len(list(tmp_path.glob("runs/*/record.json"))) == (2 if name is None else 0)


HISTORY = []


def test_what_the_callers_function_changes_is_no_state_of_the_method(monkeypatch):
    monkeypatch.setitem(METHODS, "constant", Constant)
    config = resolve(Settings.of(crop_px=32, epochs=3, batch_size=8, method="constant", loss="ce"))
    loader = make_loader(config, *PAIR)
    adapter = make_adapter(config, PAIR[0], len(loader))
    fit(adapter, loader, epochs=3, progress=False, after_epoch=lambda history: HISTORY.append(len(history)))
    assert HISTORY == [1, 2, 3]
