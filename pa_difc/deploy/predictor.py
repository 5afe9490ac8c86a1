"""A trained model in a few lines of Python: images in, faces with labels out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from ..data.crops import typical_points
from ..data.protocol import SEARCH_PX
from ..training.device import find_device
from ..training.groups import EvalSettings
from ..util.errors import UserError
from ..util.names import unknown
from .faces import CROPS, Cut
from .found import Faces, Results
from .given import Given, is_one, many
from .model import load_model
from .predict import AT_ONCE, asked, look, predict_images
from .prediction import NO_FACE
from .search import FaceSearch
from .smoothing import Smoother, smoother_of
from .video import FilmedFaces
from .video_file import VideoFile

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy as np

    from .model import FaceModel

_T = TypeVar("_T")
_DETECT_PX = (64, 4096)  #: the least and the most


def load(
    folder: str | os.PathLike[str],
    device: str | torch.device = "cpu",
    *,
    crop: str = "model",
    views: str | None = None,
    detect_px: int = SEARCH_PX,
) -> Predictor:
    """A trained model, ready to be shown images.

    Args:
        folder: of a finished run, or one that ``pa-difc export`` wrote.
        device: cpu, cuda or cuda:N: where faces are found and classified.
        crop: how faces are cut out: "model", as those that it was trained on; "cdfer", the box and about 10 % around
            it; "none": each image is one face already.
        views: average over "none", "flip" or "flip+scales"; as the model was scored, if left out.
        detect_px: the longer side of images when faces are looked for, 64 to 4096; smaller faces than 25 of these
            pixels are not found, and more is slower.

    Raises:
        UserError: there is no model, or it is damaged; no such device; a value is out of range.

    Example:
        >>> model = pa_difc.load("my_model")  # doctest: +SKIP
        >>> [face.label for face in model("photo.jpg")]  # doctest: +SKIP
        ['happy', 'neutral']
    """
    find_device(str(device))
    model = load_model(Path(folder))
    if views is not None:
        EvalSettings(views=views)  # fails here if there are no such views
        model.take_views(views)
    return Predictor(model, device, crop=crop, detect_px=detect_px)


class Predictor:
    """A model that is shown images: it finds their faces, cuts them out as in training, and classifies them.

    Attributes:
        model: the network: from faces ``(N, 3, P, P)`` and landmarks ``(N, 5, 2)`` to probabilities ``(N, K)``.
        labels: the names of the classes, in the order of the probabilities.
        device: where it runs.

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
        if not _DETECT_PX[0] <= detect_px <= _DETECT_PX[1]:
            raise UserError(f"detect_px {detect_px}: must be from {_DETECT_PX[0]} to {_DETECT_PX[1]}")
        self.device, self.detect_px, self.crop = str(device), detect_px, _known(crop)
        self.model = model.to(device)
        self.labels = tuple(model.classes)

    def __call__(self, images: Any, *, crop: str | None = None, batch_size: int = 1) -> Any:
        """The faces of an image, or of many.

        Args:
            images: one of: a file (str or Path), a PIL image, an array (H, W, 3) RGB or (H, W) gray of uint8, a tensor
                (3, H, W) of uint8. Or many: a folder, a list or another collection of these, or an iterator of them.
            crop: see :func:`load`; what was said there, if left out.
            batch_size: of so many images the model is shown the faces together: faster on a GPU. With 1 what is
                reported of an image does not depend on the others, and is what ``pa-difc predict`` says of the file.

        Returns:
            Of one image a :class:`.Faces`: a list, empty if no face was found. Of a folder or a collection a
            :class:`.Results`: a list of them. Of an iterator (a generator, say) an iterator, which reads on as it is
            gone through. An image of many that can't be read has an empty list, whose ``problem`` says why.

        Raises:
            UserError: the only image can't be read; something is no image; an array has another shape or type.
        """
        cut, batch_size = self._cut(crop), _positive(batch_size)

        def each(given: Iterable[Given]) -> Iterator[tuple[Faces, str, str]]:
            for faces in self.each(given, crop=cut, batch_size=batch_size):
                yield faces, faces.source, faces.problem

        return _spread(images, each, Results)

    predict = __call__

    def features(self, images: Any, *, crop: str | None = None, batch_size: int = 1) -> Any:
        """What the classifier is shown of each face: a vector, for a search, a clustering, or another classifier.

        Args:
            images, crop, batch_size: as for a call.

        Returns:
            Of one image an array ``(F, D)``, a row for each of its faces, in the same order; ``(0, D)`` without one.
            Of a folder or a collection a list of them, of an iterator an iterator. An image of many that can't be read
            has no face.

        Raises:
            UserError: as for a call.
        """
        cut, batch_size = Cut(self.model, self._cut(crop)), _positive(batch_size)

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
        """The frames of a video, each with its faces, which have the same number (``face.track``) all along.

        Args:
            source: a file, or the number of a camera.
            every: look at each n-th frame only.
            smooth: the filter of a face's probabilities over time: "ema:SECONDS" (:class:`.Ema`) or
                "one_euro:HERTZ:BETA" (:class:`.OneEuro`); their numbers may be left out.
            crop, batch_size: as for a call.

        Returns:
            An iterator of :class:`.Frame`, which reads on as it is gone through. Each holds its picture: keep
            ``frame.faces``, not the frames, of a long video.

        Raises:
            UserError: PyAV is not installed, the file or the camera can't be opened, there is no video in it, or a
                value is out of range.
        """
        smoother, cut = None if smooth is None else smoother_of(smooth), self._cut(crop)
        video = VideoFile(source if isinstance(source, int) else Path(source), every)
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
        """The faces of every image in turn: see :func:`.predict_images`; none of them raises an error."""
        return predict_images(
            self.model,
            images,
            device=self.device,
            annotate=annotate,
            crop=crop or self.crop,
            detect_px=self.detect_px,
            search=self.search,
            batch_size=batch_size,
            at_once=at_once,
        )

    def each_frame(
        self,
        video: VideoFile,
        smoother: Callable[[], Smoother] | None = None,
        *,
        crop: str | None = None,
        batch_size: int = 1,
    ) -> FilmedFaces:
        """The frames of a video that is open, with their faces; see :meth:`video`."""
        at_once, batch_size = 1 if video.is_camera else AT_ONCE, _positive(batch_size)  # a camera's are wanted now
        each = partial(self.each, crop=crop, batch_size=batch_size, at_once=at_once)
        return FilmedFaces(video, each, smoother)

    @cached_property
    def search(self) -> FaceSearch:
        """What looks for faces."""
        return FaceSearch(self.device, self.detect_px, self.model.size_px)

    def __getstate__(self) -> dict[str, Any]:
        """For other processes: each makes what looks for faces itself."""
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
        """The name of a crop, with a warning if the model was trained on another one."""
        crop = self.crop if crop is None else _known(crop)
        if line := Cut(self.model, crop).warning():
            warnings.warn(line.replace("--crop ", "crop="), stacklevel=3)
        return crop

    @cached_property
    def _no_features(self) -> np.ndarray:
        """``(0, D)``."""
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
    """What ``each`` gives of images: of one, of many, or of one after the other, as they were given.

    Args:
        images: from outside.
        each: gives what was found in each image, its source, and a problem.
        collect: makes a list of many.
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


def _positive(batch_size: int) -> int:
    if batch_size < 1:
        raise UserError(f"{batch_size=}: must be at least 1")
    return batch_size
