"""The adaptation methods by name; each file is one paper."""

from .agra import AGRA
from .cdan import CDAN
from .dann import DANN
from .detn import DETN
from .ecan import ECAN
from .etd import ETD
from .jumbot import JUMBOT
from .lpl import LPL
from .mcd import MCD
from .mcd_onestep import MCDOneStep
from .mdd import MDD
from .penalty import PenaltyMethod, Step
from .safn import SAFN
from .slot import LossSlot
from .source_only import SourceOnly
from .star import STAR
from .swd import SWD

#: Ours, and those of other packages under the entry point ``pa_difc.methods``.
METHODS: dict[str, type[LossSlot]] = {
    "source_only": SourceOnly,
    "lpl": LPL,
    "dann": DANN,
    "cdan": CDAN,
    "mdd": MDD,
    "mcd": MCD,
    "mcd_onestep": MCDOneStep,
    "swd": SWD,
    "star": STAR,
    "safn": SAFN,
    "detn": DETN,
    "ecan": ECAN,
    "jumbot": JUMBOT,
    "etd": ETD,
    "agra": AGRA,
}

__all__ = [
    "AGRA",
    "CDAN",
    "DANN",
    "DETN",
    "ECAN",
    "ETD",
    "JUMBOT",
    "LPL",
    "MCD",
    "MDD",
    "METHODS",
    "SAFN",
    "STAR",
    "SWD",
    "LossSlot",
    "MCDOneStep",
    "PenaltyMethod",
    "SourceOnly",
    "Step",
]
