"""The adaptation methods by name; each file is one paper."""

from .dann import DANN
from .mcd import MCD
from .safn import SAFN
from .slot import LossSlot
from .source_only import SourceOnly

METHODS: dict[str, type[LossSlot]] = {
    "source_only": SourceOnly,
    "dann": DANN,
    "mcd": MCD,
    "safn": SAFN,
}

__all__ = ["DANN", "MCD", "METHODS", "SAFN", "LossSlot", "SourceOnly"]
