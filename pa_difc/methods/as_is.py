"""The pretrained classifier without training: the baseline that adaptation has to beat."""

from collections.abc import Mapping
from typing import Any

from ..util.errors import UserError
from .source_only import SourceOnly


class AsIs(SourceOnly):
    """Predicts with the classifier of the pretrained weights, without any training.

    p = softmax(C(G(x))), with G and C as published or exported. Neither weights nor BatchNorm statistics change; the
    classification loss and the source's labels are not used.

    A grid runs it once, whatever its losses and seeds. It needs ``head_init="pretrained"``.

    Arguments are those of :class:`.LossSlot`.
    """

    about = "the pretrained classifier, without training"
    trains = False
    needs_pretrained = True

    def training_step(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, dict[str, float]]:
        """Not supported: this method has no training step.

        Raises:
            UserError: always.
        """
        raise UserError("as_is trains nothing: predict with it, or train source_only")
