"""The two regimes that a study can tune in: the whole network, or heads on frozen features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pa_difc.build import make_adapter, make_loader
from pa_difc.config import Config
from pa_difc.data import Domain, EvalLoader
from pa_difc.data.features import FeatureSet
from pa_difc.engine import fit
from pa_difc.evaluation import predict
from pa_difc.files import write_atomic
from pa_difc.record import RunFolder

FEATURES = ("full", "frozen")


def source_only(config: Config) -> Config:
    """The reference of a study: no adaptation, cross-entropy."""
    return replace(config, method="source_only", loss="ce")


def freeze(config: Config, source: Domain, target: Domain, out: Path) -> tuple[Domain, Domain]:
    """Both domains as features of a network, standardised per domain; kept in a file below ``out``.

    A network with pretrained weights is taken as it is; another is trained on the source first, and its checkpoint,
    like any other, is gone on with.
    Features of each domain are shifted and scaled by the mean and standard deviation of its own training set.

    Args:
        config: of the study.
        source, target: faces; no target label is looked at.
        out: where the network's folder lies.
    """
    config = source_only(config)
    folder = RunFolder.of(out, config, source, target)
    store = folder.path / "features.npz"
    if not store.exists():
        loader = make_loader(config, source, target)
        adapter = make_adapter(config, source, len(loader))
        if config.pretrained is None:
            fit(adapter, loader, epochs=config.epochs, folder=folder.path, key=folder.key, title="features")
        sets = {"source": source, "target": target}
        arrays = {
            f"{name}_{split}": predict(adapter, EvalLoader(getattr(domain, split), device=config.device)).features
            for name, domain in sets.items()
            for split in ("train", "test")
        }
        _save(store, {name: features.numpy() for name, features in arrays.items()})
    with np.load(store, allow_pickle=False) as arrays:
        return _domain(source, "source", arrays), _domain(target, "target", arrays)


def _domain(faces: Domain, name: str, arrays: Any) -> Domain:
    train = arrays[f"{name}_train"]
    mean, std = train.mean(axis=0), train.std(axis=0) + 1e-6

    def standardised(split: str) -> FeatureSet:
        given = getattr(faces, split)
        return FeatureSet((arrays[f"{name}_{split}"] - mean) / std, given.labels, given.names)

    return replace(faces, train=standardised("train"), test=standardised("test"))


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    write_atomic(path, lambda file: np.savez(file, **arrays))
