"""Photographs: upright with their boxes, decoded near the size that is needed, and the same whatever the way."""

import signal
import weakref

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from pa_difc.data import load_domain
from pa_difc.data.crops import cut_face
from pa_difc.data.decode import photograph_of
from pa_difc.data.orientation import Orientation
from pa_difc.data.photograph import BrokenImageError, Photograph
from pa_difc.data.prepare import PrepareSettings, work
from pa_difc.data.readers.listing import Sample

T = Image.Transpose
#: What a camera did to an upright picture, by the tag that undoes it.
STORED = {1: None, 2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE, 6: T.ROTATE_90,
          7: T.TRANSVERSE, 8: T.ROTATE_270}  # fmt: skip
POINTS = np.array([(820, 520), (1100, 500), (980, 700), (850, 860), (1080, 850)], dtype=np.float32)
BOX = (700.0, 330.0, 1220.0, 1010.0)


def scene(width=2403, height=1805):
    """A large smooth picture; its sides are no multiples of 8."""
    return Image.fromarray(astronaut()).resize((width, height), Image.Resampling.BICUBIC)


def save(image, path, tag=1, **how):
    exif = Image.Exif()
    if tag != 1:
        exif[0x112] = tag
    stored = image if STORED[tag] is None else image.transpose(STORED[tag])
    stored.save(path, exif=exif, **how)
    return path


def difference(a, b):
    return np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).mean()


# The frame


@pytest.mark.parametrize("tag", STORED)
def test_boxes_and_points_turn_with_the_image(tag):
    """A box and five points are drawn into an upright picture, which is stored turned; they are looked up there."""
    upright = np.zeros((60, 90), dtype=np.uint8)
    points = [(30, 20), (50, 18), (40, 30), (32, 40), (52, 41)]
    for i, (x, y) in enumerate(points, 1):
        upright[y, x] = i
    stored = Image.fromarray(upright) if STORED[tag] is None else Image.fromarray(upright).transpose(STORED[tag])
    pixels = np.asarray(stored)
    there = np.array([np.argwhere(pixels == i)[0][::-1] + 0.5 for i in range(1, 6)], dtype=np.float32)
    turn = Orientation(tag, stored.size)
    assert turn.upright == (90, 60)
    np.testing.assert_array_equal(turn.points(there), np.array(points) + 0.5)
    np.testing.assert_array_equal(turn.turn(stored), upright)
    low, high = there.min(0) - 0.5, there.max(0) + 0.5
    assert turn.box((*low.tolist(), *high.tolist())) == (30, 18, 53, 42)
    assert turn.back((30, 18, 53, 42)) == (*low, *high)


@pytest.mark.parametrize("tag", STORED)
def test_the_left_eye_of_a_mirrored_face_is_its_right_one(tag):
    """As seen in the upright image, the left eye is left of the right one, and so are the corners of the mouth."""
    seen = np.array([(30, 20), (50, 18), (40, 30), (32, 40), (52, 41)], dtype=np.float32)
    width, height = 90, 60
    stored = Orientation({6: 8, 8: 6}.get(tag, tag), (width, height)).points(seen)
    if tag in (2, 4, 5, 7):  # the person who marked them saw a mirror image
        stored = stored[[1, 0, 2, 4, 3]]
    size = (height, width) if tag >= 5 else (width, height)
    np.testing.assert_array_equal(Orientation(tag, size).face(stored), seen)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("tag", [3, 5, 6, 7])
def test_a_sample_s_box_cuts_the_same_face_out_of_a_turned_file(tmp_path, kind, tag):
    """The list's box is in pixels as stored."""
    image = scene(600, 451)
    how = {"quality": 97} if kind == "jpg" else {"lossless": True} if kind == "webp" else {}
    path = save(image, tmp_path / f"a.{kind}", tag, **how)
    box, points = (175.0, 82.0, 305.0, 252.0), POINTS / 4
    turn = Orientation({6: 8, 8: 6}.get(tag, tag), image.size)
    stored = turn.points(points)[[1, 0, 2, 4, 3]] if tag in (5, 7) else turn.points(points)
    photograph, sample = photograph_of(Sample("a", "x", "train", path, box=turn.box(box), landmarks=stored))
    assert photograph.size == image.size and sample.box == box
    np.testing.assert_allclose(sample.landmarks, points)
    crop, expected = photograph.face(box, points, "cdfer", 112), cut_face(image, box, points, "cdfer", 112)
    np.testing.assert_allclose(crop.landmarks, expected.landmarks)
    assert difference(crop.image, expected.image) < (1.5 if kind == "jpg" else 0.01)


def test_damaged_exif_data_leave_the_image_as_it_is(tmp_path):
    data = save(scene(64, 48), tmp_path / "a.jpg", 6, quality=95).read_bytes()
    at = data.index(b"Exif\0\0") + 6
    (tmp_path / "b.jpg").write_bytes(data[: at + 4] + b"\xff\xff\xff\xff" + data[at + 8 :])
    assert Photograph(tmp_path / "b.jpg").picture().image.size == (48, 64)


# Near the size that is needed


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One large picture in many codings."""
    root, image = tmp_path_factory.mktemp("large"), scene()
    return image, {
        "jpg": save(image, root / "a.jpg", quality=97),
        "turned": save(image, root / "b.jpg", 8, quality=97),
        "mirrored": save(image, root / "c.jpg", 7, quality=97),
        "progressive": save(image, root / "d.jpg", progressive=True, quality=97),
        "gray": save(image.convert("L"), root / "e.jpg", quality=97),
        "mpo": save(image, root / "f.jpg", format="MPO", save_all=True, append_images=[image.resize((64, 64))]),
        "png": save(image, root / "g.png", compress_level=1),
        "turned png": save(image, root / "h.png", 6, compress_level=1),
        "alpha": save(image.convert("RGBA"), root / "i.png", compress_level=1),
        "tif": save(image, root / "j.tif", 5),
    }


NAMES = ["jpg", "turned", "mirrored", "progressive", "gray", "mpo", "png", "turned png", "alpha", "tif"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["cdfer", "arcface", "none"])
def test_a_face_is_the_same_from_a_smaller_picture(files, name, mode):
    image, paths = files
    photograph = Photograph(paths[name])
    crop = photograph.face(BOX, POINTS, mode, 112)
    expected = cut_face(image.convert("L").convert("RGB") if name == "gray" else image, BOX, POINTS, mode, 112)
    np.testing.assert_allclose(crop.landmarks, expected.landmarks, atol=1e-3)
    # Shifted by a pixel of the crop, they would differ by 5 to 13.
    assert difference(crop.image, expected.image) < 1.6
    fine = mode != "none"  # the picture in which a face of this size is searched is the whole photograph
    assert (photograph.held < 2403 * 1805 * 3) != fine if name in ("jpg", "turned", "progressive") else True


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("region", [None, (700.0, 330.0, 1221.0, 1011.0), (2000.0, 1500.0, 2500.0, 1900.0)])
def test_a_picture_lies_where_it_says(files, name, region):
    """Its pixels are the means of the photograph's, and its corner is where it should be, also at the far edges."""
    image, paths = files
    picture = Photograph(paths[name]).picture(8, region)
    assert picture.size == image.size and picture.factor == 8
    left, top = picture.origin
    assert left <= (region[0] if region else 0) and top <= (region[1] if region else 0)
    pixels, full = np.asarray(picture.image, dtype=float), np.asarray(image, dtype=float)
    checked = 0
    for row in range(0, pixels.shape[0], 7):
        for column in range(0, pixels.shape[1], 7):
            y, x = int(top) + 8 * row, int(left) + 8 * column
            if 0 <= x <= full.shape[1] - 8 and 0 <= y <= full.shape[0] - 8:
                mean = full[y : y + 8, x : x + 8].mean((0, 1))
                wanted = (mean @ [0.299, 0.587, 0.114]) if name == "gray" else mean
                assert np.abs(pixels[row, column] - wanted).max() < 12
                checked += 1
    assert checked > 20


def test_near_is_never_smaller_than_asked(files):
    _, paths = files
    for name in ("jpg", "png"):
        for px, longer in ((2000, 2403), (1201, 1202), (900, 1202), (301, 601), (300, 301)):
            assert max(Photograph(paths[name]).near(px).image.size) == longer
    small = Photograph(paths["jpg"]).near(100, (0, 0, 400, 300)).image.size
    assert small == (100, 75)


def test_a_large_jpeg_is_held_at_a_fraction(files):
    _, paths = files
    photograph = Photograph(paths["jpg"])
    assert photograph.held == 0 and photograph.size == (2403, 1805)
    photograph.near(500)
    assert photograph.held == 601 * 452 * 4
    photograph.face((900, 500, 1000, 600), POINTS, "cdfer", 112)  # 120 pixels wide: all of its pixels are needed
    assert photograph.held == 2403 * 1805 * 4


def test_small_images_are_cut_from_all_their_pixels(tmp_path):
    """As ever: a store of them is the same to the bit."""
    image = scene(900, 700)
    for name in ("a.png", "a.tif"):
        photograph = Photograph(save(image, tmp_path / name))
        for mode in ("cdfer", "arcface", "none"):
            crop = photograph.face((250, 100, 520, 420), POINTS / 3, mode, 48)
            expected = cut_face(image, (250, 100, 520, 420), POINTS / 3, mode, 48)
            np.testing.assert_array_equal(crop.image, expected.image)


def test_more_pixels_than_the_limit_are_refused(tmp_path):
    Image.new("1", (7100, 7100)).save(tmp_path / "a.png")
    with pytest.raises(BrokenImageError, match="7100x7100 pixels are more than 50,000,000"):
        Photograph(tmp_path / "a.png")


def test_training_on_large_photographs_takes_their_middle(tmp_path):
    """Without prepare: the centre square, whatever the file."""
    for split in ("train", "test"):
        for word in ("happy", "sad"):
            folder = tmp_path / "set" / split / word
            folder.mkdir(parents=True)
            save(scene(), folder / "a.jpg", 6, quality=97)
            save(scene(), folder / "b.png", compress_level=1)
    images = load_domain("folder:set", tmp_path, size_px=64).train.images
    expected = scene().crop((299, 0, 2104, 1805)).resize((64, 64), Image.Resampling.BILINEAR)
    for image in images:
        assert difference(image.transpose(1, 2, 0), expected) < 1.5


def test_a_worker_has_few_large_images_in_memory(tmp_path, monkeypatch):
    """17 MB each: at most two are open."""
    paths = [save(scene(), tmp_path / f"{i}.png", compress_level=1) for i in range(5)]
    alive, most = weakref.WeakSet(), []

    def opened(sample, most_bytes):
        photograph, turned = photograph_of(sample, most_bytes)
        alive.add(photograph)
        most.append(len(alive))
        return photograph, turned

    monkeypatch.setattr(work, "photograph_of", opened)
    handler = signal.getsignal(signal.SIGINT)
    work.start_worker("cpu", 64)
    signal.signal(signal.SIGINT, handler)  # a worker leaves Ctrl-C to its parent; here there is none
    samples = [Sample(path.name, "happy", "train", path) for path in paths]
    work.make_chunk(tmp_path / "chunk.npz", samples, PrepareSettings(on_missing="whole", detect_px=64))
    assert len(most) == 5 and max(most) <= 2
    assert np.load(tmp_path / "chunk.npz")["index"].tolist() == [0, 1, 2, 3, 4]
