"""A label shift made on purpose: the proportions that were drawn, from the samples that are there."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from made import random_faces

from pa_difc.data import Domain, LabelSet
from pa_difc.data.label_shift import resample, shift_labels

COUNTS = np.array([291, 472, 43, 859, 599, 450, 594])


def domain():
    return Domain("dim", random_faces(350, 3, prefix="train"), random_faces(140, 4, prefix="test"))


@pytest.mark.parametrize("alpha", [0.3, 1.0, 10.0])
def test_both_splits_get_the_proportions_that_were_drawn_and_keep_their_sizes(alpha):
    shifted = shift_labels(domain(), alpha, draw=0)
    q = np.array(shifted.label_shift["proportions"])
    assert q.sum() == pytest.approx(1)
    for split, counts, size in (
        (shifted.train, shifted.train_counts, 350),
        (shifted.test, shifted.test_counts, 140),
    ):
        assert len(split) == size
        assert np.abs(np.array(counts) - size * q).max() <= 1


def test_proportions_stray_further_for_smaller_alpha_around_the_target_s_own():
    labels = np.repeat(np.arange(7), COUNTS)
    faces = random_faces(len(labels), 0)
    whole = Domain("big", replace(faces, labels=labels), random_faces(70, 1))
    own = COUNTS / COUNTS.sum()
    drawn = {a: np.array([shift_labels(whole, a, d).label_shift["proportions"] for d in range(60)]) for a in (0.3, 10)}
    distance = {a: np.abs(q - own).sum(axis=1).mean() for a, q in drawn.items()}
    assert distance[0.3] > 3 * distance[10]
    # The variance of Dirichlet(a·K·p): p (1 − p) / (a·K + 1).
    deviation = np.sqrt(own * (1 - own) / 71 / 60)
    assert (np.abs(drawn[10].mean(axis=0) - own) < 4 * deviation).all()


def test_samples_of_a_class_are_taken_equally_often_and_keep_what_is_theirs():
    given = domain()
    shifted = shift_labels(given, 0.3, draw=1).train
    times = Counter(shifted.names)
    by_name = {name: i for i, name in enumerate(given.train.names)}
    for k in range(7):
        taken = [times.get(n, 0) for n, label in zip(given.train.names, given.train.labels, strict=True) if label == k]
        assert max(taken) - min(taken) <= 1
    rows = [by_name[name] for name in shifted.names]
    for part in ("images", "landmarks", "labels"):
        assert np.array_equal(getattr(shifted, part), getattr(given.train, part)[rows])
    assert shifted.fingerprint != given.train.fingerprint


def test_a_draw_comes_out_again_and_draws_differ():
    first, again, other = (shift_labels(domain(), 1.0, draw) for draw in (0, 0, 1))
    assert first.train.names == again.train.names and first.test.names == again.test.names
    assert first.label_shift["proportions"] != other.label_shift["proportions"]


def test_a_class_that_is_not_there_is_not_asked_for():
    labels = np.array([0, 0, 1, 1, 1, 3])
    rows = resample(labels, np.array([0.2, 0.2, 0.5, 0.1, 0, 0, 0]), np.random.default_rng(0))
    assert Counter(labels[rows]) == {0: 2, 1: 3, 3: 1}


@pytest.mark.parametrize("k", [2, 3, 31])
def test_any_number_of_classes_is_shifted(k):
    label_set = LabelSet(tuple(f"class {i}" for i in range(k)))
    faces = [random_faces(10 * k, seed, size_px=8, num_classes=k) for seed in (0, 1)]
    shifted = shift_labels(Domain("any", *faces, label_set), 1.0, draw=0)
    q = np.array(shifted.label_shift["proportions"])
    assert q.shape == (k,) and q.sum() == pytest.approx(1) and shifted.label_set is label_set
    assert np.abs(np.array(shifted.train_counts) - 10 * k * q).max() <= 1


def test_a_target_with_one_split_stays_one():
    faces = random_faces(70, 0)
    shifted = shift_labels(Domain("one", faces, faces, transductive=True), 1.0, 0)
    assert shifted.train is shifted.test
