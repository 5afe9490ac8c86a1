"""What a figure shows is legible: bars stay on their scale, and labels cover no point, label or axis."""

from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure as Drawn
from records import flat_scores, load_grids, record, state, write

from pa_difc.report.classes import trajectory
from pa_difc.report.drawing import within
from pa_difc.report.figures import figures, recalls
from pa_difc.report.labels import places
from pa_difc.report.plane import draw, plane_of
from pa_difc.report.shift import lines_from_records
from pa_difc.report.shift_figures import draw_scores

matplotlib.use("agg")


def scores_of(recall):
    scores = flat_scores(7, float(np.mean(recall))) | {"recall": list(recall)}
    return dict.fromkeys(("source", "target"), scores)


def bar_ends(ax):
    """The ends of all error bars on the y axis."""
    lines = [line for bars in ax.containers if (found := getattr(bars, "errorbar", bars)) for line in found.lines[2]]
    return np.array([segment[:, 1] for line in lines for segment in line.get_segments()])


def test_bars_of_recalls_stay_between_0_and_100(tmp_path):
    for seed, recall in enumerate(([0.0, 0.9] + [0.5] * 5, [0.0, 1.0] + [0.4] * 5, [0.7, 1.0] + [0.3] * 5)):
        write(tmp_path, record("mcd", "ce", seed, scores=scores_of(recall)))
    (grid,) = load_grids(tmp_path)
    ax = Drawn().subplots()
    recalls(ax, grid, "mcd")
    ends = bar_ends(ax)
    assert ends.min() == 0 and ends.max() == 100
    assert "Deviations are cut at 0 and 100 %." in figures(grid)["mcd"][0].caption


def test_bars_over_draws_stay_between_0_and_100():
    made = []
    for draw_number, value in enumerate((0.0, 0.0, 0.2)):
        data = {"target_shift": 1.0, "shift_draw": draw_number}
        made.append(
            record("mcd", "ce", scores={side: flat_scores(7, value) for side in ("source", "target")}, data=data)
        )
    lines, ax = lines_from_records(made), Drawn().subplots()
    draw_scores(ax, lines, "macro_recall", lines)
    assert bar_ends(ax).min() == 0


@pytest.mark.parametrize(("mean", "spread", "ends"), [(5, 8, (5, 8)), (97, 8, (8, 3)), (50, 8, (8, 8)), (0, 1, (0, 1))])
def test_a_bar_is_cut_on_the_side_that_leaves_the_scale(mean, spread, ends):
    assert tuple(within(np.array(mean), np.array(spread))) == ends


def test_phases_are_named_beside_the_curves_and_not_on_them(tmp_path):
    history = [state([0.1] * 7, [1.0] * 7, "difc" if e > 4 else "di", e > 2) for e in range(8)]
    write(tmp_path, record("mcd", "difc", history=history))
    (grid,) = load_grids(tmp_path)
    ax = Drawn().subplots()
    trajectory(ax, grid.runs[0], "margins")
    assert ax.get_legend_handles_labels()[1][-2:] == ["weights start", "confusion starts"] and not ax.texts


def test_labels_cover_no_point_label_or_edge():
    means = [(10, 10), (10.4, 10.4), (9.6, 9.7), (10, 9.5), (10.5, 10), (30, 30), (30.1, 30.1)]
    labels = ["as_is", "", "source_only", "", "", "mcd + difc (highest)", ""]
    size = (290, 380)
    boxes = []
    for label, (x, y), place in zip(
        labels, means, places(labels, means, [], ((9.6, 30.1), (9.5, 30.1)), size), strict=True
    ):
        left = (
            18
            + (x - 9.6) / 20.5 * 254
            + place.dx
            - 6 * len(label) * {"left": 0, "center": 0.5, "right": 1}[place.align]
        )
        bottom = 18 + (y - 9.5) / 20.6 * 344 + place.dy - 6
        boxes += [(left, left + 6 * len(label), bottom, bottom + 12)] if label else []
    points = [(18 + (x - 9.6) / 20.5 * 254, 18 + (y - 9.5) / 20.6 * 344) for x, y in means]
    for a, b, c, d in boxes:
        assert a >= 0 and b <= 290 and c >= 0 and d <= 380
        assert not [p for p in points if a <= p[0] <= b and c <= p[1] <= d]
    assert not [1 for p, q in combinations(boxes, 2) if p[0] < q[1] and q[0] < p[1] and p[2] < q[3] and q[2] < p[3]]


def test_a_drawn_label_lies_on_no_marker(tmp_path):
    for method, value in (("source_only", 0.33), ("dann", 0.345), ("mcd", 0.34), ("safn", 0.5)):
        write(tmp_path, record(method, "ce", scores=scores_of([value] * 7)))
    (grid,) = load_grids(tmp_path)
    plane = plane_of(grid, None)
    figure = Drawn(figsize=(5.4, 4.0), layout="constrained")
    ax = figure.subplots()
    draw(ax, plane)
    figure.draw_without_rendering()
    points = ax.transData.transform([(np.mean(p.x), np.mean(p.y)) for p in plane.points])
    assert ax.texts
    for text in ax.texts:
        box = text.get_window_extent()
        assert not any(box.contains(*point) for point in points) and ax.bbox.contains(box.x0, box.y0)
