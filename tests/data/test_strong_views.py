"""Strong views: landmarks stay on what they mark, values stay in range, each face has its own, and always the same."""

import math

import numpy as np
import pytest
import torch
from made import random_faces

from pa_difc.data import strong_views as strong
from pa_difc.data.faces import Face
from pa_difc.data.features import FeatureSet
from pa_difc.data.loaders import PairLoader
from pa_difc.data.strong_views import DRAWS, strong_views

POINTS = torch.tensor([[10.0, 12], [22, 11], [16, 18], [11, 24], [21, 25]])
#: Draws that change nothing but what a test changes: middles of ranges, and no rectangle.
STILL = torch.full((1, DRAWS), 0.5)
STILL[:, 10] = 0.9
TURN, SCALE, RIGHT, DOWN = 12, 13, 14, 15


def batch(n=4, size_px=32, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return Face(torch.rand(n, 3, size_px, size_px, generator=generator), POINTS.repeat(n, 1, 1))


def draws(n, seed=0):
    return torch.rand(n, DRAWS, generator=torch.Generator().manual_seed(seed))


def spots(points, size_px=64, radius=2.5):
    """A smooth spot around each point, in an image of its own."""
    centres = torch.arange(size_px) + 0.5
    x, y = (((centres - points[:, i, None]) / radius) ** 2 for i in (0, 1))
    return torch.exp(-(y[:, :, None] + x[:, None, :]))[:, None].repeat(1, 3, 1, 1)


def centre_of(image):
    """Where the mass of one channel lies, as (x, y)."""
    centres = torch.arange(image.shape[-1]) + 0.5
    mass = image / image.sum()
    return [(mass.sum(0) * centres).sum().item(), (mass.sum(1) * centres).sum().item()]


@pytest.mark.parametrize("seed", range(4))
def test_landmarks_move_with_the_image(seed):
    points = 2 * POINTS
    given = draws(1, seed)
    given[:, :6], given[:, 10] = 0.5, 0.9  # as it was lit, not covered
    given = given.repeat(5, 1)
    image = spots(points)
    found = strong_views(Face(image, points.repeat(5, 1, 1)), given)
    for i in range(5):  # the i-th picture has the i-th landmark's spot
        place = centre_of((found.image[i, 0] - found.image[i, 0].min()).clamp(min=0) ** 2)
        assert place == pytest.approx(found.landmarks[i, i].tolist(), abs=0.15)
    assert (found.landmarks[0] - points).abs().max() > 1


def test_still_draws_leave_the_face_as_it_is():
    faces = batch(1)
    found = strong_views(faces, STILL)
    torch.testing.assert_close(found.image, faces.image, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.landmarks, faces.landmarks, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (RIGHT, 1.0, lambda x, y: (x - 0.08 * 32, y)),
        (DOWN, 0.0, lambda x, y: (x, y + 0.08 * 32)),
        (SCALE, 1.0, lambda x, y: (16 + 1.15 * (x - 16), 16 + 1.15 * (y - 16))),
        (SCALE, 0.0, lambda x, y: (16 + 0.85 * (x - 16), 16 + 0.85 * (y - 16))),
        (TURN, 1.0, lambda x, y: turned(x, y, -15)),
        (TURN, 0.0, lambda x, y: turned(x, y, 15)),
    ],
)
def test_the_ends_of_each_move(column, value, expected):
    given = STILL.clone()
    given[:, column] = value
    (found,) = strong_views(batch(1), given).landmarks
    for now, (x, y) in zip(found.tolist(), POINTS.tolist(), strict=True):
        assert now == pytest.approx(expected(x, y), abs=1e-3)


def turned(x, y, degrees):
    a = math.radians(degrees)
    x, y = x - 16, y - 16
    return 16 + math.cos(a) * x - math.sin(a) * y, 16 + math.sin(a) * x + math.cos(a) * y


def test_values_stay_between_0_and_1_and_the_faces_given_stay_as_they_are():
    faces = batch(64)
    before = faces.image.clone(), faces.landmarks.clone()
    found = strong_views(faces, draws(64))
    assert found.image.min() >= 0 and found.image.max() <= 1 and found.image.shape == faces.image.shape
    assert found.image.isfinite().all() and found.image.dtype == faces.image.dtype
    assert faces.image.equal(before[0]) and faces.landmarks.equal(before[1])
    dark = Face(torch.zeros(2, 3, 8, 8), torch.zeros(2, 5, 2))
    assert strong_views(dark, draws(2)).image.isfinite().all()


@pytest.mark.parametrize(("column", "darker"), [(2, 0.0), (0, 1.0)])
def test_light(column, darker):
    """Brightness rises with its draw; gamma above 1 darkens."""
    means = []
    for value in (darker, 0.5, 1.0 - darker):
        given = STILL.clone()
        given[:, column] = value
        means.append(strong_views(batch(1), given).image.mean().item())
    assert means[0] < means[1] - 0.05 and means[1] < means[2] - 0.05


def test_contrast_and_colour():
    spread, shade = [], []
    for value in (0.0, 1.0):
        given = STILL.clone()
        given[:, 1], given[:, 3] = value, value
        image = strong_views(batch(1), given).image[0]
        spread.append(image[1].std().item())
        shade.append((image[0].mean() - image[1].mean()).item())
    assert spread[1] > 1.5 * spread[0] and shade[1] - shade[0] > 0.05


def test_half_of_the_faces_are_covered_by_a_rectangle_of_one_gray():
    found = draws(400)
    found[:, :6] = 0.5
    found[:, 12:] = 0.5
    images = strong_views(Face(torch.full((400, 3, 20, 20), 0.5), torch.zeros(400, 5, 2)), found).image
    changed = ((images - 0.5).abs() > 1e-3).all(dim=1)  # (N, P, P)
    share = changed.flatten(1).float().mean(1)
    assert 0.4 < (share > 0).float().mean() < 0.55
    for mask, image in zip(changed[share > 0], images[share > 0], strict=True):
        rows, columns = mask.any(1), mask.any(0)
        assert mask.sum() == rows.sum() * columns.sum()  # a rectangle
        assert 2 <= rows.sum() <= 8 and 2 <= columns.sum() <= 8  # 0.15 to 0.4 of 20 pixels, by their centres
        assert image[:, mask].std() < 1e-4


def test_each_face_has_draws_of_its_own_and_does_not_see_its_neighbours():
    faces, given = batch(6), draws(6)
    whole = strong_views(faces, given)
    for i in (0, 5):
        alone = strong_views(Face(faces.image[i : i + 1], faces.landmarks[i : i + 1]), given[i : i + 1])
        torch.testing.assert_close(alone.image[0], whole.image[i])
        torch.testing.assert_close(alone.landmarks[0], whole.landmarks[i])
    same = Face(faces.image[:1].repeat(6, 1, 1, 1), faces.landmarks)
    assert len({round(image.mean().item(), 6) for image in strong_views(same, given).image}) == 6


def loader(**kwargs):
    return PairLoader(random_faces(20, 0), random_faces(23, 1), batch_size=8, **kwargs)


def test_batches_bring_strong_views_when_asked_and_are_the_same_otherwise():
    with_views, without = (list(loader(zoom=0.1).epoch(1, strong=strong)) for strong in (True, False))
    for one, other in zip(with_views, without, strict=True):
        assert one.keys() - other.keys() == {"target_imgs_strong"}
        assert one["target_imgs"].image.equal(other["target_imgs"].image)
        assert one["src_imgs"].image.equal(other["src_imgs"].image)
        assert one["target_imgs_strong"].image.shape == one["target_imgs"].image.shape
        assert not one["target_imgs_strong"].image.equal(one["target_imgs"].image)


def test_a_strong_view_is_of_the_face_beside_it(monkeypatch):
    """Of the same one, mirrored and zoomed alike."""
    monkeypatch.setattr("pa_difc.data.loaders.strong_views", lambda faces, draws: faces)
    for one in loader(zoom=0.1).epoch(0, strong=True):
        assert one["target_imgs_strong"] is one["target_imgs"]


def test_views_are_those_of_seed_and_epoch():
    first, again, later, other = (
        torch.cat([b["target_imgs_strong"].image for b in loader(seed=seed).epoch(epoch, strong=True)]).mean(
            dim=(1, 2, 3)
        )
        for seed, epoch in ((3, 2), (3, 2), (3, 1), (4, 2))
    )
    assert first.equal(again) and not first.sort()[0].equal(later.sort()[0]) and not first.equal(other)


def test_parts_of_a_batch_have_the_views_that_the_whole_has():
    whole = list(loader().epoch(0, strong=True))
    parts = [list(loader(rank=rank, processes=2).epoch(0, strong=True)) for rank in range(2)]
    for i, one in enumerate(whole):
        joined = torch.cat([part[i]["target_imgs_strong"].image for part in parts])
        torch.testing.assert_close(joined, one["target_imgs_strong"].image)


def test_features_have_none_and_bring_what_a_classifier_has_said():
    rng = np.random.default_rng(0)
    faces = random_faces(20, 0)
    sets = [
        FeatureSet(rng.normal(size=(20, 3)).astype(np.float32), faces.labels, faces.names, known)
        for known in (None, rng.normal(size=(20, 7)).astype(np.float32))
    ]
    for one in PairLoader(*sets, batch_size=8).epoch(0, strong=True):
        assert "target_imgs_strong" not in one
        assert one["target_log_probs"].numpy() == pytest.approx(sets[1].log_probs[one["target_sample_idx"]])
    assert not any("target_log_probs" in one for one in PairLoader(*sets[::-1], batch_size=8).epoch(0))


def test_there_are_as_many_draws_as_a_view_takes():
    given = draws(1)
    found = []
    for column in range(DRAWS):
        other = given.clone()
        other[:, 10] = 0.1  # covered
        other[:, column] = (other[:, column] + 0.4) % 1
        found.append(strong_views(batch(1), other).image)
    base = given.clone()
    base[:, 10] = 0.1
    reference = strong_views(batch(1), base).image
    assert [column for column in range(DRAWS) if found[column].equal(reference)] in ([], [10])
    assert strong.DRAWS == 16
