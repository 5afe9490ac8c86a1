"""The adaptation methods by name; each has a file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from ..util.registry import Registry

if TYPE_CHECKING:
    from .agra import AGRA as AGRA
    from .as_is import AsIs as AsIs
    from .attach import attach as attach
    from .cdan import CDAN as CDAN
    from .dann import DANN as DANN
    from .detn import DETN as DETN
    from .ecan import ECAN as ECAN
    from .etd import ETD as ETD
    from .hooks import ConfusionHook as ConfusionHook
    from .jumbot import JUMBOT as JUMBOT
    from .lpl import LPL as LPL
    from .mcc import MCC as MCC
    from .mcd import MCD as MCD
    from .mcd_onestep import MCDOneStep as MCDOneStep
    from .mdd import MDD as MDD
    from .penalty import PenaltyMethod as PenaltyMethod
    from .penalty import Step as Step
    from .safn import SAFN as SAFN
    from .self_training import AdaMatch as AdaMatch
    from .self_training import MeanTeacher as MeanTeacher
    from .sentry import Sentry as Sentry
    from .slot import LossSlot as LossSlot
    from .source_bn import SourceBN as SourceBN
    from .source_free import SourceFree as SourceFree
    from .source_only import SourceOnly as SourceOnly
    from .star import STAR as STAR
    from .swd import SWD as SWD


class Methods(Registry["type[LossSlot]"]):
    """Methods by name; ``base+addition`` is assembled on first use, see :mod:`.joined`."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name.partition("+")[0] if isinstance(name, str) else name)

    def __getitem__(self, name: str) -> type[LossSlot]:
        base, plus, _ = name.partition("+")
        if not plus:
            return super().__getitem__(name)
        from .joined import join

        return join(name, super().__getitem__(base))


METHODS = Methods(
    "method",
    {
        "as_is": "pa_difc.methods.as_is:AsIs",
        "source_only": "pa_difc.methods.source_only:SourceOnly",
        "source_bn": "pa_difc.methods.source_bn:SourceBN",
        "lpl": "pa_difc.methods.lpl:LPL",
        "dann": "pa_difc.methods.dann:DANN",
        "cdan": "pa_difc.methods.cdan:CDAN",
        "mdd": "pa_difc.methods.mdd:MDD",
        "mcd": "pa_difc.methods.mcd:MCD",
        "mcd_onestep": "pa_difc.methods.mcd_onestep:MCDOneStep",
        "swd": "pa_difc.methods.swd:SWD",
        "star": "pa_difc.methods.star:STAR",
        "safn": "pa_difc.methods.safn:SAFN",
        "detn": "pa_difc.methods.detn:DETN",
        "ecan": "pa_difc.methods.ecan:ECAN",
        "jumbot": "pa_difc.methods.jumbot:JUMBOT",
        "etd": "pa_difc.methods.etd:ETD",
        "agra": "pa_difc.methods.agra:AGRA",
        "mcc": "pa_difc.methods.mcc:MCC",
        "adamatch": "pa_difc.methods.self_training:AdaMatch",
        "mean_teacher": "pa_difc.methods.self_training:MeanTeacher",
        "sentry": "pa_difc.methods.sentry:Sentry",
        "source_free": "pa_difc.methods.source_free:SourceFree",
    },
    "pa_difc.methods",
)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "agra": ["AGRA"],
        "as_is": ["AsIs"],
        "attach": ["attach"],
        "cdan": ["CDAN"],
        "dann": ["DANN"],
        "detn": ["DETN"],
        "ecan": ["ECAN"],
        "etd": ["ETD"],
        "hooks": ["ConfusionHook"],
        "jumbot": ["JUMBOT"],
        "lpl": ["LPL"],
        "mcc": ["MCC"],
        "mcd": ["MCD"],
        "mcd_onestep": ["MCDOneStep"],
        "mdd": ["MDD"],
        "penalty": ["PenaltyMethod", "Step"],
        "safn": ["SAFN"],
        "self_training": ["AdaMatch", "MeanTeacher"],
        "sentry": ["Sentry"],
        "slot": ["LossSlot"],
        "source_bn": ["SourceBN"],
        "source_free": ["SourceFree"],
        "source_only": ["SourceOnly"],
        "star": ["STAR"],
        "swd": ["SWD"],
    },
)
__all__ += ["METHODS"]
