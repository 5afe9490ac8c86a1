"""What a worker of prepare takes for large photographs, and for small faces: time and memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from pa_difc.data.prepare import PrepareSettings
from pa_difc.data.prepare.work import make_chunk, start_worker, worker_context
from pa_difc.data.readers.listing import Sample

from .measure import Figure, now

#: Name, size, format, and how many: a person's head and shoulders, enlarged and with noise.
KINDS = (
    ("12 MP JPEG", (4000, 3000), {"format": "JPEG", "quality": 90}, 32),
    ("48 MP JPEG", (8000, 6000), {"format": "JPEG", "quality": 90}, 8),
    ("12 MP PNG", (4000, 3000), {"format": "PNG", "compress_level": 1}, 8),
    ("48 MP PNG", (8000, 6000), {"format": "PNG", "compress_level": 1}, 4),
    # Near the most that is read of them: their decoders hold more than an image.
    ("33 MP JPEG, progressive", (6700, 5000), {"format": "JPEG", "progressive": True, "subsampling": "4:4:4"}, 2),
    ("33 MP TIFF, LZW", (6700, 5000), {"format": "TIFF", "compression": "tiff_lzw"}, 2),
    ("14 MP WebP", (4320, 3240), {"format": "WEBP", "method": 0}, 2),
    ("48 px PNG", (48, 48), {"format": "PNG"}, 128),
)
_LIMIT_MB = 700


def photographs(device: str) -> list[Figure]:
    """Images a second of one worker, and the most memory that it takes, each kind in a process of its own."""
    return [figure for kind in KINDS for figure in _kind(*kind, device)]


def _kind(name: str, size: tuple[int, int], how: dict, number: int, device: str) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        _scene(size).save(path, **how)
        with worker_context(device).Pool(1) as pool:
            seconds, peak, own = pool.apply(measured, (device, path, number))
    rate = Figure("photographs", f"{name}: images a second and core", 1 / seconds, "/s", note=f"{1e3 * seconds:.0f} ms")
    note = f"{own:.0f} MB without what is shared with others: libraries and files"
    return [rate, Figure("photographs", f"{name}: a worker's peak memory", peak, "MB", ("≤", _LIMIT_MB), note=note)]


def measured(device: str, path: Path, number: int) -> tuple[float, float, float]:
    """Seconds an image, the peak of memory in MB, and how much of that is no file's; in a fresh process."""
    start_worker(device, PrepareSettings().detect_px)
    samples = [Sample(str(i), None, "both", path, whole=path.stat().st_size < 10_000) for i in range(number)]
    make_chunk(path.with_name("warm.npz"), samples[:1], PrepareSettings())
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    start = now(device)
    make_chunk(path.with_name("chunk.npz"), samples, PrepareSettings())
    seconds = (now(device) - start) / number
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak, files = (int(status[key].split()[0]) / 1024 for key in ("VmHWM", "RssFile"))
    return seconds, peak, peak - files


def _scene(size: tuple[int, int]) -> Image.Image:
    from skimage.data import astronaut

    picture = Image.fromarray(astronaut()[20:230, 130:320] if max(size) < 100 else astronaut())
    pixels = np.asarray(picture.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
    noise = np.random.default_rng(0).normal(0, 6, pixels.shape[:2])[..., None].astype(np.int16)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
