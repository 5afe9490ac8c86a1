"""Makes losses from their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..counts import Counts
from ..util.errors import UserError
from ..util.options import make
from . import LOSSES
from .labelled import IGNORE_INDEX
from .protocols import SteppedLoss, require_whole_protocols
from .schedule import Schedule
from .spec import CLASSIFIERS, ClassificationLoss, LossInputs


def make_loss(
    loss: str | ClassificationLoss,
    class_counts: Counts | None = None,
    schedule: Schedule | None = None,
    *,
    num_classes: int | None = None,
    class_names: Sequence[str] = (),
    scale: float | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE_INDEX,
    **options: Any,
) -> ClassificationLoss:
    """Makes a classification loss from its name.

    Label smoothing (Szegedy et al. 2016, arXiv:1512.00567, section 7) means the same in every loss: a sample's loss is
    Σ_k q_k ℓ_k with q = (1 − α)·onehot(y) + α/K, and ℓ_k = −log p_k (focal: −(1 − p_k)^γ log p_k). A margin lowers only
    the true class's logit, before p is computed; a class weight w_y multiplies the whole sum. (PyTorch's cross_entropy
    weights each ℓ_k by w_k instead.)

    Args:
        loss: a key of :data:`.LOSSES`, or any callable, which is returned as it is.
        class_counts: ``(K,)`` source samples per class; most losses need them.
        schedule: when ingredients begin; DIFC and its parts need it.
        num_classes: K, for losses that need it when no counts are given.
        class_names: by index, for errors.
        scale: s, the factor on the classifier's logits; margins and ε are in units before scaling. None: that of the
            classifier that the loss is meant for, 1 if linear and 30 if cosine (ldam, cosface, arcface).
        label_smoothing: α, in [0, 1].
        ignore_index: the label of samples left out of the loss, its weights and its gradient, as in PyTorch. Differs
            from PyTorch when all samples are ignored: the loss is 0 with a gradient of zeros, not NaN.
        **options: the loss's own, see :attr:`.LossSpec.options`.

    Returns:
        A callable from ``(N, K)`` logits and ``(N,)`` labels to a scalar, the mean loss. It computes in float32 or
        float64; half precision is cast first.

    Raises:
        UserError: the name or an option is unknown, a value is out of range, counts or schedule are missing, a count
            is a fraction, a class has no source sample and the loss needs one, or the loss has only a part of a
            protocol of :mod:`.protocols`.
    """
    if not isinstance(loss, str):
        if label_smoothing:
            options["label_smoothing"] = label_smoothing
        if ignore_index != IGNORE_INDEX:
            options["ignore_index"] = ignore_index
        given = {"class_counts": class_counts, "schedule": schedule, "scale": scale}
        options |= {name: value for name, value in given.items() if value is not None}
        if options:
            raise UserError(f"a loss that is not given by name takes no options: {', '.join(options)}")
        require_whole_protocols(loss, type(loss).__name__)
        return loss
    spec = LOSSES.lookup(loss)
    if not 0.0 <= label_smoothing <= 1.0:
        raise UserError(f"{label_smoothing=}: must be in [0, 1]")
    if label_smoothing and not spec.smooths:
        raise UserError(f"loss {loss!r} has no label smoothing: label_smoothing must be 0")
    scale = CLASSIFIERS[spec.classifier] if scale is None else scale
    if not 0.0 < scale < float("inf"):
        raise UserError(f"{scale=}: must be a finite number above 0")
    chosen = make(spec.options, options, f"loss {loss}")
    try:
        inputs = LossInputs(
            class_counts, schedule, chosen, scale, label_smoothing, ignore_index, num_classes, class_names
        )
        made = spec.build(inputs)
    except ValueError as error:
        raise UserError(f"loss {loss!r}: {error}") from None
    require_whole_protocols(made, loss)
    if ignore_index not in (IGNORE_INDEX, getattr(made, "ignore_index", None)):
        raise UserError(f"loss {loss!r} has no ignore_index: it must be {IGNORE_INDEX}")
    return made


def loss_state(loss: ClassificationLoss) -> dict[str, Any]:
    """Entries for a method's ``misc`` container that let checkpoints resume the loss; empty if it has no state."""
    return {"difc": loss} if isinstance(loss, SteppedLoss) else {}
