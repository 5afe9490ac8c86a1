"""The faces of a video, frame by frame, tracked from one frame to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .found import Faces
from .given import Given
from .prediction import Prediction
from .smoothing import Smoother
from .tracking import Tracker

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from .video_file import Still, VideoFile


@dataclass(frozen=True)
class Frame:
    """A frame of a video, and the faces in it; each has a number, ``track``."""

    number: int  #: from 0
    time_s: float  #: since the first frame
    image: Image.Image  #: RGB, upright
    faces: Faces

    def rows(self) -> list[dict[str, object]]:
        """The rows that ``pa-difc predict --video`` writes: one per face."""
        when = {"frame": self.number, "time_s": round(self.time_s, 3)}
        return [when | p.frame_row(self.faces.classes) for p in self.faces.predictions if p.probs is not None]


class FilmedFaces(Iterator[Frame]):
    """An iterator over a video's frames with their faces.

    Args:
        video: is read once, and closed at its end.
        each: yields the faces of images in turn.
        smoother: makes the filter for each face's probabilities; None leaves them as they are.

    Attributes:
        video: the file or camera.
        tracker: numbers the faces.
    """

    def __init__(
        self,
        video: VideoFile,
        each: Callable[[Iterable[Given]], Iterator[Faces]],
        smoother: Callable[[], Smoother] | None = None,
    ) -> None:
        self.video, self.tracker = video, Tracker()
        self._make_smoother, self._smoothers = smoother, dict[int, Smoother]()
        self._waiting: deque[Still] = deque()
        self._found = each(self._stills())

    def __iter__(self) -> FilmedFaces:
        return self

    def __next__(self) -> Frame:
        try:
            faces = next(self._found)
        except BaseException:  # the end, or an error, or Ctrl-C
            self.video.close()
            raise
        still = self._waiting.popleft()
        found = [p for p in faces.predictions if p.probs is not None and p.box is not None]
        numbers = self.tracker.update([p.box for p in found if p.box is not None], still.time_s)
        tracked = [
            replace(p, track=number, probs=self._smoothed(p, number, still.time_s))
            for p, number in zip(found, numbers, strict=True)
        ]
        for gone in set(self._smoothers) - self.tracker.numbers:
            del self._smoothers[gone]
        faces = Faces(tracked or faces.predictions, faces.classes)
        return Frame(still.number, still.time_s, still.image, faces)

    def _stills(self) -> Iterator[Given]:
        for still in self.video:
            self._waiting.append(still)
            yield Given(f"{self.video.name} {still.time_s:.2f} s", still.image)

    def _smoothed(self, prediction: Prediction, number: int, time_s: float) -> np.ndarray | None:
        if self._make_smoother is None or prediction.probs is None:
            return prediction.probs
        if number not in self._smoothers:
            self._smoothers[number] = self._make_smoother()
        return self._smoothers[number](prediction.probs, time_s)
