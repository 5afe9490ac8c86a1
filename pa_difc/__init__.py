"""DIFC (Sreenivas et al. 2022) for pytorch-adapt: class margins against source imbalance and target confusion."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import lazy_loader

from .util.version import VERSION

if TYPE_CHECKING:
    from .backbones import BACKBONES as BACKBONES
    from .commands.parser import run_script as run_script
    from .commands.recipe import Ingredients as Ingredients
    from .commands.recipe import run_recipe as run_recipe
    from .data import DATASETS as DATASETS
    from .data import SAMPLERS as SAMPLERS
    from .data.labels import LabelSet as LabelSet
    from .deploy.predictor import load as load
    from .evaluation import CRITERIA as CRITERIA
    from .losses import LOSSES as LOSSES
    from .losses.baselines import FocalLoss as FocalLoss
    from .losses.baselines import LogitAdjustedLoss as LogitAdjustedLoss
    from .losses.baselines import WeightedLoss as WeightedLoss
    from .losses.cosine import ArcFaceOnCosines as ArcFaceOnCosines
    from .losses.cosine import CosFaceOnCosines as CosFaceOnCosines
    from .losses.cosine import MarginHeadLoss as MarginHeadLoss
    from .losses.difc import DIFCLoss as DIFCLoss
    from .losses.make import make_loss as make_loss
    from .losses.schedule import Phase as Phase
    from .losses.schedule import Schedule as Schedule
    from .methods import METHODS as METHODS
    from .methods.agra import AGRA as AGRA
    from .methods.as_is import AsIs as AsIs
    from .methods.attach import attach as attach
    from .methods.cdan import CDAN as CDAN
    from .methods.dann import DANN as DANN
    from .methods.detn import DETN as DETN
    from .methods.ecan import ECAN as ECAN
    from .methods.etd import ETD as ETD
    from .methods.heads import discriminator as discriminator
    from .methods.hooks import ConfusionHook as ConfusionHook
    from .methods.jumbot import JUMBOT as JUMBOT
    from .methods.lpl import LPL as LPL
    from .methods.mcd import MCD as MCD
    from .methods.mcd_onestep import MCDOneStep as MCDOneStep
    from .methods.mdd import MDD as MDD
    from .methods.penalty import PenaltyMethod as PenaltyMethod
    from .methods.penalty import Step as Step
    from .methods.safn import SAFN as SAFN
    from .methods.slot import LossSlot as LossSlot
    from .methods.source_only import SourceOnly as SourceOnly
    from .methods.star import STAR as STAR
    from .methods.swd import SWD as SWD
    from .training.loggers import LOGGERS as LOGGERS
    from .training.settings import Settings as Settings
    from .util.options import Options as Options
    from .util.options import option as option
    from .util.registry import Registry as Registry

__version__ = VERSION

# torchmetrics 0.9.3, which pytorch-adapt pins, imports pkg_resources, whose deprecation warning our users can't act on.
# The filter is set here because this module runs before any other of the package can import pytorch-adapt.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated", module="torchmetrics")

__getattr__, _, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "backbones": ["BACKBONES"],
        "commands.parser": ["run_script"],
        "commands.recipe": ["Ingredients", "run_recipe"],
        "data": ["DATASETS", "SAMPLERS"],
        "data.labels": ["LabelSet"],
        "deploy.predictor": ["load"],
        "evaluation": ["CRITERIA"],
        "losses": ["LOSSES"],
        "losses.baselines": ["FocalLoss", "LogitAdjustedLoss", "WeightedLoss"],
        "losses.cosine": ["ArcFaceOnCosines", "CosFaceOnCosines", "MarginHeadLoss"],
        "losses.difc": ["DIFCLoss"],
        "losses.make": ["make_loss"],
        "losses.schedule": ["Phase", "Schedule"],
        "methods": ["METHODS"],
        "methods.agra": ["AGRA"],
        "methods.as_is": ["AsIs"],
        "methods.attach": ["attach"],
        "methods.cdan": ["CDAN"],
        "methods.dann": ["DANN"],
        "methods.detn": ["DETN"],
        "methods.ecan": ["ECAN"],
        "methods.etd": ["ETD"],
        "methods.hooks": ["ConfusionHook"],
        "methods.jumbot": ["JUMBOT"],
        "methods.lpl": ["LPL"],
        "methods.heads": ["discriminator"],
        "methods.mcd": ["MCD"],
        "methods.mcd_onestep": ["MCDOneStep"],
        "methods.mdd": ["MDD"],
        "methods.penalty": ["PenaltyMethod", "Step"],
        "methods.safn": ["SAFN"],
        "methods.slot": ["LossSlot"],
        "methods.source_only": ["SourceOnly"],
        "methods.star": ["STAR"],
        "methods.swd": ["SWD"],
        "training.loggers": ["LOGGERS"],
        "training.settings": ["Settings"],
        "util.options": ["Options", "option"],
        "util.registry": ["Registry"],
    },
)
__all__ += ["__version__"]


def __dir__() -> list[str]:
    return sorted(__all__)
