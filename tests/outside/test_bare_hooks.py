"""The host's hooks without an adapter, as its README begins: DIFC reads in the loss's place, and is written to last."""

import copy

import pytest
import torch
from pytorch_adapt.containers import Misc, Models
from pytorch_adapt.hooks import CDANHook, ClassifierHook, CLossHook, DANNHook, GANHook, MCCHook, validate_hook
from pytorch_adapt.layers import RandomizedDotProduct
from toys import D, F, K, difc, loaders, theirs, weights

from pa_difc import ConfusionHook


@pytest.fixture(scope="module")
def batches():
    torch.manual_seed(0)
    return [batch for _ in range(4) for batch in loaders()["train"]]


def parts():
    """Models in a plain dict, and an optimiser each."""
    torch.manual_seed(0)
    made = {
        "G": torch.nn.Sequential(torch.nn.Linear(D, F), torch.nn.Tanh()),
        "C": torch.nn.Linear(F, K),
        "D": torch.nn.Sequential(torch.nn.Linear(F, 1), torch.nn.Flatten(0)),
    }
    return made, [torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.9) for m in made.values()]


def run(hook, context, batches):
    losses = []
    for seed, batch in enumerate(batches):
        torch.manual_seed(seed)
        losses.append(copy.deepcopy(hook({**context, **batch})[1]))
    return losses


def dann(optimizers, loss):
    writer = ConfusionHook(loss, "target_imgs_features", ["C"])
    return DANNHook(optimizers, c_hook=CLossHook(loss_fn=loss), post_g=[MCCHook(), writer])


def test_dann_is_the_adapter_with_the_loss_attached_to_the_bit(batches):
    made, optimizers = parts()
    loss = difc()
    losses = run(dann(optimizers, loss), made, batches)
    adapter = theirs("DANN", hook_kwargs={"post_g": [MCCHook()]})
    expected = []
    for seed, batch in enumerate(batches):
        torch.manual_seed(seed)
        expected.append(copy.deepcopy(adapter.training_step(batch)))
    assert losses == expected and loss.phase.value == "difc"
    assert loss.margins.equal(adapter.loss.margins) and loss.confusion.equal(adapter.loss.confusion)
    assert torch.cat([p.flatten() for m in made.values() for p in m.parameters()]).equal(weights(adapter))


def test_the_written_logits_may_also_be_given_by_hand(batches):
    """One update after each step does the same up to where it reads: the weights after the step, not before."""
    (made, optimizers), loss = parts(), difc()
    for optimizer in optimizers:
        optimizer.param_groups[0]["lr"] = 0.0
    hook = ClassifierHook(optimizers[:2], loss_fn=loss)
    for batch in batches:
        hook({**made, **batch})
        with torch.no_grad():
            loss.update(made["C"](made["G"](batch["target_imgs"])))
    (made, optimizers), written = parts(), difc()
    for optimizer in optimizers:
        optimizer.param_groups[0]["lr"] = 0.0
    run(
        ClassifierHook(optimizers[:2], loss_fn=written, post=[ConfusionHook(written, "target_imgs", ["G", "C"])]),
        made,
        batches,
    )
    torch.testing.assert_close(loss.margins, written.margins)
    assert (loss.step, loss.phase) == (written.step, written.phase) and loss.phase.value == "difc"


@pytest.mark.parametrize(("hook_class", "more"), [(GANHook, {}), (CDANHook, {"softmax": True})])
def test_two_step_methods(hook_class, more, batches):
    (made, optimizers), loss = parts(), difc()
    context = dict(made)
    if hook_class is CDANHook:
        context["feature_combiner"] = RandomizedDotProduct([F, K], F)
    hook = hook_class(
        d_opts=optimizers[2:],
        g_opts=optimizers[:2],
        c_hook=CLossHook(loss_fn=loss),
        post_g=[ConfusionHook(loss, "target_imgs_features", ["C"])],
        **more,
    )
    last = run(hook, context, batches)[-1]
    assert last["g_loss"]["src_c_loss"] > 0 and (loss.step, loss.phase.value) == (len(batches), "difc")


def test_the_hook_is_valid_and_the_containers_do_too(batches):
    made, optimizers = parts()
    hook = dann(optimizers, difc())
    assert validate_hook(hook, list(batches[0]))["G"] == 2
    outputs, losses = hook({**Models(made), **Misc({}), **batches[0]})
    assert "target_imgs_features" in outputs and losses["total_loss"]["src_c_loss"] > 0
