"""The DIFC loss, with its state: margins against source imbalance, raised for confused target classes."""

from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from typing import Any, Literal

import torch
from torch import Tensor

from ..counts import Counts
from ..functional import (
    class_margins,
    confusion_from_sums,
    confusion_margins,
    di_loss,
    drw_weights,
    gap_sums,
    logit_spread,
    mean_probs,
    require_number,
)
from ..util.distributed import total, whole_mean
from ..util.errors import UserError
from .clock import Clock, Clocked
from .difc_checks import check_choices, check_schedule, check_state, given_weights
from .inputs import check_logits, checked_counts, checked_target, require_finite, require_probabilities
from .labelled import IGNORE_INDEX, LabelledLoss
from .schedule import Phase, Schedule


class DIFCLoss(Clocked, LabelledLoss):
    """Cross-entropy with class margins against source imbalance, raised for the classes the target confuses.

    Until ``schedule.confusion_epoch`` it is L_DI, with margins Δ_k = γ / N_k^(1/4), then L_DIFC, with margins
    ``Δ'_C[j] = Δ_C[j] + ε / 2^(j−1)`` (Sreenivas et al. 2022, eqs. 3 to 6). Class weights begin at
    ``schedule.reweight_epoch`` (deferred re-weighting, Cao et al. 2019, arXiv:1906.07413).

    In a training step, call the loss once or more, then ``update`` once::

        loss = criterion(source_logits, source_labels)  # reads margins and class weights
        ...
        criterion.update(target_logits)                 # adds to the confusion sums and counts the step

    The paper leaves some choices open. Here:

    - margins are refreshed at every epoch of the DIFC phase, always from the base margins (``refresh="once"`` is
      Algorithm 1 read literally), and may exceed the cap once ε is added;
    - confusion is estimated over the previous epoch, from the target logits that training computes anyway;
    - a class that is never predicted counts as the most confused, and equally confused classes share the increments of
      their ranks.

    The authors' earlier public code (da-fer) differs in two ways. From epoch 5 on, it weights RAF-DB's classes by hand:
    1.75, 3, 2, 1, 1.5, 2, 1.25 (surprise, fear, disgust, happy, sad, anger, neutral). These weights are milder: the
    rarest class weighs 3 times as much as the most frequent one, with the formula 13.7 times. At a mean of 1, happy
    weighs 0.56 there and 0.21 here, fear 1.68 and 2.93. To use them, pass the vector as ``class_weights=``. That code
    also puts source and target through BatchNorm in one batch, which is up to the method here
    (:class:`.JointFeaturesHook`).

    If ``schedule`` has no ``steps_per_epoch``, give the loader's length or mark the end of each epoch::

        criterion.set_steps_per_epoch(len(loader))      # once, best before training
        criterion.end_epoch()                           # or after each pass of the loader

    In a torch.distributed group, each process passes its part of the batch. Confusion sums are added over all
    processes, and weights are normalised over the whole batch, so every process must make the same calls.

    Args:
        class_counts: ``(K,)`` source samples per class.
        schedule: when the phases begin.
        max_margin: the largest base margin, in margin units; γ follows from it.
        epsilon: ε, the largest increment for confusion, in margin units.
        beta: β of the class weights, in [0, 1].
        class_weights: ``(K,)`` weights that replace the formula; they are not rescaled.
        scale: s, the factor on the lowered logits; 1 in the paper, 30 with cosine logits in LDAM.
        margin_unit: "logit", as in the paper, or "spread": margins are multiples of the batch's :func:`.logit_spread`,
            so that a cap means the same whatever the size of a network's logits.
        unseen: the rank of a class that is never predicted: "most" or "least" confused, or by its "last" score. Several
            such classes share their ranks' increments equally. Use "least" with many classes (with K = 345, nearly all
            of ε could go to classes that are never predicted), and in partial domain adaptation, where margins should
            not rise for source classes that the target lacks.
        refresh: "epoch": at the start of each epoch of the DIFC phase; "once": at the switch only; "step": after each
            step, from sums that decay over about one epoch.
        confusion_from: "training": from the logits passed to :meth:`update`; "evaluation": from the probabilities
            passed to :meth:`update_from_evaluation` at the start of an epoch, from a pass that the caller makes.
        label_smoothing: α of the smoothed target, in [0, 1], see :func:`.make_loss`; the paper has none.
        ignore_index: the label of samples that are ignored, see :func:`.make_loss`.

    Raises:
        ValueError: a class has no sample, a count is a fraction, or a value is out of range.
    """

    fixed = frozenset(
        {"class_counts", "max_margin", "epsilon", "beta", "class_weights", "scale", "margin_unit", "unseen", "refresh"}
        | {"confusion_from", "label_smoothing", "ignore_index", "schedule"}
    )
    margins: Tensor  #: ``(K,)`` in margin units: those of the next step
    confusion: Tensor  #: ``(K,)`` the scores behind ``margins``; NaN while unknown
    gap_sums: Tensor  #: ``(K,)`` running sums of the gaps of eq. 5, per predicted class
    gap_counts: Tensor  #: ``(K,)`` how many target samples they contain
    base_margins: Tensor  #: ``(K,)`` margins of the DI phase
    class_weights: Tensor  #: ``(K,)`` weights used once re-weighting has begun

    def __init__(
        self,
        class_counts: Counts,
        schedule: Schedule,
        *,
        max_margin: float = 0.3,
        epsilon: float = 0.02,
        beta: float = 0.9999,
        class_weights: Sequence[float] | Tensor | None = None,
        scale: float = 1.0,
        margin_unit: Literal["logit", "spread"] = "logit",
        unseen: Literal["most", "least", "last"] = "most",
        refresh: Literal["epoch", "once", "step"] = "epoch",
        confusion_from: Literal["training", "evaluation"] = "training",
        label_smoothing: float = 0.0,
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        counts = checked_counts(class_counts).tolist()
        super().__init__(len(counts), label_smoothing, ignore_index)
        check_choices(margin_unit, unseen, refresh, confusion_from)
        require_number("scale", scale)
        if not 0 < scale < float("inf"):
            raise ValueError(f"{scale=}: must be a finite number above 0")
        base = class_margins(counts, max_margin)  # (K,)
        weights = drw_weights(counts, beta) if class_weights is None else given_weights(class_weights, len(base))
        confusion_margins(base, torch.zeros_like(base), epsilon)  # checks epsilon
        check_schedule(schedule, refresh, confusion_from, raises=epsilon > 0)
        self.clock = Clock(schedule)
        self.scale, self.epsilon, self.margin_unit = scale, epsilon, margin_unit
        self.unseen, self.refresh, self.confusion_from = unseen, refresh, confusion_from
        self._made_with = {
            "class_counts": counts,
            "schedule": schedule.to_dict(),
            "max_margin": max_margin,
            "epsilon": epsilon,
            "class_weights": [round(w, 6) for w in weights.tolist()],
            "scale": scale,
            "margin_unit": margin_unit,
            "unseen": unseen,
            "refresh": refresh,
            "confusion_from": confusion_from,
            "label_smoothing": label_smoothing,
            "ignore_index": ignore_index,
        }
        self.register_buffer("base_margins", base)
        self.register_buffer("class_weights", weights)
        self.register_buffer("margins", torch.zeros_like(base) if self.phase is Phase.WARMUP else base.clone())
        self.register_buffer("confusion", torch.full_like(base, torch.nan, dtype=torch.float64))
        self.register_buffer("gap_sums", torch.zeros(len(base), dtype=torch.float64))
        self.register_buffer("gap_counts", torch.zeros(len(base), dtype=torch.float64))
        self._made = True

    @property
    def needs_target_logits(self) -> bool:
        """Whether :meth:`update` needs target logits in this step; False if no refresh would use them."""
        if self.confusion_from == "evaluation" or not self._uses_confusion:
            return False
        if self.refresh == "step":
            return self.phase is Phase.DIFC
        return self._refreshes_in(self.clock.epoch + 1)

    @property
    def uses_target(self) -> bool:
        """Whether :meth:`update` needs target logits at any step."""
        return self._uses_confusion and self.confusion_from == "training"

    @property
    def needs_evaluation(self) -> bool:
        """Whether :meth:`update_from_evaluation` must be called before the next step; False once it was."""
        return self._evaluation_is_due and not self.gap_counts.any()

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The weighted mean loss of a labelled source batch.

        Raises:
            UserError: training needs an evaluation first, see :attr:`needs_evaluation`.
        """
        if logits.requires_grad and not torch.compiler.is_compiling():
            self._require_evaluation()
            self.clock.called()
        margins, weights = self.margins, self.class_weights if self.reweighted else None
        if self.margin_unit == "spread":
            margins = margins * whole_mean(logit_spread(logits), len(logits))
        return di_loss(logits, labels, margins, weights, self.scale, self.label_smoothing)

    def class_factors(self) -> Tensor | None:
        return self.class_weights if self.reweighted else None

    @torch.no_grad()
    def update(self, target_logits: Tensor | Sequence[Tensor] | None = None) -> None:
        """Ends a step: adds target confusion to the sums, counts the step, and refreshes the margins when due.

        Call it after the loss of the step; before it, every epoch would begin one step early, with one warning.

        Args:
            target_logits: ``(N, K)``, or one such tensor per classifier, whose softmaxes are averaged (eq. 8).
                May be None where :attr:`needs_target_logits` is False. With N = 0 the step counts, and confusion
                stays as it is.

        Raises:
            TypeError: ``target_logits`` is neither a tensor nor a list or tuple of tensors.
            ValueError: a shape is wrong, target logits or an evaluation (see :attr:`needs_evaluation`) are needed and
                missing, or (as :class:`.DivergedError`, on a CPU) a sample's are NaN or infinite.
        """
        self._require_evaluation()
        given = None if target_logits is None else checked_target(target_logits, len(self.margins))
        if target_logits is not None:
            first = target_logits if isinstance(target_logits, Tensor) else target_logits[0]
            self.first_looks.at("target_logits", first)
        if self.needs_target_logits:
            if given is None:
                raise ValueError(f"step {self.step}: confusion is being estimated, update() needs target_logits")
            probs = mean_probs(given, self.scale)
            if not probs.is_cuda:  # there every step would wait for the device; rows that are not finite don't count
                require_finite("target_logits", probs)  # -inf, which rules out a class, gives finite probabilities
            self._observe(probs)
        before = self.clock.epoch
        self.clock.count()
        if self.clock.epoch > before:
            self.start_epochs_since(before)
        if self.refresh == "step" and self.phase is Phase.DIFC and self._uses_confusion:
            self._refresh()

    @torch.no_grad()
    def start_epochs_since(self, before: int) -> None:
        epoch = self.clock.epoch
        if self.phase is not Phase.WARMUP and self.schedule.phase_in(before) is Phase.WARMUP:
            self.margins.copy_(self.base_margins)
        if self.refresh != "step":  # "step" refreshes in update(), from sums that outlive an epoch
            if self.confusion_from == "training" and self._uses_confusion and self._refreshes_in(epoch, before):
                self._refresh()
            self.gap_sums.zero_()
            self.gap_counts.zero_()

    @torch.no_grad()
    def update_from_evaluation(self, probs: Tensor) -> None:
        """Refreshes the margins from a clean pass over the target training set, at the start of an epoch.

        The caller makes the pass, in eval mode and without gradients, before each step at which
        :attr:`needs_evaluation` is True; ``pa-difc`` does, pytorch-adapt's frameworks don't.

        Args:
            probs: ``(N, K)`` class probabilities.

        Raises:
            TypeError: ``probs`` is not a floating-point tensor.
            ValueError: no evaluation is due, the shape is wrong, a row is no probability distribution, or (as
                :class:`.DivergedError`) a probability is NaN or infinite.
        """
        check_logits("probs", probs, len(self.margins))
        if not self._evaluation_is_due:
            raise ValueError(f"step {self.step}: no evaluation is due (confusion_from={self.confusion_from!r})")
        require_finite("probs", probs)
        require_probabilities("probs", probs)
        self.gap_sums.zero_()
        self.gap_counts.zero_()
        self._observe(probs)
        self._refresh()

    def describe(self) -> dict[str, Any]:
        """The state of the next step as plain values for logs and records.

        An unknown score is None, an infinite one "inf" or "-inf".
        "phase" is "difc" once margins are raised for confusion: before the first estimate, and with an ε of 0, they are
        those of "di".
        """
        raised = self.phase is not Phase.DIFC or not self.confusion.isnan().all()
        return {
            "phase": (self.phase if raised else Phase.DI).value,
            "reweighted": self.reweighted,
            "margins": self.margins.tolist(),
            "confusion": [c if isfinite(c) else None if isnan(c) else str(c) for c in self.confusion.tolist()],
        }

    @property
    def _uses_confusion(self) -> bool:
        return self.schedule.confusion_epoch is not None and self.epsilon > 0

    @property
    def _evaluation_is_due(self) -> bool:
        """Whether the next step begins an epoch whose margins follow from an evaluation."""
        if self.confusion_from != "evaluation" or not self._uses_confusion:
            return False
        return self.schedule.starts_epoch(self.step) and self._refreshes_in(self.clock.epoch)

    def _require_evaluation(self) -> None:
        if self.confusion_from == "evaluation" and self.needs_evaluation:
            raise UserError(
                f"step {self.step} begins epoch {self.clock.epoch}, and confusion_from='evaluation' needs the target's "
                "probabilities first: call update_from_evaluation(probs) wherever needs_evaluation is True"
            )

    def _refreshes_in(self, epoch: int, before: int | None = None) -> bool:
        """Whether margins are refreshed at the start of ``epoch``, the next one after ``before``."""
        before = epoch - 1 if before is None else before
        switch = self.schedule.confusion_epoch
        if switch is None or self.schedule.phase_in(epoch) is not Phase.DIFC:
            return False
        return before < switch or self.refresh != "once"

    def _observe(self, probs: Tensor) -> None:
        if self.refresh == "step":
            forget = 1.0 - 1.0 / (self.schedule.steps_per_epoch or 1)  # known here, see check_schedule
            self.gap_sums.mul_(forget)
            self.gap_counts.mul_(forget)
        sums = torch.stack(gap_sums(probs))  # (2, K)
        sums, counts = total(sums) if self.refresh == "step" else sums
        self.gap_sums.add_(sums)
        self.gap_counts.add_(counts)

    def _refresh(self) -> None:
        """Computes the margins of eq. 6 from the base margins; without observations they stay unchanged."""
        if self.refresh != "step":  # with "step", _observe() has added them up over processes already
            for sums in (self.gap_sums, self.gap_counts):
                sums.copy_(total(sums))
        if not self.gap_counts.any():
            return
        scores = confusion_from_sums(self.gap_sums, self.gap_counts)  # (K,)
        if self.unseen == "least":
            scores = scores.where(self.gap_counts > 0, -torch.inf)
        elif self.unseen == "last":
            known = (self.gap_counts == 0) & ~self.confusion.isnan()
            scores = scores.where(~known, self.confusion)
        self.confusion.copy_(scores)
        self.margins.copy_(confusion_margins(self.base_margins, scores, self.epsilon))

    def get_extra_state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "steps_per_epoch": self.schedule.steps_per_epoch,
            "made_with": self._made_with,
        }

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        told = self.clock.load(int(state["step"]), state.get("steps_per_epoch"))
        if told is not None:
            self.set_steps_per_epoch(told)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        check_state(state_dict, prefix, list(self._buffers), self._made_with)  # before any buffer is copied
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        shown = ("max_margin", "epsilon", "scale", "margin_unit", "unseen", "refresh", "confusion_from")
        return ", ".join(f"{k}={self._made_with[k]!r}" for k in shown) + f", {self.schedule}"
