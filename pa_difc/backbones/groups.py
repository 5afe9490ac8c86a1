"""Learning rate and weight decay for what is new and for what other data has taught already."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn


def parameter_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    new_lr_multiplier: float = 1.0,
    new_decay_multiplier: float = 1.0,
    *,
    loaded: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """The parameters of a model as a torch optimiser takes them, new layers apart.

    The benchmark's training gives new layers 10 times the learning rate and twice the decay of the pretrained ones
    (AGRA, Chen et al. 2022, arXiv:2008.00923); the paper does not say, and the default treats all alike.

    Args:
        model: a backbone, or a classifier, which is new as a whole.
        lr: of what is not new.
        weight_decay: of what is not new.
        new_lr_multiplier: by which ``lr`` is multiplied for new layers.
        new_decay_multiplier: by which ``weight_decay`` is.
        loaded: names of the parameters that are not new, such as :attr:`.PretrainedReport.matched`; None: those of
            the model's ``trunk``.

    Returns:
        One or two groups, the one that is not new first; without an empty one.
    """
    old: list[nn.Parameter] = []
    new: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_old = name.startswith("trunk.") if loaded is None else name in loaded
        (old if is_old else new).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": old, "lr": lr, "weight_decay": weight_decay},
        {"params": new, "lr": lr * new_lr_multiplier, "weight_decay": weight_decay * new_decay_multiplier},
    ]
    return [group for group in groups if group["params"]]
