"""The plan of ``pa-difc adapt``: how long, and on how many faces, is trained within a budget."""

import re

import numpy as np
import pytest
from made import random_faces

from pa_difc.commands import adapt as command
from pa_difc.commands import budget as planning
from pa_difc.commands.budget import decide, fewer_faces, read_budget
from pa_difc.commands.measuring import Pace
from pa_difc.data import Domain
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("2h", 7200), ("1m5s", 65)])
def test_a_budget_is_a_time(text, seconds):
    assert read_budget(text) == seconds


def plan_of(budget, step=(("source_only", 0.5), ("mean_teacher", 1.5)), spent=0.0, epoch=0.0, end=0.0):
    """A plan for a source of 3,000 faces and a target of 100, at 0.01 s a predicted face, of which there are 60."""
    source = Domain("s", random_faces(3000, 0), random_faces(40, 1))
    target = Domain("t", random_faces(100, 2), random_faces(20, 3))
    pace = Pace("float32", 0.9, dict(step), 0.01, 0.0, epoch, end)
    methods = [method for method, _ in step]
    more = {"batch_size": 30, "most_epochs": 3, "key": "k", "budget": budget, "spent": spent}
    return decide(methods, pace, source, target, **more)


def test_epochs_are_as_many_as_there_is_time_for():
    """An epoch is 100 steps of 2 s for both cells, scoring 0.6 s a cell. 700 s, 65 % planned: 2 epochs."""
    plan = plan_of(700)
    assert (plan.epochs, plan.steps, plan.faces) == (2, 100, 3000)
    assert plan.seconds == pytest.approx([0.6 + 100, 0.6 + 300])
    assert plan_of(10_000).epochs == 3  # more are not worth it
    late = plan_of(10_000, spent=9_300)
    assert (late.epochs, late.seconds) == (2, plan.seconds)  # what is gone is gone


def test_checkpoints_and_scores_take_time_too():
    """Of the 65 % of 700 s, two cells have 4 s less each of two epochs, and 20 s less for their ends."""
    plan = plan_of(700, epoch=4.0, end=20.0)
    assert (plan.epochs, plan.steps) == (2, 99)  # (455 − 2 · (0.6 + 2 · 4 + 20)) / 2 = 198.9 steps
    assert plan.seconds == pytest.approx([0.6 + 8 + 20 + 99, 0.6 + 8 + 20 + 3 * 99])
    untrained = plan_of(10_000, step=(("source_only", 0.5),), epoch=4.0, end=20.0)
    assert untrained.seconds == pytest.approx([0.6 + 3 * 4 + 20 + 150])


@pytest.mark.parametrize(("budget", "steps"), [(100, 31), (400, 129)])
def test_where_two_epochs_do_not_fit_fewer_faces_are_trained_on_for_both_phases(budget, steps):
    """100 s: (65 − 1.2) / 2 = 31.9 steps of 30 faces; 400 s: 129.4 steps, and an epoch of all faces has 100."""
    plan = plan_of(budget)
    assert (plan.epochs, plan.steps) == (2, steps // 2) and plan.faces == steps // 2 * 30
    cell = resolve(Settings.of(method="mean_teacher", loss="difc", crop_px=32))
    (settings,) = planning.planned([cell], plan)
    assert settings.loss.confusion_epoch == settings.loss.reweight_epoch == 1


@pytest.mark.parametrize(("steps", "epochs"), [(1, 100), (23, 87), (399, 6), (400, 5), (900, 5)])
def test_small_data_is_trained_on_for_more_epochs(steps, epochs, monkeypatch):
    """Five epochs of 23 steps taught next to nothing, and five of 400 steps are 2,000."""
    monkeypatch.setattr(planning, "MOST_STEPS", 2000)
    assert planning.epochs_at_most(5, steps) == epochs


def test_a_plan_says_when_the_budget_is_not_what_limits_it():
    domain = Domain("s", random_faces(40, 0), random_faces(10, 1))
    plan = planning.Plan("k", 7, 2, 40, 10, "float32", 1.0, [1.0])
    assert "7 epochs of 2 steps, the most that adapt trains; " in planning.describe(plan, domain, domain, 7)
    assert "7 epochs of 2 steps; " in planning.describe(plan, domain, domain, 8)


def test_a_budget_that_is_too_short_says_what_is_needed():
    """Ten steps of 2 s and scoring, 21.2 s, are 65 % of 33 s."""
    with pytest.raises(UserError, match=r"too short; 2 cells take at least 33 s here: give --budget 50s$") as refused:
        plan_of(20)
    assert len(f"error: {refused.value}") < 80  # an error is one line, and fits a terminal


@pytest.mark.parametrize("spent", [0.0, 15.0, 170.0, 2500.0])
@pytest.mark.parametrize("most_scored", [10, 100_000])
def test_the_budget_that_an_error_names_will_do(spent, most_scored, monkeypatch):
    """Also if more time means that more faces are scored, and if a tenth more is used up the next time."""
    monkeypatch.setattr(planning, "FEWEST_SCORED", most_scored)
    for budget in (1, 20, 40):
        try:
            plan_of(budget, spent=spent)
        except UserError as error:
            named = read_budget(re.search(r"give --budget (\w+)$", str(error))[1])
            plan = plan_of(named, spent=1.1 * spent)
            assert plan.epochs * plan.steps >= 10
            assert named < 2 * (spent + 40)  # and is no more than that


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "10s"), (90, "90s"), (91, "100s"), (121, "3m"), (600, "10m"), (601, "15m"), (5000, "85m")]
)
def test_a_budget_that_is_named_is_rounded_up(seconds, text):
    assert planning.round_budget(seconds) == text and read_budget(text) >= seconds


@pytest.mark.parametrize(
    ("epochs", "said"), [(4, "a larger --budget"), (5, "more epochs than the 5 of adapt (pa-difc compare --epochs)")]
)
def test_more_time_is_advised_only_where_it_is_used(epochs, said):
    plan = planning.Plan("k", epochs, 10, 100, 100, "float32", 1.0, [1.0])
    assert command._longer(plan, 5) == said


def test_a_large_target_is_judged_by_a_part_of_it(monkeypatch):
    """A fifth of 500 s, for 2 cells and 2 domains at 0.01 s a face: 2,500 of each; at least 1,000."""
    monkeypatch.setattr(planning, "FEWEST_SCORED", 10)
    assert plan_of(500).scored == 2500
    monkeypatch.setattr(planning, "FEWEST_SCORED", 3000)
    assert plan_of(500).scored == 3000


def planned_for(faces, scored):
    return planning.Plan("k", 1, 10, faces, scored, "float32", 1.0, [1.0])


def test_rare_classes_stay_whole_where_others_are_thinned_out():
    faces = random_faces(2000, 0)
    labels = np.repeat([0, 1, 2, 3], [1500, 300, 180, 20])
    faces = type(faces)(faces.images, faces.landmarks, labels, faces.names)
    domain = Domain("s", faces, faces)
    less = fewer_faces(domain, planned_for(1000, 200), by_label=True)
    assert less.train_counts[:4] == [750, 150, 90, 20] and less.test_counts[:4] == [150, 50, 50, 20]
    assert set(less.train.names) <= set(faces.names) and less.train.names == tuple(sorted(less.train.names, key=place))
    assert fewer_faces(domain, planned_for(2000, 2000), by_label=True) is domain


def place(name):
    return int(name.removeprefix("face"))


def test_of_the_target_faces_are_left_out_whatever_their_labels():
    faces = random_faces(500, 0)
    one, other = Domain("t", faces, faces), Domain("t", faces.without_labels(), faces.without_labels())
    first, second = (fewer_faces(domain, planned_for(120, 30), by_label=False) for domain in (one, other))
    assert first.train.names == second.train.names and len(first.train) == 120
    assert first.test.names == second.test.names and len(first.test) == 30


@pytest.mark.parametrize("left", [-500.0, 0.0, 3.0, 1000.0])
def test_the_pretrained_classifier_is_planned_however_little_time_is_left(left):
    domain = Domain("s", random_faces(20, 0), random_faces(400, 1))
    plan = planning.untrained(Pace("float32", 1.0, {}, 0.5), domain, domain, left=left, key="k", why="too short")
    assert plan.steps == 0 and plan.scored == max(100, int(0.65 * left)) and plan.left_out == "too short"


def test_one_cell_is_not_several_at_a_time_and_what_is_past_is_not_planned():
    domain = Domain("s", random_faces(40, 0), random_faces(10, 1))
    one, two = (planning.Plan("k", 2, 2, 40, 10, "float32", 1.0, [20.0] * n) for n in (1, 2))
    assert "at a time" not in planning.describe(one, domain, domain, 7, jobs=2)
    assert planning.describe(two, domain, domain, 7, jobs=3).endswith("about 20 s from here, 2 cells at a time")
