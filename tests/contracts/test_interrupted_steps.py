"""A step counts when it is finished: Ctrl-C or an error in an optimiser's step leaves the loss where it was."""

import warnings

import pytest
import torch
from hosts import ADAPTERS, COUNTS, D, F, K, adapter, batch, difc
from made import TRAINED
from pytorch_adapt.containers import Models, Optimizers

from pa_difc import METHODS, DIFCLoss, Schedule, attach


def ours(method, loss):
    torch.manual_seed(0)
    cls = METHODS[method]
    features = 384 if cls.needs_regions else F
    models = Models({"G": torch.nn.Linear(D, features), **cls.heads(features, K)})
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.05})), loss=loss)
    made.models.train()
    return made


MADE = {f"host's {name}": lambda loss, name=name: attach(adapter(name), loss) for name in ADAPTERS}
MADE |= {name: lambda loss, name=name: ours(name, loss) for name in TRAINED}


def interrupted(made, given, error, name="C"):
    """A training step whose optimiser of this name raises an error before it changes a weight."""

    def fail(*_, **__):
        raise error

    made.optimizers[name].step = fail
    with pytest.raises(type(error)):
        made.training_step(given)
    del made.optimizers[name].step


def state(loss):
    return {
        key: value.tolist() if isinstance(value, torch.Tensor) else value for key, value in loss.state_dict().items()
    }


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("name", MADE)
def test_an_interrupted_step_is_none(name, error):
    made = MADE[name](difc())
    made.training_step(batch(0))
    before = state(made.loss)
    for seed in (1, 2, 3):
        interrupted(made, batch(seed), error)
        assert str(state(made.loss)) == str(before)  # as text: confusion is NaN at first
    made.training_step(batch(4))
    assert made.loss.step == 2


def numbered(step):
    """A batch of the step of an epoch of five, with the numbers of its samples."""
    numbers = 12 * (step % 5) + torch.arange(12)
    return {**batch(step), "src_sample_idx": (7 * numbers) % 60, "target_sample_idx": numbers}


@pytest.mark.parametrize("name", ["dann", "host's DANN"])
@pytest.mark.parametrize("fails_at", range(12))
def test_a_step_that_is_repeated_after_an_interruption_changes_nothing(name, fails_at):
    """The batch's samples are not seen twice, and the end of an epoch is told once."""
    ends = []
    for fails in (None, fails_at):
        made = MADE[name](DIFCLoss(COUNTS, Schedule(confusion_epoch=1, reweight_epoch=1), epsilon=0.5))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for step in range(12):
                if step == fails:
                    interrupted(made, numbered(step), KeyboardInterrupt(), next(iter(made.optimizers)))
                torch.manual_seed(step)  # of dropout
                made.training_step(numbered(step))
        weights = torch.cat([p.detach().flatten() for p in made.models["C"].parameters()])
        ends.append((made.loss.step, made.loss.steps_per_epoch, made.loss.margins.tolist(), weights.tolist()))
    assert ends[0] == ends[1] and ends[0][:2] == (12, 5)
