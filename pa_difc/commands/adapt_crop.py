"""The crop of ``pa-difc adapt``: compared on unlabelled target faces, and on what each costs on the labelled source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..evaluation.criteria import SOURCE_TOLERANCE
from ..evaluation.crop_choice import CropChoice, CropScore, clear_choice, crop_probs, score_crops, score_gains
from ..util import clock
from ..util.numbers import fixed
from ..util.terminal import wrapped

if TYPE_CHECKING:
    from ..data.domains import Domain
    from ..data.faces import Samples
    from ..training.settings import Settings


@dataclass(frozen=True)
class Crop:
    """The scale of the faces, and a sentence without a full stop on why; empty if nothing was compared."""

    scale: float
    about: str = ""


def choose_crop(
    settings: Settings, source: Domain, target: Domain, scales: Sequence[float], number: int, until: float
) -> Crop:
    """Compares crops by the pretrained classifier's predictions, prints the comparison, and chooses one.

    No target label is read; source labels are.

    Args:
        settings: resolved, of as_is.
        source, target: the data; the source may be empty.
        scales: with 1 among them.
        number: the most faces of each side.
        until: the :func:`.clock.now` after which no source faces are predicted.
    """

    from ..data.faces import evenly
    from ..data.loaders import EvalLoader
    from ..evaluation.metrics import score
    from ..training.pace import quiet_adapter

    adapter = quiet_adapter(settings, target, 1)

    def probs_of(faces: Samples) -> tuple[Samples, EvalLoader]:
        some = evenly(faces, number)
        return some, EvalLoader(some, batch_size=64, device=settings.run.device)

    faces, loader = probs_of(target.train)
    probs = crop_probs(adapter, loader, scales)
    recalls, held_out = None, 0
    if not source.empty and clock.now() < until:
        known, loader = probs_of(source.test)
        held_out = len(known)
        of_source = crop_probs(adapter, loader, scales).mean(dim=1).numpy()
        recalls = [float(score(known.labels, crop)["macro_recall"]) for crop in of_source]
    choice, gains = score_crops(probs, scales), score_gains(probs, scales)
    chosen = clear_choice(choice, gains, recalls)
    why = _why(choice, gains, chosen, recalls)
    for line in _table(choice, recalls, len(faces), held_out):
        print(line)
    print(wrapped(f"    {why}", indent=4), flush=True)
    return Crop(chosen.scale, _about(choice, recalls, len(faces), held_out, why))


def _why(
    choice: CropChoice, gains: Sequence[tuple[float, float]], chosen: CropScore, recalls: Sequence[float] | None
) -> str:
    """The reason of the choice in a sentence without a full stop."""
    best = choice.chosen
    if chosen.scale != 1:
        return f"chosen: {chosen.scale:g}, whose criterion is clearly higher; whether its accuracy is, is unknown"
    if best.scale == 1:
        return "chosen: 1, which has the highest criterion"
    if gains[choice.scores.index(best)][0] <= 0:
        return f"chosen: 1, since the gain of {best.scale:g} may be chance"
    assert recalls is not None
    return f"chosen: 1, since {best.scale:g} would lose more than {100 * SOURCE_TOLERANCE:.0f} points of source recall"


def _table(choice: CropChoice, recalls: Sequence[float] | None, faces: int, held_out: int) -> list[str]:
    """The lines of the comparison; a column for each crop."""
    rows = [("size of the face", [f"{crop.scale:g}" for crop in choice.scores])]
    rows.append((f"criterion ({faces:,} target faces)", [f"{crop.score:.3f}" for crop in choice.scores]))
    if recalls:
        rows.append((f"source recall, % ({held_out:,} faces)", [fixed(100 * recall) for recall in recalls]))
    width = max(len(name) for name, _ in rows)
    return [f"    {name:<{width}}" + "".join(f"{value:>7}" for value in values) for name, values in rows]


def _about(choice: CropChoice, recalls: Sequence[float] | None, faces: int, held_out: int, why: str) -> str:
    """The comparison as a sentence without a full stop, for the page."""
    each = [
        f"{crop.scale:g}: {crop.score:.3f}" + (f" ({fixed(100 * recalls[i])} %)" if recalls else "")
        for i, crop in enumerate(choice.scores)
    ]
    beside = f", with mean recall on {held_out:,} held-out source faces in brackets" if recalls else ""
    return (
        f"Crop, by the size of the face, {why}. The criterion is the agreement of predictions for a face and its "
        f"mirror image, times their confidence, on {faces:,} target faces without labels{beside}: {', '.join(each)}"
    )
