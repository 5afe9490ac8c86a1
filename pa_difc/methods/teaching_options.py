"""The options of self-training; :mod:`.self_training` has the equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..losses.pseudo import TARGET_LOSSES
from ..util import options as option_tools
from ..util.errors import UserError
from ..util.options import option

TEACHERS = ("student", "average", "start")
WHO = "who gives pseudo-labels: student, average (of its weights), start, or the folder of another run or model"
ALIGNMENTS = ("equal", "source", "estimated", "own", "none")
_TEMPERATURE = "pseudo-labels are p^(1/T): 1 unchanged, 0 the most probable class"
_ALIGN = "class proportions that pseudo-labels are aligned to: equal, source, estimated, own (the teacher's) or none"


@dataclass(frozen=True)
class SelfTrainingOptions(option_tools.Options):
    """Options of self-training."""

    teacher: str = option("average", WHO, choices=TEACHERS, folders=True)
    teacher_decay: float = option(0.99, "decay of the average per step, with teacher=average", above=0, below=1)
    align: str = option("equal", _ALIGN, choices=ALIGNMENTS)
    align_power: float = option(0.5, "a, how far pseudo-labels are aligned", above=0, at_most=1)
    threshold: float = option(
        0.0, "pseudo-labels below this share of the source's mean confidence are left out", at_least=0, at_most=1
    )
    temperature: float = option(0.5, _TEMPERATURE, at_least=0, at_most=1)
    target_weight: float = option(1.0, "factor on the target's loss", at_least=0)
    target_loss: str = option("ce", "the loss on pseudo-labels: ce, drw, margin, di or difc", choices=TARGET_LOSSES)
    target_margin: float = option(1.0, "largest margin of target_loss", unit="logits", at_least=0)
    target_epsilon: float = option(0.5, "ε of target_loss=difc", unit="logits", at_least=0)
    target_power: float = option(0.2, "class weights of target_loss are q^-power", at_least=0, at_most=1)
    strong_views: bool = option(True, "the student sees rotated, scaled, relit and occluded faces")

    @classmethod
    def without_effect(cls, values: Mapping[str, Any]) -> dict[str, str]:
        ingredients = TARGET_LOSSES[values["target_loss"]]
        effects = {
            "teacher_decay": ("teacher", values["teacher"] == "average"),
            "align_power": ("align", values["align"] not in ("own", "none")),
            "target_margin": ("target_loss", "margins" in ingredients),
            "target_epsilon": ("target_loss", "confusion" in ingredients),
            "target_power": ("target_loss", "weights" in ingredients),
        }
        own = {name: f"{other}={values[other]}" for name, (other, has_effect) in effects.items() if not has_effect}
        return super().without_effect(values) | own

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.align == "own" and self.temperature == 0:
            raise UserError("align=own needs soft pseudo-labels: with temperature=0 there is nothing to align")


@dataclass(frozen=True)
class AdaMatchOptions(SelfTrainingOptions):
    """Options of AdaMatch: those of self-training with other defaults."""

    teacher: str = option("student", WHO, choices=TEACHERS, folders=True)
    threshold: float = option(
        0.9, "pseudo-labels below this share of the source's mean confidence are left out", at_least=0, at_most=1
    )
    temperature: float = option(0.0, _TEMPERATURE, at_least=0, at_most=1)
