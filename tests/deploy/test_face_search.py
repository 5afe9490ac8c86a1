"""Small faces in large photographs are found, each once, and where they are."""

import numpy as np
import pytest
from PIL import Image

from pa_difc.data.crops import Picture
from pa_difc.data.protocol import SEARCH_PX
from pa_difc.deploy.search import FaceSearch


def search(image, detect_px, tmp_path):
    """What is found in a file."""
    from pa_difc.data.photograph import Photograph

    image.save(tmp_path / "image.jpg", quality=95)
    faces = FaceSearch("cpu", detect_px, 48)
    (found,) = faces.detect([faces.picture(Photograph(tmp_path / "image.jpg"))])
    return found


def overlap(a, b):
    """Intersection over union."""
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def found_boxes(found, boxes, least=0.4):
    """Of each box, whether one face is there; and how many faces are nowhere."""
    where = [[i for i, box in enumerate(boxes) if overlap(np.array(f.box), box) > least] for f in found]
    return [sum(i in w for w in where) for i in range(len(boxes))], sum(not w for w in where)


@pytest.mark.parametrize(
    ("share", "size", "detect_px"),
    [
        (0.04, (4000, 3000), SEARCH_PX),  # of the width of an upright or a lying photograph
        (0.04, (1500, 2000), SEARCH_PX),
        (0.04, (1200, 900), SEARCH_PX),
        (0.2, (2000, 1500), SEARCH_PX),
        (0.02, (2000, 1500), 1024),
        (0.009, (5000, 3600), 4096),  # in parts
    ],
)
def test_every_face_is_found_once(share, size, detect_px, group, tmp_path):
    image, boxes = group(share, size)
    found = search(image, detect_px, tmp_path)
    assert found_boxes(found, boxes) == ([1] * 6, 0)
    for face, box in ((f, b) for f in found for b in boxes if overlap(np.array(f.box), b) > 0.4):
        points = (face.points - box[:2]) / (box[2:] - box[:2])  # read off the photograph by eye
        right = [(0.25, 0.29), (0.74, 0.3), (0.5, 0.52), (0.26, 0.65), (0.73, 0.65)]
        assert np.abs(points - right).max() < 0.12


def test_more_pixels_find_smaller_faces(group, tmp_path):
    image, boxes = group(0.04)
    assert found_boxes(search(image, 256, tmp_path), boxes)[0] == [0] * 6
    image, boxes = group(0.015)
    assert found_boxes(search(image, 512, tmp_path), boxes)[0] == [0] * 6
    assert found_boxes(search(image, 2048, tmp_path), boxes) == ([1] * 6, 0)


def test_large_and_small_faces_of_one_photograph(group, portrait, tmp_path):
    image, boxes = group(0.04)
    image.paste(portrait.crop((120, 0, 330, 210)).resize((800, 800)), (500, 350))
    boxes.append((np.array([181, 70, 269, 178]) - [120, 0, 120, 0]) * 800 / 210 + [500, 350, 500, 350])
    kept = [b for b in boxes[:-1] if b[2] < 500 or b[0] > 1300 or b[3] < 350 or b[1] > 1150]
    assert found_boxes(search(image, SEARCH_PX, tmp_path), [*kept, boxes[-1]]) == ([1] * (len(kept) + 1), 0)


def test_a_face_that_lies_across_the_parts_is_found_once(portrait, tmp_path):
    """Faces of 52 pixels, which are too small for the copy before, their middles where parts without overlap end."""
    face = portrait.crop((120, 0, 330, 210)).resize((124, 124))
    box = (np.array([181, 70, 269, 178]) - [120, 0, 120, 0]) * 124 / 210
    image = Image.new("RGB", (4096, 1400), (120, 130, 140))
    middles = [(x, y) for x in (500, 1024, 2048, 3072) for y in (300, 1024)]
    corners = [(round(x - (box[0] + box[2]) / 2), round(y - (box[1] + box[3]) / 2)) for x, y in middles]
    for corner in corners:
        image.paste(face, corner)
    found = search(image, 4096, tmp_path)
    assert found_boxes(found, [box + np.array([x, y, x, y]) for x, y in corners], 0.6) == ([1] * 8, 0)


def test_faces_of_a_picture_are_in_pixels_of_its_photograph(portrait):
    faces = FaceSearch("cpu", SEARCH_PX, 48)
    (alone,), (within,) = (
        faces.detect([picture])[0]
        for picture in (Picture(portrait, portrait.size), Picture(portrait, (3000, 2000), (100.0, 40.0), 2))
    )
    np.testing.assert_allclose(np.array(within.box), 2 * np.array(alone.box) + [100, 40, 100, 40])
    np.testing.assert_allclose(within.points, 2 * alone.points + [100, 40], rtol=1e-5)


def test_what_the_smallest_copy_shows_is_found_as_in_prepare(portrait):
    """The faces that models are trained on are found in 256 pixels; others are looked for beside them."""
    from pa_difc.data.detect import FaceDetector

    image = portrait.resize((1024, 1024))
    (face,) = FaceDetector("cpu").detect([image], [False])[0]
    (same,) = FaceSearch("cpu", 1024, 48).detect([Picture(image, image.size)])[0]
    np.testing.assert_allclose(same.box, face.box)
    assert same.confidence == face.confidence


def test_images_are_searched_together_as_they_are_alone(group, portrait):
    faces = FaceSearch("cpu", SEARCH_PX, 48)
    images = [portrait, group(0.05, (1200, 900))[0], portrait.crop((170, 60, 280, 190)), Image.new("RGB", (30, 500))]
    pictures = [Picture(image, image.size) for image in images]
    together, alone = faces.detect(pictures), [faces.detect([picture])[0] for picture in pictures]
    assert [len(f) for f in together] == [1, 6, 1, 0]
    for one, other in zip(together, alone, strict=True):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a.box, b.box, atol=0.05)
