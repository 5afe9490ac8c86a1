"""One picture in many pixel formats: it looks the same, or it is left out and says why."""

import struct

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from pa_difc.data.photograph import BrokenImageError, Photograph

tifffile = pytest.importorskip("tifffile")

FACE = Image.fromarray(astronaut()).crop((120, 0, 330, 210)).resize((160, 160))
GRAY = np.asarray(FACE.convert("L"))
DEEP = GRAY.astype(np.uint16) * 257


def difference(path, expected):
    return np.abs(
        np.asarray(Photograph(path).picture().image, dtype=float) - np.asarray(expected.convert("RGB"), dtype=float)
    ).max()


def write_pgm16(path, values, white):
    path.write_bytes(b"P5\n160 160\n%d\n" % white + values.astype(">u2").tobytes())


def write_tif12(path, values):
    """Gray of 12 bits, two numbers in three bytes."""
    a, b = values[:, ::2].astype(int), values[:, 1::2].astype(int)
    packed = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).astype(np.uint8).tobytes()
    tags = [(256, 160), (257, 160), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 160), (279, len(packed))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + directory)


GRAYS = {
    "png16": lambda p: Image.fromarray(DEEP).save(p, format="PNG"),
    "tif16": lambda p: tifffile.imwrite(p, DEEP),
    "big-endian tif16": lambda p: tifffile.imwrite(p, DEEP.astype(">u2"), byteorder=">"),
    "compressed tif16": lambda p: Image.fromarray(DEEP).save(p, format="TIFF", compression="tiff_lzw"),
    "white is zero, 8 bits": lambda p: tifffile.imwrite(p, 255 - GRAY, photometric="miniswhite"),
    "white is zero, 16 bits": lambda p: tifffile.imwrite(p, 65535 - DEEP, photometric="miniswhite"),
    "white is zero, floats": lambda p: tifffile.imwrite(
        p, (1 - GRAY / 255).astype(np.float32), photometric="miniswhite"
    ),
    "tif of 12 bits": lambda p: write_tif12(p, np.rint(GRAY / 255 * 4095)),
    "signed 8 bits": lambda p: tifffile.imwrite(p, np.rint(GRAY / 255 * 127).astype(np.int8)),
    "signed 8 bits, compressed": lambda p: tifffile.imwrite(
        p, np.rint(GRAY / 255 * 127).astype(np.int8), compression="zlib"
    ),
    "unsigned 32 bits": lambda p: tifffile.imwrite(p, GRAY.astype(np.uint32) * (2**24 + 2**16 + 2**8 + 1)),
    "signed 16 bits": lambda p: tifffile.imwrite(p, (GRAY.astype(float) / 255 * 32767).astype(np.int16)),
    "signed 32 bits": lambda p: tifffile.imwrite(p, (GRAY.astype(float) / 255 * (2**31 - 1)).astype(np.int32)),
    "floats": lambda p: tifffile.imwrite(p, (GRAY / 255).astype(np.float32)),
    "big-endian floats": lambda p: tifffile.imwrite(p, (GRAY / 255).astype(">f4"), byteorder=">"),
    "pgm of 12 bits": lambda p: write_pgm16(p, np.rint(GRAY / 255 * 4095), 4095),
    "pgm of 16 bits": lambda p: write_pgm16(p, DEEP, 65535),
    "jpeg 2000 of 16 bits": lambda p: Image.fromarray(DEEP).save(p, format="JPEG2000"),
    "gray and alpha": lambda p: Image.merge("LA", (FACE.convert("L"), Image.new("L", FACE.size, 255))).save(p, "PNG"),
}


@pytest.mark.parametrize("name", GRAYS)
def test_gray_is_scaled_by_its_format_s_range(tmp_path, name):
    GRAYS[name](tmp_path / "a")
    assert difference(tmp_path / "a", FACE.convert("L")) <= (2 if "8 bits" in name else 1)  # with a sign 7 are left


#: Every kind of number that a TIFF file can hold.
NUMBERS = [
    order + kind + size
    for order in "<>"
    for kind, sizes in (("i", "1248"), ("u", "1248"), ("f", "248"))
    for size in sizes
]
#: Those of gray that are read, whatever the order of their bytes.
READ = ("u1", "i1", "u2", "i2", "i4", "f4")


@pytest.mark.parametrize("how", ["minisblack", "miniswhite", "rgb"])
@pytest.mark.parametrize("kind", NUMBERS)
def test_whatever_its_numbers_a_tiff_file_is_scaled_by_their_range_or_left_out(tmp_path, kind, how):
    number = np.dtype(kind)
    share = 1 - GRAY / 255 if how == "miniswhite" else GRAY / 255
    white = 1 if number.kind == "f" else np.nextafter(float(np.iinfo(number).max), 0)  # 2^63 - 1 would be rounded up
    values = (share if number.kind == "f" else np.rint(share * white)).astype(number)
    values = np.repeat(values[..., None], 3, axis=2) if how == "rgb" else values
    tifffile.imwrite(tmp_path / "a.tif", values, byteorder=kind[0], photometric=how)
    try:
        assert difference(tmp_path / "a.tif", FACE.convert("L")) <= 2
    except BrokenImageError as error:
        assert "a TIFF file of a kind that can't be read" in str(error)
        assert how != "minisblack" or kind[1:] not in READ


def test_large_deep_images_are_scaled_strip_by_strip(tmp_path):
    large = np.kron(DEEP, np.ones((8, 8), dtype=np.uint16))  # 1280 x 1280: two strips
    Image.fromarray(large).save(tmp_path / "a.png")
    pixels = np.asarray(Photograph(tmp_path / "a.png").picture().image)[..., 0]
    np.testing.assert_array_equal(pixels, np.kron(GRAY, np.ones((8, 8), dtype=np.uint8)))
    np.testing.assert_array_equal(np.asarray(Photograph(tmp_path / "a.png").picture(8).image)[..., 0], GRAY)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (GRAY.astype(np.uint16) * 16, "0 to 4,080 where 65,535 is white"),  # 12 bits in 16
        (GRAY.astype(np.int32) * 257, "0 to 65,535 where 2.14748e"),
        (GRAY.astype(np.uint32) * 257, "0 to 65,535 where 4.29497e"),
        ((GRAY.astype(np.int16) - 128).astype(np.int8), "-128 to 127 where 127 is white"),
        (GRAY.astype(np.int8) // 8, "where 127 is white"),
        (GRAY.astype(np.float32), "0 to 255 where 1 is white"),
        (GRAY.astype(np.float32) / 255 - 0.5, "-0.5 to 0.5 where 1 is white"),
        (np.where(GRAY > 200, np.nan, GRAY / 255).astype(np.float32), "not finite"),
    ],
)
def test_values_that_don_t_fit_their_format_are_left_out_with_the_reason(tmp_path, values, words):
    tifffile.imwrite(tmp_path / "a.tif", values)
    with pytest.raises(BrokenImageError, match=words) as error:
        Photograph(tmp_path / "a.tif").picture()
    assert "\n" not in str(error.value)


INSIDE = np.hypot(*(np.mgrid[:160, :160] - 80)) < 75


def over_gray(image, inside):
    return Image.fromarray(np.where(inside[..., None], np.asarray(image.convert("RGB")), 128).astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_lie_over_gray(tmp_path, mode):
    """What is stored below alpha 0 is no part of the picture."""
    colors = FACE if mode == "RGBA" else FACE.convert("L")
    noise = np.random.default_rng(0).integers(0, 255, np.asarray(colors).shape, dtype=np.uint8)
    inside = INSIDE[..., None] if mode == "RGBA" else INSIDE
    image = Image.fromarray(np.where(inside, np.asarray(colors), noise).astype(np.uint8))
    if mode == "PA":
        image = image.convert("P")
    image.putalpha(Image.fromarray(np.where(INSIDE, 255, 0).astype(np.uint8)))
    assert image.mode == mode
    path = tmp_path / ("a.tif" if mode == "PA" else "a.png")
    image.save(path)
    assert difference(path, over_gray(colors, INSIDE)) <= 1


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_colour_that_stands_for_nothing_lies_over_gray(tmp_path, mode):
    colors = FACE if mode == "RGB" else FACE.convert("L").point(lambda v: min(v, 254))
    image = Image.composite(colors, Image.new(colors.mode, FACE.size, "white"), Image.fromarray(INSIDE))
    if mode == "P":
        image = image.copy()
        image.putpalette([v for i in range(256) for v in (i, i, i)])
    image.save(tmp_path / "a.png", transparency=(255, 255, 255) if mode == "RGB" else 255)
    inside = INSIDE & ~(np.asarray(colors.convert("RGB")) == 255).all(-1)
    assert difference(tmp_path / "a.png", over_gray(colors, inside)) <= 1


def test_half_transparent_pixels_are_half_gray(tmp_path):
    Image.new("RGBA", (8, 8), (228, 28, 128, 128)).save(tmp_path / "a.png")
    assert np.abs(np.asarray(Photograph(tmp_path / "a.png").picture().image).astype(int) - [178, 78, 128]).max() <= 1


@pytest.mark.parametrize("frames", ["gif", "webp", "tif"])
def test_of_several_frames_the_first_is_taken(tmp_path, frames):
    how = {"lossless": True} if frames == "webp" else {}
    FACE.save(tmp_path / f"a.{frames}", save_all=True, append_images=[FACE.rotate(90)], **how)
    with Image.open(tmp_path / f"a.{frames}") as image:
        first = image.convert("RGB")
    assert difference(tmp_path / f"a.{frames}", first) == 0
    assert np.abs(np.asarray(first, dtype=float) - np.asarray(FACE)).mean() < 12  # GIF has 256 colours
