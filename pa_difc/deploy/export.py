"""Exports a model in formats that other programs read, each checked against the model itself."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..util.errors import UserError
from ..util.files import read_json, refuse_links, write_atomic, write_json, write_text
from ..util.markdown import write_markdown

if TYPE_CHECKING:
    from .model import FaceModel


def export_model(model: FaceModel, out: Path, formats: tuple[str, ...], record: dict[str, Any] | None) -> list[str]:
    """Writes a model's folder: weights, settings, preprocessing, a card if there is a record, and other formats.

    Args:
        model: in eval mode, on the CPU.
        out: the folder.
        formats: of "safetensors", "onnx" and "pt2".
        record: of the model's run; None if it is not known.

    Returns:
        A line for each file, with how it was checked.

    Raises:
        UserError: the folder has files that no export wrote; a format needs a package that is not installed; an
            exported file's predictions differ from the model's; or a file can't be written.
    """
    from ..training.model_settings import product_line
    from .card import model_card
    from .model import save_model
    from .preprocessing import PREPROCESSOR, preprocessor_config

    _require_ours(out, model)
    save_model(model, out)
    write_json(out / PREPROCESSOR, preprocessor_config(model))
    lines = [f"{out / 'model.safetensors'}: {sum(p.numel() for p in model.parameters()):,} weights"]
    if line := product_line(model.settings):
        lines.append(f"{out}: {line}")
    if record is not None:
        write_markdown(out / "README.md", model_card(record, model.settings))
        lines.append(f"{out / 'README.md'}: the model's card")
    if "onnx" in formats:
        from .onnx_file import write_onnx

        lines.append(write_onnx(model, out / "model.onnx"))
    if "pt2" in formats:
        lines.append(_pt2(model, out / "model.pt2"))
    return lines


def _require_ours(out: Path, model: FaceModel) -> None:
    """Refuses a folder in which somebody else's file would be overwritten.

    An export writes the weights first, so this very model's weights without settings are left by one that was stopped.
    """
    from .model import DERIVED, SETTINGS, WEIGHTS, weights_file

    refuse_links(*(out / name for name in (SETTINGS, WEIGHTS, *DERIVED)), instead="another --out")
    if (out / SETTINGS).exists():
        settings = read_json(out / SETTINGS, others_add=True)
        foreign = not isinstance(settings, dict) or not {"format", "weights"} <= settings.keys()
    else:
        foreign = any((out / name).exists() for name in DERIVED)
        foreign |= (out / WEIGHTS).is_file() and (out / WEIGHTS).read_bytes() != weights_file(model)
    odd = any((out / name).exists() and not (out / name).is_file() for name in (WEIGHTS, *DERIVED))
    if foreign or odd:
        raise UserError(f"{out} holds files that export did not write: give another --out")


def run_record(folder: Path) -> dict[str, Any] | None:
    """The record of a run's folder; None if the folder is not a run's."""
    from ..training.record import read_record

    path = folder / "record.json"
    return read_record(path) if path.exists() else None


def copy_card(model: Path, out: Path) -> None:
    """Copies the card of an exported model to another export of it, unless that has one.

    Args:
        model, out: folders of the same model.
    """
    card = model / "README.md"
    if card.is_file() and not (out / "README.md").exists():
        write_text(out / "README.md", card.read_text(encoding="utf-8", errors="replace"))


def _pt2(model: FaceModel, path: Path) -> str:
    import torch

    from .agreement import checked, example

    batch = torch.export.Dim("batch", min=1, max=4096)
    axes = {"image": {0: batch}, "landmarks": {0: batch}}
    buffer = io.BytesIO()
    program = torch.export.export(model, example(model, 3), dynamic_shapes=axes)
    with warnings.catch_warnings():  # on shared weights; the file is checked below
        warnings.filterwarnings("ignore", "No complete tensor found")
        torch.export.save(program, buffer)
    write_atomic(path, lambda file: file.write(buffer.getbuffer()))
    loaded = torch.export.load(io.BytesIO(path.read_bytes())).module()
    return checked(model, path, lambda image, points: loaded(image, points).detach().numpy())
