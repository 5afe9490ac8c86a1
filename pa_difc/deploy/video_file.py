"""Reads frames from a video file or a camera, upright and in RGB, each with its time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

from PIL import Image

from ..data.undecoded import MAX_PIXELS
from ..util.errors import UserError
from ..util.names import address_clause, near_clause, written
from .arguments import whole

#: How cameras are opened, by operating system: FFmpeg's format, the device's name, and options.
_CAMERAS: dict[str, tuple[str, str, dict[str, str]]] = {
    "linux": ("v4l2", "/dev/video{}", {}),
    "darwin": ("avfoundation", "{}", {"framerate": "30"}),
}
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@dataclass(frozen=True)
class Still:
    """A decoded frame."""

    number: int  #: from 0, counting every frame that could be decoded
    time_s: float  #: since the first frame
    image: Image.Image  #: RGB, upright


class VideoFile:
    """An open video, iterated over frame by frame.

    Args:
        source: a file, or a camera's number.
        every: yield only every n-th frame.

    Attributes:
        name: of the source.
        is_camera: whether the source is a camera, which never ends.
        rate: frames per second; None if unknown.
        expected: approximate number of frames to be yielded; None if unknown.
        damaged: number of parts that could not be decoded so far.

    Raises:
        UserError: PyAV is not installed, the file or the camera can't be opened, there is no video in it, none of its
            frames can be decoded, they are too large, or ``every`` is out of range.
    """

    def __init__(self, source: Path | int, every: int = 1) -> None:
        every = whole("every", every, 1)
        self._av, self._every = pyav(), every
        self._file: IO[bytes] | None = None
        self.is_camera, self.damaged = isinstance(source, int), 0
        self.name = f"camera {source}" if self.is_camera else str(source)
        self._container = self._camera(source) if isinstance(source, int) else self._opened(source)
        try:
            self._stream = self._chosen()
            codec = self._stream.codec_context
            self._require_few(codec.width, codec.height)
            self._left = self._begun()
        except UserError:
            self.close()
            raise
        self.rate = float(self._stream.average_rate or 0) or None
        self.expected = None if self.is_camera else self._count()

    def __iter__(self) -> Iterator[Still]:
        """Yields the remaining frames.

        Raises:
            UserError: a frame has too many pixels.
        """
        first, time_s = None, 0.0
        for number, frame in enumerate(self._left):
            if frame.time is not None:
                first = frame.time if first is None else first
                now = float(frame.time - first)
            else:  # some streams have no timestamps
                now = number / (self.rate or 25.0)
            if number and now <= time_s:
                now = time_s + 1e-3  # the file's timestamps are damaged: time must increase
            time_s = now
            if number % self._every == 0:
                self._require_few(frame.width, frame.height)
                yield Still(number, time_s, _upright(frame))

    def close(self) -> None:
        """Closes the file or the camera."""
        with suppress(Exception):  # a broken file was reported before
            self._container.close()
        if self._file is not None:
            self._file.close()

    def _begun(self) -> Iterator[Any]:
        """The frames, of which the first one is decoded: without any, nothing should be written.

        Raises:
            UserError: no frame could be decoded, or the first one has too many pixels.
        """
        frames = self._frames()
        first = next(frames, None)
        if first is None:
            raise UserError(f"{self.name}: no frame could be decoded")
        self._require_few(first.width, first.height)
        return chain([first], frames)

    def _frames(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except self._av.FFmpegError:  # the file is truncated
                self.damaged += 1
                return
            try:
                frames = packet.decode()
            except self._av.FFmpegError:
                self.damaged += 1
                continue
            yield from frames

    def _opened(self, path: Path) -> Any:
        if path.is_dir() or not path.exists():
            why = (
                "is a folder, not a video"
                if path.is_dir()
                else f"no such file{address_clause(path) or near_clause(path)}"
            )
            raise UserError(f"{written(path)}: {why}")
        if not path.is_file():
            raise UserError(f"{path}: not a regular file")
        try:
            if not path.stat().st_size:
                raise UserError(f"{path}: the file is empty")
            self._file = file = path.open("rb")
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from None
        return self._open(file, "not a video that can be read")

    def _open(self, what: IO[bytes] | str, otherwise: str, **options: Any) -> Any:
        try:
            return self._av.open(what, metadata_errors="replace", **options)
        except (self._av.FFmpegError, OSError, ValueError) as error:
            if self._file is not None:
                self._file.close()
            why = str(getattr(error, "strerror", "") or error)
            raise UserError(f"{self.name}: {otherwise} ({why})") from None

    def _camera(self, number: int) -> Any:
        if sys.platform not in _CAMERAS:
            raise UserError(f"{self.name}: cameras are read on Linux and macOS; record to a file here")
        kind, device, options = _CAMERAS[sys.platform]
        if not any(kind in name.split(",") for name in self._av.formats_available):
            raise UserError(f"{self.name}: this PyAV was built without {kind}; record to a file, or install another")
        if device.startswith("/") and not Path(device.format(number)).exists():
            raise UserError(f"{self.name}: there is no {device.format(number)}")
        return self._open(device.format(number), "can't be opened", format=kind, options=options)

    def _chosen(self) -> Any:
        """The video stream; the cover picture of a music file does not count."""
        cover = self._av.stream.Disposition.attached_pic
        streams = [stream for stream in self._container.streams.video if not stream.disposition & cover]
        if not streams:
            raise UserError(
                f"{self.name}: there is no video in it{', only sound' * bool(self._container.streams.audio)}"
            )
        if streams[0].codec_context is None:
            raise UserError(f"{self.name}: its codec can't be decoded here")
        return streams[0]

    def _count(self) -> int | None:
        total = self._stream.frames
        if not total and self.rate and self._container.duration:
            total = round(self.rate * self._container.duration / self._av.time_base)
        return -(-total // self._every) or None

    def _require_few(self, width: int, height: int) -> None:
        if width * height > MAX_PIXELS:
            raise UserError(f"{self.name}: frames of {width}x{height} pixels are more than {MAX_PIXELS:,}")


def pyav() -> Any:
    """Imports PyAV.

    Raises:
        UserError: PyAV is not installed.
    """
    try:
        import av
        import av.stream
    except ImportError:
        raise UserError("video needs PyAV: pip install 'pa-difc[video]'") from None
    return av


def _upright(frame: Any) -> Image.Image:
    """A decoded frame, rotated as the video's metadata say."""
    image: Image.Image = frame.to_image()
    turn = _TURNS.get(round(frame.rotation) % 360)
    return image if turn is None else image.transpose(turn)
