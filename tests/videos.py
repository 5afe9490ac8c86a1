"""Small videos, made with PyAV."""

from fractions import Fraction

import av
import numpy as np
from PIL import Image

CLOCK = Fraction(1, 1000)


def write_video(path, frames, times_s=None, rate=10, turn=None, codec="libx264"):
    """Writes pictures as a video.

    Args:
        path: of the file; its suffix says which kind.
        frames: pictures or arrays of one size, with even sides.
        times_s: of each; every 1/rate seconds, if left out.
        turn: degrees by which players turn it, counterclockwise.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        first = Image.fromarray(np.asarray(frames[0]))
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "yuv420p"
        stream.codec_context.time_base = CLOCK
        if turn is not None:
            stream.set_display_rotation(turn)
        for i, frame in enumerate(frames):
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            made.pts = round((i / rate if times_s is None else times_s[i]) / CLOCK)
            made.time_base = CLOCK
            container.mux(stream.encode(made))
        container.mux(stream.encode())
    return path


def write_sound(path, cover=None):
    """Writes half a second of silence, with a picture on its cover if one is given."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac" if path.suffix == ".m4a" else "libmp3lame", rate=44100)
        for _ in range(20):
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.float32), format="fltp", layout="stereo")
            silence.sample_rate = 44100
            container.mux(stream.encode(silence))
        container.mux(stream.encode())
    return path
