"""DIFC in every classification adapter of the host's, by one call: its loss, its writer and its state."""

import copy
import math

import pytest
import torch
from made import TRAINED
from pytorch_adapt import adapters as host
from pytorch_adapt.containers import KeyEnforcer, Misc, Models, Optimizers
from pytorch_adapt.hooks import ChainHook, CLossHook, FeaturesHook, LogitsHook, MCCHook, validate_hook
from pytorch_adapt.hooks.base import BaseConditionHook
from pytorch_adapt.layers import MultipleModels, PlusResidual, RandomizedDotProduct
from pytorch_adapt.weighters import MeanWeighter

from pa_difc import DANN, MCD, METHODS, DIFCLoss, FocalLoss, Schedule, SourceOnly, attach
from pa_difc.methods.heads import classifier
from pa_difc.util.errors import UserError

N, K, D, F = 12, 4, 6, 5
COUNTS = [40, 5, 20, 10]

ADAPTERS = (
    "Classifier",
    "Finetuner",
    "Aligner",
    "RTN",
    "DANN",
    "DANNE",
    "CDANNE",
    "GVB",
    "GVBE",
    "GAN",
    "GANE",
    "CDAN",
    "CDANE",
    "VADA",
    "DomainConfusion",
    "MCD",
    "SymNets",
)
COMBINED = ("RTN", "CDANNE", "CDAN", "CDANE")
TWO = ("MCD", "SymNets")


def adapter(name, **kwargs):
    torch.manual_seed(0)
    classifiers = [torch.nn.Linear(F, K) for _ in range(2)]
    models = {"G": torch.nn.Sequential(torch.nn.Linear(D, F), torch.nn.Tanh())}
    models["C"] = MultipleModels(*classifiers) if name in TWO else classifiers[0]
    if name not in ("Classifier", "Finetuner", "Aligner", "RTN", *TWO):
        inputs = {"CDANNE": 20, "CDAN": 20, "CDANE": 20, "GVB": K, "GVBE": K}.get(name, F)
        outputs = 2 if name == "DomainConfusion" else 1
        models["D"] = torch.nn.Sequential(torch.nn.Linear(inputs, outputs), *[torch.nn.Flatten(0)] * (outputs == 1))
    if name == "RTN":
        models["residual_model"] = PlusResidual(torch.nn.Linear(K, K))
    if name in COMBINED:
        kwargs["misc"] = Misc({"feature_combiner": RandomizedDotProduct([F, K], 20)})
    keys = {"Finetuner": ["C"]}.get(name, list(models))
    made = getattr(host, name)(Models(models), Optimizers((torch.optim.SGD, {"lr": 0.05}), keys=keys), **kwargs)
    made.models.train()
    return made


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "src_imgs": torch.randn(N, D, generator=generator),
        "target_imgs": torch.randn(N, D, generator=generator) + 1,
        "src_labels": torch.arange(N) % K,
        "src_domain": torch.zeros(N, dtype=torch.long),
        "target_domain": torch.ones(N, dtype=torch.long),
    }


def difc(**kwargs):
    return DIFCLoss(COUNTS, Schedule(steps_per_epoch=2, confusion_epoch=1, reweight_epoch=1), epsilon=0.5, **kwargs)


def train(made, steps, first=0):
    losses = []
    for seed in range(first, first + steps):
        torch.manual_seed(seed)
        losses.append(copy.deepcopy(made.training_step(batch(seed))))
    return losses


def state(made):
    return {k: getattr(made, k).state_dict() for k in ("models", "optimizers", "misc")}


def flat(value, prefix=""):
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for key, inner in value.items() for k, v in flat(inner, f"{prefix}/{key}").items()}


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_loss_trains_counts_steps_and_moves_margins(name):
    plain = train(adapter(name), 1)
    made = attach(adapter(name), "difc", COUNTS, difc().schedule, epsilon=0.5, max_margin=0.0)
    assert isinstance(made.loss, DIFCLoss) and made.misc["difc"] is made.loss
    assert train(made, 1) == plain  # without margins the first step is the host's
    losses = train(made, 3, first=1)
    assert (made.loss.step, made.loss.phase.value, made.loss.reweighted) == (4, "difc", True)
    assert made.loss.margins.sum() == pytest.approx(0.5 * (1 + 1 / 2 + 1 / 4 + 1 / 8)) and made.loss.margins.min() > 0
    assert all(torch.tensor(list(part.values())).isfinite().all() for step in losses for part in step.values())


@pytest.mark.parametrize("name", ADAPTERS)
def test_margins_change_the_training(name):
    ends = []
    for loss in (difc(max_margin=0.0), difc(max_margin=3.0)):
        made = attach(adapter(name), loss)
        train(made, 1)
        ends.append(torch.cat([p.detach().flatten() for p in made.models["C"].parameters()]))
    assert (ends[0] - ends[1]).abs().max() > 1e-4


@pytest.mark.parametrize("name", ADAPTERS)
def test_confusion_is_of_the_target_s_logits(name):
    """The sums are those of the target's predictions, made by the weights that the step began with."""
    made = attach(adapter(name), difc())
    for optimizer in made.optimizers.values():
        optimizer.param_groups[0]["lr"] = 0.0
    with torch.no_grad():
        domain = torch.ones(N, dtype=torch.long)
        if name in TWO:
            logits = made.models["C"](made.models["G"](batch()["target_imgs"]))
            probs = logits[1].softmax(1) if name == "SymNets" else sum(z.softmax(1) for z in logits) / 2
        else:
            probs = made.inference(batch()["target_imgs"], domain=domain)["logits"].softmax(1)
    train(made, 1)
    top = probs.sort(descending=True).values
    gaps = torch.zeros(K).index_add(0, probs.argmax(1), top[:, 0] - top[:, 1])
    torch.testing.assert_close(made.loss.gap_sums.float(), gaps, rtol=1e-4, atol=1e-5)
    assert made.loss.gap_counts.tolist() == torch.bincount(probs.argmax(1), minlength=K).tolist()


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_checkpoint_resumes_exactly(name, tmp_path):
    straight = attach(adapter(name), difc())
    train(straight, 5)
    begun = attach(adapter(name), difc())
    train(begun, 3)
    torch.save(state(begun), tmp_path / "checkpoint.pt")
    resumed = attach(adapter(name), difc())
    for key, value in torch.load(tmp_path / "checkpoint.pt", weights_only=True).items():
        getattr(resumed, key).load_state_dict(value)
    train(resumed, 2, first=3)
    expected, found = flat(state(straight)), flat(state(resumed))
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        same = value.equal(found[key]) if isinstance(value, torch.Tensor) else value == found[key]
        assert same or (isinstance(value, torch.Tensor) and value.isnan().any()), key
    assert resumed.loss.margins.equal(straight.loss.margins) and resumed.loss.step == 5


@pytest.mark.parametrize("name", ADAPTERS)
def test_keys_are_enforced_with_the_loss_s_and_the_hook_is_valid(name):
    made = attach(adapter(name), difc())
    if "misc" in made.key_enforcer.requirements:
        assert "difc" in made.key_enforcer.requirements["misc"]
    made.key_enforcer.check({k: getattr(made, k) for k in ("models", "optimizers", "misc")})
    assert validate_hook(made.hook, list(batch()))["C"] >= 1


OURS = {
    "source_only": ("Classifier", SourceOnly, {}),
    "dann": ("DANN", DANN, {"hook_kwargs": {"weighter": MeanWeighter()}}),
    "mcd": ("MCD", MCD, {"hook_kwargs": {"weighter": MeanWeighter()}}),
}


@pytest.mark.parametrize("method", OURS)
def test_in_the_host_s_adapter_it_is_our_method_to_the_bit(method):
    name, cls, kwargs = OURS[method]
    theirs, made = attach(adapter(name), difc()), adapter(name)
    ours = cls(made.models, Optimizers((torch.optim.SGD, {"lr": 0.05})), loss=difc(), **kwargs)
    assert train(theirs, 5) == train(ours, 5)
    assert theirs.loss.margins.equal(ours.loss.margins) and theirs.loss.confusion.equal(ours.loss.confusion)


@pytest.mark.parametrize("method", TRAINED)
def test_attached_to_a_method_of_ours_it_is_the_loss_of_its_slot(method):
    cls, ends = METHODS[method], []
    for late in (False, True):
        torch.manual_seed(0)
        features = 384 if cls.needs_regions else F
        models = Models({"G": torch.nn.Linear(D, features), **cls.heads(features, K)})
        made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.01})), loss="ce" if late else difc())
        made = attach(made, difc()) if late else made
        made.models.train()
        ends.append((train(made, 4), made.loss.margins, made.reads_target))
    assert ends[0][0] == ends[1][0] and ends[0][1].equal(ends[1][1]) and ends[0][2] and ends[1][2]


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
