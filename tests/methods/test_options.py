"""Options of methods: their defaults, what each of them changes, and what is refused."""

import math
from functools import partial

import pytest
import torch
from made import TRAINED
from pytorch_adapt.containers import Models, Optimizers
from steps import batch as points

from pa_difc import BACKBONES, LOSSES, METHODS, PenaltyMethod
from pa_difc.backbones import BackboneSpec
from pa_difc.losses import LossSpec
from pa_difc.methods.mmd import weighted_mmd
from pa_difc.util.errors import UserError
from pa_difc.util.options import describe

N, K, D = 12, 4, 6

#: Each option's default, the number that 0.1.0 had in its place, and a value away from it.
OPTIONS = {
    "source_only": {},
    "source_bn": {},
    "lpl": {"weight": (0.003, 0.5), "neighbours": (20, 1)},
    "dann": {"weight": (1.0, 0.3)},
    "cdan": {"weight": (1.0, 0.3), "largest_product": (4096, 3), "random_features": (1024, 7)},
    "mdd": {"weight": (0.1, 1.0), "gamma": (4.0, 2.0), "max_reversal": (0.1, 0.7)},
    "mcd": {"weight": (1.0, 0.3), "repeat": (4, 1), "reuse_features": (False, True)},
    "mcd_onestep": {"weight": (1.0, 0.3)},
    "safn": {"weight": (0.05, 1.0), "step_size": (1.0, 0.4), "dropout": (0.0, 0.5)},
    "detn": {
        "weight": (1.0, 0.3),
        "momentum": (0.99, 0.5),
        "largest_ratio": (5.0, 1.0),
        "kernel_scales": ((0.25, 0.5, 1.0, 2.0, 4.0), (1.0,)),
    },
    "jumbot": {
        "weight": (0.1, 1.0),
        "alpha": (0.01, 0.3),
        "label_cost": (0.5, 2.0),
        "tau": (0.5, 0.05),
        "epsilon": (0.01, 0.3),
    },
    "etd": {"weight": (0.1, 1.0), "epsilon": (0.5, 0.2), "entropy_weight": (0.1, 3.0), "largest_plan": (10.0, 0.01)},
    "agra": {
        "weight": (1.0, 0.3),
        "momentum": (0.9, 0.2),
        "links_within": ((0.8, 0.5), (0.1, 0.9)),
        "links_across": ((0.9, 0.4, 0.25), (0.2, 0.1, 0.7)),
    },
}
OPTIONS["swd"] = OPTIONS["mcd"] | {"directions": (128, 2)}
OPTIONS["star"] = OPTIONS["mcd"] | {"repeat": (5, 1), "initial_spread": (0.0, 2.0)}
SELF_TRAINING = {
    "teacher": ("average", "start"),
    "teacher_decay": (0.99, 0.01),
    "align": ("equal", "none"),
    "align_power": (0.5, 1.0),
    "threshold": (0.0, 1.0),
    "temperature": (0.5, 0.0),
    "target_weight": (1.0, 0.3),
    "target_loss": ("ce", "drw"),
    "target_margin": (1.0, 0.3),
    "target_epsilon": (0.5, 1.5),
    "target_power": (0.2, 1.0),
    "strong_views": (True, False),
}
OPTIONS["mean_teacher"] = SELF_TRAINING
OPTIONS["adamatch"] = SELF_TRAINING | {
    "teacher": ("student", "average"),
    "threshold": (0.9, 0.3),
    "temperature": (0.0, 0.5),
}
OPTIONS["sentry"] = {"sentry_weight": (1.0, 0.3), "balance": (0.1, 1.0)}
OPTIONS["mcc"] = {"mcc_weight": (1.0, 0.3), "mcc_temperature": (2.5, 1.0)}
OPTIONS["ecan"] = OPTIONS["detn"] | {"conditional_weight": (0.1, 1.0)}

#: Options that work only with another one: where the discriminator's product is randomised, for example.
NEEDED = {
    "random_features": {"largest_product": 3},
    "teacher_decay": {"teacher": "average", "threshold": 0.3, "temperature": 0.5},
    "target_loss": {"threshold": 0.3},
    "target_margin": {"target_loss": "margin", "threshold": 0.3},
    "target_epsilon": {"target_loss": "difc", "threshold": 0.3},
    "target_power": {"target_loss": "drw", "threshold": 0.3},
    "align": {"threshold": 0.3},
    "align_power": {"threshold": 0.3},
    "target_weight": {"threshold": 0.3},
    "temperature": {"threshold": 0.3},
    "teacher": {"threshold": 0.3, "temperature": 0.5},
}

#: One that changes the cost of a step, and not its numbers.
SAME_NUMBERS = {"reuse_features"}
#: One that changes what the loader gives: data/test_strong_views.py.
OF_BATCHES = {"strong_views"}

batch = partial(points, n=N, m=N, k=3, d=D)  # the last class is in no source batch


def train(method, **options):
    """Losses of three steps, the weights after them, and passes of the extractor."""
    torch.manual_seed(0)
    cls = METHODS[method]
    width = 384 if cls.needs_regions else 5
    heads = cls.heads(width, K, options=cls.read_options(options))
    torch.manual_seed(1)  # whatever the heads have drawn
    models = Models({"G": torch.nn.Linear(D, width), **heads})
    adapter = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.01})), **options)
    passes = []
    models["G"].register_forward_hook(lambda *_: passes.append(1))
    adapter.models.train()
    torch.manual_seed(2)
    losses = [
        value for seed in range(3) for step in adapter.training_step(batch(seed)).values() for value in step.values()
    ]
    weights = torch.cat([p.detach().flatten() for name in ("G", "C") for p in adapter.models[name].parameters()])
    return losses, weights, len(passes)


@pytest.mark.parametrize("method", TRAINED)
def test_a_method_has_its_options_and_no_others(method):
    found = {name: about.default for name, about in describe(METHODS[method].Options).items()}
    assert found == {name: default for name, (default, _) in OPTIONS[method].items()}


@pytest.mark.parametrize(("method", "option"), [(m, o) for m in TRAINED for o in OPTIONS.get(m, ())])
def test_every_option_changes_training_and_its_default_does_not(method, option):
    needed = NEEDED.get(option, {})
    default, other = OPTIONS[method][option]
    losses, weights, passes = train(method, **needed)
    same_losses, same_weights, _ = train(method, **needed, **{option: default})
    assert same_losses == losses and same_weights.equal(weights)
    if option in OF_BATCHES:
        return
    _, other_weights, other_passes = train(method, **needed, **{option: other})
    if option in SAME_NUMBERS:
        assert other_passes < passes
    else:
        assert (other_weights - weights).abs().max() > 1e-6


def made(method, **kwargs):
    cls = METHODS[method]
    width = 384 if cls.needs_regions else 5
    models = Models({"G": torch.nn.Linear(D, width), **cls.heads(width, K)})
    return cls(models, Optimizers((torch.optim.SGD, {"lr": 0.01})), **kwargs)


@pytest.mark.parametrize("method", TRAINED)
def test_none_is_the_default_and_unknown_options_are_refused(method):
    adapter = made(method, **dict.fromkeys(OPTIONS[method]))
    assert adapter.options == METHODS[method].Options()
    assert adapter.weight == OPTIONS[method].get("weight", (0.0,))[0]
    for unknown in ({"weigth": 1.0}, {"weigth": None}):
        with pytest.raises(
            UserError, match=r"has no option 'weigth': it has none|'weigth': did you mean '(\w+_)?weight'"
        ):
            made(method, **unknown)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("source_only", {"weight": 1.0}, "method SourceOnly has no option 'weight': it has none"),
        ("mcd_onestep", {"repeat": 2}, "unknown option of method MCDOneStep 'repeat'"),
        ("mdd", {"gamma": 0.0}, "gamma=0.0: must be a finite number above 0"),
        ("safn", {"dropout": 1.0}, "dropout=1.0: must be a finite number at least 0 and below 1"),
        ("swd", {"directions": 1.5}, "directions=1.5: must be a whole number"),
        ("detn", {"kernel_scales": (1.0, -1.0)}, "kernel_scales=.*: must be one or more numbers above 0"),
        ("agra", {"links_within": (1.0,)}, "links_within=.*: must be 2 numbers of at least 0"),
    ],
)
def test_values_that_do_not_fit(method, options, message):
    with pytest.raises(UserError, match=message) as error:
        made(method, **options)
    assert "\n" not in str(error.value)


def test_a_minimal_method_states_no_options():
    class Norm(PenaltyMethod):
        about = "smaller features"
        loss_name = "norm_loss"

        def penalty(self, step):
            return step.src_features.norm()

    heads = Norm.heads(5, K)
    models = Models({"G": torch.nn.Linear(D, 5), **heads})
    adapter = Norm(models, Optimizers((torch.optim.SGD, {"lr": 0.01})), weight=0.25)
    norm = models["G"](batch(0)["src_imgs"]).norm().item()
    assert adapter.training_step(batch(0))["total_loss"]["norm_loss"] == pytest.approx(0.25 * norm, rel=1e-5)
    assert Norm.Options().weight == 1.0


@pytest.mark.parametrize("method", ["detn", "ecan"])
@pytest.mark.parametrize("classes", [2, 5, 10])
def test_every_class_of_the_classifier_is_weighed_and_compared(method, classes):
    """Whatever the classifier: the weight of the last class counts, and so do its features for ecan's own term."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, classes))
    models = Models({"G": torch.nn.Linear(D, 5), "C": net})
    adapter = METHODS[method](models, Optimizers((torch.optim.SGD, {"lr": 0.0})))
    net[2].bias.data[-1] = 1e3  # all target samples are predicted as the last class
    data = batch(0) | {"src_labels": torch.arange(N) % classes}
    losses = []
    for proportion in (1 / classes, 3 / classes):
        adapter.ratio.target.fill_(1 / classes)[-1] = proportion
        adapter.ratio.source.fill_(1 / classes)
        losses.append(adapter.training_step(data)["total_loss"]["mmd_loss"])
    source, target = (adapter.models["G"](data[f"{d}_imgs"]) for d in ("src", "target"))
    last = data["src_labels"] == classes - 1
    own = weighted_mmd(source[last], target).item() * (0.1 if method == "ecan" else 0.0)
    for loss, weight in zip(losses, (1.0, 3.0), strict=True):
        expected = weighted_mmd(source, target, torch.where(last, weight, 1.0)).item() + own
        assert loss == pytest.approx(expected, rel=1e-4)
    assert losses[0] != pytest.approx(losses[1], rel=1e-2)


@pytest.mark.parametrize("method", ["detn", "ecan"])
def test_a_classifier_that_does_not_say_how_many_classes_it_has(method):
    models = Models({"G": torch.nn.Linear(D, 5), "C": torch.nn.Sequential(torch.nn.Flatten())})
    with pytest.raises(UserError, match=r"classifier Sequential has no nn\.Linear.*: end it with one") as error:
        METHODS[method](models, Optimizers((torch.optim.SGD, {"lr": 0.0})))
    assert "\n" not in str(error.value)


def test_star_s_spread_begins_where_it_is_told():
    spread = METHODS["star"].heads(5, K, options=METHODS["star"].Options(initial_spread=1.5))["C"].spread
    assert all((s == 1.5).all() for s in spread.values())


def test_safn_s_step_size_and_dropout():
    adapter = made("safn", step_size=0.5, weight=1.0)
    assert adapter.training_step(batch(0))["total_loss"]["afn_loss"] == pytest.approx(2 * 0.5**2, rel=1e-4)
    head = METHODS["safn"].heads(5, K, options=METHODS["safn"].Options(dropout=0.36))["C"][0]
    assert (head.dropout.p, head.scale) == (0.36, pytest.approx(math.sqrt(0.64)))


def mine(*_, **__):
    return torch.nn.Identity()


def test_the_code_of_a_plugin_has_a_hash_and_ours_none(monkeypatch):
    class Mine(METHODS["mdd"]):
        pass

    for registry, entry in (
        (LOSSES, LossSpec("", mine)),
        (BACKBONES, BackboneSpec(mine, 48, 0.1, "")),
        (METHODS, Mine),
    ):
        monkeypatch.setitem(registry, "mine", entry)
        assert registry.digest("mine") is not None
        assert all(registry.digest(name) is None for name in registry if name != "mine")
