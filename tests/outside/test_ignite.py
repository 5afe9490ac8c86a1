"""The host's Ignite wrapper around methods of ours and around its own adapters with DIFC attached."""

import warnings

import numpy as np
import pytest
import torch
from ignite.engine import Events
from pytorch_adapt.containers import LRSchedulers
from pytorch_adapt.datasets import DataloaderCreator
from pytorch_adapt.frameworks.ignite import Ignite, IgniteValHookWrapper
from pytorch_adapt.utils.common_functions import get_lr
from pytorch_adapt.validators import (
    AccuracyValidator,
    EntropyValidator,
    IMValidator,
    MultipleValidators,
    ScoreHistories,
    ScoreHistory,
    SNDValidator,
)
from toys import BATCH, COUNTS, STEPS, TARGET, datasets, difc, loaders, ours, schedule, sgd, theirs

from pa_difc import DIFCLoss, attach

ADAPTERS = {
    **{method: lambda method=method: ours(method) for method in ("source_only", "dann", "mcd", "safn", "agra", "cdan")},
    **{f"host's {name}": lambda name=name: theirs(name) for name in ("DANN", "MCD", "CDAN", "VADA", "GAN")},
    "attached to ours": lambda: attach(ours("swd", loss="ce"), difc()),
}


def creator():
    return DataloaderCreator(batch_size=BATCH)


def by_epoch(ignite):
    """What the loss says after each epoch; filled while the wrapper runs."""
    found = []
    handler = lambda engine: found.append((engine.state.epoch, ignite.adapter.loss.describe()))  # noqa: E731
    ignite.trainer.add_event_handler(Events.EPOCH_COMPLETED, handler)
    return found


@pytest.mark.parametrize("name", ADAPTERS)
def test_phases_follow_the_wrapper_s_epochs(name):
    made = ADAPTERS[name]()
    ignite = Ignite(made, validator=ScoreHistory(IMValidator()), with_pbars=False)
    states = by_epoch(ignite)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # nothing to warn of: the schedule fits
        best, epoch = ignite.run(datasets(), dataloader_creator=creator(), max_epochs=4)
    assert [(state["phase"], state["reweighted"]) for _, state in states] == [("di", True), *[("difc", True)] * 3]
    assert made.loss.step == 4 * STEPS
    base = made.loss.base_margins
    assert np.allclose(states[0][1]["margins"], base) and (made.loss.margins > base).all()
    assert best == max(ignite.validator.score_history) and epoch in (1, 2, 3, 4)


@pytest.mark.parametrize("name", ["dann", "mcd", "host's CDAN"])
def test_a_schedule_without_a_length_is_told_it(name):
    loss = DIFCLoss(COUNTS, schedule(steps_per_epoch=None), epsilon=0.5)
    made = theirs(name.removeprefix("host's "), loss) if name.startswith("host") else ours(name, loss=loss)
    ignite = Ignite(made, with_pbars=False)
    states, known = by_epoch(ignite), []
    ignite.trainer.add_event_handler(Events.EPOCH_STARTED, lambda _: known.append(loss.schedule.steps_per_epoch))
    ignite.run(datasets(), dataloader_creator=creator(), max_epochs=3)
    assert known == [STEPS] * 3  # from the first step on, and not learnt at its end
    assert [state["phase"] for _, state in states] == ["di", "difc", "difc"]


def test_epoch_length_of_the_run_goes_before_that_of_the_loader():
    loss = DIFCLoss(COUNTS, schedule(steps_per_epoch=None), epsilon=0.5)
    ignite = Ignite(ours("dann", loss=loss), with_pbars=False)
    states = by_epoch(ignite)
    ignite.run(datasets(), dataloader_creator=creator(), max_epochs=3, epoch_length=3)
    assert loss.schedule.steps_per_epoch == 3 and [state["phase"] for _, state in states] == ["di", "difc", "difc"]


@pytest.mark.parametrize("steps_per_epoch", [None, 3])
def test_an_epoch_length_that_the_loader_has_not_is_nothing_to_warn_of(steps_per_epoch):
    loss = DIFCLoss(COUNTS, schedule(steps_per_epoch=steps_per_epoch), epsilon=0.5)
    ignite = Ignite(ours("dann", loss=loss), with_pbars=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        ignite.run(datasets(), dataloader_creator=creator(), max_epochs=3, epoch_length=3)


def test_a_schedule_of_another_length_is_warned_of_once():
    ignite = Ignite(ours("dann", loss=DIFCLoss(COUNTS, schedule(steps_per_epoch=384))), with_pbars=False)
    with pytest.warns(UserWarning) as warned:
        ignite.run(datasets(), dataloader_creator=creator(), max_epochs=3)
    assert len([w for w in warned if "384" in str(w.message)]) == 1


@pytest.mark.parametrize("method", ["source_only", "mcd"])
def test_loaders_instead_of_datasets_and_epochs_of_chosen_length(method):
    made = ours(method, loss=DIFCLoss(COUNTS, schedule(steps_per_epoch=3), epsilon=0.5))
    ignite = Ignite(made, with_pbars=False)
    assert ignite.run(dataloaders=loaders(), max_epochs=3, epoch_length=3) == (None, None)
    assert made.loss.step == 9 and made.loss.phase.value == "difc"


class Note:
    """A validation hook as users write them: any callable that says which splits it wants."""

    def __init__(self, *required_data):
        self.required_data, self.seen = list(required_data), []

    def __call__(self, epoch, **splits):
        self.seen.append((epoch, {split: len(values["preds"]) for split, values in splits.items()}))


@pytest.mark.parametrize("method", ["dann", "mcd", "agra"])
def test_several_validators_and_hooks(method):
    both = ScoreHistories(MultipleValidators([AccuracyValidator(key_map={"src_train": "src_val"}), EntropyValidator()]))
    note, wrapped = Note("src_val", "target_val"), IgniteValHookWrapper(ScoreHistory(SNDValidator()))
    ignite = Ignite(ours(method), validator=both, val_hooks=[note, wrapped], with_pbars=False)
    ignite.run(datasets(), dataloader_creator=creator(), max_epochs=4, val_interval=2, check_initial_score=True)
    assert both.epochs.tolist() == wrapped.validator.epochs.tolist() == [0, 2, 4] == [epoch for epoch, _ in note.seen]
    assert all(sizes == {"src_val": sum(COUNTS), "target_val": TARGET} for _, sizes in note.seen)
    assert ignite.adapter.loss.step == 4 * STEPS  # looking at the target to score it writes nothing into the loss


@pytest.mark.parametrize("make", [lambda loss: ours("mcd", loss=loss), lambda loss: theirs("CDAN", loss)])
def test_confusion_from_a_pass_that_a_handler_makes(make):
    """As docs/inside.md has it: of all target samples, with the weights at the start of the epoch."""
    loss = difc(confusion_from="evaluation")
    ignite = Ignite(make(loss), with_pbars=False)
    with pytest.raises(Exception, match="confusion_from='evaluation' needs the target's probabilities first"):
        ignite.run(datasets(), dataloader_creator=creator(), max_epochs=3)
    loss = difc(confusion_from="evaluation")
    ignite, target, seen = Ignite(make(loss), with_pbars=False), loaders()["target_train"], []

    def evaluate(engine):
        if loss.needs_evaluation:
            loss.update_from_evaluation(ignite.get_all_outputs(target, "target_train")["target_train"]["preds"])
            seen.append((engine.state.epoch, int(loss.gap_counts.sum())))
            ignite.adapter.models.train()

    ignite.trainer.add_event_handler(Events.EPOCH_STARTED, evaluate)
    ignite.run(datasets(), dataloader_creator=creator(), max_epochs=4)
    assert seen == [(3, TARGET), (4, TARGET)] and loss.phase.value == "difc"
    assert (loss.margins > loss.base_margins).all()


def test_validation_in_between_changes_no_training():
    ends = []
    for validator in (None, ScoreHistory(IMValidator())):
        made = ours("mcd")
        ignite = Ignite(made, validator=validator, with_pbars=False)
        ignite.trainer.add_event_handler(Events.EPOCH_STARTED, seed)
        ignite.run(datasets(), dataloader_creator=creator(), max_epochs=3)
        ends.append((made.loss.margins, made.loss.confusion))
    assert ends[0][0].equal(ends[1][0]) and ends[0][1].equal(ends[1][1])


def seed(engine):
    """Batches and dropout by the number of the epoch alone."""
    torch.manual_seed(engine.state.epoch)
    np.random.seed(engine.state.epoch)


@pytest.mark.parametrize("method", ["source_only", "dann", "mcd"])
def test_learning_rates_step_by_step_and_by_epoch(method):
    decay = torch.optim.lr_scheduler
    schedulers = LRSchedulers(
        {"G": (decay.ExponentialLR, {"gamma": 0.5}), "C": (decay.StepLR, {"step_size": 2})},
        scheduler_types={"per_step": ["G"], "per_epoch": ["C"]},
    )
    made = ours(method, lr_schedulers=schedulers, optimizers=sgd())
    Ignite(made, with_pbars=False).run(datasets(), dataloader_creator=creator(), max_epochs=3)
    assert get_lr(made.optimizers["G"]) == pytest.approx(0.05 / 2 ** (3 * STEPS))
    assert get_lr(made.optimizers["C"]) == pytest.approx(0.005)


class Logger:
    """The three functions that the wrapper calls."""

    def __init__(self):
        self.losses, self.scores, self.written = [], [], 0

    def add_training(self, adapter):
        return lambda engine: self.losses.append((engine.state.output, adapter.misc["difc"].describe()["phase"]))

    def add_validation(self, data, epoch):
        self.scores.append((epoch, data["validator"].latest_score))

    def write(self, engine):
        self.written += 1


def test_a_logger_and_progress_bars(capfd):
    logger = Logger()
    ignite = Ignite(ours("mcd"), validator=ScoreHistory(IMValidator()), logger=logger, log_freq=1)
    ignite.run(datasets(), dataloader_creator=creator(), max_epochs=3)
    assert [phase for _, phase in logger.losses] == ["di"] * (2 * STEPS - 1) + ["difc"] * (STEPS + 1)
    assert logger.losses[0][0].keys() == {"x_loss", "y_loss", "z_loss"} and [e for e, _ in logger.scores] == [1, 2, 3]
    assert logger.written and "z_loss=" in capfd.readouterr().err


def test_early_stopping():
    class Falling(ScoreHistory):
        def append_to_history_and_normalize(self, score, epoch):
            super().append_to_history_and_normalize(-epoch, epoch)

    made = ours("dann")
    ignite = Ignite(made, validator=Falling(IMValidator()), with_pbars=False)
    ignite.run(datasets(), dataloader_creator=creator(), max_epochs=9, early_stopper_kwargs={"patience": 2})
    assert made.loss.step == 3 * STEPS


def test_all_outputs_of_a_split():
    for make in (lambda: ours("agra"), lambda: ours("mcd"), lambda: theirs("CDAN")):
        ignite = Ignite(make(), with_pbars=False)
        found = ignite.get_all_outputs(loaders()["target_val"], "target_val")["target_val"]
        assert found.keys() == {"features", "logits", "preds", "domain", "sample_idx"}
        assert torch.allclose(found["preds"].sum(1), torch.ones(len(found["preds"])))
