"""An adapter trains with the loss that it was made with, or says that it would not."""

import pytest
from pytorch_adapt.hooks import ChainHook, ClassifierHook
from toys import COUNTS, difc, loaders, models, ours, schedule, step, theirs, weights

from pa_difc import DANN, MCD, Schedule, attach
from pa_difc.util.errors import UserError


def first_batch():
    return next(iter(loaders()["train"]))


@pytest.mark.parametrize("loss", ["ce", None])
@pytest.mark.parametrize("method", ["dann", "mcd"])
def test_another_loss_or_hook_is_refused(method, loss):
    adapter = ours(method, loss=loss or difc())
    with pytest.raises(UserError, match=r"^the loss of an adapter is fixed: make a new \w+ with loss=$"):
        adapter.loss = difc()
    with pytest.raises(UserError, match=r"^the new hook doesn't call the adapter's loss"):
        adapter.hook = ClassifierHook(opts=[])
    adapter.hook = ChainHook(adapter.hook)  # the loss is still in it
    adapter.loss = adapter.loss
    step(adapter, first_batch())


@pytest.mark.parametrize("make", [lambda: ours("dann"), lambda: ours("dann", loss="ce"), lambda: theirs("DANN")])
def test_another_loss_in_misc_is_refused_before_weights_change(make):
    adapter = make()
    adapter.misc["difc"] = difc()
    before = weights(adapter)
    with pytest.raises(UserError, match=r'misc\["difc"\] is not the loss'):
        step(adapter, first_batch())
    assert weights(adapter).equal(before)


@pytest.mark.parametrize("given", [{"class_counts": COUNTS}, {"schedule": Schedule(2)}])
@pytest.mark.parametrize("cls", [DANN, MCD])
def test_counts_or_a_schedule_without_a_loss_are_refused(cls, given):
    with pytest.raises(UserError, match=r"belong to a loss, and none is given: such as loss='difc'$"):
        cls(models(cls.__name__.lower()), **given)
    cls(models(cls.__name__.lower()), loss="ce", **given)  # asked for


def test_attaching_in_the_middle_keeps_the_weights_and_counts_from_zero():
    adapter = theirs("DANN", loss="ce")
    for seed in range(3):
        step(adapter, first_batch(), seed)
    before = weights(adapter)
    attach(adapter, "difc", class_counts=COUNTS, schedule=schedule())
    assert weights(adapter).equal(before) and adapter.loss.step == 0
    step(adapter, first_batch())
    assert adapter.loss.step == 1
