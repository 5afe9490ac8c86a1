"""Optimisers and learning-rate schedules: numbers from their formulas, and what reaches the weights."""

import math

import pytest
import torch
from pytorch_adapt.containers import Models

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
    from pa_difc.backbones.make import make_backbone

    settings = OptimiserSettings(lr=1.0, layer_decay=0.5)
    optimiser = make_optimiser(make_backbone("small", feature_head="global_local"), settings)
    rates = [group["lr"] for group in optimiser.param_groups]
    assert rates == pytest.approx([1.0, 0.5, 0.25, 0.125, 1.0])  # four blocks from above, and the head
