"""Loads pretrained weights from a local file, by parameter name."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..util.errors import UserError
from ..util.files import check_archive
from .places import MANIFEST, weights_file

#: The attribute of a model that holds the names of its filled weights, so that new layers can be told apart.
_FILLED = "_filled_names"


@dataclass(frozen=True)
class PretrainedReport:
    """Which tensors of a file and of a model matched."""

    matched: tuple[str, ...]  #: names in the model that were filled from the file
    missing: tuple[str, ...]  #: names in the model that the file lacks; left unchanged
    dropped: tuple[str, ...]  #: names in the file that the model lacks
    reshaped: tuple[str, ...]  #: names in the model that have another shape in the file; left unchanged

    def __str__(self) -> str:
        """One line, with counts per part: ``294 matched; 6 missing (6 head); 13 dropped (5 bn, ...)``."""
        parts = [f"{len(self.matched)} matched"]
        for what, names in (("missing", self.missing), ("dropped", self.dropped), ("of another shape", self.reshaped)):
            counts = Counter(name.split(".")[0] for name in names)
            detail = ", ".join(f"{count} {part}" for part, count in sorted(counts.items()))
            parts.append(f"{len(names)} {what}" + (f" ({detail})" if detail else ""))
        return "; ".join(parts)


def load_pretrained(model: nn.Module, file: Path | str) -> PretrainedReport:
    """Fills a model's weights from a file wherever names and shapes agree.

    Reads safetensors files of whole models, PyTorch state dicts of trunks (face.evoLVe's IR-50 and IR-18, the public
    MobileFaceNet, torchvision's, facenet-pytorch's), and TensorFlow.js networks, see :mod:`.tfjs`. A name in the file
    refers to the same name in the model or in its ``trunk``; a leading ``module.`` is ignored. No code in the file is
    executed.

    Args:
        model: modified in place; :func:`filled_names` tells which of its weights were filled.
        file: a file ending in ``.safetensors`` or ``weights_manifest.json``, a folder with one such manifest, or else a
            PyTorch file.

    Returns:
        What was filled and what was not; check it, as a file of another network may match in part.

    Raises:
        UserError: the file can't be read, is not a state dict, or nothing in it fits; or it is a TensorFlow.js network
            that lacks a part of this one.
    """
    file = weights_file(Path(file))
    return fill(model, read_state_dict(file), file, whole_trunk=file.name.endswith(MANIFEST))


def fill(
    model: nn.Module, tensors: dict[str, Tensor], origin: Path | str, *, whole_trunk: bool = False
) -> PretrainedReport:
    """Fills a model's weights from tensors by name; see :func:`load_pretrained`.

    Args:
        model: modified in place.
        tensors: the state dict.
        origin: where it comes from, for errors.
        whole_trunk: whether to refuse tensors that lack a part of the trunk.

    Raises:
        UserError: nothing fits, or a part of the trunk is missing.
    """
    own = model.state_dict()
    places = {name: _place(name, own) for name in tensors}
    found = {place: tensors[name] for name, place in places.items() if place is not None}
    fitting = {place: tensor for place, tensor in found.items() if tensor.shape == own[place].shape}
    # Scalars are BatchNorm's step counters: they always fit in shape, and matching only them is useless.
    if not any(tensor.dim() for tensor in fitting.values()):
        raise UserError(
            f"nothing in {origin} fits: its names are like {next(iter(tensors))!r}, the backbone's {next(iter(own))!r}"
        )
    lacking = [name for name in own if name.startswith("trunk.") and name not in fitting]
    if whole_trunk and lacking:
        raise UserError(f"{origin} is of another network: {lacking[0]} is not in it, or has another shape")
    with torch.no_grad():
        for place, tensor in fitting.items():
            own[place].copy_(tensor)
    mark_filled(model, fitting)
    return PretrainedReport(
        matched=tuple(fitting),
        missing=tuple(name for name in own if name not in found),
        dropped=tuple(name for name, place in places.items() if place is None),
        reshaped=tuple(place for place in found if place not in fitting),
    )


def mark_filled(model: nn.Module, names: Iterable[str]) -> None:
    """Records in a model that some of its weights are pretrained."""
    setattr(model, _FILLED, getattr(model, _FILLED, frozenset()) | set(names))


def filled_names(model: nn.Module) -> frozenset[str]:
    """The names of a model's weights that :func:`load_pretrained` or :func:`mark_filled` marked."""
    return frozenset(
        f"{prefix}.{name}".lstrip(".") for prefix, part in model.named_modules() for name in getattr(part, _FILLED, ())
    )


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU.

    Raises:
        UserError: the file can't be read, or holds no state dict.
    """
    try:
        if file.name.endswith(MANIFEST):
            from .tfjs import read_tfjs

            return read_tfjs(file)
        if file.suffix == ".safetensors":
            from safetensors.torch import load

            content = load(file.read_bytes())  # bytes, as safetensors takes no path that is not UTF-8
        else:
            if zipfile.is_zipfile(file):  # PyTorch's old format is not a zip and has no checksums
                check_archive(file)
            content = torch.load(file, weights_only=True, map_location="cpu")
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read weights {file}: {error.strerror or error}") from None
    except Exception:  # readers can raise anything on a wrong file
        raise UserError(f"cannot read weights {file}: must be a complete state dict or .safetensors file") from None
    if not isinstance(content, dict) or not content or not all(isinstance(x, Tensor) for x in content.values()):
        raise UserError(f"{file} is not a state dict: must hold names and tensors only")
    return content


def _place(name: str, own: dict[str, Tensor]) -> str | None:
    """The name in the model that a name in a file refers to."""
    name = name.removeprefix("module.")
    return next((place for place in (name, f"trunk.{name}", f"trunk.net.{name}") if place in own), None)
