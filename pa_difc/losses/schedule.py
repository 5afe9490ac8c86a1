"""When each ingredient of DIFC begins. Pure functions of the step, without state."""

from dataclasses import asdict, dataclass
from enum import Enum
from math import exp


class Phase(str, Enum):
    """What the margins are made of."""

    WARMUP = "warmup"  #: no margins: cross-entropy
    DI = "di"  #: margins against source imbalance
    DIFC = "difc"  #: the same, raised for confused target classes


@dataclass(frozen=True)
class Schedule:
    """The epochs at which DIFC's phases begin (Sreenivas et al. 2022, Algorithm 1 and section 5.2).

    pytorch-adapt doesn't tell an adapter's ``training_step`` the epoch, so methods here take the step. Epochs are
    counted from 0: ``reweight_epoch=5`` leaves epochs 0 to 4 unweighted.

    Args:
        steps_per_epoch: optimisation steps in an epoch, at least 1: ``Schedule(steps_per_epoch=len(loader))``. With
            None, every step is in epoch 0 until the loss is given the length (:meth:`.DIFCLoss.set_steps_per_epoch`)
            or has learnt it (:meth:`.DIFCLoss.end_epoch`).
        warmup_epochs: epochs of plain cross-entropy, without margins or class weights, at the start.
        confusion_epoch: T1, the first epoch whose margins follow target confusion; None for never (DI alone).
        reweight_epoch: the first epoch with class weights; None for never. The paper says "after a few epochs";
            its authors' earlier code says 5.
        reweight_with_confusion: whether the class weights stay on in the DIFC phase.

    Raises:
        ValueError: a value is out of range, or phases are out of order.
    """

    steps_per_epoch: int | None = None
    warmup_epochs: int = 0
    confusion_epoch: int | None = 20
    reweight_epoch: int | None = 5
    reweight_with_confusion: bool = True

    def __post_init__(self) -> None:
        for name in ("steps_per_epoch", "warmup_epochs", "confusion_epoch", "reweight_epoch"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not hasattr(value, "__index__")):
                raise ValueError(f"{name}={value}: must be a whole number")
        if self.steps_per_epoch is not None and self.steps_per_epoch < 1:
            raise ValueError(f"steps_per_epoch={self.steps_per_epoch}: must be at least 1")
        for name in ("warmup_epochs", "confusion_epoch", "reweight_epoch"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name}={value}: must be at least 0")
        if self.confusion_epoch is not None and self.confusion_epoch < self.warmup_epochs:
            raise ValueError(
                f"confusion_epoch={self.confusion_epoch} lies inside the warm-up "
                f"(warmup_epochs={self.warmup_epochs}): confusion must not begin before the margins do"
            )

    def epoch(self, step: int) -> int:
        """The epoch, from 0, that ``step`` belongs to."""
        return 0 if self.steps_per_epoch is None else step // self.steps_per_epoch

    def starts_epoch(self, step: int) -> bool:
        """Whether ``step`` is the first of an epoch."""
        return step == 0 if self.steps_per_epoch is None else step % self.steps_per_epoch == 0

    def phase(self, step: int) -> Phase:
        """What the margins are made of at ``step``."""
        return self.phase_in(self.epoch(step))

    def phase_in(self, epoch: int) -> Phase:
        """What the margins are made of in ``epoch``."""
        if epoch < self.warmup_epochs:
            return Phase.WARMUP
        if self.confusion_epoch is None or epoch < self.confusion_epoch:
            return Phase.DI
        return Phase.DIFC

    def reweighted(self, step: int) -> bool:
        """Whether class weights are on at ``step``."""
        phase = self.phase(step)
        if phase is Phase.WARMUP or self.reweight_epoch is None or self.epoch(step) < self.reweight_epoch:
            return False
        return self.reweight_with_confusion or phase is not Phase.DIFC

    def to_dict(self) -> dict[str, int | bool | None]:
        """The fields as plain values, as stored in checkpoints."""
        return asdict(self)


def adversarial_ramp(progress: float) -> float:
    """λ = 2 / (1 + e^(−10p)) − 1, from 0 to 1 (Ganin et al. 2016, arXiv:1505.07818, section 5.2.2).

    Args:
        progress: p, the share of training that is done, in [0, 1].
    """
    return 2.0 / (1.0 + exp(-10.0 * progress)) - 1.0
