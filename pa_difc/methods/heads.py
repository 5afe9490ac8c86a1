"""The small networks on top of features: classifiers and domain discriminators."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from ..losses.spec import CLASSIFIERS
from ..util.errors import UserError
from ..util.names import lookup

#: Makes a classifier from the numbers of features and of classes.
ClassifierFactory = Callable[[int, int], nn.Module]


def classifier(num_features: int, num_classes: int, kind: str = "linear", scale: float | None = None) -> nn.Module:
    """Makes a classifier whose logits are multiplied by ``scale``.

    The scale is part of the classifier, so that losses, discrepancies, confusion and predictions all use the same
    logits.

    Args:
        num_features: D.
        num_classes: K.
        kind: a key of :data:`CLASSIFIERS`: "linear", or "cosine" for logits s·cos(f, w_k).
        scale: s; None: the kind's default. A loss with margins needs the same scale, see :func:`.make_loss`.

    Returns:
        A module from ``(N, D)`` to ``(N, K)``.

    Raises:
        UserError: the kind is unknown.
    """
    own = lookup("classifier", kind, CLASSIFIERS)
    scale = own if scale is None else scale
    layer = CosineLinear(num_features, num_classes) if kind == "cosine" else nn.Linear(num_features, num_classes)
    return layer if scale == 1.0 else nn.Sequential(layer, Scale(scale))


def scale_of(classifier: nn.Module) -> float:
    """s, the factor on the logits of a classifier made by :func:`classifier`; 1 for any other."""
    factors = {module.factor for module in classifier.modules() if isinstance(module, Scale)}
    return factors.pop() if len(factors) == 1 else 1.0


def has_cosines(classifier: nn.Module) -> bool:
    """Whether this is a cosine classifier made by :func:`classifier`."""
    return any(isinstance(module, CosineLinear) for module in classifier.modules())


def num_classes_of(classifier: nn.Module) -> int:
    """K of a classifier, or of several side by side: the outputs of its last linear layer.

    Raises:
        UserError: it has no linear layer.
    """
    layers = [module for module in classifier.modules() if isinstance(module, nn.Linear)]
    if not layers:
        name = type(classifier).__name__
        raise UserError(
            f"classifier {name} has no nn.Linear, whose outputs would give the number of classes: end it with one"
        )
    return layers[-1].out_features


class CosineLinear(nn.Linear):
    """A linear layer that gives cosines between features and class weights, in [−1, 1]; no bias.

    Maps ``(N, D)`` to ``(N, K)``.
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__(num_features, num_classes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))


class Scale(nn.Module):
    """Multiplies by a constant.

    Args:
        factor: the constant.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


class FeatureHead(nn.Sequential):
    """A trainable layer in place of the feature extractor when features are frozen: ``(N, D)`` to ``(N, 256)``.

    Args:
        num_features: D.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__(nn.Linear(num_features, 256), nn.ReLU())
        self.num_features = 256


def discriminator(num_features: int, hidden: int = 256) -> nn.Module:
    """A domain discriminator from features ``(N, D)`` to logits ``(N,)``."""
    return nn.Sequential(
        nn.Linear(num_features, hidden),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(hidden, 1),
        nn.Flatten(start_dim=0),
    )
