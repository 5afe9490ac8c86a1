"""``pa-difc views``: chooses the crop and the views that suit a pretrained classifier on a target, without labels."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backbones import BACKBONES
from ..util.errors import UserError
from ..util.terminal import wrapped
from .given_cells import settings_of_some

if TYPE_CHECKING:
    from ..data.domains import Domain
    from ..evaluation.crop_choice import CropChoice
    from ..training.settings import Settings

EXAMPLES = """\
  pa-difc views --backbone expression --pretrained downloads/face_api \\
      --target images:holiday --data-root .
  pa-difc views --backbone expression --pretrained downloads/face_api \\
      --target store:stores/fer2013 --oracle
  pa-difc views --backbone small --pretrained my_model --target toy_street \\
      --faces 300"""

_SHOWN = 8  #: columns of classes at most; the most frequently predicted ones


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--target", required=True, metavar="NAME", help="dataset or images:PATH, whose labels are not read")
    add("--pretrained", required=True, metavar="PLACE", help="weights that include a classifier")
    add("--backbone", metavar="NAME", help=f"backbone of these weights: {', '.join(BACKBONES)} (default: small)")
    add(
        "--data-root",
        metavar="DIR",
        help="folder that holds the datasets, each in a folder of its name (default: data)",
    )
    add(
        "--labels",
        metavar="SET",
        help="the classes: expressions, expressions8, valence, folders or FILE.toml (default: expressions)",
    )
    add("--device", metavar="NAME", help="cpu, cuda or cuda:N (default: cpu)")
    add("--faces", type=int, default=2000, metavar="N", help="use at most this many faces (default: %(default)s)")
    about = "after the choice, read the labels to show what each crop would have scored"
    add("--oracle", action="store_true", help=about)
    about = "any other key, such as pretrained_classes=anger,happy"
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=about)


def run(parsed: argparse.Namespace) -> int:
    settings = settings_of_some(parsed, method="as_is", loss="ce")
    if parsed.faces < 2:
        raise UserError(f"--faces {parsed.faces}: must be at least 2")
    if "model.input_scale" not in settings.follows:
        raise UserError(f"input_scale={settings.model.input_scale:g}: this command chooses it; leave it out")
    settings = settings.but(**{"model.input_scale": 1.0})  # candidates are relative to the face, not to a model's crop

    from ..data.domains import require_labels
    from ..evaluation.crop_choice import crop_probs, score_crops
    from ..training.build import require_weights

    require_weights(settings)
    domain = _target(settings, parsed.faces)
    if parsed.oracle:
        require_labels(domain, "--oracle would read them")
    adapter, loader = _classifier(settings, domain)
    probs = crop_probs(adapter, loader)
    choice = score_crops(probs)
    scores: list[dict[str, Any]] = []
    if parsed.oracle:
        from ..evaluation.metrics import score

        scores = [score(domain.train.labels, crop.mean(dim=0).numpy()) for crop in probs]
    read = "their labels are read, after the choice" if parsed.oracle else "no label is read"
    seen = f"{len(domain.train):,} faces, {read}; mean of each face and its mirror image"
    print(wrapped(f"target {settings.data.target}: {seen}", 2) + "\n")
    for line in _table(choice, domain.label_set.names, scores):
        print(line)
    print(f"\nchosen: --set input_scale={choice.chosen.scale:g} eval.views={choice.views}")
    from ..evaluation.metrics import COLLAPSED_UNLABELLED, collapsed_unlabelled

    if collapsed_unlabelled(choice.chosen.shares):
        print(wrapped(f"collapsed: {COLLAPSED_UNLABELLED}; no crop fixes that", indent=2))
    return 0


def _target(settings: Settings, number: int) -> Domain:
    """The dataset, its training split reduced to at most ``number`` evenly spaced faces."""
    from dataclasses import replace

    import numpy as np

    from ..data.labels import find_label_set
    from ..data.loading import load_domain
    from ..training.device import set_device

    data = settings.data
    set_device(settings.run.device)
    assert data.crop_px is not None
    labels = find_label_set(data.labels)
    domain = load_domain(data.target, Path(data.root), size_px=data.crop_px, labels=labels)
    n = len(domain.train)
    return replace(domain, train=domain.train.take(np.linspace(0, n - 1, min(n, number)).astype(np.int64)))


def _classifier(settings: Settings, domain: Domain) -> tuple[Any, Any]:
    """The pretrained classifier as a method, and batches of the faces, on the same device."""
    from ..data.loaders import EvalLoader
    from ..training.build import check_landmarks, make_adapter

    check_landmarks(settings, domain, domain)
    adapter = make_adapter(settings, domain, 1)
    adapter.models.to(settings.run.device)
    return adapter, EvalLoader(domain.train, batch_size=64, device=settings.run.device)


def _table(choice: CropChoice, classes: Sequence[str], scores: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A header and a line for each crop, with scores by labels at the end if there are any."""
    shown = sorted(range(len(classes)), key=lambda k: -choice.chosen.shares[k])[:_SHOWN]
    names = [classes[k][:12] for k in sorted(shown)]
    oracle = "  accuracy  mean recall  ≥ 20 faces (by labels)" if scores else ""
    yield "  scale  agreement  confidence  predicted: " + "  ".join(f"{n:>4}" for n in names) + oracle
    for i, crop in enumerate(choice.scores):
        mark = ">" if crop is choice.chosen else " "
        shares = "  ".join(f"{crop.shares[k]:>{max(4, len(n))}.0%}" for k, n in zip(sorted(shown), names, strict=True))
        line = f"{mark} {crop.scale:5.1f}  {crop.agreement:9.3f}  {crop.confidence:10.3f}  {'':10} {shares}"
        if scores:
            frequent = scores[i]["macro_recall_20"]
            line += f"  {scores[i]['accuracy']:8.1%}  {scores[i]['macro_recall']:11.1%}"
            line += f"  {'–' if frequent is None else format(frequent, '.1%'):>10}"
        yield line
