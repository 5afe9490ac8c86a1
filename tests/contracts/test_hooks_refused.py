"""What would take something away from a method, or do nothing, is refused by name."""

import pytest
import torch
from hooked import SLOT, TWO, D, K, N, adapter, batch, step
from made import TRAINED
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.hooks import (
    AFNHook,
    CLossHook,
    DomainLossHook,
    EntropyReducer,
    MCCHook,
    MCDLossHook,
    MeanReducer,
)
from pytorch_adapt.weighters import MeanWeighter, SumWeighter

from pa_difc import METHODS
from pa_difc.util.errors import UserError


@pytest.mark.parametrize("method", TRAINED)
def test_unknown_arguments_are_refused_by_name(method):
    with pytest.raises(UserError, match=r"hook_kwargs\['pots'\]: \w+ takes .*pre"):
        adapter(method, hook_kwargs={"pots": [MCCHook()]})
    for key in ("opts" if method not in ("mcd", "swd", "star") else "g_opts", "loss_fn", "c_hook"):
        with pytest.raises(UserError, match=rf"hook_kwargs\['{key}'\]"):
            adapter(method, hook_kwargs={key: None})


@pytest.mark.parametrize("method", TRAINED)
def test_a_weighter_is_an_instance_and_a_slot_a_list(method):
    with pytest.raises(UserError, match=r"'weighter'\]=MeanWeighter: must be an instance, such as MeanWeighter\(\)"):
        adapter(method, hook_kwargs={"weighter": MeanWeighter})
    slot = SLOT.get(method, "post")
    for wrong in (MCCHook(), [MCCHook]):
        with pytest.raises(UserError, match=rf"'{slot}'\].*must be a list of hooks, such as"):
            adapter(method, hook_kwargs={slot: wrong})


@pytest.mark.parametrize("method", [*TRAINED, "source_free"])
def test_a_weight_of_a_loss_that_no_step_has_is_refused(method):
    wrong = {"src_c_los": 0.1, 7: 2.0}
    with pytest.raises(UserError, match=r"^weighter has a weight for 7, src_c_los: the losses are \w+") as error:
        adapter(method, "ce", hook_kwargs={"weighter": SumWeighter(weights=wrong)})
    assert "\n" not in str(error.value) and "tensor" not in str(error.value)


def test_a_weighter_of_one_step_has_its_losses_alone():
    weighter = SumWeighter(weights={"discrepancy_loss": 0.1})
    with pytest.raises(UserError, match=r"weight for discrepancy_loss: the losses are src_c_loss0, src_c_loss1$"):
        adapter("mcd", "ce", hook_kwargs={"x_weighter": weighter})
    made = adapter("mcd", "ce", hook_kwargs={"z_weighter": weighter})
    assert made.training_step(batch())["z_loss"]["discrepancy_loss"] > 0


@pytest.mark.parametrize("method", ["dann", "mcd", "source_free"])
def test_a_weight_that_is_added_later_is_refused_in_its_step(method):
    weighter = MeanWeighter()
    made = adapter(method, "ce", hook_kwargs={"weighter": weighter})
    step(made)
    weighter.weights["bsp_loss"] = 1e-5
    with pytest.raises(UserError, match=r"^weighter has a weight for bsp_loss: the losses are [\w, ]+$"):
        step(made)


def test_dann_passes_logits_to_the_discriminator_when_asked_to():
    torch.manual_seed(0)
    cls, seen = METHODS["dann"], []
    discriminator = torch.nn.Sequential(torch.nn.Linear(K, 1), torch.nn.Flatten(0))
    discriminator.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    models = Models({"G": torch.nn.Linear(D, 5), "C": torch.nn.Linear(5, K), "D": discriminator})
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.01})), hook_kwargs={"use_logits": True})
    made.training_step(batch())
    assert seen == [(N, K)] * 2
    with pytest.raises(UserError, match=r"gradient_reversal_weight.*give weight= and ramp_steps="):
        adapter("dann", hook_kwargs={"gradient_reversal_weight": 0.5})


def test_two_losses_of_one_name_are_refused():
    """The host would take the last one of a chain and forget the other, unless another hook follows."""
    for method, hooks in (("safn", {"post": [AFNHook()]}), ("detn", {"post": [MCCHook(), MCCHook()]})):
        with pytest.raises(UserError, match=r"two hooks give a loss '.*': rename one of them, as with loss_prefix"):
            adapter(method, "ce", hook_kwargs=hooks)
    for slot in ("post_y", "post_z"):
        with pytest.raises(UserError, match="'discrepancy_loss'"):
            adapter("mcd", "ce", hook_kwargs={slot: [MCDLossHook()]})
    for hook, loss in ((CLossHook(detach_features=True), "src_c_loss"), (DomainLossHook(), "_domain_loss")):
        with pytest.raises(UserError, match=loss):
            adapter("dann", "ce", hook_kwargs={"post_g": [hook]})


class OfSamples(torch.nn.Module):
    """Cross-entropy of single samples, as the host's default is."""

    def forward(self, logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize("loss", ["ce", "difc"])
def test_a_reducer_of_samples_losses_is_refused_where_there_is_a_mean(method, loss):
    key = "x_reducer" if method in ("mcd", "swd", "star") else "reducer"
    for reducer in (EntropyReducer(), EntropyReducer(apply_to=["src_c_loss"])):
        with pytest.raises(UserError, match=r"EntropyReducer would get .*'s mean, .*reduction='none'"):
            adapter(method, loss, hook_kwargs={key: reducer})
    if method not in TWO and method != "agra":
        reducer = EntropyReducer(apply_to=["src_c_loss"], default_reducer=MeanReducer())
        made = adapter(method, OfSamples(), hook_kwargs={key: reducer})
        assert step(made)["src_c_loss"] < step(adapter(method, "ce"))["src_c_loss"]
