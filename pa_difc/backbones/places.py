"""Finds the files of pretrained weights: a file, a TensorFlow.js network, or a model folder of pa-difc.

This module doesn't import torch.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from ..util.errors import UserError
from ..util.files import file_digest, read_json
from ..util.names import address_clause, near_clause, written
from .published import PUBLISHED

#: How the name of a TensorFlow.js manifest ends, and the files of an exported model and of a run.
MANIFEST = "weights_manifest.json"
EXPORTED = ("config.json", "model.safetensors")
OF_RUN = ("record.json", "checkpoint.pt")
#: How names of other weights end.
_WEIGHTS = (".pt", ".pth", ".safetensors", ".bin", ".ckpt")
#: Where commands put models below their ``--out``: what was chosen and exported first, then the runs.
_BELOW = ("model", "runs/*", "*", "*/model", "*/runs/*")


def is_model_folder(place: Path | str | None) -> bool:
    """Whether a path is the folder of an exported model or of a run."""
    # os.path.isfile, unlike Path.is_file, returns False for names that no file system allows.
    return place is not None and any(os.path.isfile(Path(place) / names[0]) for names in (EXPORTED, OF_RUN))


def near(place: Path) -> str:
    """A clause on the model folder that was probably meant by a path that is none; empty if there is none near it."""
    if place.is_file() and is_model_folder(place.parent):
        return f": give its folder, {place.parent}"
    for pattern in _BELOW:
        found = sorted(path for path in place.glob(pattern) if is_model_folder(path)) if place.is_dir() else []
        if found[1:]:
            return f": {len(found)} are below it; give one, such as {found[0]}"
        if found:
            return f": give {found[0]}"
    return ""


def weights_clause(place: Path) -> str:
    """A clause on how a model is made of pretrained weights at a path; empty if there are none."""
    files = [place] if place.is_file() else sorted(place.glob("*")) if place.is_dir() else []
    found = [file for file in files if file.name.endswith((MANIFEST, *_WEIGHTS))]
    if not found:
        return ""
    if found[0].name.endswith(MANIFEST):
        what = f"--pretrained {place}"
    else:
        own = next((w.backbone for w in PUBLISHED.values() if w.files[0].name == found[0].name), "NAME")
        what = f"--pretrained {found[0]} --backbone {own}"
    return (
        ": these are weights, of which `pa-difc adapt --source none --target images:YOUR_FACES --data-root . "
        f"{what} --out runs/mine` makes the model runs/mine/model if they include a classifier; without one, give a "
        "labelled --source"
    )


def weights_file(place: Path) -> Path:
    """The weights file at a path that is not a model folder: the path itself, or the only manifest in a folder.

    Raises:
        UserError: there is nothing, or the folder has no manifest, or several.
    """
    if not place.exists():
        raise _missing(place)
    if not place.is_dir():
        return place
    manifests = sorted(place.glob(f"*{MANIFEST}"))
    if len(manifests) == 1:
        return manifests[0]
    if manifests:
        raise UserError(f"{place} holds {len(manifests)} networks: name one, such as {manifests[0]}")
    if clause := near(place):
        raise UserError(f"{place}: no weights here{clause}")
    raise UserError(
        f"{place}: no weights here (looked for {EXPORTED[0]} of an exported model, {OF_RUN[0]} of a run, and "
        f"…{MANIFEST} of TensorFlow.js)"
    )


def _missing(place: Path) -> UserError:
    """The error for weights that are not there; if a name of public weights was given, with where to get these."""
    said = f"cannot read weights {written(place)}: no such file or folder{address_clause(place) or near_clause(place)}"
    named = [n for n, w in PUBLISHED.items() if place.name == n or w.files[0].name.startswith(place.name)]
    if len(named) == 1:
        return UserError(
            f"{said}; {named[0]} are public weights: get them from {PUBLISHED[named[0]].origin}, and give the file "
            f"{PUBLISHED[named[0]].files[0].name} (`pa-difc weights {named[0]}` says more)"
        )
    return UserError(f"{said}; `pa-difc weights` lists public weights")


def manifest_groups(manifest: Path) -> list[dict[str, Any]]:
    """The groups of a TensorFlow.js manifest, each with "paths" of files next to it and the "weights" in them.

    Raises:
        UserError: the file can't be read, or is not such a manifest.
    """
    try:
        groups = read_json(manifest)
    except UserError:
        raise UserError(f"cannot read weights {manifest}: must be a complete TensorFlow.js manifest") from None
    good = isinstance(groups, list) and groups and all(isinstance(group, dict) for group in groups)
    for key in ("paths", "weights"):
        good = good and all(isinstance(group.get(key), list) for group in groups)
    if not good or not all(isinstance(path, str) for group in groups for path in group["paths"]):
        raise UserError(f"{manifest} is not a TensorFlow.js manifest: must be a list of groups with paths and weights")
    return list(groups)


def place_files(place: Path) -> list[Path]:
    """All files that weights are read from.

    Raises:
        UserError: the path doesn't exist, or it is a TensorFlow.js network whose manifest can't be read.
    """
    if is_model_folder(place):
        names = EXPORTED if (place / EXPORTED[0]).is_file() else OF_RUN
        return [place / name for name in names]
    files = [weights_file(place)]
    if files[0].name.endswith(MANIFEST):
        files += [files[0].parent / path for group in manifest_groups(files[0]) for path in group["paths"]]
    return files


def place_digest(place: Path) -> str:
    """A hash of the contents of all files that weights are read from.

    Raises:
        UserError: the path doesn't exist, or a file can't be read.
    """
    files = place_files(place)
    if len(files) == 1:
        return file_digest(files[0])
    return hashlib.blake2b("".join(map(file_digest, files)).encode(), digest_size=8).hexdigest()
