"""Optimiser parameter groups: new layers, pretrained layers, and layer-wise decay of the learning rate."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from .pretrained import filled_names


def parameter_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    new_lr_multiplier: float = 1.0,
    new_decay_multiplier: float = 1.0,
    *,
    loaded: Collection[str] | None = None,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """A model's parameters as groups for a torch optimiser, with new layers in a group of their own.

    The benchmark's training gives new layers 10 times the learning rate and twice the decay of the pretrained ones
    (AGRA, Chen et al. 2022, arXiv:2008.00923); the DIFC paper doesn't say, and the default treats all layers alike.

    Layer-wise decay gives early layers, whose features suit most tasks, smaller learning rates than late ones (Howard
    and Ruder 2018, arXiv:1801.06146, section 3.2; with a decay factor: Clark et al. 2020, arXiv:2003.10555). A layer of
    the trunk has the rate lr · layer_decay^(number of the trunk's layers above it). Layers are the trunk's children in
    order, those of an ``nn.Sequential`` counted separately and those without parameters skipped.

    Args:
        model: a backbone, or a classifier, all of whose layers are new.
        lr: learning rate of pretrained layers.
        weight_decay: weight decay of pretrained layers.
        new_lr_multiplier: factor on ``lr`` for new layers.
        new_decay_multiplier: factor on ``weight_decay`` for new layers.
        loaded: names of the pretrained parameters; None: those that :func:`.load_pretrained` has filled or, if none,
            those of the model's ``trunk``.
        layer_decay: the factor from one layer of the trunk to the one below it, in (0, 1]. New layers and layers
            outside the trunk, such as heads and classifiers, are not affected.

    Returns:
        Non-empty groups: first the pretrained parameters, with layer-wise decay one group per layer from the last (with
        rate ``lr``) to the first; then the new ones.

    Raises:
        ValueError: ``layer_decay`` is out of range.
    """
    if not 0.0 < layer_decay <= 1.0:
        raise ValueError(f"{layer_decay=}: must be in (0, 1]")
    loaded = filled_names(model) or None if loaded is None else loaded
    layers = trunk_layers(model)
    above = {f"{name}.": len(layers) - 1 - index for index, name in enumerate(layers)} if layer_decay < 1.0 else {}
    old: dict[int, list[nn.Parameter]] = {steps: [] for steps in sorted({0, *above.values()})}
    new: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_old = name in loaded if loaded is not None else name.startswith("trunk.")
        steps = next((steps for layer, steps in above.items() if name.startswith(layer)), 0)
        (old[steps] if is_old else new).append(parameter)
    groups: list[dict[str, Any]] = [
        *({"params": found, "lr": lr * layer_decay**n, "weight_decay": weight_decay} for n, found in old.items()),
        {"params": new, "lr": lr * new_lr_multiplier, "weight_decay": weight_decay * new_decay_multiplier},
    ]
    return [group for group in groups if group["params"]]


def trunk_layers(model: nn.Module) -> list[str]:
    """The names of the layers of a model's ``trunk`` that have parameters, in order."""
    found: list[str] = []
    for name, child in getattr(model, "trunk", nn.Sequential()).named_children():
        parts = {f"trunk.{name}": child}
        if type(child) is nn.Sequential:
            parts = {f"trunk.{name}.{index}": part for index, part in child.named_children()}
        found += [layer for layer, part in parts.items() if list(part.parameters())]
    return found
