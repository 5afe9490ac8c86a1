"""Training heads on frozen features, a hundred times cheaper than the whole network.

Features are extracted once, stored in a file, and replace the faces; a method trains a small head on them.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..backbones.classifiers import PretrainedClassifier
from ..data.domains import Domain
from ..data.features import FeatureSet
from ..util.errors import UserError
from ..util.files import array_names, read_arrays, write_atomic
from ..util.lock import holding
from .build import make_adapter, make_loader
from .chunks import extracted_in_chunks, kept_size, made_chunk
from .engine import fit
from .extraction import Part, require_space
from .groups import GROUPS
from .record import RunFolder
from .resolve import resolve
from .settings import Settings
from .spread import Chunk, Source, make_chunks
from .start import classifier_of_features
from .team import ALONE, Team


def source_only(settings: Settings) -> Settings:
    """The same run without adaptation, with cross-entropy."""
    return resolve(settings.but(**{"method.name": "source_only", "loss.name": "ce"}))


def freeze(settings: Settings, source: Domain, target: Domain, out: Path, team: Team = ALONE) -> tuple[Domain, Domain]:
    """Turns both domains into features of one network, each standardised by its own training set.

    They include predictions of the pretrained classifier, if the weights have one, and the views of the test splits
    that predictions are averaged over.

    Args:
        settings: those of the runs that will train on the features.
        source, target: faces; target labels are not used.
        out: the folder that holds the network's folder.
        team: the workers that extract the features.
    """
    source, target = extract(settings, source, target, out, team)
    return standardised(source), standardised(target)


def extract(settings: Settings, source: Domain, target: Domain, out: Path, team: Team = ALONE) -> tuple[Domain, Domain]:
    """Turns both domains into features of one network, stored in a file below ``out``.

    A pretrained network is used unchanged; another is first trained on the source, which can be resumed like any run.
    One pass over the faces gives features, predictions of a pretrained classifier, and the further views of test
    splits. A pass that was stopped or killed resumes from its last chunk.

    Args:
        settings, source, target, out, team: see :func:`freeze`.

    Raises:
        UserError: there is no source; the disk is too full, a file can't be written, or an existing one is damaged; or
            the classes given for the pretrained classifier don't match the label set.
    """
    if source.empty:
        raise UserError("--features frozen: heads on features need a source to train on; name one, or train on faces")
    classifier = classifier_of_features(settings, source.label_set)
    parts = _parts(settings, source, target, classifier)
    settings = network_settings(settings)
    folder = RunFolder.of(out, settings, source, target)
    store = folder.path / "features.npz"
    if _lacks(store, parts):
        with holding(folder.path, "is making these features", wait=True):
            if lacks := _lacks(store, parts):  # another process may have made them meanwhile
                if store.exists():
                    print(f"{store} has no {lacks}: extracting again", flush=True)
                _fill(store, parts, settings, source, target, folder.key, team)
    seed = settings.run.seed if settings.model.pretrained is None else None
    source, target = (replace(domain, features_seed=seed) for domain in (source, target))
    return _domain(source, "source", store, folder.key, parts), _domain(target, "target", store, folder.key, parts)


def other_seeds(settings: Settings, source: Domain, target: Domain, out: Path) -> list[int]:
    """Seeds with which the same network was trained below ``out``, if it was not with the settings' own; else empty.

    Args:
        settings, source, target, out: see :func:`freeze`.
    """
    if settings.model.pretrained is not None or source.empty:
        return []
    network = network_settings(settings)

    def made(seed: int) -> bool:
        return (RunFolder.of(out, network.but(seed=seed), source, target).path / "features.npz").exists()

    found = (re.search(r"-seed(\d+)-", store.parent.name) for store in out.glob("runs/*/features.npz"))
    seeds = sorted({int(match[1]) for match in found if match})
    return [] if made(network.run.seed) else [seed for seed in seeds if made(seed)]


def _lacks(store: Path, parts: dict[str, Part]) -> str | None:
    """The name of an array that a file of features should have but lacks, or None; damage shows on reading."""
    wanted = {f"{part}{name}" for part in parts for name in parts[part].names}
    there = array_names(store)
    if store.exists() and "source_test" not in there:
        return None
    return min(wanted - there, default=None)


def _parts(
    settings: Settings, source: Domain, target: Domain, classifier: PretrainedClassifier | None
) -> dict[str, Part]:
    """What to extract of each split: views only where predictions need them, and a shared split only once."""
    found = {}
    for side, domain in (("source", source), ("target", target)):
        for split in ("test",) if domain.transductive else ("train", "test"):
            viewed = split == "test" or (side == "target" and settings.run.prior_correction != "none")
            views = settings.eval.views if viewed and settings.eval.views else "none"
            found[f"{side}_{split}"] = Part(getattr(domain, split), views, classifier)
    return found


def _fill(
    store: Path, parts: dict[str, Part], settings: Settings, source: Domain, target: Domain, key: str, team: Team
) -> None:
    """Extracts and writes the features."""
    loader = make_loader(settings, source, target)
    adapter = make_adapter(settings, source, len(loader))
    chunks = store.parent / "chunks"
    num_features, num_classes = int(adapter.models["G"].num_features), len(source.label_set)
    require_space(parts.values(), num_features, num_classes, store, kept=kept_size(chunks))
    if settings.model.pretrained is None:
        fit(adapter, loader, epochs=settings.run.epochs, folder=store.parent, key=key, title="features")

    def spread(missing: Sequence[Chunk], done: Callable[[int], None]) -> None:
        workers = Source.of(adapter, settings, source, parts, made_chunk)
        make_chunks(workers, target, missing, team, store.parent, done)

    arrays = extracted_in_chunks(adapter, parts, settings.run.device, chunks, spread if team.works else None)
    buffer = io.BytesIO()  # zipfile would hide a full disk behind its own errors
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(store, lambda file: file.write(buffer.getbuffer()))
    shutil.rmtree(chunks, ignore_errors=True)


#: The settings that features of a pretrained network depend on.
_NETWORK = {
    "data": ("source", "target", "root", "labels", "crop_px"),
    "model": ("backbone", "options", "feature_head", "landmark_branch", "pool", "maps", "pretrained", "input_scale"),
    "run": ("device",),
}

#: The settings that training a network on the source with cross-entropy does not depend on.
_ELSEWHERE = {
    "data": ("target_sampler", "target_shift", "shift_draw"),
    "model": ("classifier", "scale", "pretrained_classes", "head_init"),
    "loss": ("name", "options", "warmup_epochs", "reweight_epoch", "reweight_with_confusion"),
    "method": ("name", "options"),
    "run": ("prior_correction",),
    "eval": ("views", "product", "product_power"),
}


def network_settings(settings: Settings) -> Settings:
    """The settings that features depend on, with defaults for all others, so that other settings don't matter."""
    kept = Settings()
    for group in GROUPS:
        names = [f.name for f in fields(getattr(settings, group)) if f.name not in _ELSEWHERE.get(group, ())]
        if settings.model.pretrained is not None:
            names = list(_NETWORK.get(group, ()))
        values = {name: getattr(getattr(settings, group), name) for name in names}
        kept = replace(kept, **{group: replace(getattr(kept, group), **values)})
    return resolve(source_only(kept.but(**{"model.head_init": "random"})))


def standardised(domain: Domain) -> Domain:
    """Standardises features, of every view, by the mean and standard deviation of the domain's training set."""
    train, test = domain.train, domain.test
    assert isinstance(train, FeatureSet) and isinstance(test, FeatureSet)
    mean, std = train.features.mean(axis=0), train.features.std(axis=0) + 1e-6
    train, test = (part.changed(lambda features: (features - mean) / std) for part in (train, test))
    return replace(domain, train=train, test=test)


def _domain(faces: Domain, side: str, store: Path, key: str, parts: dict[str, Part]) -> Domain:
    own = {name: part for name, part in parts.items() if name.startswith(side)}
    arrays = read_arrays(store, [f"{name}{which}" for name, part in own.items() for which in part.names])
    for name, part in own.items():
        for which in part.names:
            array = arrays[f"{name}{which}"]
            if array.dtype != np.float32 or array.shape[:-1] != (len(part.faces),):
                raise UserError(f"{store}: {name}{which} is not a row of numbers per face; remove it to extract again")
    sets = {name: _feature_set(name, part, arrays) for name, part in own.items()}
    test = sets[f"{side}_test"]
    return replace(faces, train=sets.get(f"{side}_train", test), test=test, features_of=key)


def _feature_set(name: str, part: Part, arrays: dict[str, Any]) -> FeatureSet:
    """One split of a feature file, with its views."""
    views = [f"{name}{which}" for which in part.names if not which.endswith("log_probs")]
    first, *more = (
        FeatureSet(arrays[v], part.faces.labels, part.faces.names, arrays.get(f"{v}_log_probs")) for v in views
    )
    return replace(first, views=tuple(more))
