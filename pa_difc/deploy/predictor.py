"""The Python interface to a trained model: images in, labelled faces out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from ..data.crops import typical_points
from ..data.protocol import SEARCH_PX
from ..training.device import find_device
from ..training.groups import EvalSettings
from ..util.errors import ModelWarning, UserError
from ..util.names import unknown
from .arguments import path_of, text, whole
from .faces import CROPS, Cut
from .found import Faces, Results
from .given import Given, is_one, many
from .model import load_model
from .onnx_names import names_line
from .predict import AT_ONCE, asked, look, predict_images
from .prediction import NO_FACE
from .preprocessing import require_agreement
from .search import FaceSearch
from .smoothing import Smoother, smoother_of
from .video import FilmedFaces
from .video_file import VideoFile

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from .model import FaceModel

_T = TypeVar("_T")
_DETECT_PX = (64, 4096)  #: the smallest and the largest allowed value


def load(
    folder: str | os.PathLike[str],
    device: str | torch.device = "cpu",
    *,
    crop: str = "model",
    views: str | None = None,
    detect_px: int = SEARCH_PX,
) -> Predictor:
    """Loads a trained model for prediction.

    Args:
        folder: of a finished run, or one that ``pa-difc export`` wrote.
        device: cpu, cuda or cuda:N: where faces are detected and classified.
        crop: how to crop faces: "model", as in training; "cdfer", the box and about 10 % around it; "none", not at all,
            since each image is one face.
        views: views to average over, "none", "flip" or "flip+scales"; None takes those that the model was scored with.
        detect_px: longer side, 64 to 4096, to which larger images are reduced for face detection. There, faces must
            have 25 pixels to be found: more finds smaller faces, but is slower.

    Raises:
        UserError: there is no model, or it is damaged; no such device; a value is out of range.

    Example:
        >>> model = pa_difc.load("my_model")  # doctest: +SKIP
        >>> [face.label for face in model("photo.jpg")]  # doctest: +SKIP
        ['happy', 'neutral']
    """
    find_device(str(device))
    path = path_of("folder", folder)
    model = load_model(path)
    require_agreement(path, model)
    if line := names_line(path, model.classes):
        warnings.warn(line, ModelWarning, stacklevel=2)
    if views is not None:
        EvalSettings(views=views)  # refuses unknown views
        model.take_views(views)
    return Predictor(model, device, crop=crop, detect_px=detect_px)


class Predictor:
    """Predicts images: detects their faces, crops them as in training, and classifies them.

    Attributes:
        model: the network, from faces ``(N, 3, P, P)`` and landmarks ``(N, 5, 2)`` to probabilities ``(N, K)``.
        labels: the class names, in the order of the probabilities.
        device: where the network runs.
        crop, detect_px: see :func:`load`.

    Args:
        model: in eval mode.
        device, crop, detect_px: see :func:`load`.

    Raises:
        UserError: a value is out of range.
    """

    def __init__(
        self,
        model: FaceModel,
        device: str | torch.device = "cpu",
        *,
        crop: str = "model",
        detect_px: int = SEARCH_PX,
    ) -> None:
        self.detect_px = whole("detect_px", detect_px, *_DETECT_PX)
        self.device, self.crop = str(device), _known(crop)
        self.model = model.to(device)
        self.labels = tuple(model.classes)
        self._warned: set[str] = set()

    def __call__(self, images: Any, *, crop: str | None = None, batch_size: int = 1) -> Any:
        """Predicts the faces of one image, or of many.

        Args:
            images: one image: a file (str or Path), a PIL image, a uint8 array (H, W, 3) RGB or (H, W) gray, or a
                uint8 tensor (3, H, W), (1, H, W) or (H, W). Or many: a folder, or a collection or iterator of images.
            crop: see :func:`load`; None takes the value given there.
            batch_size: number of images whose faces are classified together; more is faster on a GPU. With 1, an
                image's result does not depend on the others, and equals that of ``pa-difc predict``.

        Returns:
            For one image, a :class:`.Faces`: a list that is empty if no face was found. For a folder or a collection, a
            :class:`.Results`: a list of those. For an iterator (such as a generator), an iterator that reads images
            only as it is consumed. Among many, an unreadable image has an empty list whose ``problem`` says why.

        Raises:
            UserError: a single image can't be read; an item is not an image; an array has another shape or type.
        """
        cut, batch_size = self._cut(crop), whole("batch_size", batch_size, 1)

        def each(given: Iterable[Given]) -> Iterator[tuple[Faces, str, str]]:
            for faces in self.each(given, crop=cut, batch_size=batch_size):
                yield faces, faces.source, faces.problem

        return _spread(images, each, Results)

    predict = __call__

    def features(self, images: Any, *, crop: str | None = None, batch_size: int = 1) -> Any:
        """The feature vector of each face, the classifier's input: for retrieval, clustering or another classifier.

        Args:
            images, crop, batch_size: see :meth:`__call__`.

        Returns:
            For one image, an array ``(F, D)`` with a row for each of its F faces, in the order of :meth:`__call__`;
            ``(0, D)`` without a face. For a folder or a collection, a list of those; for an iterator, an iterator.
            Among many, an unreadable image has ``(0, D)``.

        Raises:
            UserError: see :meth:`__call__`.
        """
        cut, batch_size = Cut(self.model, self._cut(crop)), whole("batch_size", batch_size, 1)

        def each(given: Iterable[Given]) -> Iterator[tuple[np.ndarray, str, str]]:
            looks = look(given, self.search, cut, max(AT_ONCE, batch_size))
            for image, rows in asked(self.model.features, looks, self.device, batch_size):
                yield rows if len(rows) else self._no_features, image.source, image.problem

        return _spread(images, each, list)

    def video(
        self,
        source: str | os.PathLike[str] | int,
        *,
        every: int = 1,
        smooth: str | None = None,
        crop: str | None = None,
        batch_size: int = 1,
    ) -> FilmedFaces:
        """Predicts the faces of a video frame by frame; a face keeps its number (``face.track``) across frames.

        Args:
            source: a file, or a camera's number.
            every: process only every n-th frame.
            smooth: filter for each face's probabilities over time: "ema:SECONDS" (:class:`.Ema`) or
                "one_euro:HERTZ:BETA" (:class:`.OneEuro`); the numbers are optional.
            crop, batch_size: see :meth:`__call__`.

        Returns:
            An iterator of :class:`.Frame` that reads frames only as it is consumed. Each frame holds its picture, so
            for a long video keep ``frame.faces``, not the frames.

        Raises:
            UserError: PyAV is not installed, the file or the camera can't be opened, there is no video in it, or a
                value is out of range.
        """
        smoother, cut = None if smooth is None else smoother_of(text("smooth", smooth)), self._cut(crop)
        batch_size = whole("batch_size", batch_size, 1)
        video = VideoFile(_filmed(source), every)
        return self.each_frame(video, smoother, crop=cut, batch_size=batch_size)

    def each(
        self,
        images: Iterable[Path | Given],
        *,
        crop: str | None = None,
        batch_size: int = 1,
        annotate: Sequence[Path] | None = None,
        at_once: int = AT_ONCE,
    ) -> Iterator[Faces]:
        """Yields the faces of every image, see :func:`.predict_images`; an unreadable image raises no error.

        Raises:
            UserError: ``batch_size`` or ``at_once`` is out of range.
        """
        return predict_images(
            self.model,
            images,
            device=self.device,
            annotate=annotate,
            crop=crop or self.crop,
            detect_px=self.detect_px,
            search=self.search,
            batch_size=whole("batch_size", batch_size, 1),
            at_once=whole("at_once", at_once, 1),
        )

    def each_frame(
        self,
        video: VideoFile,
        smoother: Callable[[], Smoother] | None = None,
        *,
        crop: str | None = None,
        batch_size: int = 1,
    ) -> FilmedFaces:
        """Predicts the faces of an open video, frame by frame; see :meth:`video`."""
        at_once = 1 if video.is_camera else AT_ONCE  # a camera's frames don't wait
        each = partial(self.each, crop=crop, batch_size=batch_size, at_once=at_once)
        return FilmedFaces(video, each, smoother)

    @cached_property
    def search(self) -> FaceSearch:
        """The face detector, made on first use."""
        return FaceSearch(self.device, self.detect_px, self.model.crop_px)

    def __getstate__(self) -> dict[str, Any]:
        """State for pickling, without the face detector: another process makes its own."""
        return {key: value for key, value in self.__dict__.items() if key != "search"}

    def __repr__(self) -> str:
        settings = self.model.settings["settings"]
        names = ", ".join(self.labels[:8]) + (", …" if len(self.labels) > 8 else "")
        crop = Cut(self.model, self.crop).mode
        return (
            f"<Predictor: {settings['method']['name']} · {settings['loss']['name']}, {settings['model']['backbone']} "
            f"at {self.model.size_px} px, crop {crop}, on {self.device}; {len(self.labels)} classes: {names}>"
        )

    def _cut(self, crop: str | None) -> str:
        """The valid name of a crop; warns once if the model was trained on another one."""
        crop = self.crop if crop is None else _known(crop)
        line = Cut(self.model, crop).warning()
        if line and line not in self._warned:  # Python's own filter would repeat it for every line that calls this
            self._warned.add(line)
            warnings.warn(line.replace("--crop ", "crop="), ModelWarning, stacklevel=3)
        return crop

    @cached_property
    def _no_features(self) -> np.ndarray:
        """An empty feature array ``(0, D)``."""
        size, device = self.model.size_px, self.device
        with torch.no_grad():
            one = self.model.features(torch.zeros(1, 3, size, size, device=device), _points(size).to(device))
        empty: np.ndarray = one[:0].cpu().numpy()
        return empty


def _points(size_px: int) -> torch.Tensor:
    return torch.from_numpy(typical_points("cdfer", size_px))[None]


def _spread(
    images: Any,
    each: Callable[[Iterable[Given]], Iterator[tuple[_T, str, str]]],
    collect: Callable[[Iterator[_T]], Any],
) -> Any:
    """The results for one image, a collection or an iterator, in the matching form.

    Args:
        images: as the caller passed them.
        each: yields the result, source and problem of each image.
        collect: makes a list of the results of a collection.

    Raises:
        UserError: a single image can't be read.
    """
    if is_one(images):
        ((found, source, problem),) = each([Given.of(images)])
        if problem not in ("", NO_FACE):
            raise UserError(f"{source}: {problem}")
        return found
    found_each = (found for found, _, _ in each(many(images)))
    return found_each if isinstance(images, Iterator) else collect(found_each)


def _known(crop: str) -> str:
    if crop not in CROPS:
        raise unknown("crop", str(crop), CROPS)
    return crop


def _filmed(source: Any) -> Path | int:
    """A video's file or a camera's number."""
    if isinstance(source, int | np.integer):
        return whole("source", source, 0)
    return path_of("source", source, ", or a camera's number")
