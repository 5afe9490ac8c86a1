"""The classifier that comes with pretrained weights, with its classes mapped to a label set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..data.labels import LabelSet
from ..util.errors import UserError

#: Names of classifiers in state dicts: fc, classifier and head as in torchvision and timm, or a numbered layer in
#: these.
_NAME = re.compile(r"(module\.)?(fc|classifier|heads?)(\.(fc|head|\d+))?\.weight")


@dataclass(frozen=True)
class PretrainedClassifier:
    """A linear classifier on pretrained features: z = W·f + b.

    Args:
        weight: W, ``(K0, D)``.
        bias: b, ``(K0,)``.
        classes: the names of the K0 classes.
        origin: where it comes from, for messages.
    """

    weight: Tensor
    bias: Tensor
    classes: tuple[str, ...]
    origin: str

    def for_labels(self, labels: LabelSet) -> PretrainedClassifier:
        """Reduces the classifier to the classes of a label set, in its order and with its names.

        Classes that the set lacks are left out, and the softmax is over the remaining ones.

        Raises:
            UserError: a class of the set matches none of the classifier's, or several.
        """
        rows = rows_of(labels, self.classes, self.origin, "use another label set, or head_init=random")
        return PretrainedClassifier(self.weight[rows], self.bias[rows], labels.names, self.origin)

    def left_out(self, labels: LabelSet) -> tuple[str, ...]:
        """The classifier's classes that a label set lacks."""
        return tuple(word for word in self.classes if _class_of(word, labels) is None)

    def logits(self, features: Tensor) -> Tensor:
        """Maps features ``(N, D)`` to logits ``(N, K0)``.

        Raises:
            UserError: the number of features is wrong.
        """
        self.require_features(features.shape[1])
        return torch.nn.functional.linear(features, self.weight.to(features), self.bias.to(features))

    def choose(self, *features: Tensor) -> Tensor:
        """The first of several feature tensors whose width the classifier expects; else the first tensor."""
        return next((kind for kind in features if kind.shape[1] == self.weight.shape[1]), features[0])

    def require_features(self, number: int) -> None:
        """Checks the number of features.

        Raises:
            UserError: it is not D.
        """
        if number != self.weight.shape[1]:
            raise UserError(
                f"{self.origin} takes {self.weight.shape[1]} features, and the method's classifier {number}: use "
                "feature_head=global_only, or head_init=random"
            )


def is_of_classifier(name: str) -> bool:
    """Whether a tensor's name in a state dict is one of a classifier: below fc, classifier or head."""
    return _NAME.fullmatch(re.sub(r"\.bias$", ".weight", name)) is not None


def find_classifier(tensors: Mapping[str, Tensor], classes: Sequence[str], file: Path | str) -> PretrainedClassifier:
    """Finds the classifier in a state dict: the last linear layer called fc, classifier or head.

    Args:
        tensors: the state dict.
        classes: the names of its outputs, in order.
        file: where the tensors come from, for messages.

    Raises:
        UserError: there is none, or its number of outputs differs from that of ``classes``.
    """
    names = [name for name, tensor in tensors.items() if _NAME.fullmatch(name) and tensor.dim() == 2]
    if not names:
        raise UserError(f"{file} has no classifier (looked for fc, classifier and head): use head_init=random")
    weight = tensors[names[-1]].float()
    bias = tensors.get(f"{names[-1].removesuffix('weight')}bias", torch.zeros(len(weight))).float()
    if len(weight) != len(classes) or bias.shape != weight.shape[:1]:
        raise UserError(
            f"{file}: its classifier has {len(weight)} outputs, but there are {len(classes)} class names "
            f"({', '.join(classes[:8])}{', …' if len(classes) > 8 else ''})"
        )
    return PretrainedClassifier(weight, bias, tuple(classes), f"the classifier of {file}")


def rows_of(labels: LabelSet, classes: Sequence[str], origin: str, instead: str) -> list[int]:
    """For each class of a label set, in order, the index of the matching class of a model.

    Args:
        labels: the label set.
        classes: the model's classes, in the order of its outputs; those that the set lacks are left out.
        origin: what the model is, for errors.
        instead: what to do if the classes don't match, for errors.

    Raises:
        UserError: a class of the set matches none of the model's classes, or several.
    """
    found: dict[int, list[int]] = {k: [] for k in range(len(labels))}
    for row, word in enumerate(classes):
        if (k := _class_of(word, labels)) is not None:
            found[k].append(row)
    if missing := [labels.names[k] for k, rows in found.items() if not rows]:
        raise UserError(f"{origin} has no class {', '.join(missing)}: it has {', '.join(classes)}; {instead}")
    for k, rows in found.items():
        if len(rows) > 1:
            several = ", ".join(classes[row] for row in rows)
            raise UserError(
                f"{origin} has {len(rows)} classes that are all {labels.names[k]!r} ({several}): there must be one; "
                f"{instead}"
            )
    return [rows[0] for rows in found.values()]


def _class_of(word: str, labels: LabelSet) -> int | None:
    try:
        return labels.index(word)
    except UserError:
        return None
