"""``pa-difc predict --video``: classifies the faces in a video, frame by frame."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..util.errors import UserError
from ..util.numbers import rate
from ..util.stops import exit_code
from ..util.terminal import for_programs, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..deploy.predictor import Predictor
    from ..deploy.rows import Table
    from ..deploy.video import FilmedFaces
    from ..deploy.video_out import VideoOut


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("video").add_argument
    add("--video", metavar="FILE|N", help="a video file, or a camera's number (Ctrl-C stops it), instead of images")
    add("--every", type=int, metavar="N", help="process every N-th frame only (default: 1)")
    about = "smooth each face's probabilities over time: ema:SECONDS or one_euro:HERTZ:BETA (default: off)"
    add("--smooth", metavar="FILTER", help=about)


def refuse(parsed: argparse.Namespace) -> None:
    """Refuses flags that contradict each other.

    Raises:
        UserError: images and a video were given, or neither, or video flags without a video.
    """
    if parsed.video is None:
        if not parsed.images:
            raise UserError("give image files, folders of them, or --video FILE")
        for flag in ("every", "smooth"):
            if getattr(parsed, flag) is not None:
                raise UserError(f"--{flag} needs --video")
    elif parsed.images:
        raise UserError(f"{parsed.images[0]}: give images or --video, not both")


def run_video(parsed: argparse.Namespace, model: Predictor, say_notes: Callable[[], None]) -> int:
    """Writes a row for each face of each frame and, if asked for, an annotated video; returns the exit code.

    Args:
        parsed: the command's arguments.
        model: the model.
        say_notes: prints notes on the model, once the video and the outputs are open.
    """
    from ..deploy.rows import FileTable
    from ..deploy.smoothing import smoother_of
    from ..deploy.video_file import VideoFile
    from ..deploy.video_out import VideoOut

    smoother = None if parsed.smooth is None else smoother_of(parsed.smooth)
    camera = parsed.video.isascii() and parsed.video.isdigit()
    video = VideoFile(int(parsed.video) if camera else Path(parsed.video), 1 if parsed.every is None else parsed.every)
    faces = model.each_frame(video, smoother)
    out = VideoOut(parsed.annotate, video.rate) if parsed.annotate else None
    table = _table(parsed, model)
    say_notes()
    began, ended = time.perf_counter(), False
    try:
        _write(faces, table, out)
        ended = True
    except KeyboardInterrupt:
        ended = camera and exit_code() == 128 + signal.SIGINT  # Ctrl-C is the only way to end a camera's video
    finally:
        video.close()
        if ended:
            table.finish()
        table.close()
        if out is not None:
            out.close()  # last: if the disk is full, the rows are kept
    print(_said(faces, table, time.perf_counter() - began), file=sys.stderr)
    if ended:
        return 0
    print(f"stopped{f'; the rows so far are in {table.part}' if isinstance(table, FileTable) else ''}", file=sys.stderr)
    return exit_code()


def _table(parsed: argparse.Namespace, model: Predictor) -> Table:
    from ..deploy.prediction import frame_columns
    from ..deploy.rows import FileTable, Format, Table
    from .outputs import table_format

    for flag, path in (("--video", Path(parsed.video)), ("--annotate", parsed.annotate)):
        if None not in (path, parsed.out) and parsed.out.resolve() == path.resolve():
            raise UserError(f"--out {parsed.out} is what {flag} names: give another file")
    form = Format(table_format(parsed.out, parsed.format), model.labels, frame_columns(model.labels))
    if parsed.out is None:
        return Table(for_programs(sys.stdout), form)
    return FileTable(parsed.out, form, "video", None)


def _write(faces: FilmedFaces, table: Table, out: VideoOut | None) -> None:
    from ..util.bars import tqdm

    video = faces.video
    for frame in tqdm(faces, total=video.expected, desc="predicting", unit="frame", disable=None, leave=False):
        table.add(frame.rows())
        if out is not None:
            out.write(frame)


def _said(faces: FilmedFaces, table: Table, seconds: float) -> str:
    """ "250 frames in 20.1 s: 12.4 a second (the video has 25.0); 2 faces", and a warning if they were not followed."""
    video = faces.video
    has = f" (the video has {video.rate:.1f})" if video.rate and not video.is_camera else ""
    line = f"{_number(table.done, 'frame')} in {seconds:.1f} s: {rate(table.done, seconds)} a second{has}"
    far = faces.tracker.far_apart
    line += f"; {_number(faces.tracker.given, 'face number' if far else 'face')}"
    if video.damaged:
        line += f"; {_number(video.damaged, 'damaged part')} left out"
    if far:
        line += "\n" + wrapped(_far_apart_line(far), 2, sys.stderr)
    return line


def _far_apart_line(frames: int) -> str:
    """A warning that faces could not be followed, for a number of frames that came too late after the one before."""
    from ..deploy.tracking import KEPT_S

    return (
        f"{_number(frames, 'frame')} came more than {KEPT_S:g} s after the one before: each face there has a new "
        "number, so the numbers don't count people (a smaller --every keeps them)"
    )


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
