"""Describes the files of the weights and models that a run was made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..backbones.places import is_model_folder, place_digest, place_files
from ..backbones.published import recognised
from ..util.errors import UserError
from ..util.files import file_sha256
from ..util.names import as_utf8
from .origins import named, places
from .stored import read_settings


def origins(settings: Mapping[str, Any], digest: str | None) -> list[dict[str, Any]]:
    """What a run was made from besides its data: the start of its network, a teacher, and a second model.

    Args:
        settings: of the run, as in its record.
        digest: of the pretrained weights when the run began; None without any.

    Returns:
        For each its "role" and "name", and its "files" with "name" and "sha256". "published" is its name in the list
        of public weights, "hub" its name in timm's hub, and "model" describes a model folder. Of files that have moved
        or changed since the run began, only the name is given.
    """
    found = []
    for one, place in zip(named(settings), places(settings).values(), strict=True):
        before = digest if one["role"] == "start" else None
        found.append(one if "hub" in one else one | _of_place(Path(place), before))
    return found


def _of_place(path: Path, digest: str | None) -> dict[str, Any]:
    """What is known of a file or a folder; {} if it has moved or changed."""
    try:
        if digest is not None and place_digest(path) != digest:
            return {}
        files = {as_utf8(file.name): file_sha256(file) for file in place_files(path)}
        model = _of_folder(path) if is_model_folder(path) else None
    except UserError:
        return {}
    found: dict[str, Any] = {"files": [{"name": name, "sha256": sha256} for name, sha256 in files.items()]}
    if model is not None:
        return found | {"model": model}
    published = recognised(files)
    return found | ({"published": published} if published else {})


def _of_folder(folder: Path) -> dict[str, Any]:
    stored = read_settings(folder)
    chosen = stored["settings"]
    data = {side: chosen["data"][side] for side in ("source", "target")}
    names = {kind: chosen[kind]["name"] for kind in ("method", "loss")}
    return names | data | {"origins": stored.get("origins", [])}
