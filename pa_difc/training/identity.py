"""The identity of a run, everything that its numbers depend on: settings, classes, data, code and weights."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from ..backbones import BACKBONES
from ..backbones.places import place_digest
from ..backbones.spec import HUB
from ..data import DATASETS, SAMPLERS
from ..data.domains import Domain
from ..losses import LOSSES
from ..methods import METHODS
from ..util.distributed import processes
from ..util.files import file_digest
from ..util.installed import installed_version
from ..util.process import package_digest
from ..util.registry import Registry
from . import resolve
from .settings import Settings


def identity(settings: Settings, source: Domain, target: Domain, recipe: str | Path | None = None) -> dict[str, Any]:
    """Everything that a run's numbers depend on, as plain values; versions and machines are recorded separately.

    Args:
        settings: resolved.
        source, target: the data.
        recipe: the file that composes the method, if not the package.
    """
    code = {"pa_difc": code_digest(), **plugin_digests(settings)}
    if recipe is not None:
        code["recipe"] = file_digest(Path(recipe))
    found: dict[str, Any] = {
        "settings": resolve.identity(settings),
        "labels": source.label_set.digest,
        "data": fingerprints(source, target),
        "code": code,
        "weights": weights_digest(settings),
    }
    if (number := processes()) > 1:  # other summation order, noise and BatchNorm batches
        found["processes"] = number
    return found


def common(found: dict[str, Any], settings: Settings, features_of: str | None) -> dict[str, Any]:
    """What two runs must share to be in one table: an identity without method, loss and seed.

    Args:
        found: the result of :func:`identity`.
        settings: the same settings.
        features_of: the run whose network extracted the features; None for faces.
    """
    code = {kind: digest for kind, digest in found["code"].items() if kind not in ("method", "loss", "recipe")}
    return found | {"settings": resolve.comparable(settings), "code": code, "features": features_of}


def fingerprints(source: Domain, target: Domain) -> list[str]:
    """Hashes of all four splits."""
    return [part.fingerprint for domain in (source, target) for part in (domain.train, domain.test)]


def weights_digest(settings: Settings) -> str | None:
    """A hash of the pretrained weights; None if there are none."""
    model = settings.model
    if model.pretrained == HUB:  # its files don't change; the tag of a bare name depends on timm's version
        return f"{model.backbone} of timm {installed_version('timm')}"
    return model.pretrained and place_digest(Path(model.pretrained))


@cache
def code_digest() -> str:
    """A hash of the package's source files, as they were at this process's first call."""
    return package_digest()


def plugin_digests(settings: Settings) -> dict[str, str]:
    """Hashes of the code of every entry in settings that comes from a plugin, by kind."""
    registries: dict[str, tuple[Registry[Any], str]] = {
        "method": (METHODS, settings.method.name),
        "loss": (LOSSES, settings.loss.name),
        "backbone": (BACKBONES, settings.model.backbone),
        "source": (DATASETS, settings.data.source),
        "target": (DATASETS, settings.data.target),
        "sampler": (SAMPLERS, settings.data.sampler),
        "target_sampler": (SAMPLERS, settings.data.target_sampler),
    }
    found = {kind: registry.digest(name) for kind, (registry, name) in registries.items() if name in registry}
    return {kind: digest for kind, digest in found.items() if digest is not None}


def hash_of(value: Any) -> str:
    """A short hash of plain values, for names of folders."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=5).hexdigest()
