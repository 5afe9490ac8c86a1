"""HEIC, the format of iPhones, and AVIF: decoded like any other, or left out with the way to have them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features
from skimage.data import astronaut

from pa_difc.data.files import find_images, left_out_line
from pa_difc.data.photograph import BrokenImageError, Photograph

HEIF = importlib.util.find_spec("pillow_heif") is not None
with_heif = pytest.mark.skipif(not HEIF, reason="needs the extra heif")
without_heif = pytest.mark.skipif(HEIF, reason="says what is without the extra heif")
with_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")

SMALL, LARGE = (240, 180), (1240, 931)  #: the latter is more than a megapixel, and no multiple of 8
KINDS = [
    pytest.param("heic", SMALL, marks=with_heif),
    pytest.param("heic", LARGE, marks=with_heif),
    pytest.param("avif", SMALL, marks=with_avif),
    pytest.param("avif", LARGE, marks=with_avif),
]
STORED = {1: None, 3: Image.Transpose.ROTATE_180, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90}


def scene(size):
    return Image.fromarray(astronaut()).resize(size, Image.Resampling.BICUBIC)


def save(image, path, tag=1):
    if path.suffix == ".heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x112] = tag
    stored = image if STORED[tag] is None else image.transpose(STORED[tag])
    stored.save(path, quality=90, exif=exif.tobytes(), **({"speed": 10} if path.suffix == ".avif" else {}))
    return path


def difference(a, b):
    return np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).mean()


@pytest.mark.parametrize("tag", STORED)
@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_a_photograph_is_upright_whatever_its_file_says(tmp_path, kind, size, tag):
    image = scene(size)
    path = save(image, tmp_path / f"a.{kind}", tag)
    photograph = Photograph(path)
    assert photograph.size == size
    picture = photograph.picture().image
    assert picture.mode == "RGB" and picture.size == size and difference(picture, image) < 5
    part = photograph.picture(2, (40, 30, 120, 90)) if tag == 1 else None
    if part:  # from the decoder's own pixels, of which only some become an image
        left, top = map(int, part.origin)
        expected = image.crop((left, top, left + 2 * part.image.width, top + 2 * part.image.height)).reduce(2)
        assert difference(part.image, expected) < 5


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_transparent_pixels_lie_over_gray_there_too(tmp_path, kind, size):
    image = scene(size).convert("RGBA")
    image.putalpha(Image.fromarray(np.where(np.arange(size[0]) < size[0] // 2, 0, 255)[None].repeat(size[1], 0).astype(
        np.uint8)))  # fmt: skip
    picture = np.asarray(Photograph(save(image, tmp_path / f"a.{kind}")).picture().image, dtype=float)
    half = size[0] // 2
    assert np.abs(picture[:, : half - 16] - 128).mean() < 3
    assert difference(picture[:, half + 16 :], np.asarray(scene(size))[:, half + 16 :]) < 6


@with_heif
def test_a_photograph_of_an_iphone_is_listed_by_its_content(tmp_path):
    save(scene(SMALL), tmp_path / "IMG_0001.heic")
    (tmp_path / "IMG_0001.heic").rename(tmp_path / "IMG_0001.JPG")
    found = find_images(tmp_path)
    assert [path.name for path in found.paths] == ["IMG_0001.JPG"] and not found.left_out
    data = (tmp_path / "IMG_0001.JPG").read_bytes()
    assert Photograph(lambda: data).size == SMALL
    (tmp_path / "IMG_0001.JPG").write_bytes(data[: len(data) // 2])
    with pytest.raises(BrokenImageError):
        Photograph(tmp_path / "IMG_0001.JPG").picture()


@without_heif
def test_without_the_extra_it_says_how_to_read_them(tmp_path):
    path = Path(tmp_path / "IMG_0001.HEIC")
    path.write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1MiHEMiPrmiafMiHBheic" + bytes(100))
    found = find_images(tmp_path)
    assert not found.paths and left_out_line(found.left_out) == "left out: 1 HEIC (pip install 'pa-difc[heif]')"
    with pytest.raises(BrokenImageError, match=r"HEIC: pip install 'pa-difc\[heif\]'"):
        Photograph(path)
