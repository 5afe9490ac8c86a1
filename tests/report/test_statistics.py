"""Tests, corrections and intervals of differences, against examples by hand and all cases there are."""

from dataclasses import replace
from itertools import product
from math import comb

import numpy as np
import pytest
from records import flat_scores, load_grids, outputs, record, write

from pa_difc.report.compared import differences_table, evidence, statistics_rows, thin_note
from pa_difc.report.lead import sentence
from pa_difc.report.statistics import (
    Difference,
    bootstrap,
    difference,
    differences,
    holm,
    paired_p,
    to_best,
)
from pa_difc.report.tables import ablation


def write_cell(folder, loss, recalls, method="mcd", **more):
    """A run for each recall, seeds 0, 1, …, without outputs."""
    for seed, value in enumerate(recalls):
        scores = {"source": flat_scores(7, 0.5), "target": flat_scores(7, value)}
        write(folder, record(method, loss, seed, scores=scores, **more))


def write_predictions(folder, loss, labels, said, seed=0, method="mcd"):
    """A run that was scored on what its outputs say."""
    labels, said = np.array(labels), np.array(said)
    confusion = np.zeros((3, 3), dtype=int)
    np.add.at(confusion, (labels, said), 1)
    recall = (confusion.diagonal() / confusion.sum(axis=1)).tolist()
    scores = flat_scores(3, 0.0) | {"recall": recall, "macro_recall": float(np.mean(recall))}
    scores |= {"accuracy": float((labels == said).mean()), "confusion": confusion.tolist()}
    one = record(method, loss, seed, names=["a", "b", "c"], scores={"source": scores, "target": scores})
    write(folder, one, outputs(labels, np.eye(3)[said], seed))


def grid_of(folder):
    (grid,) = load_grids(folder)
    return grid


def test_holm_s_correction_against_an_example_worked_by_hand():
    """Sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 gives 0.02, 0.03, 0.06, 0.04, and the last is raised to 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]  # 1.2 is no probability
    assert holm([]) == []


def test_every_loss_is_compared_with_each_simpler_one_and_corrected_over_the_table(tmp_path):
    """Differences in points, n = 3: mean ± sd / √3 gives t; with two degrees of freedom p = 1 − t / √(t² + 2).

    drw − ce: 2, 4, 6 → t = 4 / (2 / √3) = 3.464; di − ce: 5, 5, 7 → (17 / 3) / (2 / 3) = 8.5;
    di − drw: 3, 1, 1 → (5 / 3) / (2 / 3) = 2.5.
    """
    write_cell(tmp_path, "ce", (0.50, 0.50, 0.50))
    write_cell(tmp_path, "drw", (0.52, 0.54, 0.56))
    write_cell(tmp_path, "di", (0.55, 0.55, 0.57))
    found = differences(grid_of(tmp_path), "macro_recall")
    assert [(d.cell[1], d.over[1]) for d in found] == [("drw", "ce"), ("di", "ce"), ("di", "drw")]
    ps = [1 - t / (t * t + 2) ** 0.5 for t in (4 / (2 / 3**0.5), 8.5, 2.5)]
    assert [d.p for d in found] == pytest.approx(ps)
    # The smallest, di − ce, times 3; the next, drw − ce, times 2; the last by itself is less, and raised to that.
    assert [d.holm_p for d in found] == pytest.approx([2 * ps[0], 3 * ps[1], 2 * ps[0]]) and ps[2] < 2 * ps[0]
    low, high = found[0].over_seeds
    assert (low, high) == pytest.approx((4 - 4.303 * 2 / 3**0.5, 4 + 4.303 * 2 / 3**0.5), abs=1e-3)


def test_losses_on_guesses_are_compared_where_nothing_else_differs(tmp_path):
    """Gains of 2, 4 and 6 points, t = 4 / (2 / √3) = 3.464, between the two that differ in target_loss alone."""
    for options, recalls in (
        ({"target_loss": "ce", "align": "own"}, (0.50, 0.50, 0.50)),
        ({"target_loss": "difc", "align": "own"}, (0.52, 0.54, 0.56)),
        ({"target_loss": "di", "align": "equal"}, (0.40, 0.41, 0.42)),
    ):
        write_cell(tmp_path, "ce", recalls, method="source_free", method_options=options)
    write_cell(tmp_path, "ce", (0.3, 0.3, 0.3))
    grid = grid_of(tmp_path)
    (found,) = differences(grid, "macro_recall")
    assert found.cell[0] == "source_free target_loss=difc align=own" and found.points == pytest.approx(4)
    assert found.over[0] == "source_free target_loss=ce align=own"
    t = 4 / (2 / 3**0.5)
    assert found.holm_p == pytest.approx(1 - t / (t * t + 2) ** 0.5)
    head, row = differences_table(grid, "macro_recall")
    assert row[head.index("over")] == "source_free target_loss=ce align=own"
    assert "cross-entropy" not in sentence(grid)


def test_only_cells_that_differ_in_one_thing_are_compared(tmp_path):
    """A loss is compared with simpler ones of the same options, and its options with each other, one at a time."""
    write_cell(tmp_path, "ce", (0.5,))
    caps = [{"max_margin": cap, "beta": beta} for cap, beta in ((0.5, 0.9), (2.0, 0.9), (2, 0.99))]
    for options in caps:
        write_cell(tmp_path, "di", (0.5,), loss_options=options)
    for options in caps[:2]:
        write_cell(tmp_path, "difc", (0.5,), loss_options=options | {"epsilon": 0.1})
    compared = {(d.cell[1], d.over[1]) for d in differences(grid_of(tmp_path), "accuracy")}
    low, high, other = (f"di max_margin={cap} beta={beta}" for cap, beta in ((0.5, 0.9), (2, 0.9), (2, 0.99)))
    difc_low, difc_high = "difc max_margin=0.5", "difc max_margin=2"
    assert compared == {(loss, "ce") for loss in (low, high, other, difc_low, difc_high)} | {
        (difc_low, low), (difc_high, high), (high, low), (other, high), (difc_high, difc_low),
    }  # fmt: skip


def test_an_option_is_no_simpler_loss(tmp_path):
    """The caps differ by 10 points, as clear as can be; of ce nothing is known but that it is as good."""
    write_cell(tmp_path, "di", (0.40, 0.41, 0.42), loss_options={"max_margin": 0.5})
    write_cell(tmp_path, "di", (0.50, 0.51, 0.521), loss_options={"max_margin": 2})
    assert "simple" not in sentence(grid_of(tmp_path))
    write_cell(tmp_path, "ce", (0.49, 0.52, 0.50))
    assert "The simplest loss that is not clearly worse is ce." in sentence(grid_of(tmp_path))


def test_methods_are_compared_with_source_only_and_corrected_among_themselves(tmp_path):
    """Gains of dann 2, 4 and 6 points, t = 3.464, and of mcd 5, 5 and 7, t = 8.5, both with drw; p as above."""
    write_cell(tmp_path, "ce", (0.3,), method="as_is")
    for method, recalls in (
        ("source_only", (0.5, 0.5, 0.5)),
        ("dann", (0.52, 0.54, 0.56)),
        ("mcd", (0.55, 0.55, 0.57)),
    ):
        write_cell(tmp_path, "drw", recalls, method=method)
    write_cell(tmp_path, "ce", (0.5, 0.5, 0.5), method="mcd")  # which source_only was not run with
    grid = grid_of(tmp_path)
    dann, mcd = found = differences(grid, "macro_recall", "methods")
    assert [(d.cell, d.over) for d in found] == [((m, "drw"), ("source_only", "drw")) for m in ("dann", "mcd")]
    p = 1 - 3.4641 / (3.4641**2 + 2) ** 0.5
    assert (dann.points, dann.holm_p) == pytest.approx((4, p), abs=1e-4)
    assert mcd.holm_p == pytest.approx(2 * (1 - 8.5 / (8.5**2 + 2) ** 0.5))
    head, *rows = differences_table(grid, "macro_recall", "methods")
    assert rows[0][: head.index("over") + 2] == ["dann", "drw", "source_only", "+4.0"]
    head, *rows = statistics_rows(grid)
    said = [dict(zip(head, row, strict=True)) for row in rows]
    by_methods = [row for row in said if row["between"] == "methods" and row["metric"] == "macro_recall"]
    assert [(row["method"], row["over"]) for row in by_methods] == [("dann", "source_only"), ("mcd", "source_only")]
    assert {(row["method"], row["over"]) for row in said if row["between"] == "losses"} == {("mcd", "ce")}
    assert "Over source_only with drw it has +5.7 points of mean recall (p = 0.014, p = 0.027 by Holm" in sentence(grid)


def test_methods_are_compared_with_the_control_of_batchnorm_too(tmp_path):
    for method in ("source_only", "source_bn", "dann"):
        write_cell(tmp_path, "ce", (0.5,), method=method)
    found = differences(grid_of(tmp_path), "accuracy", "methods")
    assert [(d.cell[0], d.over[0]) for d in found] == [
        ("source_bn", "source_only"), ("dann", "source_only"), ("dann", "source_bn"),
    ]  # fmt: skip


def test_options_of_a_method_are_compared_one_at_a_time(tmp_path):
    options = [{"weight": weight, "repeat": n} for weight, n in ((1, 4), (0.1, 4), (0.1, 2))]
    for one in options:
        write_cell(tmp_path, "ce", (0.5,), method="mcd", method_options=one)
    found = differences(grid_of(tmp_path), "accuracy", "methods")
    assert [(d.cell[0], d.over[0]) for d in found] == [
        ("mcd weight=0.1 repeat=4", "mcd weight=1 repeat=4"), ("mcd weight=0.1 repeat=2", "mcd weight=0.1 repeat=4"),
    ]  # fmt: skip


def test_identical_runs_count_as_a_comparison(tmp_path):
    """Three comparisons, of which di − drw is 0 on every seed; drw − ce and di − ce have t = 8.5."""
    write_cell(tmp_path, "ce", (0.50, 0.50, 0.50))
    for loss in ("drw", "di"):
        write_cell(tmp_path, loss, (0.55, 0.55, 0.57))
    p = 1 - 8.5 / (8.5**2 + 2) ** 0.5
    found = differences(grid_of(tmp_path), "macro_recall")
    assert [d.p for d in found] == pytest.approx([p, p, 1]) and [d.holm_p for d in found] == pytest.approx(
        [3 * p] * 2 + [1]
    )
    assert found[2].over_seeds == (0, 0) and found[2].within_noise


def test_a_difference_without_a_p_counts_as_a_comparison(tmp_path):
    """All seeds of drw gain 3 points, which have no spread to test against; there are three comparisons still."""
    write_cell(tmp_path, "ce", (0.50, 0.51, 0.52))
    write_cell(tmp_path, "drw", (0.53, 0.54, 0.55))
    write_cell(tmp_path, "di", (0.55, 0.56, 0.59))  # over ce 5, 5, 7; over drw 2, 2, 4
    constant, over_ce, over_drw = differences(grid_of(tmp_path), "macro_recall")
    assert (constant.p, constant.holm_p) == (None, None)
    assert over_ce.holm_p == pytest.approx(3 * over_ce.p) and over_drw.holm_p == pytest.approx(2 * over_drw.p)


def test_with_fewer_seeds_than_its_cell_a_difference_names_them(tmp_path):
    """DIFC gains 10 points on seed 0, the only one that cross-entropy has; its mean over seeds is 3 points lower."""
    write_scored(tmp_path, "ce", (0.5,))
    write_scored(tmp_path, "difc", (0.6, 0.55, 0.55))
    grid = grid_of(tmp_path)
    head, row = differences_table(grid, "macro_recall")
    assert row[head.index("seeds")] == "1 (seed 0)"
    head, _, row = ablation(grid)
    assert row[head.index("Δ recall vs ce")] == "+10.0 (seed 0)"
    assert "over cross-entropy +10.0 points of mean recall (seed 0 only; 95 % interval over faces" in sentence(grid)
    write_scored(tmp_path / "2", "ce", (0.5, 0.5, 0.5))
    write_scored(tmp_path / "2", "difc", (0.6, 0.55, 0.65, 0.7))
    assert "by Holm, seeds 0, 1, 2 only; 95 % interval over seeds" in sentence(grid_of(tmp_path / "2"))


def test_classes_that_moved_are_compared_on_the_same_seeds(tmp_path):
    """On seed 0 every class gains 10 points; the mean over all of DIFC's seeds would be 40."""
    write_cell(tmp_path, "ce", (0.5,))
    write_cell(tmp_path, "difc", (0.6, 0.9, 1.0, 1.0))
    assert "gains most (+10)" in sentence(grid_of(tmp_path))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((0.5, 0.9, 0.4), (0.85, 0.43, 0.5), "; a gains most (+35), b loses most (-47)."),
        ((0.5, 0.9, 0.4), (0.52, 0.99, 0.6), "; c gains most (+20), a gains least (+2)."),
        ((0.5, 0.9, 0.4), (0.5, 0.99, 0.6), "; c gains most (+20), a gains least (0)."),
        ((0.5, 0.9, 0.4), (0.49, 0.7, 0.35), "; a loses least (-1), b loses most (-20)."),
        ((0.5, None, 0.4), (0.6, None, 0.7), "; c gains most (+30), a gains least (+10)."),  # b does not occur
    ],
)
def test_a_class_that_loses_gains_nothing(tmp_path, before, after, said):
    for loss, recalls, value in (("ce", before, 0.5), ("difc", after, 0.6)):
        scores = dict.fromkeys(("source", "target"), flat_scores(3, value) | {"recall": recalls})
        write(tmp_path, record("mcd", loss, names=["a", "b", "c"], scores=scores))
    assert said in sentence(grid_of(tmp_path))


@pytest.mark.parametrize(
    ("gains", "faces", "equal"),
    [
        ((-1.0, 0.5, 0.7), (-2.0, 3.0), True),
        ((-1.0, 0.5, 0.7), (0.5, 3.0), False),  # other faces would hardly change it
        ((1.0, 1.1, 1.2), (-2.0, 3.0), False),  # other seeds would hardly
        ((-1.0, 0.5, 0.7), None, True),
        ((-1.0, 0.5), (-2.0, 3.0), True),
        ((1.0, 0.5), (-2.0, 3.0), False),
        ((1.0,), (-2.0, 3.0), True),
        ((1.0,), (0.5, 3.0), False),
        ((1.0,), None, False),
    ],
)
def test_what_may_be_zero_by_seeds_and_by_faces(gains, faces, equal):
    d = Difference(("a", "ce"), ("b", "ce"), "accuracy", 0.0, dict(enumerate(gains)), faces, None, None, 0.0, 9)
    d = replace(d, holm_p=paired_p(gains))
    assert d.may_be_zero is equal


def test_numbers_near_zero_have_a_second_decimal(tmp_path):
    """Gains of −0.03, 0.01 and 0.03 points: the mean is 0.003, and the interval over seeds −0.07 to +0.08."""
    write_cell(tmp_path, "ce", (0.5, 0.5, 0.5))
    write_cell(tmp_path, "difc", (0.4997, 0.5001, 0.5003))
    head, row = differences_table(grid_of(tmp_path), "macro_recall")
    assert row[head.index("95 % interval over seeds")] == "-0.07 to +0.08"


def test_a_focal_loss_is_compared_with_all_baselines(tmp_path):
    for loss in ("ce", "drw", "di"):
        write_cell(tmp_path, loss, (0.5,))
    write_cell(tmp_path, "focal", (0.5,))
    write_cell(tmp_path, "difc", (0.5,), method="dann")  # which has nothing to be compared with
    compared = {(d.cell[1], d.over[1]) for d in differences(grid_of(tmp_path), "accuracy")}
    assert {over for loss, over in compared if loss == "focal"} == {"ce", "drw", "di"}
    assert not [loss for loss, _ in compared if loss == "difc"]


def every_test_set(labels, gained, classes):
    """The gains in mean recall, over some classes, of all Nᴺ ways to draw N faces, by a loop."""
    n, values = len(labels), []
    for rows in product(range(n), repeat=n):
        parts = [[gained[i] for i in rows if labels[i] == k] for k in classes]
        parts = [sum(part) / len(part) for part in parts if part]
        values.append(sum(parts) / len(parts) if parts else 0.0)
    return np.array(values)


def test_the_interval_of_mean_recall_against_all_test_sets_that_can_be_drawn():
    """Five faces of three classes, of which one class has one face: 3,125 equally likely test sets."""
    labels, gained = [0, 0, 0, 1, 2], [1.0, 0.5, 0.0, -1.0, 0.5]
    values = every_test_set(labels, gained, range(3))
    low, high = bootstrap(np.array(labels), np.array(gained), "macro_recall", draws=200_000)
    # The ends stand on a lattice; each has to be the exact quantile, within the error of the share of draws below it.
    for end, share in ((low, 0.025), (high, 0.975)):
        assert np.quantile(values, share - 0.003) <= end + 1e-9 and end - 1e-9 <= np.quantile(values, share + 0.003)
    accuracy = every_test_set([0] * 5, gained, [0])  # the mean over faces
    assert bootstrap(np.array(labels), np.array(gained), "accuracy", draws=200_000) == pytest.approx(
        np.quantile(accuracy, [0.025, 0.975]).tolist(), abs=0.1 + 1e-9  # one step of the lattice
    )  # fmt: skip


def test_the_interval_of_accuracy_against_the_binomial():
    """300 faces of which 90 were put right: the number in a draw is binomial (300, 0.3)."""
    gained = np.repeat([1.0, 0.0], [90, 210])
    cumulative, ends, total = 0.0, [], 300
    for n in range(total + 1):
        before, cumulative = cumulative, cumulative + comb(total, n) * 0.3**n * 0.7 ** (total - n)
        ends += [n / total for share in (0.025, 0.975) if before < share <= cumulative]
    assert bootstrap(np.arange(300) % 7, gained, "accuracy") == pytest.approx(ends, abs=1.01 / total)


def test_recall_of_frequent_classes_ignores_the_others():
    """20 faces of class 0 put right half the time; 19 of class 1 are all put wrong and have no part in it."""
    labels = np.repeat([0, 1], [20, 19])
    gained = np.concatenate([np.tile([1.0, 0.0], 10), -np.ones(19)])
    low, high = bootstrap(labels, gained, "macro_recall_20")
    assert 0.2 < low < 0.36 and 0.64 < high < 0.8  # 0.5 ± 1.96 √(0.25 / 20) is 0.28 to 0.72
    low, high = bootstrap(labels, gained, "macro_recall")
    assert high < 0


@pytest.mark.parametrize(("metric", "gain"), [("accuracy", 0.2), ("macro_recall", 0.2)])
def test_the_interval_holds_the_true_difference_95_times_of_100(metric, gain):
    """Test sets of 200 faces of two classes; a face is put right with 0.3 and wrong with 0.1, whatever its class."""
    rng, held = np.random.default_rng(5), 0
    for _ in range(400):
        labels = rng.choice(2, 200, p=[0.75, 0.25])
        low, high = bootstrap(labels, rng.choice([1.0, -1.0, 0.0], 200, p=[0.3, 0.1, 0.6]), metric, draws=1000)
        held += low <= gain <= high
    assert 0.92 <= held / 400 <= 0.98  # the error of a share of 0.95 out of 400 is 0.011


def test_with_one_seed_the_interval_is_over_faces_and_net_faces_are_counted(tmp_path):
    labels = np.arange(60) % 3
    write_predictions(tmp_path, "ce", labels, np.where(np.arange(60) < 30, labels, (labels + 1) % 3))
    write_predictions(tmp_path, "di", labels, np.where(np.arange(60) < 48, labels, (labels + 1) % 3))
    (d,) = differences(grid_of(tmp_path), "accuracy")
    assert (d.p, d.holm_p, d.net_faces, d.faces) == (None, None, 18, 60) and d.points == pytest.approx(30)
    # 18 of 60 put right: 30 ± 196 √(0.3 · 0.7 / 60) is 18.4 to 41.6.
    assert d.over_faces == pytest.approx((18.4, 41.6), abs=1.8) and d.within_noise is False
    head, row = differences_table(grid_of(tmp_path), "accuracy")
    shown = dict(zip(head, row, strict=True))
    assert (shown["Δ accuracy"], shown["net faces"]) == ("+30.0", "+18") and "p" not in shown
    head, *rows = statistics_rows(grid_of(tmp_path))
    (row,) = [r for row in rows if (r := dict(zip(head, row, strict=True)))["metric"] == "accuracy"]
    assert float(row["difference"]) == pytest.approx(0.3) and row["low_over_seeds"] == row["p"] == ""
    assert (float(row["low_over_faces"]), float(row["high_over_faces"])) == pytest.approx((0.184, 0.416), abs=0.018)
    text = sentence(grid_of(tmp_path))
    assert "+30.0 points of mean recall (95 % interval over faces +" in text
    assert "(18 more of 60 faces are right)" in text
    assert text.endswith("One seed: an anecdote, not a result.") and "noise" not in text and "clearly" not in text


def test_two_seeds_are_means_over_seeds_face_by_face(tmp_path):
    """A face that one seed puts right and the other wrong has gained nothing: the interval has no width."""
    labels = np.arange(6) % 3
    half = np.arange(6) < 3
    right, wrong = labels, (labels + 1) % 3
    for seed, mine in ((0, half), (1, ~half)):
        write_predictions(tmp_path, "ce", labels, np.where(mine, right, wrong), seed)
        write_predictions(tmp_path, "di", labels, np.where(mine, wrong, right), seed)
    (d,) = differences(grid_of(tmp_path), "accuracy")
    assert d.seeds == 2 and d.over_faces == (0, 0) and d.within_noise


def write_scored(folder, loss, recalls, collapsed=()):
    """A run for each recall of 60 faces, whose outputs put that share right; seeds in ``collapsed`` have collapsed."""
    labels = np.arange(60) % 3
    for seed, value in enumerate(recalls):
        said = np.where(np.arange(60) < 60 * value, labels, (labels + 1) % 3)
        scores = flat_scores(3, value, collapsed=seed in collapsed)
        one = record("mcd", loss, seed, names=["a", "b", "c"], scores={"source": scores, "target": scores})
        write(folder, one, outputs(labels, np.eye(3)[said], seed))


def test_from_three_seeds_on_there_is_an_interval_over_faces_too_and_noise_of_either_counts(tmp_path):
    """Gains of 10, 10 and 11.7 points of 60 faces: sure over seeds, t = 19, and over faces 10.6 ± 196 √(0.1 / 60).

    Of 3.3, 3.3 and 5 points the seeds are sure too, t = 7, but two or three of 60 faces may well be none of others.
    """
    write_scored(tmp_path, "ce", (0.50, 0.50, 0.50))
    write_scored(tmp_path, "drw", (32 / 60, 32 / 60, 33 / 60))
    write_scored(tmp_path, "di", (0.60, 0.60, 0.60 + 1 / 60))
    (grid,) = load_grids(tmp_path)
    by_loss = {d.cell[1]: d for d in differences(grid, "macro_recall") if d.over[1] == "ce"}
    low, high = by_loss["di"].over_seeds
    assert by_loss["di"].holm_p < 0.01 and (low, high) == pytest.approx((10.556 - 2.39, 10.556 + 2.39), abs=0.01)
    assert by_loss["di"].over_faces == pytest.approx((10.6 - 7.8, 10.6 + 7.8), abs=1.5)
    assert by_loss["di"].within_noise is False
    assert by_loss["drw"].holm_p < 0.05 and by_loss["drw"].over_faces[0] == 0 and by_loss["drw"].within_noise
    head, *_ = differences_table(grid, "macro_recall")
    assert {"95 % interval over faces", "95 % interval over seeds", "p (Holm)"} <= set(head)
    head, first, *_ = statistics_rows(grid)
    shown = dict(zip(head, first, strict=True))
    assert all(shown[f"{end}_over_{what}"] for end in ("low", "high") for what in ("faces", "seeds"))
    text = sentence(grid)
    assert "3 seeds; 95 % interval over seeds +8.2 to +12.9, over faces +" in text


def test_two_seeds_are_shown_each_and_nothing_is_said_of_noise_but_that_of_faces(tmp_path):
    """One seed gains 20 points and the other none: the interval over faces is above 0, and chance may explain it."""
    write_scored(tmp_path, "ce", (0.5, 0.5), collapsed=(0, 1))
    write_scored(tmp_path, "di", (0.7, 0.5), collapsed=(1,))
    (grid,) = load_grids(tmp_path)
    (d,) = differences(grid, "macro_recall")
    assert d.over_faces[0] > 0 and d.within_noise
    text = sentence(grid)
    assert "; +20.0 with seed 0 and 0.0 with seed 1)" in text and "noise" not in text and "clearly" not in text
    assert "Two seeds are too few to say what others would give." in text
    assert "Collapsed: 1 of 2 runs of mcd + di, 2 of 2 runs of mcd + ce." in text


def test_the_simplest_loss_that_is_not_clearly_worse_than_the_best_is_named(tmp_path):
    """ce is 10 points behind in every seed but for noise of 0.1; drw is 1 ± 2 points behind."""
    write_cell(tmp_path, "ce", (0.500, 0.501, 0.499, 0.500))
    write_cell(tmp_path, "drw", (0.61, 0.57, 0.61, 0.57))
    write_cell(tmp_path, "di", (0.60, 0.59, 0.61, 0.58))
    write_cell(tmp_path, "difc", (0.60, 0.60, 0.60, 0.601))
    text = sentence(grid_of(tmp_path))
    assert (
        text.startswith("mcd + difc")
        and "The simplest loss that is not clearly worse is drw: difc has +1.0 points over it (p = 0." in text
    )


def test_without_outputs_of_one_seed_nothing_is_said_of_noise(tmp_path):
    write_cell(tmp_path, "ce", (0.5,))
    write_cell(tmp_path, "di", (0.6,))
    (d,) = differences(grid_of(tmp_path), "macro_recall")
    assert d.over_faces is None and d.within_noise is None
    assert "noise" not in sentence(grid_of(tmp_path))


def test_the_untrained_classifier_stands_for_every_seed_on_either_side(tmp_path):
    write_cell(tmp_path, "ce", (0.7,), method="as_is")
    write_cell(tmp_path, "ce", (0.60, 0.61, 0.65))
    grid = grid_of(tmp_path)
    for sign, cells in ((-1, [("mcd", "ce"), ("as_is", "ce")]), (1, [("as_is", "ce"), ("mcd", "ce")])):
        d = difference(grid, *cells, "macro_recall")
        assert d.seeds == 3 and d.points == pytest.approx(sign * 8) and d.p == pytest.approx(0.0342, abs=1e-3)
    best, others = to_best(grid, "macro_recall")
    assert best == ("as_is", "ce") and [d.over for d in others] == [("mcd", "ce")]


@pytest.mark.parametrize(("few", "sure"), [(9, None), (10, False)])
def test_an_interval_over_few_faces_of_a_class_is_no_evidence_against_noise(tmp_path, few, sure):
    """All of a rare class put right: the bootstrap over its faces knows no other outcome."""
    labels = [0] * 40 + [1] * 40 + [2] * few
    write_predictions(tmp_path, "ce", labels, [0] * 40 + [1] * 40 + [0] * few)
    write_predictions(tmp_path, "di", labels, labels)
    grid = grid_of(tmp_path)
    (d,) = differences(grid, "macro_recall")
    assert d.over_faces[0] > 0 and d.within_noise is sure
    note = [f"fewer than 10 test faces: c ({few})" in line for line in thin_note(grid)]
    assert note == [True] * (few < 10) and ("too narrow" in evidence(d)) is (few < 10)
    (by_accuracy,) = differences(grid, "accuracy")
    assert by_accuracy.within_noise is False and "too narrow" not in evidence(by_accuracy)


def test_an_interval_that_is_too_narrow_and_contains_0_still_says_that_it_may_be_noise(tmp_path):
    labels = [0] * 40 + [1] * 5
    for loss, wrong in (("ce", 0), ("di", 1)):
        write_predictions(tmp_path, loss, [*labels, 2], [1, *labels[1:], 2] if wrong else [0, 1, *labels[2:], 2])
    (d,) = differences(grid_of(tmp_path), "macro_recall")
    assert d.thin and d.over_faces[0] <= 0 <= d.over_faces[1] and d.within_noise is True and d.may_be_zero
