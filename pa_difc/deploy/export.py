"""A model in the formats that other programs read, each checked against the model itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..util.errors import UserError
from ..util.files import read_json, refuse_links, write_atomic
from ..util.markdown import write_markdown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor

    from .model import FaceModel

FORMATS = ("safetensors", "onnx", "pt2")
#: The first torch that turns an exported program into ONNX.
_ONNX_TORCH = (2, 6)
TOLERANCE = 1e-4  #: largest difference of a probability


def export_model(model: FaceModel, out: Path, formats: tuple[str, ...], record: dict[str, Any] | None) -> list[str]:
    """Writes a model's folder: safetensors and settings always, a card if there is a record, and other formats.

    Args:
        model: in eval mode, on the CPU.
        out: the folder.
        formats: of :data:`FORMATS`.
        record: of the model's run.

    Returns:
        A line for each file and how it was checked.

    Raises:
        UserError: the folder has files that no export wrote; a format needs a package that is not there, differs from
            the model, or can't be written.
    """
    from ..training.model_settings import product_line
    from .card import model_card
    from .model import save_model

    _require_ours(out, model)
    save_model(model, out)
    lines = [f"{out / 'model.safetensors'}: {sum(p.numel() for p in model.parameters()):,} weights"]
    if line := product_line(model.settings):
        lines.append(f"{out}: {line}")
    if record is not None:
        write_markdown(out / "README.md", model_card(record, model.settings))
        lines.append(f"{out / 'README.md'}: the model's card")
    if "onnx" in formats:
        lines.append(_onnx(model, out / "model.onnx"))
    if "pt2" in formats:
        lines.append(_pt2(model, out / "model.pt2"))
    return lines


def _require_ours(out: Path, model: FaceModel) -> None:
    """Refuses a folder in which a file of somebody else's would be written over.

    Weights come first: those of this very model, alone, are what an export left that was stopped.
    """
    from .model import DERIVED, SETTINGS, WEIGHTS, weights_file

    refuse_links(*(out / name for name in (SETTINGS, WEIGHTS, *DERIVED)), instead="another --out")
    if (out / SETTINGS).exists():
        settings = read_json(out / SETTINGS)
        foreign = not isinstance(settings, dict) or not {"format", "weights"} <= settings.keys()
    else:
        foreign = any((out / name).exists() for name in DERIVED)
        foreign |= (out / WEIGHTS).is_file() and (out / WEIGHTS).read_bytes() != weights_file(model)
    odd = any((out / name).exists() and not (out / name).is_file() for name in (WEIGHTS, *DERIVED))
    if foreign or odd:
        raise UserError(f"{out} holds files that no export wrote: give another --out")


def run_record(folder: Path) -> dict[str, Any] | None:
    """The record of a run's folder, if it is one."""
    from ..training.record import read_record

    path = folder / "record.json"
    return read_record(path) if path.exists() else None


def example(model: FaceModel, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A batch to trace and to check with: noise, and points around where a face has them."""
    import torch

    from ..data.crops import typical_points

    generator = torch.Generator().manual_seed(seed)
    p = model.size_px
    points = torch.from_numpy(typical_points(model.settings["input"]["crop"], p))
    jitter = torch.randn(n, 5, 2, generator=generator) * p / 30
    return torch.rand(n, 3, p, p, generator=generator), points + jitter


def _program(model: FaceModel) -> torch.export.ExportedProgram:
    import torch

    batch = torch.export.Dim("batch", min=1, max=4096)
    return torch.export.export(model, example(model, 3), dynamic_shapes={"image": {0: batch}, "landmarks": {0: batch}})


def _pt2(model: FaceModel, path: Path) -> str:
    import torch

    program = _program(model)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    write_atomic(path, lambda file: file.write(buffer.getbuffer()))
    loaded = torch.export.load(io.BytesIO(path.read_bytes())).module()
    return _checked(model, path, lambda image, points: loaded(image, points).detach().numpy())


def _onnx(model: FaceModel, path: Path) -> str:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
        import torch
    except ImportError as error:
        raise UserError(f"ONNX needs {error.name}: pip install 'pa-difc[onnx]'") from None
    if tuple(map(int, torch.__version__.split(".")[:2])) < _ONNX_TORCH:
        wanted = ".".join(map(str, _ONNX_TORCH))
        raise UserError(f"ONNX needs torch {wanted} or newer, and this is {torch.__version__}: take --format pt2")
    program: Any = torch.onnx.export(
        _program(model), dynamo=True, input_names=["image", "landmarks"], output_names=["probabilities"], verbose=False
    )
    write_atomic(path, lambda file: file.write(program.model_proto.SerializeToString()))
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]

    def run(image: Tensor, points: Tensor) -> npt.NDArray[np.float32]:
        values = {"image": image.numpy(), "landmarks": points.numpy()}
        probs: npt.NDArray[np.float32] = session.run(None, {name: values[name] for name in names})[0]
        return probs

    return _checked(model, path, run)


def _checked(model: FaceModel, path: Path, run: Callable[[Tensor, Tensor], npt.NDArray[np.float32]]) -> str:
    """Compares predictions on batches of other sizes than the traced one.

    Raises:
        UserError: they differ; the file is removed.
    """
    import numpy as np
    import torch

    worst = 0.0
    with torch.no_grad():
        for n in (1, 5, 8):
            image, points = example(model, n, seed=n)
            worst = max(worst, float(np.abs(model(image, points).numpy() - run(image, points)).max()))
    if not worst <= TOLERANCE:
        path.unlink()
        raise UserError(f"{path}: its probabilities differ by {worst:.1e} from the model's (at most {TOLERANCE:g})")
    return f"{path}: probabilities within {worst:.0e} of the model's"
