"""Recall by group: intervals against published numbers and closed forms, gaps against exact ones."""

import re
from math import comb

import numpy as np
import pytest

from pa_difc.report.face_groups import NO_GROUP, Column
from pa_difc.report.group_recall import recall_by_group
from pa_difc.report.words import gap_sentence
from pa_difc.util.intervals import Share, difference, mean_of, wilson

Z = 1.959963984540054


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_of_newcombe_1998(right, n, low, high):
    """Newcombe 1998, Statistics in Medicine 17, 857, Table I, method 3."""
    found = wilson(right, n)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    mirrored = wilson(n - right, n)
    assert mirrored.low == pytest.approx(1 - found.high) and mirrored.high == pytest.approx(1 - found.low)


@pytest.mark.parametrize(("right", "n"), [(7, 9), (40, 61), (1, 500)])
def test_wilson_s_ends_are_the_shares_that_the_score_test_just_keeps(right, n):
    """|p̂ − p| = z √(p (1 − p) / n) at both ends."""
    found = wilson(right, n)
    for p in (found.low, found.high):
        assert abs(right / n - p) == pytest.approx(Z * (p * (1 - p) / n) ** 0.5)


def test_a_difference_of_newcombe_1998():
    """Newcombe 1998, Statistics in Medicine 17, 873, Table II, method 10: 56/70 − 48/80."""
    found = difference(wilson(56, 70), wilson(48, 80))
    assert (round(found.low, 4), round(found.value, 4), round(found.high, 4)) == (0.0524, 0.2, 0.3339)


def test_the_mean_of_one_share_is_the_share():
    found, same = wilson(5, 8), mean_of([wilson(5, 8)])
    assert (same.value, same.low, same.high) == pytest.approx((found.value, found.low, found.high))


def test_the_mean_of_equal_shares_is_as_sure_as_their_number_says():
    """√K times narrower on either side, about the same value."""
    one, four = wilson(30, 40), mean_of([wilson(30, 40)] * 4)
    assert four.value == one.value
    assert one.value - one.low == pytest.approx(2 * (four.value - four.low))
    assert one.high - one.value == pytest.approx(2 * (four.high - four.value))


def test_with_many_faces_it_is_the_bootstrap():
    """Faces drawn again within each class."""
    rng = np.random.default_rng(0)
    n, recall = np.array([400, 700, 250]), np.array([0.6, 0.85, 0.3])
    right = (n * recall).round().astype(int)
    draws = (rng.binomial(n, right / n, (20_000, 3)) / n).mean(axis=1)
    found = mean_of([wilson(int(x), int(m)) for x, m in zip(right, n, strict=True)])
    assert (found.low, found.high) == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.004)


def test_few_faces_that_are_all_right_are_not_taken_for_certain():
    assert mean_of([wilson(3, 3)] * 4).low < 0.8


@pytest.fixture
def labelled():
    """Columns of faces of 4 classes: (labels, predicted, group of each)."""
    rng = np.random.default_rng(5)
    labels, groups = rng.integers(0, 4, 600), rng.choice(4, 600, p=[0.6, 0.3, 0.08, 0.02])
    groups[rng.random(600) < 0.1] = NO_GROUP
    hard = np.array([0.2, 0.6, 0.4, 0.4])[groups]
    predicted = np.where(rng.random(600) < hard, (labels + 1) % 4, labels)
    return labels, predicted, groups


def column(groups, names="abcd"):
    return Column("camera", list(names), np.asarray(groups))


def test_recalls_are_counted(labelled):
    labels, predicted, groups = labelled
    found = recall_by_group(column(groups), labels, predicted, 4)
    for g, group in enumerate(found.groups):
        for k in range(4):
            faces = [p == y for y, p, h in zip(labels, predicted, groups, strict=True) if h == g and y == k]
            assert (group.counts[k], group.right[k]) == (len(faces), sum(faces))
            assert (group.recall(k) is None) == (not faces)
        members = [p == y for y, p, h in zip(labels, predicted, groups, strict=True) if h == g]
        assert group.accuracy.value == pytest.approx(sum(members) / len(members)) and group.faces == len(members)
        assert group.few == (len(members) < 20)
        if not group.few:
            by_class = [group.right[k] / group.counts[k] for k in range(4)]
            assert group.mean_recall.value == pytest.approx(sum(by_class) / 4)
    assert [group.few for group in found.groups] == [False, False, False, True]


def test_the_gap_is_between_the_best_and_the_worst_that_have_enough_faces(labelled):
    labels, predicted, groups = labelled
    predicted = np.where(groups == 3, labels, predicted)  # the smallest group: all right, and no part of it
    found = recall_by_group(column(groups), labels, predicted, 4)
    means = {group.name: group.mean_recall for group in found.groups}
    assert (found.gap.best, found.gap.worst) == ("a", "b") and means["a"].value - means["b"].value > 0.2
    assert found.gap.size == difference(means["a"], means["b"])
    assert found.gap.size.low > 0 and found.gap.by_chance < 0.01


def test_mean_recalls_are_over_the_classes_that_all_groups_have():
    """A group without the hard class would look better by that alone."""
    labels = np.array([0] * 30 + [1] * 30 + [0] * 25 + [2] * 5)
    groups = np.array([0] * 60 + [1] * 30)
    predicted = np.where(labels == 1, 0, labels)  # class 1, which group b lacks, is never right
    found = recall_by_group(column(groups, "ab"), labels, predicted, 3)
    assert list(found.classes) == [0] and found.gap.size.value == 0
    assert found.groups[0].accuracy.value == 0.5


def test_there_is_no_gap_where_nothing_can_be_compared():
    labels, groups = np.array([0] * 30 + [1] * 30), np.array([0] * 30 + [1] * 30)
    apart = recall_by_group(column(groups, "ab"), labels, labels, 2)
    assert apart.gap is None and list(apart.classes) == [] and apart.groups[0].mean_recall is None
    few = recall_by_group(column([0] * 45 + [1] * 15, "ab"), np.arange(60) % 2, np.arange(60) % 2, 2)
    assert few.gap is None and few.groups[1].few


def test_a_gap_of_nothing_is_between_two_groups():
    """Three groups that are right alike."""
    labels, column = np.tile([0, 1], 60), Column("g", ["a", "b", "c"], np.repeat([0, 1, 2], 40))
    predicted = np.where(np.arange(120) % 4 < 2, labels, 1 - labels)
    gap = recall_by_group(column, labels, predicted, 2).gap
    assert gap is not None and gap.size.value == 0 and gap.best != gap.worst


def test_a_gap_among_many_groups_whose_interval_and_test_differ_says_why():
    """One of ten groups is worse by chance: the interval of the two at the ends knows nothing of the others."""
    column = Column("g", [str(i) for i in range(10)], np.repeat(np.arange(10), 40))
    right = [30, 30, 30, 30, 30, 30, 30, 26, 30, 36]
    labels, predicted = np.zeros(400, int), np.concatenate([np.repeat([0, 1], [n, 40 - n]) for n in right])
    found = recall_by_group(column, labels, predicted, 2)
    assert found.gap is not None and found.gap.size.low > 0 and found.gap.by_chance > 0.05
    assert "so it may be chance: the interval does not know that two of 10 groups were picked" in gap_sentence(found)


def test_of_two_groups_too():
    """35 right of 40 against 27 of 40: 20 points, an interval above 0, and 7 % of dealings as far apart."""
    labels, column = np.zeros(80, int), Column("g", ["a", "b"], np.repeat([0, 1], 40))
    predicted = np.concatenate([np.repeat([0, 1], [n, 40 - n]) for n in (35, 27)])
    found = recall_by_group(column, labels, predicted, 2)
    assert found.gap is not None and found.gap.size.low > 0 and found.gap.by_chance > 0.05
    assert "so it may be chance: with so few faces, interval and test differ" in gap_sentence(found)


def test_chance_is_that_of_dealing_faces_to_groups():
    """Fisher's: x of the right ones among the 30 faces of a, given 36 right of 70."""
    right = {"a": 19, "b": 17}
    labels, groups = np.zeros(70, dtype=int), np.array([0] * 30 + [1] * 40)
    predicted = np.array([0] * 19 + [1] * 11 + [0] * 17 + [1] * 23)
    found = recall_by_group(column(groups, "ab"), labels, predicted, 2)
    gap = abs(right["a"] / 30 - right["b"] / 40)
    exact = sum(
        comb(30, x) * comb(40, 36 - x)
        for x in range(31)
        if 0 <= 36 - x <= 40 and abs(x / 30 - (36 - x) / 40) >= gap - 1e-9
    ) / comb(70, 36)
    assert found.gap.by_chance == pytest.approx(exact, abs=0.025) and 0.05 < exact < 0.9


def test_a_share_is_a_plain_value():
    assert wilson(1, 2) == Share(0.5, pytest.approx(0.0945, abs=1e-4), pytest.approx(0.9055, abs=1e-4))


@pytest.mark.parametrize(("few", "thin"), [(4, True), (5, False)])
def test_a_gap_that_rests_on_a_handful_of_faces_says_so(few, thin):
    """Class 1 has 4 or 5 faces in group b, and group c, which is too small to be compared, has one of each."""
    labels = np.array([0] * 30 + [1] * 30 + [0] * 30 + [1] * few + [0, 1])
    groups = np.array([0] * 60 + [1] * (30 + few) + [2] * 2)
    said = gap_sentence(recall_by_group(column(groups, "abc"), labels, np.zeros_like(labels), 2))
    assert ("It rests on few faces: 1 of the 2 classes compared has fewer than 5 in a group." in said) is thin


def test_a_gap_that_may_be_none_has_a_minus_sign_and_percent_signs_of_one_form():
    labels, groups = np.arange(80) % 2, np.repeat([0, 1], 40)
    predicted = np.where(np.arange(80) % 7 == 0, 1 - labels, labels)
    said = gap_sentence(recall_by_group(column(groups, "ab"), labels, predicted, 2))
    assert re.search(r"\(95% interval −\d+\.\d to \d+\.\d\)", said) and " %" not in said
