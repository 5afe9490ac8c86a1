"""Choosing a crop without labels: the scores by plain loops, and what is chosen where the truth is known."""

import numpy as np
import pytest
import torch
from made import random_faces

from pa_difc.data import EvalLoader
from pa_difc.data.faces import FaceSet
from pa_difc.data.features import FeatureSet
from pa_difc.data.views import mirrored, scaled
from pa_difc.evaluation.crop_choice import (
    SCALES,
    CropChoice,
    CropScore,
    choose_crop,
    clear_choice,
    crop_probs,
    score_crops,
    score_gains,
)
from pa_difc.util.errors import UserError


def by_loops(probs):
    """Agreement and confidence of one crop, from nested lists: probs[view][face][class]."""
    plain, mirror = probs
    n, classes = len(plain), range(len(plain[0]))

    def overlap(x, y):
        return sum(min(plain[x][k], mirror[y][k]) for k in classes)

    same = sum(overlap(x, x) for x in range(n)) / n
    chance = sum(overlap(x, y) for x in range(n) for y in range(n)) / n**2
    confidence = sum(max((plain[x][k] + mirror[x][k]) / 2 for k in classes) for x in range(n)) / n
    return (same - chance) / (1 - chance), confidence


@pytest.mark.parametrize("k", [2, 3, 9])
def test_scores_are_those_of_plain_loops(k):
    probs = torch.randn(3, 2, 11, k, generator=torch.Generator().manual_seed(k)).mul(2).softmax(dim=-1)
    found = score_crops(probs, (0.5, 1.0, 2.0)).scores
    for crop, expected, scale in zip(found, map(by_loops, probs.tolist()), (0.5, 1.0, 2.0), strict=True):
        assert (crop.agreement, crop.confidence) == pytest.approx(expected, abs=1e-6)
        assert crop.scale == scale and crop.score == crop.agreement * crop.confidence


def test_shares_are_of_the_averaged_predictions():
    plain = torch.tensor([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.0, 0.1, 0.9], [0.2, 0.8, 0.0]])
    mirror = torch.tensor([[0.1, 0.9, 0.0], [0.5, 0.5, 0.0], [0.0, 0.1, 0.9], [0.2, 0.8, 0.0]])
    (crop,) = score_crops(torch.stack([plain, mirror])[None], (1.0,)).scores
    assert crop.shares == pytest.approx((0.25, 0.5, 0.25))


def test_one_class_for_all_faces_is_no_agreement():
    one_class = torch.eye(4)[torch.zeros(6, dtype=torch.long)].expand(1, 2, 6, 4)
    sure = torch.eye(4)[torch.arange(8) % 4].expand(1, 2, 8, 4)
    assert score_crops(one_class, (1.0,)).scores[0].agreement == 0
    assert score_crops(sure, (1.0,)).scores[0].agreement == pytest.approx(1)


def choice(*scores):
    return CropChoice(tuple(CropScore(s, value, 1.0, (1.0,)) for s, value in zip(SCALES, scores, strict=False)))


@pytest.mark.parametrize(
    ("scores", "scale", "views"),
    [
        ((0.1, 0.4, 0.5, 0.3, 0.2), 1.0, "flip+scales"),
        ((0.1, 0.3, 0.5, 0.4, 0.2), 1.0, "flip"),
        ((0.1, 0.3, 0.5, 0.3, 0.2), 1.0, "flip+scales"),
        ((0.6, 0.3, 0.5, 0.3, 0.2), 0.8, "flip"),  # of looser crops nothing is known
        ((0.1, 0.3, 0.5, 0.6, 0.7), 1.2, "flip+scales"),  # and of tighter ones here
    ],
)
def test_the_best_score_is_chosen_and_looser_views_where_they_are_no_worse_than_tighter_ones(scores, scale, views):
    assert (choice(*scores).chosen.scale, choice(*scores).views) == (scale, views)


def test_confidence_and_agreement_both_count():
    crops = (CropScore(0.9, 0.9, 0.5, ()), CropScore(1.0, 0.8, 0.8, ()), CropScore(1.1, 0.6, 0.9, ()))
    assert CropChoice(crops).chosen.scale == 1.0


@pytest.mark.parametrize(
    ("gains", "recalls", "scale"),
    [
        ([0.01, -0.2, 0.0, -0.3, -0.4], None, 0.8),  # beyond chance
        ([-0.01, -0.2, 0.0, -0.3, -0.4], None, 1.0),  # may be chance
        ([0.01, 0.01, 0.0, -0.3, -0.4], [0.541, 0.60, 0.624, 0.5, 0.5], 0.9),  # 0.8 loses 8.3 points on the source
        ([0.01, 0.01, 0.0, -0.3, -0.4], [0.50, 0.59, 0.624, 0.9, 0.9], 1.0),  # and 0.9 3.4
        ([0.01, -0.2, 0.0, -0.3, -0.4], [0.60, 0.60, 0.624, 0.5, 0.5], 0.8),  # a little less is allowed
    ],
)
def test_the_crop_stays_unless_another_is_clearly_better_and_keeps_the_source(gains, recalls, scale):
    scores = choice(0.6, 0.55, 0.5, 0.3, 0.2)
    assert clear_choice(scores, [(low, low + 0.1) for low in gains], recalls).scale == scale


def test_gains_are_paired_by_face_and_uncertain_with_few_faces():
    """One crop is a little surer of each of 200 faces. Another differs by chance: 0 is in its interval."""
    logits = torch.randn(200, 4, generator=torch.Generator().manual_seed(1))
    other = torch.randn(200, 4, generator=torch.Generator().manual_seed(2))
    crops = torch.stack([1.3 * logits, logits, other]).softmax(dim=-1)
    gains = score_gains(torch.stack([crops, crops], dim=1), (0.8, 1.0, 1.2))
    assert gains[0][0] > 0 and gains[1] == (0, 0) and gains[2][0] < 0 < gains[2][1]


class Sized:
    """Knows rings by their size: each class is another radius, and it is sure of radii that it has learnt alone."""

    RADII = (5.0, 7.0, 9.0, 11.0)

    def __init__(self):
        self.models = {"G": torch.nn.Dropout(0.9)}  # which would disturb it in training

    def inference(self, faces, domain):
        assert domain == 1
        side = faces.image.shape[-1]
        places = torch.arange(side) + 0.5 - side / 2
        radius = (places[:, None] ** 2 + places**2).sqrt()
        bright = self.models["G"](faces.image.mean(dim=1))
        skewed = 1 + 0.3 * torch.sign(places)  # left and right differ a little, so that a mirror image is another view
        mean = (bright * radius * skewed).sum((1, 2)) / (bright * skewed).sum((1, 2))
        return {"logits": -6 * (mean[:, None] - torch.tensor(self.RADII)).abs()}


def rings(zoom, n=60):
    """Faces with a ring each, a little off the centre, that were cut out at another scale than was learnt from."""
    rng = np.random.default_rng(0)
    places = np.arange(64) + 0.5 - 32
    faces = random_faces(n, 0, size_px=64, num_classes=4)
    images = np.zeros((n, 3, 64, 64), dtype=np.uint8)
    for image, label in zip(images, faces.labels, strict=True):
        x, y = rng.uniform(-0.8, 0.8, 2)
        radius = np.hypot(places - x, (places - y)[:, None]) / zoom
        image[:] = 255 * np.exp(-((radius - Sized.RADII[label]) ** 2))
    return FaceSet(images, faces.landmarks, faces.labels, faces.names)


@pytest.mark.parametrize(("zoom", "scale"), [(1.0, 1.0), (1.1, 0.9), (1.25, 0.8), (0.9, 1.1), (0.83, 1.2)])
def test_faces_that_were_cut_out_otherwise_are_brought_back(zoom, scale):
    adapter = Sized()
    found = choose_crop(adapter, EvalLoader(rings(zoom), batch_size=25))
    assert found.chosen.scale == scale
    assert adapter.models["G"].training  # as it was before


def test_probabilities_are_of_each_scale_and_its_mirror_image():
    adapter, faces = Sized(), rings(1.0, n=5)
    found = crop_probs(adapter, EvalLoader(faces, batch_size=3), (0.9, 1.2))
    (batch,) = EvalLoader(faces)
    adapter.models["G"].eval()
    for i, scale in enumerate((0.9, 1.2)):
        for j, view in enumerate((scaled(batch, scale), mirrored(scaled(batch, scale)))):
            torch.testing.assert_close(found[i, j], adapter.inference(view, 1)["logits"].softmax(dim=1))
    assert (found[:, 0] - found[:, 1]).abs().max() > 1e-3


def test_features_have_no_crop():
    features = FeatureSet(np.zeros((4, 3), dtype=np.float32), np.zeros(4, dtype=np.int64), tuple("abcd"))
    with pytest.raises(UserError, match="can't be cropped again"):
        choose_crop(Sized(), EvalLoader(features))
