"""Weights from a local file, by their names."""

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

#: The attribute in which a model remembers, so that the optimiser can tell its new layers.
_FILLED = "_filled_names"


@dataclass(frozen=True)
class PretrainedReport:
    """What became of the tensors of a file and of a model."""

    matched: tuple[str, ...]  #: names in the model that got their values from the file
    missing: tuple[str, ...]  #: names in the model that the file does not have: as they were
    dropped: tuple[str, ...]  #: names in the file that the model does not have
    reshaped: tuple[str, ...]  #: names in the model that the file has in another shape: as they were

    def __str__(self) -> str:
        """One line, with counts per part: ``294 matched; 6 missing (6 head); 13 dropped (5 bn, ...)``."""
        parts = [f"{len(self.matched)} matched"]
        for what, names in (("missing", self.missing), ("dropped", self.dropped), ("of another shape", self.reshaped)):
            counts = Counter(name.split(".")[0] for name in names)
            detail = ", ".join(f"{count} {part}" for part, count in sorted(counts.items()))
            parts.append(f"{len(names)} {what}" + (f" ({detail})" if detail else ""))
        return "; ".join(parts)


def load_pretrained(model: nn.Module, file: Path | str) -> PretrainedReport:
    """Fills a model's weights from a file, as far as names and shapes agree.

    Takes safetensors of whole models, and state dicts of trunks as PyTorch saves them: face.evoLVe's IR-50 and IR-18,
    the public MobileFaceNet, torchvision's, facenet-pytorch's; and the files of a TensorFlow.js network, see
    :mod:`.tfjs`. A name in the file means the same name in the model or below its ``trunk``; a leading ``module.`` is
    passed over. Nothing in the file is executed.

    Args:
        model: is changed in place, and remembers what was filled: :func:`filled_names`.
        file: ends in ``.safetensors`` or ``weights_manifest.json``, is a folder with one such manifest, or is taken
            for a PyTorch file.

    Returns:
        What was filled and what was not: look at it, a file of another network may match in part.

    Raises:
        UserError: the file can't be read, is no state dict, or nothing in it fits; or it is a TensorFlow.js network
            that lacks a part of this one.
    """
    file = weights_file(Path(file))
    return fill(model, read_state_dict(file), file, whole_trunk=file.name.endswith(MANIFEST))


def fill(
    model: nn.Module, tensors: dict[str, Tensor], origin: Path | str, *, whole_trunk: bool = False
) -> PretrainedReport:
    """:func:`load_pretrained` with the content of a file.

    Args:
        model: is changed in place.
        tensors: the content.
        origin: where it is from, for errors.
        whole_trunk: refuse a content that lacks a part of the trunk.

    Raises:
        UserError: nothing fits, or a part of the trunk is missing.
    """
    own = model.state_dict()
    places = {name: _place(name, own) for name in tensors}
    found = {place: tensors[name] for name, place in places.items() if place is not None}
    fitting = {place: tensor for place, tensor in found.items() if tensor.shape == own[place].shape}
    # Scalars are BatchNorm's step counters: their shape fits wherever the name does, and they teach nothing.
    if not any(tensor.dim() for tensor in fitting.values()):
        raise UserError(
            f"nothing in {origin} fits: it has {next(iter(tensors))!r} and the like, this backbone {next(iter(own))!r}"
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
    """Lets a model remember that pretraining has filled some of its weights."""
    setattr(model, _FILLED, getattr(model, _FILLED, frozenset()) | set(names))


def filled_names(model: nn.Module) -> frozenset[str]:
    """The names in a model that :func:`load_pretrained` or :func:`mark_filled` was told of, in it or in its parts."""
    return frozenset(
        f"{prefix}.{name}".lstrip(".") for prefix, part in model.named_modules() for name in getattr(part, _FILLED, ())
    )


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU.

    Raises:
        UserError: it can't be read, or holds no state dict.
    """
    try:
        if file.name.endswith(MANIFEST):
            from .tfjs import read_tfjs

            return read_tfjs(file)
        if file.suffix == ".safetensors":
            from safetensors.torch import load

            content = load(file.read_bytes())  # it takes no path that is not UTF-8
        else:
            if zipfile.is_zipfile(file):  # older files are none, and have no checksums
                check_archive(file)
            content = torch.load(file, weights_only=True, map_location="cpu")
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read weights {file}: {error.strerror or error}") from None
    except Exception:  # a file that is not what it seems can make the readers raise anything
        raise UserError(f"cannot read weights {file}: must be a PyTorch state dict or .safetensors, whole") from None
    if not isinstance(content, dict) or not content or not all(isinstance(x, Tensor) for x in content.values()):
        raise UserError(f"{file} is not a state dict: must be names and tensors, nothing else")
    return content


def _place(name: str, own: dict[str, Tensor]) -> str | None:
    """The model's name for a name in a file."""
    name = name.removeprefix("module.")
    return next((place for place in (name, f"trunk.{name}", f"trunk.net.{name}") if place in own), None)
