"""What `attach` leaves alone, what it refuses, and hooks, heads and conditions that adapters may have."""

import math

import pytest
import torch
from hosts import COUNTS, D, F, K, N, adapter, batch, difc, train
from pytorch_adapt import adapters as host
from pytorch_adapt.containers import KeyEnforcer, Misc, Models, Optimizers
from pytorch_adapt.hooks import ChainHook, CLossHook, FeaturesHook, LogitsHook, MCCHook
from pytorch_adapt.hooks.base import BaseConditionHook
from pytorch_adapt.layers import RandomizedDotProduct

from pa_difc import FocalLoss, Schedule, SourceOnly, attach
from pa_difc.methods.heads import classifier
from pa_difc.util.errors import UserError


def test_hooks_that_were_added_before_stay():
    made = attach(adapter("GAN", hook_kwargs={"post_g": [MCCHook()]}), difc())
    losses = train(made, 4)
    assert losses[-1]["g_loss"]["mcc_loss"] != 0 and made.loss.phase.value == "difc"


def test_any_loss_can_be_attached():
    made = attach(adapter("CDAN"), "focal", gamma=3.0)
    assert "difc" not in made.misc and made.loss.gamma == 3.0
    plain = train(adapter("CDAN"), 1)[0]["g_loss"]["src_c_loss"]
    assert train(made, 1)[0]["g_loss"]["src_c_loss"] < plain


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("ADDA", "no classification loss"),
        ("AdaBN", "no classification loss"),
        ("MultiLabelClassifier", "BCEWithLogitsConvertLabels"),
        ("MultiLabelFinetuner", "BCEWithLogitsConvertLabels"),
    ],
)
def test_an_adapter_without_a_place_for_it_says_so(name, has):
    torch.manual_seed(0)
    models = Models({"G": torch.nn.Linear(D, F), "C": torch.nn.Linear(F, K), "D": torch.nn.Linear(F, 1)})
    if name != "ADDA":
        del models["D"]
    made = getattr(host, name)(models)
    with pytest.raises(UserError, match=f"^{name} has no cross-entropy on source labels .*: it has {has}$") as error:
        attach(made, difc())
    assert "\n" not in str(error.value) and "difc" not in made.misc


def test_a_second_loss_and_a_cross_entropy_with_settings_are_refused():
    with pytest.raises(UserError, match="has a loss"):
        attach(attach(adapter("DANN"), difc()), difc())
    smooth = CLossHook(loss_fn=torch.nn.CrossEntropyLoss(label_smoothing=0.1))
    with pytest.raises(UserError, match="settings of its own: give them to the loss"):
        attach(adapter("DANN", hook_kwargs={"c_hook": smooth}), difc())


def test_losses_of_other_domains_are_left_alone():
    pseudo = CLossHook(domains=("target",))
    made = attach(adapter("Classifier", hook_kwargs={"post": [pseudo]}), difc())
    assert isinstance(pseudo.loss_fn, torch.nn.CrossEntropyLoss)
    made.training_step({**batch(), "target_labels": torch.zeros(N, dtype=torch.long)})
    assert made.loss.step == 1


def test_predictions_are_the_classifier_s_and_no_other_head_s():
    models = {"G": torch.nn.Linear(D, F), "C": torch.nn.Linear(F, K), "Aux": torch.nn.Linear(F, 3)}
    aux = [FeaturesHook(domains=["target"]), LogitsHook("Aux", domains=["target"], out_suffixes=["_aux_logits"])]
    made = host.Classifier(
        Models(models),
        Optimizers((torch.optim.SGD, {"lr": 0.0})),
        key_enforcer=KeyEnforcer(models=list(models)),
        hook_kwargs={"post": aux},
    )
    attach(made, difc()).training_step(batch())
    with torch.no_grad():
        predicted = made.models["C"](made.models["G"](batch()["target_imgs"])).argmax(1)
    assert made.loss.gap_counts.tolist() == torch.bincount(predicted, minlength=K).tolist()


def test_hooks_of_the_user_s_go_into_the_next_adapter_as_they_were():
    hook = CLossHook()
    train(attach(adapter("DANN", hook_kwargs={"c_hook": hook}), difc(max_margin=3.0)), 1)
    assert train(adapter("DANN", hook_kwargs={"c_hook": hook}), 1) == train(adapter("DANN"), 1)


def test_the_user_s_containers_stay_as_they_were():
    misc = Misc({"feature_combiner": RandomizedDotProduct([F, K], 20)})
    made = host.CDAN(Models({**adapter("CDAN").models}), misc=misc)
    attach(made, difc())
    assert list(misc) == ["feature_combiner"]


def test_a_loss_with_state_counts_one_adapter_s_steps():
    loss = difc()
    attach(adapter("DANN"), loss)
    with pytest.raises(UserError, match="this DIFCLoss counts the steps of another adapter: make one for GAN"):
        attach(adapter("GAN"), loss)
    with pytest.raises(UserError, match="make one for SourceOnly"):
        SourceOnly(adapter("Classifier").models, loss=loss)
    stateless = FocalLoss()
    assert attach(adapter("DANN"), stateless).loss is attach(adapter("GAN"), stateless).loss


def test_counts_beside_a_loss_that_has_its_own_are_refused():
    for given in ({"class_counts": COUNTS}, {"schedule": Schedule(3)}):
        with pytest.raises(UserError, match="a loss that is not given by name takes no options"):
            attach(adapter("DANN"), difc(), **given)
        with pytest.raises(UserError, match="a loss that is not given by name takes no options"):
            SourceOnly(adapter("Classifier").models, loss=difc(), **given)


@pytest.mark.parametrize("name", ["cosface", "arcface", "ldam"])
def test_losses_of_cosines_have_the_classifier_s_scale(name):
    cosines = classifier(F, K, "cosine", 20.0)
    given = {"class_counts": COUNTS, "schedule": Schedule(5)}
    for make in (
        lambda c: attach(with_classifier(host.Classifier, c), name, **given),
        lambda c: ours(c, name, **given),
    ):
        assert make(cosines).loss.scale in (20.0, 1.0)
        value, labels = make(cosines).loss(torch.full((2, K), 10.0), torch.tensor([0, 2])), [0, 2]
        margin = {"cosface": 0.35, "arcface": None, "ldam": 0.5}[name]
        if name == "cosface":  # cosines of ½, that of the true class lowered by 0.35, times 20
            assert value.item() == pytest.approx(math.log(1 + 3 * math.exp(20 * margin)), rel=1e-4)
        if name == "ldam":
            lowered = [20 * margin * (min(COUNTS) / COUNTS[y]) ** 0.25 for y in labels]
            assert value.item() == pytest.approx(sum(math.log(1 + 3 * math.exp(m)) for m in lowered) / 2, rel=1e-4)
        if name != "ldam":
            with pytest.raises(UserError, match=f"loss '{name}' needs a cosine classifier"):
                make(torch.nn.Linear(F, K))
    plain = ours(torch.nn.Linear(F, K), "ldam", **given).loss
    assert plain.base_margins.max() == pytest.approx(0.5)  # in logits, of a linear classifier


def with_classifier(cls, head, **kwargs):
    return cls(Models({"G": torch.nn.Linear(D, F), "C": head}), **kwargs)


def ours(head, loss, **kwargs):
    return with_classifier(SourceOnly, head, loss=loss, **kwargs)


def test_a_condition_that_leaves_out_the_classification_step_s_hooks():
    class EverySecond(BaseConditionHook):
        def call(self, inputs, losses):
            self.calls = getattr(self, "calls", 0) + 1
            return self.calls % 2 == 0

    chain = ChainHook(MCCHook(), conditions=[EverySecond()])
    made = attach(adapter("GAN", hook_kwargs={"post_g": [chain]}), difc())
    train(made, 4)
    assert (made.loss.step, made.loss.phase.value) == (4, "difc") and made.loss.confusion.isfinite().any()
