"""An annotated photograph can be read: a label at each face, of a size that suits it, hiding no other."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pa_difc.data.crops import Picture
from pa_difc.deploy.annotate import annotated
from pa_difc.deploy.prediction import Prediction

CLASSES = ["surprise", "fear", "disgust", "happy", "sad", "anger", "neutral"]
PINK = np.array([0xFF, 0x2D, 0x55])


def face(left, top, side, points=True):
    box = (float(left), float(top), float(left + side), float(top + side))
    marks = np.array([(0.3, 0.3), (0.7, 0.3), (0.5, 0.5), (0.3, 0.7), (0.7, 0.7)]) * side + [left, top]
    return Prediction("a.jpg", box, marks if points else None, np.array([0.05, 0.05, 0.1, 0.5, 0.1, 0.1, 0.1]))


def labels(sheet, width, height):
    """Boxes of the labels: where pink with white letters on it is wider and higher than a line."""
    from scipy import ndimage

    pixels = np.asarray(sheet)[:height, :width].astype(int)
    pink = np.abs(pixels - PINK).sum(2) < 20
    full = ndimage.binary_closing(pink, np.ones((5, 9)))  # the letters
    full = ndimage.binary_opening(full, np.ones((8, 8)))
    return [(s[1].start, s[0].start, s[1].stop, s[0].stop) for s in ndimage.find_objects(ndimage.label(full)[0])]


def test_each_face_has_a_label_at_its_box():
    faces = [face(100, 200, 120), face(400, 220, 60), face(700, 200, 200)]
    sheet = annotated(Image.new("RGB", (1000, 600), "gray"), faces, CLASSES)
    found = sorted(labels(sheet, 1000, 600))
    assert len(found) == 3
    for (left, _, right, bottom), one in zip(found, faces, strict=True):
        assert abs(left - one.box[0]) < 8 and abs(bottom - one.box[1]) < 8 and right - left > 40
    heights = [bottom - top for _, top, _, bottom in found]
    assert heights[1] < heights[0] < heights[2]  # by the size of the face


def test_labels_hide_neither_each_other_nor_other_faces():
    rng = np.random.default_rng(0)
    faces = [face(40 + 150 * (i % 6), 60 + 180 * (i // 6) + rng.integers(0, 30), 60) for i in range(18)]
    sheet = annotated(Image.new("RGB", (1000, 700), "gray"), faces, CLASSES)
    found = labels(sheet, 1000, 700)
    assert len(found) == 18
    for left, top, right, bottom in found:
        for one in faces:
            across = min(right, one.box[2] - 2) - max(left, one.box[0] + 2)
            along = min(bottom, one.box[3] - 2) - max(top, one.box[1] + 2)
            assert min(across, along) <= 3


def test_labels_of_faces_that_stand_close_do_not_overlap(monkeypatch):
    spots, draw = [], ImageDraw.ImageDraw.rectangle

    def rectangle(self, spot, **how):
        if how.get("fill") == "#ff2d55":  # a label's ground
            spots.append(spot)
        draw(self, spot, **how)

    monkeypatch.setattr(ImageDraw.ImageDraw, "rectangle", rectangle)
    annotated(Image.new("RGB", (1000, 600), "gray"), [face(40 + 66 * i, 200, 60) for i in range(9)], CLASSES)
    assert len(spots) == 9
    for i, a in enumerate(spots):
        for b in spots[:i]:
            assert min(a[2], b[2]) - max(a[0], b[0]) <= 0.1 or min(a[3], b[3]) - max(a[1], b[1]) <= 0.1


@pytest.mark.parametrize("corner", [(0, 0), (0, 530), (930, 0), (930, 530)])
def test_a_label_at_the_border_is_in_the_picture(corner):
    sheet = annotated(Image.new("RGB", (1000, 600), "gray"), [face(*corner, 70)], CLASSES)
    (spot,) = labels(sheet, 1000, 600)
    assert spot[0] >= 0 and spot[2] <= 1000 and spot[3] <= 600 and (spot[2] - spot[0]) > 50


@pytest.mark.parametrize("number", [1, 3, 20, 60, 400])
@pytest.mark.parametrize("size", [(320, 200), (8000, 900), (4000, 3000)])
def test_bars_take_no_more_room_than_the_picture(number, size):
    """But beside small pictures, which have a column of them; the faces of a crowd have labels alone."""
    side = size[0] / 40
    faces = [face(side * (i % 30), side * 1.1 * (i // 30), side) for i in range(number)]
    sheet = annotated(Image.new("RGB", size, "gray"), faces, CLASSES)
    width = min(2048, max(size))
    assert width <= sheet.width <= width + max(width, 640) and sheet.height <= max(640, width * size[1] / size[0] + 1)
    blue = (np.asarray(sheet)[:, width:] == [0, 0x72, 0xB2]).all(2)
    assert blue.any() is np.bool_(sheet.width > width)
    if number <= 3:
        assert sheet.width > width


def test_a_picture_that_is_smaller_than_its_photograph_is_marked_where_the_faces_are():
    photograph = Image.new("RGB", (1600, 1200), "gray")
    ImageDraw.Draw(photograph).rectangle((800, 600, 1000, 800), fill="black")
    small = Picture(photograph.reduce(2), photograph.size, factor=2)
    sheet = np.asarray(annotated(small, [face(800, 600, 200, points=False)], CLASSES))
    assert sheet.shape[0] == 600
    rows, columns = np.nonzero(np.abs(sheet[290:, :800].astype(int) - PINK).sum(2) < 20)
    assert abs(columns.min() - 400) <= 2 and abs(columns.max() - 500) <= 40 and abs(rows.max() + 290 - 400) <= 2


@pytest.mark.parametrize("name", ["caf\udce9", "开心", "a" * 60, "", "new\nline"])
def test_any_class_can_be_written(name):
    classes = [name, *CLASSES[1:]]
    one = face(100, 100, 80)
    one = Prediction(one.file, one.box, one.points, np.array([0.9, 0.1, 0, 0, 0, 0, 0]))
    assert annotated(Image.new("RGB", (400, 300)), [one], classes).width > 400


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 2)])
def test_any_picture_can_be_drawn_on(size):
    one = Prediction("a", (0.0, 0.0, *map(float, size)), None, np.full(7, 1 / 7))
    assert min(annotated(Image.new("RGB", size), [one], CLASSES).size) >= 1
