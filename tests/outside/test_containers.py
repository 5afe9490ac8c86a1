"""The host's containers, as its notebooks fill them, with methods of ours."""

import copy

import pytest
import torch
from made import TRAINED
from pytorch_adapt import adapters as host
from pytorch_adapt.containers import LRSchedulers, Misc, Models, Optimizers
from pytorch_adapt.utils.common_functions import get_lr
from toys import COUNTS, D, F, K, difc, loaders, models, ours, schedule, sgd, step, theirs, weights

from pa_difc import DANN, METHODS, attach, discriminator


def rates(adapter):
    return {name: (type(o).__name__, get_lr(o)) for name, o in adapter.optimizers.items()}


@pytest.fixture(scope="module")
def batch():
    """Without the samples' numbers: the tests repeat it, and repeated numbers would say that an epoch has ended."""
    return {name: value for name, value in next(iter(loaders()["train"])).items() if "sample_idx" not in name}


@pytest.mark.parametrize("method", TRAINED)
def test_models_are_enough(method, batch):
    """Every model gets the host's default optimiser, the method's own models too, and learns."""
    made = METHODS[method](models(method), loss=difc())
    assert rates(made) == dict.fromkeys(made.models, ("Adam", 1e-4))
    before = {name: [p.clone() for p in model.parameters()] for name, model in made.models.items()}
    step(made, batch)
    for name, parameters in before.items():
        assert any(not p.equal(q) for p, q in zip(parameters, made.models[name].parameters(), strict=True)), name


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (lambda m: ((torch.optim.SGD, {"lr": 0.1}),), {"G": ("SGD", 0.1), "C": ("SGD", 0.1), "D": ("SGD", 0.1)}),
        (
            lambda m: ({"G": (torch.optim.SGD, {"lr": 0.1}), "C": (torch.optim.SGD, {"lr": 0.5})},),
            {"G": ("SGD", 0.1), "C": ("SGD", 0.5), "D": ("Adam", 1e-4)},
        ),
        (
            lambda m: ({"G": torch.optim.SGD(m["G"].parameters(), lr=0.123)},),
            {"G": ("SGD", 0.123), "C": ("Adam", 1e-4), "D": ("Adam", 1e-4)},
        ),
    ],
    ids=["tuple", "tuples by model", "ready made"],
)
def test_optimizers_in_every_form(given, expected):
    made = models("dann")
    assert rates(DANN(made, Optimizers(*given(made)))) == expected


@pytest.mark.parametrize("method", TRAINED)
def test_keys_choose_who_gets_an_optimizer_and_the_others_get_the_default(method):
    made = METHODS[method](models(method), Optimizers((torch.optim.SGD, {"lr": 0.1}), keys=["G", "C"]))
    extra = made.models.keys() - {"G", "C"}
    assert rates(made) == {"G": ("SGD", 0.1), "C": ("SGD", 0.1), **dict.fromkeys(extra, ("Adam", 1e-4))}


def test_multipliers():
    optimizers = Optimizers((torch.optim.SGD, {"lr": 0.1}), multipliers={"G": 0.1})
    assert rates(DANN(models("dann"), optimizers))["G"] == ("SGD", pytest.approx(0.01))


def test_one_optimizers_container_serves_several_adapters(batch):
    optimizers = sgd()
    first, second = (DANN(models("dann"), optimizers, loss=difc()) for _ in range(2))
    before = weights(first)
    step(second, batch)
    assert weights(first).equal(before) and not weights(second).equal(before)


@pytest.mark.parametrize("method", TRAINED)
def test_schedulers_step_by_step_and_by_epoch(method, batch):
    decay = torch.optim.lr_scheduler
    schedulers = LRSchedulers(
        {"G": (decay.ExponentialLR, {"gamma": 0.5}), "C": (decay.StepLR, {"step_size": 2})},
        scheduler_types={"per_step": ["G"], "per_epoch": ["C"]},
    )
    optimizers = Optimizers((torch.optim.SGD, {"lr": 1e-3}))
    made = METHODS[method](models(method), optimizers, schedulers, loss=difc())
    for _ in range(2):
        for _ in range(3):
            step(made, batch)
            made.lr_schedulers.step("per_step")
        made.lr_schedulers.step("per_epoch")
    assert get_lr(made.optimizers["G"]) == pytest.approx(1e-3 / 2**6)
    assert get_lr(made.optimizers["C"]) == pytest.approx(1e-4)
    assert all(get_lr(made.optimizers[name]) == 1e-3 for name in made.models.keys() - {"G", "C"})


def test_a_tuple_of_schedulers_is_for_all_models(batch):
    exponential = (torch.optim.lr_scheduler.ExponentialLR, {"gamma": 0.5})
    made = DANN(models("dann"), sgd(), LRSchedulers(exponential))
    step(made, batch)
    made.lr_schedulers.step("per_step")
    assert set(rates(made).values()) == {("SGD", 0.025)}


@pytest.mark.parametrize("method", [m for m in TRAINED if m != "agra"])
def test_misc_of_the_user_s_stays_beside_the_loss_and_is_not_written_to(method):
    made = models(method)
    misc = Misc({"combined_model": torch.nn.Sequential(made["G"], made["C"])})
    adapter = METHODS[method](made, misc=misc, loss=difc())
    assert {"combined_model", "difc"} <= adapter.misc.keys() and list(misc) == ["combined_model"]


def test_attaching_does_not_write_to_the_user_s_misc_either():
    misc = Misc({"mine": torch.nn.Identity()})
    first = theirs("DANN", misc=misc)
    assert list(misc) == ["mine"] and list(first.misc) == ["mine", "difc"]
    attach(theirs("DANN", "ce", misc=misc), difc())


def test_models_from_tuples(batch):
    parts = {
        "G": (torch.nn.Linear, {"in_features": D, "out_features": F}),
        "C": (torch.nn.Linear, {"in_features": F, "out_features": K}),
        "D": (discriminator, {"num_features": F}),
    }
    made = DANN(Models(parts), sgd(), loss="difc", class_counts=COUNTS, schedule=schedule())
    assert step(made, batch)["total_loss"]["src_c_loss"] > 0


@pytest.mark.parametrize("method", ["detn", "ecan"])
def test_models_from_tuples_where_the_method_asks_for_the_number_of_classes(method, batch):
    parts = {
        "G": (torch.nn.Linear, {"in_features": D, "out_features": F}),
        "C": (torch.nn.Linear, {"in_features": F, "out_features": K}),
    }
    step(METHODS[method](Models(parts), sgd(), loss=difc()), batch)


def test_the_state_of_the_containers_is_the_state_of_the_run(batch):
    made = ours("dann", ramp_steps=10)
    for seed in range(4):
        step(made, batch, seed)
    kept = copy.deepcopy({name: getattr(made, name).state_dict() for name in ("models", "optimizers", "misc")})
    again = ours("dann", ramp_steps=10)
    for name, state in kept.items():
        getattr(again, name).load_state_dict(state)
    assert again.loss.step == 4 and again.loss.margins.equal(made.loss.margins)
    assert step(again, batch) == step(made, batch) and weights(again).equal(weights(made))


def test_features_that_nothing_trains_go_into_the_host_s_finetuner(batch):
    """Its C learns on frozen features; other hooks of the host's refuse an identity as G, for it gives no gradient."""
    frozen = {"G": torch.nn.Identity(), "C": torch.nn.Linear(D, K)}
    made = attach(host.Finetuner(Models(frozen)), difc())
    for seed in range(5):
        step(made, batch, seed)
    assert made.loss.phase.value == "difc" and made.loss.margins.max() > made.loss.base_margins.max()
    with pytest.raises(TypeError, match="doesn't require grad"):
        step(METHODS["source_only"](Models(frozen), loss=difc()), batch)


def test_a_missing_model_is_named_by_the_host():
    with pytest.raises(KeyError, match=r"models container is missing the following keys: \['D'\]"):
        DANN(Models({"G": torch.nn.Linear(D, F), "C": torch.nn.Linear(F, K)}))
