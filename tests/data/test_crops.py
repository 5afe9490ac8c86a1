"""Cutting faces out: the protocol's box, alignment, and where the points go."""

import numpy as np
import pytest
from PIL import Image

from pa_difc.data.crops import ALIGNED_POINTS, cut_face, pad_box, similarity, typical_points

POINTS = np.array([[40, 50], [80, 48], [60, 70], [45, 95], [78, 94]], dtype=np.float32)


def photograph(width=160, height=120, points=POINTS, radius=2):
    """A gray image with a white spot at each point."""
    y, x = np.mgrid[:height, :width] + 0.5
    spots = [(np.hypot(x - px, y - py) <= radius) for px, py in points]
    return Image.fromarray(np.where(np.any(spots, axis=0), 255, 60).astype(np.uint8)).convert("RGB")


def test_the_box_grows_by_the_protocol_s_integers():
    # int(0.5·int(0.2·side)): 0.2·57 = 11.4 → 11, half of it 5.5 → 5; 0.2·43 = 8.6 → 8 → 4
    assert pad_box((30, 20, 87, 63), 200, 200) == (25, 16, 92, 67)


def test_the_box_is_clipped_to_the_image():
    assert pad_box((5, 2, 105, 102), 110, 104) == (0, 0, 110, 104)
    assert pad_box((0, 0, 48, 48), 48, 48) == (0, 0, 48, 48)  # the whole image stays the whole image


@pytest.mark.parametrize("box", [(200, 0, 250, 50), (-50, -50, -10, -10), (20, 20, 20.5, 60)])
def test_a_box_outside_of_the_image_is_an_error(box):
    with pytest.raises(ValueError, match="not inside the 100x100 image"):
        pad_box(box, 100, 100)


@pytest.mark.parametrize("mode", ["cdfer", "arcface", "none"])
def test_points_stay_on_what_they_marked(mode):
    crop = cut_face(photograph(), (20, 10, 100, 110), POINTS, mode, 112)
    assert crop.image.shape == (3, 112, 112) and crop.image.dtype == np.uint8 and crop.landmarks.shape == (5, 2)
    for x, y in crop.landmarks:
        assert crop.image[0, int(y), int(x)] > 150  # the spot is there
    assert np.median(crop.image) == 60


def test_cdfer_stretches_the_padded_box_to_the_square():
    crop = cut_face(photograph(), (20, 10, 100, 110), POINTS, "cdfer", 112)
    left, top, right, bottom = pad_box((20, 10, 100, 110), 160, 120)
    expected = (POINTS - [left, top]) * 112 / np.array([right - left, bottom - top])
    np.testing.assert_allclose(crop.landmarks, expected, rtol=1e-5)


def test_alignment_puts_a_turned_and_enlarged_face_onto_the_template():
    angle, scale = 0.4, 2.5
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (ALIGNED_POINTS @ turn.T + [150, 20]).astype(np.float32)
    crop = cut_face(photograph(400, 400, points, radius=6), (0, 0, 1, 1), points, "arcface", 112)
    np.testing.assert_allclose(crop.landmarks, ALIGNED_POINTS, atol=1e-3)
    assert all(crop.image[0, int(y), int(x)] > 150 for x, y in ALIGNED_POINTS)
    upright = cut_face(photograph(400, 400, points), (0, 0, 1, 1), points, "arcface", 56)
    np.testing.assert_allclose(upright.landmarks, ALIGNED_POINTS / 2, atol=1e-3)


def test_the_similarity_is_the_least_squares_one():
    rng = np.random.default_rng(0)
    p, g = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    # a·x − b·y + c, b·x + a·y + d: linear in (a, b, c, d)
    rows = np.concatenate([np.c_[p[:, 0], -p[:, 1], np.ones(5), np.zeros(5)], np.c_[p[:, 1], p[:, 0], np.zeros(5), np.ones(5)]])  # fmt: skip  # noqa: E501
    a, b, c, d = np.linalg.lstsq(rows, np.r_[g[:, 0], g[:, 1]], rcond=None)[0]
    np.testing.assert_allclose(similarity(p, g), [[a, -b, c], [b, a, d]], atol=1e-12)


def test_five_equal_points_can_t_be_aligned():
    with pytest.raises(ValueError, match="all the same"):
        cut_face(photograph(), (0, 0, 10, 10), np.full((5, 2), 7.0), "arcface", 112)


def test_typical_points_scale_with_the_crop():
    np.testing.assert_allclose(typical_points("cdfer", 224), 2 * typical_points("cdfer", 112))
    np.testing.assert_allclose(typical_points("arcface", 112), ALIGNED_POINTS)
