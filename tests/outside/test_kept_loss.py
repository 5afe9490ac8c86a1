"""An adapter trains with the loss that it was made with, or says that it would not."""

import copy
import pickle

import pytest
import torch
from pytorch_adapt import adapters as host
from pytorch_adapt.hooks import ChainHook, ClassifierHook, CLossHook
from pytorch_adapt.weighters import MeanWeighter
from toys import COUNTS, difc, loaders, models, ours, schedule, step, theirs, weights

from pa_difc import DANN, MCD, DIFCLoss, Schedule, attach
from pa_difc.methods.tree import paths
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


ANY = [lambda: ours("dann"), lambda: ours("mcd"), lambda: theirs("DANN"), lambda: theirs("MCD"), lambda: theirs("GAN")]


def calling(adapter):
    """The hooks in which the loss is, each once."""
    hooks = {id(path[-1]): path[-1] for path in paths(adapter.hook)}.values()
    return [hook for hook in hooks if getattr(hook, "loss_fn", None) is adapter.loss]


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("copied", [lambda made: made, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
@pytest.mark.parametrize("make", ANY)
def test_another_loss_in_a_hook_is_refused_in_the_next_step(make, copied, which):
    adapter = copied(make())
    step(adapter, first_batch())
    hook, before = calling(adapter)[which], weights(adapter)
    hook.loss_fn = torch.nn.CrossEntropyLoss()
    said = r"^CLossHook\.loss_fn is not the loss of this \w+, which is fixed: make a new \w+ with another$"
    with pytest.raises(UserError, match=said):
        step(adapter, first_batch())
    assert weights(adapter).equal(before) and adapter.loss.step == 1
    hook.loss_fn = adapter.loss
    step(adapter, first_batch())
    assert adapter.loss.step == 2


@pytest.mark.parametrize("remove", [lambda adapter: adapter.misc.pop("difc"), lambda adapter: adapter.misc.clear()])
@pytest.mark.parametrize("make", ANY)
def test_a_loss_that_no_checkpoint_would_have_is_refused_in_the_next_step(make, remove):
    adapter = make()
    before, held = weights(adapter), dict(adapter.misc)
    remove(adapter)
    with pytest.raises(
        UserError, match=r'^misc\["difc"\] of the loss is missing, so checkpoints would lack it: make a new \w+$'
    ):
        step(adapter, first_batch())
    assert weights(adapter).equal(before)
    adapter.misc.update(held)
    step(adapter, first_batch())


def test_the_count_of_the_first_epoch_is_state_of_the_loss():
    adapter = theirs("DANN", loss=DIFCLoss(COUNTS, schedule(steps_per_epoch=None)))
    del adapter.misc["epochs"]
    with pytest.raises(UserError, match=r'^misc\["epochs"\] of the loss is missing, so checkpoints would lack it'):
        step(adapter, first_batch())


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


THEIRS = ["DANN", "MCD", "GAN"]
FIXED = r"^the loss that was attached is fixed, and adapter.loss is another: make a new \w+, and attach that$"


@pytest.mark.parametrize("name", THEIRS)
def test_another_loss_of_the_host_s_adapter_is_refused_in_its_next_step(name):
    adapter = theirs(name)
    kept = adapter.loss
    step(adapter, first_batch())
    before = weights(adapter)
    adapter.loss = difc()
    for _ in range(2):
        with pytest.raises(UserError, match=FIXED):
            step(adapter, first_batch())
    del adapter.loss
    with pytest.raises(UserError, match=FIXED):
        step(adapter, first_batch())
    assert weights(adapter).equal(before) and kept.step == 1
    adapter.loss = kept
    step(adapter, first_batch())
    assert kept.step == 2


def test_another_hook_of_the_host_s_adapter_is_refused_in_its_next_step():
    adapter = theirs("DANN")
    kept = adapter.hook
    adapter.hook = ClassifierHook(opts=[])
    with pytest.raises(UserError, match=r"^the adapter's new hook doesn't call the loss that was attached: make a new"):
        step(adapter, first_batch())
    adapter.hook = ChainHook(kept)  # the loss is still in it
    step(adapter, first_batch())
    assert adapter.loss.step == 1


@pytest.mark.parametrize("name", THEIRS)
def test_the_hook_from_before_attach_is_refused(name):
    """It calls the loss, which took the cross-entropy's place in it, and would count no step: no margin would begin."""
    adapter = theirs(name, loss="ce")
    earlier = adapter.hook
    attach(adapter, "difc", class_counts=COUNTS, schedule=schedule())
    kept, adapter.hook = adapter.hook, earlier
    before = weights(adapter)
    with pytest.raises(UserError, match=r"^the adapter's new hook doesn't count the steps of the loss that was att"):
        step(adapter, first_batch())
    assert weights(adapter).equal(before)
    adapter.hook = kept
    step(adapter, first_batch())
    assert adapter.loss.step == 1


@pytest.mark.parametrize("method", ["dann", "mcd", "safn"])
def test_a_hook_that_would_not_count_steps_is_refused(method):
    adapter = ours(method, loss=difc())
    inner = next(path[-1] for path in paths(adapter.hook) if isinstance(path[-1], CLossHook))
    with pytest.raises(UserError, match=r"^the new hook doesn't count the steps of the adapter's loss: make a new \w+"):
        adapter.hook = ChainHook(inner)
    step(adapter, first_batch())
    assert adapter.loss.step == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
@pytest.mark.parametrize("name", THEIRS)
def test_a_copy_of_the_host_s_adapter_trains_alike_and_keeps_its_own_loss(name, copied):
    adapter = theirs(name)
    step(adapter, first_batch())
    other = copied(adapter)
    assert type(other) is type(adapter) is getattr(host, name)
    before, batch = weights(adapter), first_batch()
    step(other, batch, 1)
    assert (adapter.loss.step, other.loss.step) == (1, 2) and weights(adapter).equal(before)
    step(adapter, batch, 1)
    assert weights(adapter).equal(weights(other))
    other.loss = adapter.loss
    with pytest.raises(UserError, match=FIXED):
        step(other, batch)


def test_a_step_that_the_user_has_put_around_the_host_s_stays():
    adapter, seen = theirs("DANN", loss="ce"), []
    plain = adapter.training_step

    def noted(batch, **kwargs):
        seen.append(len(batch["src_imgs"]))
        return plain(batch, **kwargs)

    adapter.training_step = noted
    attach(adapter, difc())
    step(adapter, first_batch())
    assert seen == [16] and adapter.loss.step == 1


@pytest.mark.parametrize("name", ["DANN", "GAN"])
def test_a_weight_of_a_loss_that_the_host_s_step_lacks_is_refused(name):
    key = "weighter" if name == "DANN" else "g_weighter"
    said = r"^weighter has a weight for domain_los: the losses are [\w, ]*src_c_loss[\w, ]*$"
    with pytest.raises(UserError, match=said):
        theirs(name, hook_kwargs={key: MeanWeighter(weights={"domain_los": 0.1})})
    weighter = MeanWeighter(weights={"src_c_loss": 0.5})
    adapter = theirs(name, hook_kwargs={key: weighter})
    weighter.weights["domain_los"] = 0.1
    with pytest.raises(UserError, match=said):
        step(adapter, first_batch())
