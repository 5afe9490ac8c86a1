"""Checkpoints of the host's Ignite: DIFC's state is in them, resuming is exact, and what loading has to be allowed."""

import re

import numpy as np
import pytest
import torch
from checkpoints import TYPES, allowed
from ignite.engine import Events
from made import OLD_TORCH, TRUSTING
from pytorch_adapt.containers import LRSchedulers
from pytorch_adapt.datasets import DataloaderCreator
from pytorch_adapt.frameworks.ignite import CheckpointFnCreator, Ignite, IgniteValHookWrapper
from pytorch_adapt.validators import AccuracyValidator, IMValidator, ScoreHistory, SNDValidator
from toys import BATCH, COUNTS, STEPS, datasets, difc, ours, schedule, theirs, weights

from pa_difc import DIFCLoss

ADAPTERS = {
    **{method: lambda method=method, **kw: ours(method, **kw) for method in ("source_only", "mcd", "safn", "star")},
    **{m: lambda m=m, **kw: ours(m, ramp_steps=20, **kw) for m in ("dann", "agra", "cdan")},
    **{f"host's {name}": lambda name=name, **kw: theirs(name, **kw) for name in ("DANN", "MCD", "CDAN", "GAN")},
    # Sums that outlive an epoch.
    "refreshed by the step": lambda **kw: ours("dann", loss=difc(refresh="step"), **kw),
    "of a length that was told": lambda **kw: ours("dann", loss=untold(), **kw),
}
EVERY = list(ADAPTERS)


def untold():
    return DIFCLoss(COUNTS, schedule(steps_per_epoch=None), epsilon=0.5)


def creator():
    return DataloaderCreator(batch_size=BATCH)


def seed(engine):
    """The order of the samples is in no checkpoint: it has to follow from the number of the epoch."""
    torch.manual_seed(engine.state.epoch)
    np.random.seed(engine.state.epoch)


def wrapped(adapter, folder, **kwargs):
    """The adapter in the wrapper, with checkpoints of every epoch."""
    kwargs = {"n_saved": None, "require_empty": False} | kwargs
    ignite = Ignite(
        adapter,
        validator=ScoreHistory(IMValidator()),
        val_hooks=[IgniteValHookWrapper(ScoreHistory(SNDValidator()))],
        checkpoint_fn=CheckpointFnCreator(dirname=folder, **kwargs),
        with_pbars=False,
    )
    ignite.trainer.add_event_handler(Events.EPOCH_STARTED, seed)
    return ignite


def train(ignite, epochs, **kwargs):
    return ignite.run(datasets(), dataloader_creator=creator(), max_epochs=epochs, **kwargs)


def exponential():
    return LRSchedulers((torch.optim.lr_scheduler.ExponentialLR, {"gamma": 0.9}))


@pytest.mark.parametrize("name", EVERY)
def test_a_resumed_run_ends_as_an_undisturbed_one(name, tmp_path):
    """n epochs, the checkpoint, n more: weights, margins, step, ramp, rates and scores are those of 2n at once."""
    straight = wrapped(ADAPTERS[name](lr_schedulers=exponential()), tmp_path / "straight")
    train(straight, 6)
    train(wrapped(ADAPTERS[name](lr_schedulers=exponential()), tmp_path / "cut"), 3)
    resumed = wrapped(ADAPTERS[name](lr_schedulers=exponential()), tmp_path / "cut")
    for parameter in resumed.adapter.models["G"].parameters():  # nothing may come from how it was made
        torch.nn.init.zeros_(parameter)
    with allowed():
        best = train(resumed, 6, resume=3)
    a, b = straight.adapter, resumed.adapter
    assert weights(a).equal(weights(b)) and best == (straight.validator.best_score, straight.validator.best_epoch)
    assert (b.loss.step, b.loss.phase.value) == (6 * STEPS, "difc") and a.loss.margins.equal(b.loss.margins)
    assert a.loss.margins.max() > a.loss.base_margins.max()
    for container in ("models", "optimizers", "lr_schedulers", "misc"):
        assert same(getattr(a, container).state_dict(), getattr(b, container).state_dict()), container
    hooks = [ignite.val_hooks[0].validator.score_history.tolist() for ignite in (straight, resumed)]
    assert hooks[0] == hooks[1] and len(hooks[0]) == 6


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) if isinstance(a, torch.Tensor) else a == b


def test_by_path_as_well_and_a_run_that_is_done_does_not_go_on(tmp_path):
    train(wrapped(ours("mcd"), tmp_path), 3)
    with allowed():
        resumed = wrapped(ours("mcd"), tmp_path)
        train(resumed, 3, resume=str(tmp_path / "checkpoint_3.pt"))
    assert resumed.adapter.loss.step == 3 * STEPS and resumed.validator.epochs.tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["dann", "mcd", "agra", "host's CDAN"])
def test_the_best_model_is_found_again(name, tmp_path):
    ignite = wrapped(ADAPTERS[name](), tmp_path, n_saved=1)
    best, epoch = train(ignite, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"checkpoint_{epoch}.pt", "checkpointer_4.pt"]
    with allowed():
        assert ignite.evaluate_best_model(datasets(), IMValidator(), creator()) == pytest.approx(best, rel=1e-6)
        later = wrapped(ADAPTERS[name](), tmp_path)  # another process, that knows the folder alone
        assert later.evaluate_best_model(datasets(), IMValidator(), creator()) == pytest.approx(best, rel=1e-6)
        assert 0 <= later.evaluate_best_model(datasets(), AccuracyValidator(), creator()) <= 1


def test_a_checkpoint_of_another_schedule_or_other_counts_is_refused(tmp_path):
    train(wrapped(ours("dann"), tmp_path), 2)
    other = wrapped(ours("dann", loss=difc(epsilon=0.1)), tmp_path)
    with allowed(), pytest.raises(ValueError, match=r"made under other settings: epsilon was 0\.5, is 0\.1"):
        train(other, 4, resume=2)
    assert other.adapter.loss.step == 0


def test_a_checkpoint_without_the_loss_is_refused(tmp_path):
    train(wrapped(theirs("DANN", "ce"), tmp_path), 2)
    with allowed(), pytest.raises(KeyError, match="difc"):
        train(wrapped(theirs("DANN"), tmp_path), 4, resume=2)


@TRUSTING
@pytest.mark.parametrize("make", [lambda: theirs("DANN", "ce"), lambda: ours("dann")], ids=["host's", "ours"])
def test_without_allowing_anything_loading_fails_as_the_page_says(make, tmp_path):
    """Of the host's adapter alone as well: it is Ignite that loads with weights_only=True, whatever torch's default."""
    ignite = wrapped(make(), tmp_path)
    train(ignite, 2)
    for load in (
        lambda: ignite.evaluate_best_model(datasets(), IMValidator(), creator()),
        lambda: train(wrapped(make(), tmp_path), 4, resume=2),
    ):
        with pytest.raises(Exception, match=r"Unsupported (global|class)") as error:
            load()
        assert type(error.value).__name__ == "UnpicklingError"
        assert re.search(r"pytorch_adapt\.containers\.\w+\.(Models|Optimizers|Misc|LRSchedulers)", str(error.value))


@TRUSTING
@pytest.mark.parametrize("left_out", range(len(TYPES)), ids=[getattr(t, "__name__", str(t)) for t in TYPES])
def test_nothing_is_allowed_that_loading_does_not_need(left_out, ended):
    with (
        allowed([t for i, t in enumerate(TYPES) if i != left_out]),
        pytest.raises(Exception, match=r"(?i)weights.only"),
    ):
        ended.evaluate_best_model(datasets(), IMValidator(), creator())


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    ignite = wrapped(ours("dann"), tmp_path_factory.mktemp("ended"))
    train(ignite, 2)
    return ignite


@pytest.mark.skipif(OLD_TORCH, reason="torch can't list them yet")
@pytest.mark.parametrize("name", EVERY)
def test_what_a_method_saves_needs_nothing_more(name, tmp_path):
    from torch.serialization import get_unsafe_globals_in_checkpoint

    train(wrapped(ADAPTERS[name](lr_schedulers=exponential()), tmp_path), 1)
    known = {f"{t.__module__}.{t.__qualname__}" for t in TYPES}
    for file in tmp_path.iterdir():
        assert set(get_unsafe_globals_in_checkpoint(file)) <= known


class Payload:
    """What a forged checkpoint would hold: unpickling it calls a function."""

    def __reduce__(self):
        return (print, ("executed",))


@TRUSTING
def test_a_forged_checkpoint_stays_refused(tmp_path, capsys):
    train(wrapped(ours("dann"), tmp_path), 1)
    torch.save({"models": Payload()}, tmp_path / "forged.pt")
    with allowed(), pytest.raises(Exception, match=r"Unsupported global: GLOBAL \S*print was not"):
        train(wrapped(ours("dann"), tmp_path), 4, resume=str(tmp_path / "forged.pt"))
    assert "executed" not in capsys.readouterr().out
