"""A pretrained classifier as it is: the row that training on a source has to beat."""

from collections.abc import Mapping
from typing import Any

from ..util.errors import UserError
from .source_only import SourceOnly


class AsIs(SourceOnly):
    """Predicts with the classifier that pretrained weights bring along, and trains nothing.

    p = softmax(C(G(x))), G and C as they were published or exported. Neither weights nor BatchNorm's statistics
    change, the loss in its slot plays no part, and no label is looked at, the source's included.

    A grid has it once, whatever its losses and seeds. It needs ``head_init="pretrained"``.

    Arguments are those of :class:`.LossSlot`.
    """

    about = "the pretrained classifier, without training"
    trains = False
    needs_pretrained = True

    def training_step(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, dict[str, float]]:
        """There is none.

        Raises:
            UserError: always.
        """
        raise UserError("as_is trains nothing: predict with it, or train source_only")
