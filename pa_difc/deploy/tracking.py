"""Tracks faces: gives each the same number across the frames of a video."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..data.crops import Box

#: Least overlap of a face's box with a track's expected box, as in SORT; and of one with a track seen only once.
_OVERLAP, _OVERLAP_OF_NEW = 0.3, 0.1
KEPT_S = 1.0  #: seconds for which a lost face keeps its number
_MEMORY_S = 0.5  #: seconds over which speed is measured: over two frames the detector's jitter would dominate


@dataclass
class _Track:
    number: int
    box: np.ndarray
    seen: deque[tuple[float, np.ndarray]] = field(default_factory=deque)  #: times and centres of its last boxes

    def add(self, box: np.ndarray, time_s: float) -> None:
        self.box = box
        self.seen.append((time_s, (box[:2] + box[2:]) / 2))
        while time_s - self.seen[0][0] > _MEMORY_S and len(self.seen) > 2:
            self.seen.popleft()

    @property
    def least_overlap(self) -> float:
        """The least overlap with a box that continues this track."""
        return _OVERLAP if len(self.seen) > 1 else _OVERLAP_OF_NEW

    def expected(self, time_s: float) -> np.ndarray:
        """Its box at a time, at constant speed."""
        (first, start), (last, end) = self.seen[0], self.seen[-1]
        if last <= first:
            return self.box
        moved: np.ndarray = self.box + np.tile((end - start) / (last - first) * (time_s - last), 2)
        return moved


class Tracker:
    """Gives faces numbers, from 1, which they keep from frame to frame and over gaps of up to a second.

    Each track predicts its next box from its speed. The Hungarian method pairs predicted boxes with detected ones so
    that the sum of their overlaps (intersection over union) is largest. Pairs that overlap by less than 0.3 are
    dropped, or by less than 0.1 if the face was seen only once and its speed is unknown. This is SORT (Bewley et al.
    2016, arXiv:1602.00763).

    Differs from the paper: the speed is the mean over half a second instead of a Kalman filter's, a track counts from
    its first frame, and a lost one is kept for a second instead of a frame. Appearance is not compared: a face that
    comes back later, or elsewhere, is a new one, and one that appears within a second where another was takes over its
    number.

    Attributes:
        far_apart: how many frames came more than a second after the one before, where all faces got new numbers.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._given, self._last_s = 0, 0.0
        self.far_apart = 0

    @property
    def numbers(self) -> set[int]:
        """The numbers of faces that are in sight or may come back."""
        return {track.number for track in self._tracks}

    @property
    def given(self) -> int:
        """How many faces were numbered so far."""
        return self._given

    def update(self, boxes: Sequence[Box], time_s: float) -> list[int]:
        """The numbers of the faces of the next frame.

        Args:
            boxes: of its faces.
            time_s: the frame's time in seconds, later than the frame before.
        """
        self.far_apart += time_s - self._last_s > KEPT_S
        self._last_s = time_s
        self._tracks = [track for track in self._tracks if time_s - track.seen[-1][0] <= KEPT_S]
        found = [np.array(box, dtype=np.float64) for box in boxes]
        overlaps = np.array([[_overlap(track.expected(time_s), box) for box in found] for track in self._tracks])
        known: dict[int, _Track] = {}
        if overlaps.size:
            for row, column in zip(*linear_sum_assignment(-overlaps), strict=True):
                if overlaps[row, column] >= self._tracks[row].least_overlap:
                    known[int(column)] = self._tracks[row]
        return [self._seen(known.get(i), box, time_s) for i, box in enumerate(found)]

    def _seen(self, track: _Track | None, box: np.ndarray, time_s: float) -> int:
        if track is None:
            self._given += 1
            track = _Track(self._given, box)
            self._tracks.append(track)
        track.add(box, time_s)
        return track.number


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))
