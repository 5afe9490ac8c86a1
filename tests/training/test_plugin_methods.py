"""Methods and losses of others: what can't be resumed or recorded is refused before it costs anything."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from made import random_faces
from pytorch_adapt.hooks import EntropyReducer

from pa_difc import LOSSES, METHODS, PenaltyMethod, SourceOnly, option
from pa_difc.data import Domain
from pa_difc.losses import LossSpec, make_loss
from pa_difc.training.build import make_adapter, make_loader
from pa_difc.training.engine import fit
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import DivergedError, UserError

PAIR = Domain("s", random_faces(28, 0), random_faces(14, 1)), Domain("t", random_faces(35, 2), random_faces(7, 3))


def train(out, **values):
    settings = Settings.of(**{"crop_px": 32, "epochs": 1, "batch_size": 8, **values})
    return run_cell(resolve(settings), *PAIR, out, progress=False)


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


class Counter(torch.nn.Module):
    """Counts where no checkpoint sees it."""

    def __init__(self, counts):
        super().__init__()
        self.calls, self.counts = 0 if counts else 7, counts

    def forward(self):
        self.calls += self.counts


class TwoCounters(SourceOnly):
    """One of them stands still."""

    counting = (True, False)

    def method_state(self):
        self.counters = [Counter(counts) for counts in self.counting]
        return {"first": self.counters[0], "second": self.counters[1]}

    def training_step(self, batch, **kwargs):
        for counter in self.counters:
            counter()
        return super().training_step(batch, **kwargs)


@pytest.mark.parametrize("counting", [(True, False), (False, True), (False, False)])
def test_of_two_modules_of_a_kind_each_is_compared_with_itself(counting, monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "two", type("Two", (TwoCounters,), {"counting": counting}))
    if not any(counting):
        train(tmp_path, method="two", loss="ce")
        return
    with pytest.raises(UserError, match=r"Counter\.calls changes in training and would be lost"):
        train(tmp_path, method="two", loss="ce")


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
        said = f"^{name} changes in training and would be lost when a run is resumed: make it a persistent buffer of a "
        with pytest.raises(UserError, match=said):
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


class Ticking(torch.nn.Module):
    """Counts the epochs that it is told of."""

    needs_target_logits = False
    steps_per_epoch = None

    def __init__(self):
        super().__init__()
        self.register_buffer("epoch", torch.tensor(0))

    def set_steps_per_epoch(self, steps):
        pass

    def end_epoch(self):
        self.epoch = self.epoch + 1

    def forward(self, logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels) / 2 ** int(self.epoch)

    def update(self, target_logits=None):
        pass

    def describe(self):
        return {"epoch": int(self.epoch)}


@pytest.mark.parametrize("pair", [PAIR, (PAIR[0], Domain("few", random_faces(9, 4), random_faces(7, 5)))])
def test_a_loss_is_told_of_every_epoch_also_after_a_kill(pair, monkeypatch, tmp_path):
    """Whichever domain is the longer one: the batches themselves would not show it."""
    monkeypatch.setitem(LOSSES, "ticking", LossSpec("counts epochs", lambda inputs: Ticking()))
    cfg = resolve(Settings.of(crop_px=32, epochs=4, batch_size=8, method="dann", loss="ticking"))

    def trained(folder, epochs=4):
        loader = make_loader(cfg, *pair)
        adapter = make_adapter(cfg, pair[0], len(loader))
        return fit(adapter, loader, epochs=epochs, folder=folder, key="k", progress=False)

    straight = trained(None)
    trained(tmp_path, epochs=2)
    resumed = trained(tmp_path)
    assert [h["state"]["epoch"] for h in straight] == [0, 1, 2, 3]
    assert [(h["state"], h["losses"]) for h in straight] == [(h["state"], h["losses"]) for h in resumed]


def closing_over(steps):
    def loss(logits, labels):
        nonlocal steps
        steps += 1
        return torch.nn.functional.cross_entropy(logits, labels) / steps

    return loss


class Object:
    """Counts in an attribute of no module."""

    def __init__(self):
        self.calls = 0

    def __call__(self, logits, labels):
        self.calls += 1
        return torch.nn.functional.cross_entropy(logits, labels) / self.calls


class WithNumPy(torch.nn.Module):
    """Counts in an array."""

    needs_target_logits = False

    def __init__(self):
        super().__init__()
        self.counts = np.zeros(2)

    def forward(self, logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels) / (1 + self.counts[0])

    def update(self, target_logits=None):
        self.counts[0] += 1


@pytest.mark.parametrize(
    ("make", "name"),
    [(lambda i: closing_over(0), "steps"), (lambda i: Object(), "calls"), (lambda i: WithNumPy(), "counts")],
)
def test_state_of_any_kind_is_found_when_it_changes(make, name, monkeypatch, tmp_path):
    monkeypatch.setitem(LOSSES, "counting", LossSpec("counts", make))
    with pytest.raises(UserError, match=rf"\.{name} changes in training and would be lost when a run is resumed"):
        train(tmp_path, method="source_only", loss="counting")


class Lazy(SourceOnly):
    """Learns the shape of its state in the first step, as the page on methods of one's own has it."""

    def method_state(self):
        self.running = torch.nn.LazyBatchNorm1d(affine=False)
        return {"running": self.running}

    def training_step(self, batch, **kwargs):
        self.running(self.models["G"](batch["src_imgs"]).detach())
        return super().training_step(batch, **kwargs)


def test_a_lazy_module_is_no_state_that_is_lost(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "lazy", Lazy)
    train(tmp_path, method="lazy", loss="ce")


class Kept(torch.nn.Module):
    """State in a buffer that the first step replaces by another."""

    def __init__(self, first):
        super().__init__()
        self.register_buffer("cov", first)


class Covariances(SourceOnly):
    first = staticmethod(lambda d: torch.zeros(0, 0))
    later = staticmethod(lambda cov: cov)

    def method_state(self):
        self.kept = Kept(self.first(next(self.models["C"].parameters()).shape[1]))
        return {"kept": self.kept}

    def training_step(self, batch, **kwargs):
        self.kept.cov = self.later(torch.cov(self.models["G"](batch["src_imgs"]).detach().T))
        return super().training_step(batch, **kwargs)


@pytest.mark.parametrize(
    ("first", "later", "words"),
    [
        (
            lambda d: torch.zeros(0, 0),
            None,
            r"misc.kept.cov changes from float32 of shape \(0, 0\) to float32 of .*128\)",
        ),
        (lambda d: None, None, r"misc.kept.cov changes from nothing to float32 of shape \(128, 128\) in training"),
        (lambda d: torch.zeros(d, d), lambda cov: None, r"from float32 of shape \(128, 128\) to nothing in training"),
        (lambda d: torch.zeros(d, d, dtype=torch.long), None, "changes from int64 of shape .* to float32 of shape"),
        (lambda d: torch.zeros(d, d), None, None),
    ],
)
def test_state_whose_shape_changes_could_not_be_loaded(first, later, words, monkeypatch, tmp_path):
    body = {"first": staticmethod(first), **({"later": staticmethod(later)} if later else {})}
    monkeypatch.setitem(METHODS, "cov", type("Cov", (Covariances,), body))
    if words is None:
        train(tmp_path, method="cov", loss="ce")
        return
    with pytest.raises(UserError, match=words) as error:
        train(tmp_path, method="cov", loss="ce")
    assert "killed run could not be resumed" in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.glob("runs/*/checkpoint.pt"))


class Resizing(Kept):
    """Takes the shape of what it loads, so a changed shape is no loss."""

    def _load_from_state_dict(self, state_dict, prefix, *args):
        self.cov = state_dict[f"{prefix}cov"].clone()


class Resized(Covariances):
    def method_state(self):
        self.kept = Resizing(torch.zeros(0, 0))
        return {"kept": self.kept}


def resumed(method, folder, epochs, monkeypatch):
    monkeypatch.setitem(METHODS, "cov", method)
    cfg = resolve(Settings.of(crop_px=32, epochs=4, batch_size=8, method="cov", loss="ce"))
    loader = make_loader(cfg, *PAIR)
    adapter = make_adapter(cfg, PAIR[0], len(loader))
    history = fit(adapter, loader, epochs=epochs, folder=folder, key="k", progress=False)
    return [h["losses"] for h in history], adapter.misc.state_dict().get("kept")


@pytest.mark.parametrize("method", [Resized, Lazy])
def test_a_module_that_loads_any_shape_is_resumed(method, monkeypatch, tmp_path):
    resumed(method, tmp_path, 1, monkeypatch)
    assert resumed(method, tmp_path, 2, monkeypatch)[0] == resumed(method, None, 2, monkeypatch)[0]


def test_a_checkpoint_of_another_form_names_the_entry(monkeypatch, tmp_path):
    square = type("Square", (Covariances,), {"first": staticmethod(lambda d: torch.zeros(d, d))})
    resumed(square, tmp_path, 1, monkeypatch)
    said = (
        r"checkpoint.pt has misc\.kept\.cov of shape \(128, 128\), and the method has it of shape \(0, 0\); remove it"
    )
    with pytest.raises(UserError, match=said):
        resumed(Covariances, tmp_path, 2, monkeypatch)
    with pytest.raises(UserError, match=r"has misc\.kept\.cov of shape \(128, 128\), which the method does not have"):
        resumed(type("None", (Covariances,), {"first": staticmethod(lambda d: None)}), tmp_path, 2, monkeypatch)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=False)
    del state["misc"]["kept"]["cov"]
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match=r"checkpoint.pt lacks misc\.kept\.cov of shape \(128, 128\); remove it"):
        resumed(square, tmp_path, 2, monkeypatch)


class Poisoned(SourceOnly):
    """Its weights are NaN from a step on, so that all logits are."""

    def training_step(self, batch, **kwargs):
        if self.loss.step == self.at:
            torch.nn.init.constant_(next(self.models["C"].parameters()), float("nan"))
        return super().training_step(batch, **kwargs)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (0, r" at step 1 of epoch 1\. It is not finite from the start, .*: check the loss and the data$"),
        (1, r" at step 2 of epoch 1\. Lower --set lr \(now 0\.02\)$"),
        (5, r" at step 1 of epoch 2; the checkpoint of epoch 1 is kept\. Lower --set lr \(now .*\)$"),
    ],
)
@pytest.mark.parametrize(
    ("loss", "what"),
    [
        ({}, "target_logits must be finite, not NaN or infinite in .* rows"),
        ({"epsilon": 0.0}, "total_loss/total is nan"),
        ({"confusion_from": "evaluation"}, "total_loss/total is nan"),
    ],
)
def test_logits_that_are_not_finite_end_a_run_with_its_step_and_advice(at, said, loss, what, monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "poisoned", type("Of", (Poisoned,), {"at": at}))
    options = {f"loss.{name}": value for name, value in loss.items()}
    with pytest.raises(DivergedError, match=f"^poisoned · difc: {what}{said}"):
        train(tmp_path, method="poisoned", loss="difc", epochs=3, confusion_epoch=1, **options)


class PoisonedLast(SourceOnly):
    """Its weights are NaN after each epoch."""

    def end_epoch(self):
        torch.nn.init.constant_(next(self.models["C"].parameters()), float("nan"))


def test_an_evaluation_that_is_not_finite_ends_a_run_likewise(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "poisoned", PoisonedLast)
    said = "^poisoned · difc: probs must be finite, .* at step 1 of epoch 2; the checkpoint of epoch 1 is kept. Lower"
    options = {"epochs": 3, "confusion_epoch": 1, "loss.confusion_from": "evaluation"}
    with pytest.raises(DivergedError, match=said):
        train(tmp_path, method="poisoned", loss="difc", **options)


CE = torch.nn.functional.cross_entropy


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda z, y: CE(z.detach(), y), "^the loss has no gradient, so nothing learns from it: .* without detach"),
        (lambda z, y: CE(z, y, reduction="none"), r"^the loss returns a tensor of shape \(8,\): must return a scalar"),
        (lambda z, y: CE(z, y).item(), "^the loss returns a float: must return a tensor, a scalar$"),
        (lambda z, y: CE(z, y), None),
    ],
)
@pytest.mark.parametrize("method", ["source_only", "safn", "mcd"])
def test_a_loss_that_is_no_scalar_with_a_gradient(method, loss, said, monkeypatch, tmp_path):
    monkeypatch.setitem(LOSSES, "mine", LossSpec("x", lambda inputs: loss))
    if said is None:
        train(tmp_path, method=method, loss="mine")
        return
    with pytest.raises(UserError, match=said):
        train(tmp_path, method=method, loss="mine")


@pytest.mark.parametrize(
    ("penalty", "said"),
    [
        (lambda f: f.square().mean(1), r"^Squares.penalty\(\) returns a tensor of shape \(8,\): must return a sca"),
        (lambda f: 0.3, r"^Squares.penalty\(\) returns a float: must return a tensor, a scalar$"),
        (
            lambda f: f.detach().square().mean(),
            r"^Squares.penalty\(\) has no gradient, so nothing learns from it: comp",
        ),
        (lambda f: torch.zeros(()), None),  # one that begins later
        (lambda f: f.square().mean(), None),
    ],
)
def test_a_penalty_that_is_no_scalar(penalty, said, monkeypatch, tmp_path):
    body = {"loss_name": "square_loss", "penalty": lambda self, step: penalty(step.src_features)}
    monkeypatch.setitem(METHODS, "squares", type("Squares", (PenaltyMethod,), body))
    if said is None:
        train(tmp_path, method="squares", loss="ce")
        return
    with pytest.raises(UserError, match=said):
        train(tmp_path, method="squares", loss="ce")


class Conditioned(SourceOnly):
    """Weighs its samples' losses by their certainty, with a reducer of the host's."""

    def init_hook(self, hook_kwargs):
        super().init_hook({"reducer": EntropyReducer(apply_to=["src_c_loss"], domains=["src"])})


def test_samples_losses_may_go_to_a_reducer(monkeypatch, tmp_path):
    monkeypatch.setitem(LOSSES, "mine", LossSpec("x", lambda inputs: lambda z, y: CE(z, y, reduction="none")))
    monkeypatch.setitem(METHODS, "conditioned", Conditioned)
    train(tmp_path, method="conditioned", loss="mine")


def part_of_a_loss(**parts):
    """A loss with these attributes beside ``forward``."""

    def forward(self, logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels)

    return type("Partial", (torch.nn.Module,), {"forward": forward, **parts})()


def method(self, *args):
    """Any method."""


@pytest.mark.parametrize(
    ("parts", "lacking"),
    [
        ({"update": method}, "has update() but no needs_target_logits"),
        ({"needs_target_logits": True}, "has needs_target_logits but no update()"),
        ({"update": "weekly", "needs_target_logits": True}, "has needs_target_logits but no update()"),
        ({"end_epoch": method}, "has end_epoch() but no set_steps_per_epoch() and steps_per_epoch"),
        ({"end_epoch": method, "steps_per_epoch": 3}, "but no set_steps_per_epoch()"),
        ({"update_from_evaluation": method}, "has update_from_evaluation() but no needs_evaluation"),
    ],
)
def test_a_loss_with_a_part_of_a_protocol_is_refused_when_it_is_made(parts, lacking, tmp_path, monkeypatch):
    monkeypatch.setitem(LOSSES._loaded, "partial", LossSpec("partial", lambda inputs: part_of_a_loss(**parts)))
    for made in (lambda: make_loss("partial"), lambda: train(tmp_path, method="dann", loss="partial")):
        with pytest.raises(UserError, match=f"loss 'partial' .*{re.escape(lacking)}"):
            made()
    with pytest.raises(UserError, match=f"loss 'Partial' .*{re.escape(lacking)}"):
        make_loss(part_of_a_loss(**parts))


def test_a_loss_may_know_its_steps_per_epoch_for_itself():
    loss = part_of_a_loss(steps_per_epoch=3)
    assert make_loss(loss) is loss
