"""Writes a model as ``model.onnx``, with its preprocessing as metadata, and a program that runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..training.model_settings import face_crop
from ..util.errors import UserError
from ..util.files import write_atomic, write_text
from .agreement import checked, example
from .preprocessing import landmark_places, preprocessor_config

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .model import FaceModel

#: The first torch version that exports a program to ONNX.
_ONNX_TORCH = (2, 6)
_BATCH = torch.export.Dim("batch", min=1, max=4096)
PROGRAM = "use_onnx.py"


class _OfImages(nn.Module):
    """A model whose predictions do not depend on landmarks, as a function of images alone."""

    points: Tensor

    def __init__(self, model: FaceModel) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("points", torch.tensor(landmark_places(model)), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        probs: Tensor = self.model(image, self.points.expand(image.shape[0], 5, 2))
        return probs


def write_onnx(model: FaceModel, path: Path) -> str:
    """Writes the model, and next to it :data:`PROGRAM`, which needs only onnxruntime, NumPy and Pillow.

    The file's inputs are ``image`` ``(N, 3, P, P)`` in [0, 1] and, if predictions depend on them, ``landmarks``
    ``(N, 5, 2)`` in pixels; its output is ``probabilities`` ``(N, K)``. Its metadata hold classes and preprocessing.

    Args:
        model: in eval mode, on the CPU.
        path: the file.

    Returns:
        A line on how the file was checked.

    Raises:
        UserError: a package is missing, torch is too old, or the file's probabilities differ from the model's.
    """
    onnx, onnxruntime = _packages()
    names = ["image", "landmarks"] if looks_at_landmarks(model) else ["image"]
    traced = model if len(names) == 2 else _OfImages(model)
    program: Any = torch.onnx.export(
        torch.export.export(traced, example(model, 3)[: len(names)], dynamic_shapes=[{0: _BATCH}] * len(names)),
        dynamo=True,
        input_names=names,
        output_names=["probabilities"],
        verbose=False,
    )
    proto = program.model_proto
    onnx.helper.set_model_props(proto, metadata(model, landmarks=len(names) == 2))
    write_atomic(path, lambda file: file.write(proto.SerializeToString()))
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def run(image: Tensor, points: Tensor) -> npt.NDArray[np.float32]:
        values = {"image": image.numpy(), "landmarks": points.numpy()}
        probs: npt.NDArray[np.float32] = session.run(None, {name: values[name] for name in names})[0]
        return probs

    line = checked(model, path, run)
    write_text(path.with_name(PROGRAM), Path(__file__).with_name(PROGRAM).read_text(encoding="utf-8"))
    return f"{line}; {PROGRAM} next to it runs it"


def looks_at_landmarks(model: FaceModel) -> bool:
    """Whether predictions depend on the landmarks: tested by reversing their order."""
    image, points = example(model, 4)
    with torch.no_grad():
        return not torch.equal(model(image, points), model(image, points.flip(1)))


def metadata(model: FaceModel, *, landmarks: bool) -> dict[str, str]:
    """The file's metadata on its input and output; lists and objects as JSON.

    Args:
        model: the model.
        landmarks: whether landmarks are an input; if so, their typical places are included.
    """
    values = {
        "classes": json.dumps(model.classes),
        "size_px": str(model.size_px),
        "channel_order": "RGB",
        "range": "[0, 1]",
        "crop": face_crop(model.settings),
        "preprocessing": json.dumps(preprocessor_config(model)),
        "run": model.settings["run"],
    }
    return values | ({"landmark_places": json.dumps(landmark_places(model))} if landmarks else {})


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"ONNX needs {error.name}: pip install 'pa-difc[onnx]'") from None
    if tuple(map(int, torch.__version__.split(".")[:2])) < _ONNX_TORCH:
        wanted = ".".join(map(str, _ONNX_TORCH))
        raise UserError(f"ONNX needs torch {wanted} or newer, and this is {torch.__version__}: use --format pt2")
    return onnx, onnxruntime
