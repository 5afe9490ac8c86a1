"""Views of faces: what a mirror and another crop do to pixels and landmarks."""

import numpy as np
import pytest
import torch

from pa_difc.data.augment import zoom_faces
from pa_difc.data.faces import LANDMARKS, Face
from pa_difc.data.views import LOOSER, mirrored, scaled, views_of

POINTS = torch.tensor([[10.0, 12], [22, 11], [16, 18], [11, 24], [21, 25]])


def batch(n=3, size_px=32):
    generator = torch.Generator().manual_seed(1)
    return Face(torch.rand(n, 3, size_px, size_px, generator=generator), POINTS + torch.arange(n)[:, None, None])


def dotted(points, size_px=32):
    """A picture with another brightness at each point."""
    image = torch.zeros(1, 3, size_px, size_px)
    for i, (x, y) in enumerate(points.tolist()):
        image[..., int(y), int(x)] = (i + 1) / 10
    return image


def test_mirrored_landmarks_have_the_names_of_what_is_there_now():
    where = {name: POINTS[i].tolist() for i, name in enumerate(LANDMARKS)}
    (points,) = mirrored(Face(dotted(POINTS), POINTS[None])).landmarks
    now = dict(zip(LANDMARKS, points.tolist(), strict=True))
    for side, other in (("left", "right"), ("right", "left")):
        for part in ("eye", "mouth corner"):
            x, y = where[f"{other} {part}"]
            assert now[f"{side} {part}"] == [32 - x, y]
    assert now["nose"] == [32 - where["nose"][0], where["nose"][1]]


def test_mirrored_landmarks_stay_on_what_they_marked():
    faces = Face(dotted(POINTS), POINTS[None] + 0.5)  # centres of pixels
    image, landmarks = mirrored(faces)
    found = [image[0, 0, int(y), int(x)].item() for x, y in landmarks[0].tolist()]
    assert found == pytest.approx([0.2, 0.1, 0.3, 0.5, 0.4])  # the left eye is what was the right one


def test_a_mirror_twice_is_the_face():
    faces = batch()
    again = mirrored(mirrored(faces))
    assert torch.equal(again.image, faces.image)
    torch.testing.assert_close(again.landmarks, faces.landmarks)


@pytest.mark.parametrize("scale", [0.5, 0.8, 0.9, 1.1, 1.25, 2.0])
def test_scaling_is_bilinear_about_the_centre_with_repeated_borders(scale):
    faces = batch(1, size_px=9)
    image = faces.image[0].double().numpy()
    found = scaled(Face(faces.image.double(), faces.landmarks), scale).image[0].numpy()

    def at(place):
        """The two pixels beside a place, counted from the first pixel's centre, and the second one's weight."""
        place = min(max(place, 0.0), 8.0)
        first = min(int(place), 7)
        return first, place - first

    for row in range(9):
        for column in range(9):
            (y, b), (x, a) = (at((i + 0.5 - 4.5) / scale + 4.5 - 0.5) for i in (row, column))
            corners = [image[:, y + j, x + i] for j in (0, 1) for i in (0, 1)]
            expected = sum(
                w * c for w, c in zip([(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b], corners, strict=True)
            )
            np.testing.assert_allclose(found[:, row, column], expected, atol=1e-12)


def test_a_tighter_crop_is_the_zoom_of_training():
    faces = batch()
    cut = torch.full((3,), 0.1)
    for found, expected in zip(scaled(faces, 1 / 0.8), zoom_faces(faces, cut), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", [0.8, 1.2])
def test_scaled_landmarks_stay_on_what_they_marked(scale):
    image = torch.zeros(1, 3, 64, 64)
    image[..., 40:44, 20:24] = 1  # around x = 22, y = 42
    seen, points = scaled(Face(image, torch.tensor([[[22.0, 42.0]] * 5])), scale)
    spot, centres = seen[0, 0], torch.arange(64) + 0.5
    x, y = (spot * centres).sum() / spot.sum(), (spot * centres[:, None]).sum() / spot.sum()
    assert x != 22 and y != 42
    torch.testing.assert_close(points[0], torch.stack([x, y]).expand(5, 2), atol=0.2, rtol=0)


def test_a_scale_of_one_changes_nothing():
    faces = batch()
    assert torch.equal(scaled(faces, 1.0).image, faces.image)
    torch.testing.assert_close(scaled(faces, 1.0).landmarks, faces.landmarks)


def test_unknown_landmarks_stay_unknown():
    faces = Face(batch().image, torch.full((3, 5, 2), torch.nan))
    assert all(view.landmarks.isnan().all() for view in views_of(faces, "flip+scales"))


def test_the_views_are_the_face_its_mirror_image_and_both_smaller():
    faces = batch()
    looser = scaled(faces, LOOSER)
    wanted = [faces, mirrored(faces), looser, mirrored(looser)]
    for views, number in (("none", 1), ("flip", 2), ("flip+scales", 4)):
        found = views_of(faces, views)
        assert len(found) == number
        for view, expected in zip(found, wanted, strict=False):
            torch.testing.assert_close(view.image, expected.image)
            torch.testing.assert_close(view.landmarks, expected.landmarks)
    assert LOOSER == 0.9
