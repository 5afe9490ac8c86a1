"""From photographs to predictions: find the faces, cut them out as in training, ask the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..data.crops import cut_face
from ..data.decode import BrokenImageError, read_image
from ..data.files import find_images as images_below
from ..util.errors import UserError
from ..util.files import refuse_foreign
from .annotate import annotated
from .prediction import Prediction

if TYPE_CHECKING:
    from ..data.detect import Detection
    from .model import FaceModel

_BATCH = 16  #: images at a time
_SOFTWARE = "pa_difc"  #: in the pictures that are written here


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Files as they are given, and all images below folders.

    Raises:
        UserError: a path does not exist, or there is no image.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += images_below(path).paths
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"{path}: no such file or folder")
    if not found:
        raise UserError(f"{', '.join(map(str, paths))}: no images")
    return found


def picture_files(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Where the annotated picture of each image goes: by its name, with a number where several have the same.

    Raises:
        UserError: the file is one of the images, or something that was not written here.
    """
    files: dict[Path, None] = {}
    for path in paths:
        names = chain([path.stem], (f"{path.stem}-{n}" for n in count(2)))
        files[next(file for name in names if (file := folder / f"{name}.png") not in files)] = None
    for file in files:
        refuse_foreign(file, ours=_is_ours(file), writer="predict", instead="another --annotate")
    return list(files)


def _is_ours(file: Path) -> bool:
    try:
        with Image.open(file) as picture:
            return bool(picture.info.get("Software") == _SOFTWARE)
    except OSError:
        return False


def predict_images(
    model: FaceModel, paths: Sequence[Path], *, device: str = "cpu", annotate: Sequence[Path] | None = None
) -> Iterator[list[Prediction]]:
    """Every face of every image, a list for each file in turn; never empty.

    Args:
        model: in eval mode.
        paths: image files.
        device: where faces are found and classified.
        annotate: for each image, the file for a picture with boxes, points and bars; see :func:`picture_files`.
    """
    from ..data.detect import FaceDetector

    detector = FaceDetector(device)
    model = model.to(device)
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        images = [_open(path) for path in batch]
        good = [image for image in images if isinstance(image, Image.Image)]
        found = iter(detector.detect(good, [max(image.size) <= 128 for image in good]))
        for i, (path, image) in enumerate(zip(batch, images, strict=True), start):
            if isinstance(image, str):
                yield [Prediction(str(path), problem=image)]
                continue
            faces = next(found)
            predictions = _classify(model, path, image, faces, device)
            if annotate is not None:
                annotated(image, predictions, model.classes).save(annotate[i], pnginfo=_signature())
            yield predictions


def _signature() -> PngInfo:
    signature = PngInfo()
    signature.add_text("Software", _SOFTWARE)
    return signature


def _open(path: Path) -> Image.Image | str:
    try:
        return read_image(path)
    except BrokenImageError as error:
        return str(error)


def _classify(
    model: FaceModel, path: Path, image: Image.Image, faces: Sequence[Detection], device: str
) -> list[Prediction]:
    import torch

    crops, kept = [], []
    for face in faces:
        try:
            crops.append(cut_face(image, face.box, face.points, model.settings["input"]["crop"], model.size_px))
            kept.append(face)
        except ValueError:
            continue  # a box that only touches the image
    if not crops:
        return [Prediction(str(path), problem="no face")]
    pixels = torch.from_numpy(np.stack([c.image for c in crops])).to(device).float().div_(255)
    points = torch.from_numpy(np.stack([c.landmarks for c in crops])).to(device)
    with torch.no_grad():
        probs = model(pixels, points).cpu().numpy()
    return [Prediction(str(path), face.box, face.points, p) for face, p in zip(kept, probs, strict=True)]
