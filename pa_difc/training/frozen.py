"""Heads on frozen features: a second regime beside the whole network, a hundred times cheaper.

Features are extracted once, kept in a file, and then take the place of faces; a method trains a small head on them.
"""

from __future__ import annotations

import io
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from ..data.domains import Domain
from ..data.features import FeatureSet
from ..data.loaders import EvalLoader
from ..evaluation.inference import predict
from ..util.errors import UserError
from ..util.files import read_arrays, write_atomic
from .build import make_adapter, make_loader
from .engine import fit
from .groups import GROUPS
from .record import RunFolder
from .resolve import resolve
from .settings import Settings

FEATURES = ("full", "frozen")


def source_only(settings: Settings) -> Settings:
    """The same run without adaptation, with cross-entropy."""
    return resolve(settings.but(**{"method.name": "source_only", "loss.name": "ce"}))


def freeze(settings: Settings, source: Domain, target: Domain, out: Path) -> tuple[Domain, Domain]:
    """Both domains as features of one network, each standardised by its own training set.

    Args:
        settings: of the runs that will train on them.
        source, target: faces; no target label is looked at.
        out: where the network's folder lies.
    """
    source, target = extract(settings, source, target, out)
    return standardised(source), standardised(target)


def extract(settings: Settings, source: Domain, target: Domain, out: Path) -> tuple[Domain, Domain]:
    """Both domains as features of one network, kept in a file below ``out``.

    A network with pretrained weights is taken as it is; another is trained on the source first, and its checkpoint,
    like any other, is gone on with.

    Args:
        settings, source, target, out: see :func:`freeze`.
    """
    settings = network_settings(settings)
    folder = RunFolder.of(out, settings, source, target)
    store = folder.path / "features.npz"
    if not store.exists():
        loader = make_loader(settings, source, target)
        adapter = make_adapter(settings, source, len(loader))
        if settings.model.pretrained is None:
            fit(adapter, loader, epochs=settings.run.epochs, folder=folder.path, key=folder.key, title="features")
        sets = {"source": source, "target": target}
        arrays = {
            f"{name}_{split}": predict(adapter, EvalLoader(getattr(domain, split), device=settings.run.device)).features
            for name, domain in sets.items()
            for split in ("train", "test")
        }
        buffer = io.BytesIO()  # a full disk makes zipfile raise errors of its own; bytes don't
        np.savez(buffer, **{name: part.numpy() for name, part in arrays.items()})  # type: ignore[arg-type]
        write_atomic(store, lambda file: file.write(buffer.getbuffer()))
    return _domain(source, "source", store, folder.key), _domain(target, "target", store, folder.key)


#: What the features of a pretrained network depend on, beside the faces.
_NETWORK = {
    "data": ("source", "target", "root", "labels", "crop_px"),
    "model": ("backbone", "options", "feature_head", "landmark_branch", "pretrained", "input_scale"),
    "run": ("device",),
}

#: What training a network on the source with cross-entropy does not depend on.
_ELSEWHERE = {
    "data": ("target_sampler", "target_shift", "shift_draw"),
    "model": ("classifier", "scale"),
    "loss": ("name", "options", "warmup_epochs", "reweight_epoch", "reweight_with_confusion"),
    "method": ("name", "options"),
    "run": ("prior_correction",),
    "eval": ("views",),
}


def network_settings(settings: Settings) -> Settings:
    """The settings that features depend on; all others are the defaults, so that runs which differ there share them."""
    kept = Settings()
    for group in GROUPS:
        names = [f.name for f in fields(getattr(settings, group)) if f.name not in _ELSEWHERE.get(group, ())]
        if settings.model.pretrained is not None:
            names = list(_NETWORK.get(group, ()))
        values = {name: getattr(getattr(settings, group), name) for name in names}
        kept = replace(kept, **{group: replace(getattr(kept, group), **values)})
    return resolve(source_only(kept))


def standardised(domain: Domain) -> Domain:
    """Features shifted and scaled by the mean and standard deviation of the domain's training set."""
    train, test = domain.train, domain.test
    assert isinstance(train, FeatureSet) and isinstance(test, FeatureSet)
    mean, std = train.features.mean(axis=0), train.features.std(axis=0) + 1e-6
    train, test = (replace(part, features=(part.features - mean) / std) for part in (train, test))
    return replace(domain, train=train, test=test)


def _domain(faces: Domain, name: str, store: Path, key: str) -> Domain:
    given = {f"{name}_train": faces.train, f"{name}_test": faces.test}
    arrays = read_arrays(store, given)
    for array, part in given.items():
        if arrays[array].dtype != np.float32 or arrays[array].shape[:-1] != (len(part),):
            raise UserError(f"{store}: {array} is not a row of features per face; remove it to have it made anew")
    train, test = (FeatureSet(arrays[n], part.labels, part.names) for n, part in given.items())
    return replace(faces, train=train, test=test, features_of=key)
