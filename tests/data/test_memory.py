"""What decoding takes is known beforehand: the count is no less than what a process takes, and too much is refused."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image, features
from skimage.data import astronaut

from pa_difc.data.memory import needed
from pa_difc.data.photograph import BrokenImageError, Photograph

SIZE = (3000, 2000)
#: Mode, suffix, how it is saved, and the fraction at which it is decoded.
KINDS = {
    "jpeg": ("RGB", "jpg", {}, 1),
    "progressive": ("RGB", "jpg", {"progressive": True}, 1),
    "progressive, at a quarter": ("RGB", "jpg", {"progressive": True}, 4),
    "progressive, all colours": ("RGB", "jpg", {"progressive": True, "subsampling": "4:4:4"}, 4),
    "progressive, of ink": ("CMYK", "jpg", {"progressive": True}, 2),
    "png": ("RGB", "png", {"compress_level": 1}, 8),
    "png with alpha": ("RGBA", "png", {"compress_level": 1}, 8),
    "tif": ("RGB", "tif", {}, 8),
    "compressed tif": ("RGB", "tif", {"compression": "tiff_lzw"}, 8),
    "gif": ("P", "gif", {}, 8),
    "webp": ("RGB", "webp", {"method": 0}, 8),
    "lossless webp": ("RGBA", "webp", {"lossless": True, "method": 0, "quality": 0}, 8),
    "jpeg 2000": ("RGB", "jp2", {}, 8),
    "jpeg 2000, gray": ("L", "jp2", {}, 8),
    "jpeg 2000 with alpha": ("RGBA", "jp2", {}, 8),
    "avif": ("RGB", "avif", {"speed": 10}, 8),
    "avif, all colours": ("RGB", "avif", {"speed": 10, "subsampling": "4:4:4"}, 8),
    "heic": ("RGB", "heic", {"quality": 30}, 8),
}
MISSING = {"avif": not features.check("avif"), "heic": importlib.util.find_spec("pillow_heif") is None}
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image, ImageFile
from pa_difc.data.formats import decodable
from pa_difc.data.photograph import Photograph

def megabytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1000

small, large, factor = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
Photograph(small).picture()  # loads the decoder
before = megabytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
Photograph(large, 10**12).picture(factor)
print(megabytes("VmHWM") - before)
"""


def save(kind, path, size=SIZE):
    mode, suffix, how, _ = KINDS[kind]
    if suffix == "heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    file = path.with_suffix(f".{suffix}")
    Image.fromarray(astronaut()).resize(size, Image.Resampling.BICUBIC).convert(mode).save(file, **how)
    return file


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux for the peak of a process")
@pytest.mark.parametrize("kind", KINDS)
def test_decoding_takes_no_more_than_is_counted(kind, tmp_path):
    _, suffix, _, factor = KINDS[kind]
    if MISSING.get(suffix):
        pytest.skip(f"{suffix} can't be decoded here")
    small, large = save(kind, tmp_path / "small", (64, 48)), save(kind, tmp_path / "large")
    words = [sys.executable, "-c", PROGRAM, small, large, str(factor)]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    with Image.open(large) as image:
        counted = needed(image, factor, large.stat().st_size) / 1e6
    assert float(done.stdout) < counted + 25  # a strip of it in colours, and what is made of it
    if kind != "avif" or int(PIL.__version__.partition(".")[0]) >= 12:  # the decoder of Pillow 11 takes less
        assert counted - 25 < float(done.stdout)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("progressive, all colours", "progressive JPEG file take 30 MB to decode, more than 29"),
        ("webp", "WEBP file take 80 MB"),
        ("compressed tif", "TIFF file take"),
        ("jpeg 2000", "JPEG2000 file take"),
    ],
)
def test_what_takes_too_much_is_left_out_with_the_reason(kind, words, tmp_path):
    large, most = save(kind, tmp_path / "large", (2500, 2000)), 29_000_000
    with pytest.raises(BrokenImageError, match=f"2500x2000 pixels in a .*{words}") as error:
        Photograph(large, most).picture(8)
    assert "\n" not in str(error.value) and "save it as" in str(error.value)
    assert Photograph(large).picture(8).image.size == (313, 250)
    small = save(kind, tmp_path / "small", (1000, 1000))  # takes too little to be counted
    assert Photograph(small, 1).picture().image.size == (1000, 1000)


def test_a_photograph_of_a_phone_is_read_whatever_its_size(tmp_path):
    """50 megapixels of baseline JPEG are decoded near the size that is needed."""
    Image.new("RGB", (8100, 6100), (90, 120, 150)).save(tmp_path / "a.jpg", quality=30)
    picture = Photograph(tmp_path / "a.jpg", 15_000_000).picture(4).image
    assert picture.size == (2025, 1525) and np.abs(np.asarray(picture).mean((0, 1)) - [90, 120, 150]).max() < 3
    with pytest.raises(BrokenImageError, match="8100x6100 pixels in a JPEG file take 198 MB"):
        Photograph(tmp_path / "a.jpg", 15_000_000).picture(1)
