"""Writes a video with a box and a label at each face."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..util.errors import UserError
from ..util.files import refuse_links
from .annotate import marked
from .video_file import pyav

if TYPE_CHECKING:
    from .video import Frame

#: File formats by suffix, with options that keep an unfinished file playable.
_FORMATS: dict[str, tuple[str, dict[str, str]]] = {
    ".mp4": ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    ".mkv": ("matroska", {}),
}
_CODECS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast", "crf": "20", "bf": "0"},
    "mpeg4": {},
}  #: the first one available is used; without B frames, which would delay the first one
_CLOCK = Fraction(1, 60000)  #: seconds; fine enough to show each frame when it was filmed, at any frame rate


class VideoOut:
    """Writes annotated frames; the file is playable even if the program is killed.

    Args:
        out: the file, which must not exist; .mp4 or .mkv.
        rate: approximate frames per second; None if unknown.

    Raises:
        UserError: PyAV is not installed; the file exists, is a link, or has another suffix.
    """

    def __init__(self, out: Path, rate: float | None) -> None:
        self._av, self._out, self._rate = pyav(), out, Fraction(rate or 25.0).limit_denominator(1001)
        if out.suffix.lower() not in _FORMATS:
            raise UserError(f"--annotate {out}: with --video, give a file that ends in {' or '.join(_FORMATS)}")
        refuse_links(out, instead="another --annotate")
        if out.exists():
            raise UserError(f"{out} exists, and videos are never overwritten: give another --annotate")
        self._file: IO[bytes] | None = None

    def write(self, frame: Frame) -> None:
        """Adds a frame with its faces marked.

        Raises:
            UserError: the file can't be written.
        """
        picture = marked(frame.image, frame.faces.predictions, frame.faces.classes)
        try:
            if self._file is None:
                self._begin(picture.width // 2 * 2 or 2, picture.height // 2 * 2 or 2)
            size = self._stream.width, self._stream.height
            if picture.size != size:  # the codec needs even sides, and frames of one size
                near = abs(picture.width - size[0]) <= 1 and abs(picture.height - size[1]) <= 1
                picture = picture.crop((0, 0, *size)) if near else picture.resize(size)
            made = self._av.VideoFrame.from_image(picture)
            made.pts, made.time_base = round(frame.time_s / _CLOCK), _CLOCK
            self._container.mux(self._stream.encode(made))
        except (self._av.FFmpegError, OSError) as error:
            raise self._refused(error) from None

    def close(self) -> None:
        """Writes the frames that the encoder still holds, and closes the file.

        Raises:
            UserError: the file can't be written.
        """
        if self._file is None:
            return
        try:
            self._container.mux(self._stream.encode())
            self._container.close()
        except (self._av.FFmpegError, OSError) as error:
            raise self._refused(error) from None
        finally:
            self._file.close()
            self._file = None

    def _begin(self, width: int, height: int) -> None:
        self._out.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._out.open("xb")
        kind, options = _FORMATS[self._out.suffix.lower()]
        self._container: Any = self._av.open(self._file, "w", format=kind, options=options)
        codec = next(name for name in _CODECS if name in self._av.codecs_available)
        self._stream: Any = self._container.add_stream(codec, rate=self._rate, options=_CODECS[codec])
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.time_base = _CLOCK

    def _refused(self, error: Exception) -> UserError:
        return UserError(f"cannot write {self._out}: {getattr(error, 'strerror', None) or error}")
