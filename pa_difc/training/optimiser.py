"""Makes optimisers and learning-rate schedules from settings, in pytorch-adapt's containers."""

from __future__ import annotations

from functools import partial
from math import cos, pi
from typing import Any

import torch
from pytorch_adapt.containers import LRSchedulers, Models, Optimizers
from torch import nn

from ..backbones.groups import parameter_groups, trunk_layers
from ..backbones.pretrained import filled_names
from ..util.errors import UserError
from .groups import OptimiserSettings
from .settings import Settings


def make_containers(settings: Settings, models: Models, steps_per_epoch: int) -> tuple[Optimizers, LRSchedulers]:
    """Makes an optimiser and a learning-rate schedule for every model, the same for every method and loss.

    ``new_lr_multiplier`` and ``new_decay_multiplier`` apply to new layers: those of "G" that pretrained weights did not
    fill, and all other models.

    Raises:
        UserError: a setting has no effect on these models.
    """
    _check_effect(settings.optimiser, models["G"])
    steps = settings.run.epochs * steps_per_epoch
    drop_step = (settings.loss.confusion_epoch or 0) * steps_per_epoch
    factor = partial(learning_rate_factor, settings=settings.optimiser, steps=steps, drop_step=drop_step)
    schedulers = {name: (torch.optim.lr_scheduler.LambdaLR, {"lr_lambda": factor}) for name in models}
    optimizers = {name: make_optimiser(model, settings.optimiser) for name, model in models.items()}
    return Optimizers(optimizers), LRSchedulers(schedulers)


def make_optimiser(model: nn.Module, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Makes the optimiser of one model; with ``clip_norm`` it clips the model's gradient before each step.

    Args:
        model: a backbone, a classifier or another network.
        settings: resolved, with a learning rate.
    """
    assert settings.lr is not None
    groups = parameter_groups(
        model,
        settings.lr,
        settings.weight_decay,
        settings.new_lr_multiplier,
        settings.new_decay_multiplier,
        layer_decay=settings.layer_decay,
    )
    optimiser: torch.optim.Optimizer
    if settings.name == "adamw":
        optimiser = torch.optim.AdamW(groups)
    else:
        optimiser = torch.optim.SGD(groups, momentum=settings.momentum)
    if settings.clip_norm is not None:
        optimiser.register_step_pre_hook(partial(_clip, norm=settings.clip_norm))
    return optimiser


def learning_rate_factor(step: int, *, settings: OptimiserSettings, steps: int, drop_step: int) -> float:
    """The factor on the learning rate at a step, counted from 0.

    "drop": 1 before ``drop_step``, ``lr_drop`` from then on; the paper's 1e-3 → 1e-4 at T1 is a drop of 0.1. "cosine":
    ½ (1 + cos(π · step / steps)) (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5, one cycle to 0). The warm-up
    multiplies either by (step + 1) / warmup_steps until that reaches 1.

    Args:
        step: the step.
        settings: schedule, drop and warm-up.
        steps: number of steps in the whole training.
        drop_step: the first step of the DIFC phase.
    """
    warmup = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    if settings.schedule == "drop":
        return warmup * (1.0 if step < drop_step else settings.lr_drop)
    if settings.schedule == "cosine":
        return warmup * 0.5 * (1 + cos(pi * min(1.0, step / steps)))
    return warmup


def _check_effect(settings: OptimiserSettings, extractor: nn.Module) -> None:
    if settings.layer_decay != 1 and not trunk_layers(extractor):
        raise UserError(f"layer_decay={settings.layer_decay:g} has no effect: the extractor has no trunk of layers")
    for name, plain in (("new_lr_multiplier", "lr"), ("new_decay_multiplier", "weight_decay")):
        factor = getattr(settings, name)
        if factor != 1 and not filled_names(extractor):
            raise UserError(f"{name}={factor:g}: without pretrained weights all layers are new; set {plain} instead")


def _clip(optimiser: torch.optim.Optimizer, args: Any, kwargs: Any, norm: float) -> None:
    weights = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
    torch.nn.utils.clip_grad_norm_(weights, norm)
