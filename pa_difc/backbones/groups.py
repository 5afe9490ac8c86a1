"""Learning rate and weight decay for what is new, for what other data has taught already, and layer by layer."""

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
    """The parameters of a model as a torch optimiser takes them, new layers apart.

    The benchmark's training gives new layers 10 times the learning rate and twice the decay of the pretrained ones
    (AGRA, Chen et al. 2022, arXiv:2008.00923); the paper does not say, and the default treats all alike.

    Layer-wise decay lets early layers, whose features suit most tasks, move less than late ones (Howard and Ruder
    2018, arXiv:1801.06146, section 3.2; with a factor as here: Clark et al. 2020, arXiv:2003.10555). A layer of the
    trunk learns with lr · layer_decay^(number of the trunk's layers above it). Its layers are its children in order,
    those of an ``nn.Sequential`` one by one, without those that have no parameters.

    Args:
        model: a backbone, or a classifier, which is new as a whole.
        lr: of what is not new.
        weight_decay: of what is not new.
        new_lr_multiplier: by which ``lr`` is multiplied for new layers.
        new_decay_multiplier: by which ``weight_decay`` is.
        loaded: names of the parameters that are not new; None: those that :func:`.load_pretrained` has filled, or, if
            it has filled none, those of the model's ``trunk``.
        layer_decay: the factor from one layer of the trunk to the one below it, in (0, 1]. What is new or not in the
            trunk, such as heads and classifiers, is not decayed.

    Returns:
        One or two groups, the one that is not new first; with layer-wise decay that is one for each layer, the last
        layer first, whose rate is ``lr``. None is empty.

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
    """The names of the layers of a model's ``trunk`` that have parameters, the first layer first."""
    found: list[str] = []
    for name, child in getattr(model, "trunk", nn.Sequential()).named_children():
        parts = {f"trunk.{name}": child}
        if type(child) is nn.Sequential:
            parts = {f"trunk.{name}.{index}": part for index, part in child.named_children()}
        found += [layer for layer, part in parts.items() if list(part.parameters())]
    return found
