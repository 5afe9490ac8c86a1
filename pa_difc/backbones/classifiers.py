"""The classifier that pretrained weights bring along, under the names of a label set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..data.labels import LabelSet
from ..util.errors import UserError

#: Names of classifiers in state dicts: torchvision's and timm's fc, classifier and head, and numbered ones in these.
_NAME = re.compile(r"(module\.)?(fc|classifier|heads?)(\.(fc|head|\d+))?\.weight")


@dataclass(frozen=True)
class PretrainedClassifier:
    """A linear classifier of pretrained features: z = W·f + b.

    Args:
        weight: W, ``(K0, D)``.
        bias: b, ``(K0,)``.
        classes: a word for each of the K0 classes.
        origin: where it is from, for errors and for people.
    """

    weight: Tensor
    bias: Tensor
    classes: tuple[str, ...]
    origin: str

    def for_labels(self, labels: LabelSet) -> PretrainedClassifier:
        """The rows for the classes of a label set, in its order and under its names.

        Classes that the set does not have are left out; the probabilities of the others then sum to 1 without them.

        Raises:
            UserError: a class of the set comes from none of its classes, or from several.
        """
        rows = rows_of(labels, self.classes, self.origin, "use another label set, or head_init=random")
        return PretrainedClassifier(self.weight[rows], self.bias[rows], labels.names, self.origin)

    def left_out(self, labels: LabelSet) -> tuple[str, ...]:
        """The classes that a label set does not have."""
        return tuple(word for word in self.classes if _class_of(word, labels) is None)

    def logits(self, features: Tensor) -> Tensor:
        """``(N, D)`` features to ``(N, K0)`` logits.

        Raises:
            UserError: the features are of another number.
        """
        self.require_features(features.shape[1])
        return torch.nn.functional.linear(features, self.weight.to(features), self.bias.to(features))

    def choose(self, *features: Tensor) -> Tensor:
        """Those of several kinds of features that it was made for, the first ones if none are."""
        return next((kind for kind in features if kind.shape[1] == self.weight.shape[1]), features[0])

    def require_features(self, number: int) -> None:
        """Refuses features of another number than those that it was made for.

        Raises:
            UserError: they are.
        """
        if number != self.weight.shape[1]:
            raise UserError(
                f"{self.origin} reads {self.weight.shape[1]} features, and the method's classifier {number}: take "
                "feature_head=global_only, or head_init=random"
            )


def find_classifier(tensors: Mapping[str, Tensor], classes: Sequence[str], file: Path | str) -> PretrainedClassifier:
    """The classifier of a state dict: its last linear layer that is called fc, classifier or head.

    Args:
        tensors: by name.
        classes: a word for each of its outputs, in their order.
        file: where they are from.

    Raises:
        UserError: there is none, or it has another number of outputs.
    """
    names = [name for name, tensor in tensors.items() if _NAME.fullmatch(name) and tensor.dim() == 2]
    if not names:
        raise UserError(f"{file} has no classifier (looked for fc, classifier and head): use head_init=random")
    weight = tensors[names[-1]].float()
    bias = tensors.get(f"{names[-1].removesuffix('weight')}bias", torch.zeros(len(weight))).float()
    if len(weight) != len(classes) or bias.shape != weight.shape[:1]:
        raise UserError(
            f"{file}: its classifier has {len(weight)} outputs, and there are {len(classes)} names for them "
            f"({', '.join(classes[:8])}{', …' if len(classes) > 8 else ''})"
        )
    return PretrainedClassifier(weight, bias, tuple(classes), f"the classifier of {file}")


def rows_of(labels: LabelSet, classes: Sequence[str], origin: str, instead: str) -> list[int]:
    """For each class of a label set, in its order, which of a model's classes it is.

    Args:
        labels: the set.
        classes: the model's, in the order of its outputs; those that the set does not have are left out.
        origin: what the model is, for errors.
        instead: what to do where it does not fit, likewise.

    Raises:
        UserError: a class of the set comes from none of the model's classes, or from several.
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
