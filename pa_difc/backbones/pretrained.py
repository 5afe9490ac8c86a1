"""Weights from a local file, by their names."""

from __future__ import annotations

import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..util.errors import UserError
from ..util.files import check_archive

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
    the public MobileFaceNet, torchvision's, facenet-pytorch's. A name in the file means the same name in the model or
    below its ``trunk``; a leading ``module.`` is passed over. Nothing in the file is executed.

    Args:
        model: is changed in place, and remembers what was filled: :func:`filled_names`.
        file: ends in ``.safetensors``, or is taken for a PyTorch file.

    Returns:
        What was filled and what was not: look at it, a file of another network may match in part.

    Raises:
        UserError: the file can't be read, is no state dict, or nothing in it fits.
    """
    tensors = read_state_dict(Path(file))
    own = model.state_dict()
    places = {name: _place(name, own) for name in tensors}
    found = {place: tensors[name] for name, place in places.items() if place is not None}
    fitting = {place: tensor for place, tensor in found.items() if tensor.shape == own[place].shape}
    # Scalars are BatchNorm's step counters: their shape fits wherever the name does, and they teach nothing.
    if not any(tensor.dim() for tensor in fitting.values()):
        raise UserError(
            f"nothing in {file} fits: it has {next(iter(tensors))!r} and the like, this backbone {next(iter(own))!r}"
        )
    with torch.no_grad():
        for place, tensor in fitting.items():
            own[place].copy_(tensor)
    setattr(model, _FILLED, filled_names(model) | fitting.keys())
    return PretrainedReport(
        matched=tuple(fitting),
        missing=tuple(name for name in own if name not in found),
        dropped=tuple(name for name, place in places.items() if place is None),
        reshaped=tuple(place for place in found if place not in fitting),
    )


def filled_names(model: nn.Module) -> frozenset[str]:
    """The names in a model that :func:`load_pretrained` has filled."""
    names: frozenset[str] = getattr(model, _FILLED, frozenset())
    return names


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU.

    Raises:
        UserError: it can't be read, or holds no state dict.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(file)
        else:
            if zipfile.is_zipfile(file):  # older files are none, and have no checksums
                check_archive(file)
            content = torch.load(file, weights_only=True, map_location="cpu")
    except OSError as error:
        raise UserError(f"cannot read weights {file}: {error.strerror or error}") from None
    except Exception:  # a file that is not what it seems can make the readers raise anything
        raise UserError(f"cannot read weights {file}: must be a PyTorch state dict or .safetensors, whole") from None
    if not isinstance(content, dict) or not content or not all(isinstance(x, Tensor) for x in content.values()):
        raise UserError(f"{file} holds no state dict: must be names and tensors, nothing else")
    return content


def _place(name: str, own: dict[str, Tensor]) -> str | None:
    """The model's name for a name in a file."""
    name = name.removeprefix("module.")
    return next((place for place in (name, f"trunk.{name}") if place in own), None)
