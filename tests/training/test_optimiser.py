"""Optimisers and learning-rate schedules: numbers from their formulas, and what reaches the weights."""

import math

import pytest
import torch
from made import random_faces
from pytorch_adapt.containers import Models

from pa_difc.backbones import load_pretrained, make_backbone
from pa_difc.backbones.groups import trunk_layers
from pa_difc.data import Domain
from pa_difc.training.build import make_adapter
from pa_difc.training.groups import OptimiserSettings
from pa_difc.training.optimiser import learning_rate_factor, make_containers, make_optimiser
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError


def factors(steps=8, drop_step=3, **values):
    settings = OptimiserSettings(**values)
    return [learning_rate_factor(s, settings=settings, steps=steps, drop_step=drop_step) for s in range(steps)]


def test_the_paper_s_drop():
    assert factors(lr_drop=0.25) == [1, 1, 1, 0.25, 0.25, 0.25, 0.25, 0.25]


def test_a_cosine_to_zero():
    assert factors(schedule="cosine") == pytest.approx([0.5 * (1 + math.cos(math.pi * s / 8)) for s in range(8)])


def test_a_warm_up_rises_to_whatever_the_schedule_says():
    assert factors(schedule="constant", warmup_steps=4) == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert factors(lr_drop=0.5, warmup_steps=5) == pytest.approx([0.2, 0.4, 0.6, 0.4, 0.5, 0.5, 0.5, 0.5])


def test_the_schedule_reaches_the_optimiser_step_by_step():
    settings = resolve(Settings.of(epochs=2, lr=0.5, schedule="cosine", warmup_steps=2))
    models = Models({"G": torch.nn.Linear(2, 2)})
    optimizers, schedulers = make_containers(settings, models, steps_per_epoch=3)
    optimizers.create_with(models)
    schedulers.create_with(optimizers)
    seen = []
    for _ in range(6):
        seen.append(optimizers["G"].param_groups[0]["lr"])
        optimizers["G"].step()
        schedulers.step("per_step")
    expected = [0.5 * min(1, (s + 1) / 2) * 0.5 * (1 + math.cos(math.pi * s / 6)) for s in range(6)]
    assert seen == pytest.approx(expected)


def stepped(gradient, start=1.0, **values):
    """The weight after one step with a gradient of this size."""
    layer = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(start)
    optimiser = make_optimiser(layer, OptimiserSettings(lr=0.1, **values))
    layer.weight.grad = torch.full_like(layer.weight, gradient)
    optimiser.step()
    return layer.weight.item()


def test_sgd_and_adamw_take_their_own_steps():
    assert stepped(2.0, weight_decay=0.5) == pytest.approx(1 - 0.1 * (2 + 0.5))
    # AdamW: the decay is apart from the gradient, and the first step is as long as the learning rate.
    assert stepped(2.0, name="adamw", weight_decay=0.5) == pytest.approx(1 - 0.1 * 0.5 - 0.1, abs=1e-6)


def test_a_clipped_gradient_has_the_norm_that_was_asked_for():
    assert stepped(8.0, weight_decay=0.0, clip_norm=2.0) == pytest.approx(1 - 0.1 * 2.0, rel=1e-5)
    assert stepped(1.5, weight_decay=0.0, clip_norm=2.0) == pytest.approx(1 - 0.1 * 1.5)


def test_a_layer_decay_without_layers_is_refused():
    settings = resolve(Settings.of(layer_decay=0.5))
    with pytest.raises(UserError, match=r"layer_decay=0\.5 has no effect"):
        make_containers(settings, Models({"G": torch.nn.Linear(2, 2)}), steps_per_epoch=3)


def test_layers_below_learn_more_slowly():
    settings = OptimiserSettings(lr=1.0, layer_decay=0.5)
    optimiser = make_optimiser(with_trunk(), settings)
    rates = [group["lr"] for group in optimiser.param_groups]
    assert rates == pytest.approx([1.0, 0.5, 0.25, 0.125, 1.0])  # four blocks from above, and the head


def with_trunk():
    return make_backbone("small", feature_head="global_local")


@pytest.fixture
def half_a_trunk(tmp_path):
    """A file of the trunk without its last layer and with a tensor of another shape, and the names that it fills."""
    model = with_trunk()
    *_, odd_layer, last = trunk_layers(model)
    state = {n: v for n, v in model.state_dict().items() if n.startswith("trunk.") and not n.startswith(f"{last}.")}
    odd = next(name for name in state if name.startswith(f"{odd_layer}.") and state[name].dim() > 1)
    file = {name.removeprefix("trunk."): torch.ones(2) if name == odd else v for name, v in state.items()}
    torch.save(file, tmp_path / "w.pth")
    return tmp_path / "w.pth", state.keys() - {odd}


def step_sizes(models, optimizers):
    """How far each parameter moves in one step with a gradient of 1 everywhere, by model and name."""
    sizes = {}
    for name, model in models.items():
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizers[name].step()
        for n, p in model.named_parameters():
            sizes[f"{name}.{n}"] = (before[n] - p.detach()).flatten()[0].item()
    return sizes


def test_new_layers_are_those_that_pretraining_did_not_fill(half_a_trunk):
    file, filled = half_a_trunk
    domain = Domain("d", random_faces(14, 0), random_faces(7, 1))
    settings = Settings.of(
        method="mcd", lr=0.01, weight_decay=0.0, pretrained=str(file), new_lr_multiplier=10, feature_head="global_local"
    )
    adapter = make_adapter(resolve(settings), domain, 4)
    sizes = step_sizes(adapter.models, adapter.optimizers)
    old = {f"G.{name}" for name, _ in adapter.models["G"].named_parameters() if name in filled}
    assert 0 < len(old) < sum(name.startswith("G.trunk.") for name in sizes)
    assert {name for name, size in sizes.items() if size == pytest.approx(0.01, rel=1e-3)} == old
    assert {name for name, size in sizes.items() if size == pytest.approx(0.1, rel=1e-3)} == sizes.keys() - old
    assert any(name.startswith("C.") for name in sizes.keys() - old)


def test_new_layers_have_their_own_decay(half_a_trunk):
    file, filled = half_a_trunk
    model = with_trunk()
    load_pretrained(model, file)
    optimiser = make_optimiser(model, OptimiserSettings(lr=0.1, weight_decay=0.3, new_decay_multiplier=2))
    decays = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        assert decays[id(parameter)] == pytest.approx(0.3 if name in filled else 0.6), name


def test_what_two_files_fill_is_not_new(half_a_trunk, tmp_path):
    file, filled = half_a_trunk
    model = with_trunk()
    load_pretrained(model, file)
    rest = {n: v for n, v in with_trunk().state_dict().items() if n.startswith("trunk.") and n not in filled}
    torch.save(rest, tmp_path / "rest.pth")
    load_pretrained(model, tmp_path / "rest.pth")
    old, new = make_optimiser(model, OptimiserSettings(lr=1.0, new_lr_multiplier=10)).param_groups
    assert {id(p) for p in old["params"]} == {id(p) for p in model.trunk.parameters()}
    assert (old["lr"], new["lr"]) == (1.0, 10.0)


@pytest.mark.parametrize(("option", "plain"), [("new_lr_multiplier", "lr"), ("new_decay_multiplier", "weight_decay")])
def test_a_multiplier_for_new_layers_is_refused_where_all_are_new(option, plain):
    models = Models({"G": make_backbone("small"), "C": torch.nn.Linear(2, 2)})
    with pytest.raises(UserError, match=f"{option}=3: .*all layers are new; set {plain} instead") as error:
        make_containers(resolve(Settings.of(**{option: 3})), models, steps_per_epoch=3)
    assert "\n" not in str(error.value)


def test_layers_below_learn_more_slowly_where_pretraining_filled_them(half_a_trunk):
    file, filled = half_a_trunk
    model = with_trunk()
    load_pretrained(model, file)
    optimiser = make_optimiser(model, OptimiserSettings(lr=1.0, layer_decay=0.5))
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    by_name = {name: rates[id(p)] for name, p in model.named_parameters()}
    assert all(rate == 1.0 for name, rate in by_name.items() if name not in filled)
    assert min(by_name.values()) == 0.125
