"""Scores against scikit-learn and by hand."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from pa_difc.evaluation import prediction_counts, score
from pa_difc.evaluation.metrics import collapsed_unlabelled, one_sided


def onehot(predicted):
    return np.eye(7)[predicted]


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    labels, probs = rng.integers(0, 7, 300), rng.random((300, 7))
    result, predicted = score(labels, probs), probs.argmax(1)
    assert result["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert result["macro_recall"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert result["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert np.sum(result["confusion"]) == 300 and sum(result["predicted"]) == 300


def test_an_absent_class_is_not_scored_but_predicting_it_costs():
    result = score(np.array([0, 0, 1, 1]), onehot([0, 6, 1, 1]))
    assert result["recall"] == [0.5, 1.0] + [None] * 5
    assert result["macro_recall"] == 0.75 and result["accuracy"] == 0.75
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert result["macro_recall"] == pytest.approx(balanced_accuracy_score([0, 0, 1, 1], [0, 6, 1, 1]))


def test_a_class_between_others_that_is_neither_true_nor_predicted_keeps_its_place():
    """By hand: class 1 nowhere, class 2 predicted twice and never true, class 3 never predicted, class 4 nowhere."""
    result = score(np.array([0, 0, 0, 3, 3]), np.eye(5)[[0, 0, 2, 2, 0]])
    assert result["confusion"] == [[2, 0, 1, 0, 0], [0] * 5, [0] * 5, [1, 0, 1, 0, 0], [0] * 5]
    assert result["recall"] == [pytest.approx(2 / 3), None, None, 0.0, None]
    assert result["predicted"] == [3, 0, 2, 0, 0] and not result["collapsed"]
    assert result["macro_f1"] == pytest.approx((4 / 6 + 0) / 2)


def test_recall_over_classes_with_20_faces_leaves_the_rarer_ones_out():
    """20 of class 0, 19 of class 1, 40 of class 2; 5, 19 and 30 of them are found."""
    labels = np.repeat([0, 1, 2], [20, 19, 40])
    said = np.concatenate([np.repeat([0, 1], [5, 15]), np.full(19, 1), np.repeat([2, 1], [30, 10])])
    result = score(labels, onehot(said))
    assert result["macro_recall_20"] == pytest.approx((5 / 20 + 30 / 40) / 2)
    assert result["macro_recall"] == pytest.approx((5 / 20 + 1 + 30 / 40) / 3)
    assert score(labels[20:39], onehot(said[20:39]))["macro_recall_20"] is None


@pytest.mark.parametrize(
    ("faces", "shown"),
    [
        ([28, 13, 9, 0], None),  # of one class
        ([200], None),
        ([28, 20, 0], (14 / 28 + 10 / 20) / 2),
        ([40, 21, 4, 6, 0], (20 / 40 + 10 / 21) / 2),
        ([40, 21, 4, 6, 2], None),  # two of five
        ([40, 21, 4, 6, 1], None),  # a class of one face occurs
    ],
)
def test_recall_over_classes_with_20_faces_is_of_two_of_them_and_of_half_of_the_classes(faces, shown):
    """Half of each class, rounded down, is found; the others are said to be of the next class, which may not occur."""
    labels = np.repeat(range(len(faces)), faces)
    said = np.concatenate([np.repeat([k, (k + 1) % 6], [n // 2, n - n // 2]) for k, n in enumerate(faces)])
    assert score(labels, np.eye(6)[said])["macro_recall_20"] == (shown and pytest.approx(shown))


@pytest.mark.parametrize(("classes", "collapsed"), [(1, True), (3, True), (4, False), (7, False)])
def test_collapse_is_fewer_than_half_of_the_classes(classes, collapsed):
    labels = np.arange(70) % 7
    assert score(labels, onehot(labels % classes))["collapsed"] is collapsed


def test_exactly_half_of_the_classes_is_no_collapse():
    assert not prediction_counts(np.eye(8)[[0, 1, 2, 3]])["collapsed"]
    assert prediction_counts(np.eye(8)[[0, 1, 2]])["collapsed"]


@pytest.mark.parametrize(("classes", "collapsed"), [(1, True), (2, False), (3, False)])
def test_exactly_half_of_the_classes_that_occur_is_no_collapse(classes, collapsed):
    assert prediction_counts(np.eye(8)[:classes], occurring=4)["collapsed"] is collapsed


@pytest.mark.parametrize("k", [2, 3, 8, 31])
def test_the_number_of_classes_is_that_of_the_predictions(k):
    labels = np.arange(3 * k) % k
    result = score(labels, np.eye(k)[np.where(labels == 0, 1, labels)])
    assert result["recall"] == [0.0] + [1.0] * (k - 1) and np.shape(result["confusion"]) == (k, k)
    assert result["macro_recall"] == pytest.approx((k - 1) / k)
    assert prediction_counts(np.eye(k)) == {"predicted": [1] * k, "collapsed": False}


def test_a_target_of_few_classes_has_not_collapsed_where_all_of_them_are_predicted():
    """Three of eight classes occur: two are too few to be half of eight, and enough for half of three."""
    labels = np.array([0, 0, 1, 1, 2, 2])
    right, two, one = (np.eye(8)[classes] for classes in (labels, np.minimum(labels, 1), np.zeros(6, dtype=int)))
    assert [score(labels, p)["collapsed"] for p in (right, two, one)] == [False, False, True]
    assert prediction_counts(right)["collapsed"]  # without labels nobody knows which occur


@pytest.mark.parametrize(
    ("said", "occurs", "collapsed"),
    [(115, 20, True), (108, 54, True), (107, 20, False), (115, 58, False), (130, 120, False)],
)
def test_one_class_for_nearly_all_faces_is_a_collapse_unless_it_occurs_as_often(said, occurs, collapsed):
    """135 faces: ``said`` predicted as class 0, of which there are ``occurs``; the others are predicted in turn."""
    labels = np.array([0] * occurs + [1 + i % 6 for i in range(135 - occurs)])
    predicted = np.array([0] * said + [1 + i % 6 for i in range(135 - said)])
    found = score(labels, np.eye(7)[predicted])
    assert len(set(predicted)) >= 2 and found["collapsed"] is collapsed is one_sided(found["confusion"])


@pytest.mark.parametrize(("said", "collapsed"), [(126, True), (125, True), (121, False), (60, False)])
def test_without_labels_one_class_for_nine_of_ten_faces_is_a_collapse(said, collapsed):
    """138 faces, of which all classes get some."""
    predicted = np.array([2] * said + [i % 7 for i in range(138 - said)])
    counts = prediction_counts(np.eye(7)[predicted])
    assert counts["collapsed"] is collapsed and sum(counts["predicted"]) == 138 and min(counts["predicted"]) > 0
    shares = np.array(counts["predicted"]) / 138
    assert collapsed_unlabelled(shares) is collapsed_unlabelled(counts["predicted"]) is collapsed
    assert not score(predicted, np.eye(7)[predicted])["collapsed"]  # with labels: it occurs so often


def test_without_faces_nothing_is_one_sided():
    assert not one_sided(np.zeros((3, 3), dtype=int))
