"""What is counted for an error page, against plain loops."""

from math import log

import numpy as np
import pytest

from pa_difc.report.mistakes import by_confidence, committee, evenly, find_pairs, least_sure, surest_errors


@pytest.fixture(scope="module")
def said():
    """Labels and probabilities of 300 faces of 5 classes, of unequal size, half of them wrong."""
    rng = np.random.default_rng(3)
    labels = rng.choice(5, 300, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    probs = rng.dirichlet(np.full(5, 0.6), 300)
    probs[:150] = 0.5 * probs[:150] + 0.5 * np.eye(5)[labels[:150]]
    return labels, probs.astype(np.float32)


def test_pairs_are_counted(said):
    labels, probs = said
    counts, sizes, wrong = {}, {}, 0
    for true, row in zip(labels.tolist(), probs.tolist(), strict=True):
        best = row.index(max(row))
        sizes[true] = sizes.get(true, 0) + 1
        if best != true:
            wrong += 1
            counts[true, best] = counts.get((true, best), 0) + 1
    pairs = find_pairs(labels, probs)
    assert {(p.true, p.predicted): len(p.faces) for p in pairs} == counts and len(counts) > 10
    sizes_in_order = [len(p.faces) for p in pairs]
    assert sizes_in_order == sorted(sizes_in_order, reverse=True)
    for pair in pairs:
        n = counts[pair.true, pair.predicted]
        assert pair.of_errors == pytest.approx(n / wrong) and pair.of_true == pytest.approx(n / sizes[pair.true])
        sure = [max(probs[i].tolist()) for i in pair.faces]
        assert sure == sorted(sure, reverse=True) and {int(labels[i]) for i in pair.faces} == {pair.true}


def test_the_surest_errors_and_the_least_sure_faces(said):
    labels, probs = said
    rows = [
        (max(row), row.index(max(row)) != true, i)
        for i, (true, row) in enumerate(zip(labels, probs.tolist(), strict=True))
    ]
    wrong = sorted((row for row in rows if row[1]), key=lambda row: -row[0])
    assert surest_errors(labels, probs, 9).tolist() == [i for *_, i in wrong[:9]]
    assert least_sure(probs, 9).tolist() == [i for *_, i in sorted(rows)[:9]]
    assert len(surest_errors(labels, probs, 10_000)) == len(wrong)


def test_confidence_bins_hold_every_face_once(said):
    labels, probs = said
    probs = probs.copy()
    probs[0], probs[1] = [1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0]  # at an end, and between two bins
    bins = by_confidence(probs, labels)
    for one in bins:
        inside = [i for i, row in enumerate(probs) if one.low <= max(row) < one.high or max(row) == one.high == 1]
        assert one.faces == len(inside)
        assert one.right == sum(int(probs[i].argmax()) == labels[i] for i in inside)
    assert sum(one.faces for one in bins) == 300 and bins[1].low == 0.5
    assert all(one.right is None for one in by_confidence(probs, None))


def test_cells_disagree_by_their_mean_divergence(said):
    rng = np.random.default_rng(0)
    cells = [[rng.dirichlet(np.full(4, 0.5), 20)] for _ in range(3)]
    cells[1][0][5] = [1, 0, 0, 0]  # 0 log 0
    found = committee(cells)
    for i in range(20):
        rows = [cell[0][i].tolist() for cell in cells]
        mean = [sum(column) / 3 for column in zip(*rows, strict=True)]
        kl = [sum(p * log(p / q) for p, q in zip(row, mean, strict=True) if p) for row in rows]
        assert found.divergence[i] == pytest.approx(sum(kl) / 3)
        votes = [sum(row.index(max(row)) == k for row in rows) / 3 for k in range(4)]
        assert found.votes[i].tolist() == pytest.approx(votes)
        assert found.split[i] == (max(votes) < 1)


def test_a_cell_of_many_seeds_has_one_vote():
    one, other = np.array([[0.9, 0.1]]), np.array([[0.2, 0.8]])
    several = committee([[one, one, one], [other]])
    assert several.cells == 2 and several.votes[0].tolist() == [0.5, 0.5]
    assert several.divergence == pytest.approx(committee([[one], [other]]).divergence)


def test_cells_that_name_one_class_are_not_divided_whatever_their_confidence():
    found = committee([[np.array([[0.99, 0.01], [0.6, 0.4]])], [np.array([[0.55, 0.45], [0.4, 0.6]])]])
    assert found.divergence[0] > found.divergence[1] > 0
    assert found.most_divided(5).tolist() == [1]


def test_faces_are_taken_evenly_with_both_ends():
    assert evenly(np.arange(10, 110), 5).tolist() == [10, 34, 59, 84, 109]
    assert evenly(np.arange(3), 5).tolist() == [0, 1, 2]
