"""Moving averages of a method's weights, used for prediction or as a teacher."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from pytorch_adapt.containers import Models
from torch import Tensor, nn

from ..util.replicas import original


class AveragedModels(nn.Module):
    """An exponential moving average of models, in eval mode.

    w̄ ← d w̄ + (1 − d) w with d = min(decay, (1 + t) / (10 + t)) at step t, so that early steps are soon forgotten
    (Tarvainen and Valpola 2017, arXiv:1703.01780). BatchNorm statistics are averaged like weights; other state, such as
    AGRA's class means, is copied from the models.

    With ``start_share`` s the average is (1 − s) w̄ + s w₀, where w₀ are the weights before training: interpolating
    between fine-tuned and initial weights often predicts better than either (Wortsman et al. 2022, arXiv:2109.01903).

    Args:
        models: by name; they are copied.
        decay: largest d.
        start_share: s, the share of the initial weights.
    """

    steps: Tensor  #: t

    def __init__(self, models: Mapping[str, nn.Module], decay: float, start_share: float = 0.0) -> None:
        super().__init__()
        self.models = nn.ModuleDict({name: copy.deepcopy(model) for name, model in models.items()})
        self.models.requires_grad_(False).eval()
        self.start = copy.deepcopy(self.models) if start_share else nn.ModuleDict()
        self.decay, self.start_share = decay, start_share
        self._averaged = {name: _averaged(model) for name, model in self.models.items()}
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> AveragedModels:
        """Stays in eval mode, whatever ``mode`` is."""
        return super().train(False)

    @torch.no_grad()
    def update(self, models: Mapping[str, nn.Module]) -> None:
        """Updates the average after a step of the models."""
        steps = int(self.steps)
        decay = min(self.decay, (1 + steps) / (10 + steps))
        for name, average in self.models.items():
            new = _state(original(models[name]))
            start = _state(self.start[name]) if self.start_share else {}
            for key, value in _state(average).items():
                if value.device != new[key].device:  # pytorch-adapt's frameworks don't move misc
                    value.data = value.to(new[key].device)
                if key in self._averaged[name]:
                    value.lerp_(self._drawn(new[key].to(value), start.get(key)), 1 - decay)
                else:
                    value.copy_(new[key])
        self.steps.add_(1)

    def _drawn(self, new: Tensor, start: Tensor | None) -> Tensor:
        """Interpolates a weight towards its initial value, and with it the average, which is linear."""
        return new if start is None else new.lerp(start.to(new), self.start_share)


def _state(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters and persistent buffers; shared ones appear once."""
    kept = model.state_dict().keys()
    return {name: value for name, value in (*model.named_parameters(), *model.named_buffers()) if name in kept}


def _averaged(model: nn.Module) -> frozenset[str]:
    """The names of a model's parameters and BatchNorm statistics."""
    norms = [n for n, module in model.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    statistics = {f"{n}.{s}".lstrip(".") for n in norms for s in ("running_mean", "running_var")}
    return frozenset({name for name, _ in model.named_parameters()} | statistics)


@contextmanager
def in_place_of(models: Models, average: AveragedModels | None) -> Iterator[None]:
    """Replaces models by their averages inside the block."""
    before = {name: models[name] for name in (average.models if average else ())}
    try:
        for name in before:
            models[name] = average.models[name]  # type: ignore[union-attr]  # before is empty without an average
        yield
    finally:
        for name, model in before.items():
            models[name] = model
