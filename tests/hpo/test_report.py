"""A study's report says no more than its numbers do."""

import re

import numpy as np
import optuna
import pytest
import scipy.stats
from processes import here
from studies import SPACE, config
from test_study import fake_study

from pa_difc.evaluation import CRITERIA
from pa_difc.tuning.assessment import Line
from pa_difc.tuning.explained import few_trials, near_ends, reasons, standing
from pa_difc.tuning.figures import doubt, figures
from pa_difc.tuning.gain import gain_sentence
from pa_difc.tuning.plan import StudyPlan
from pa_difc.tuning.progress import Board, Progress
from pa_difc.tuning.report import RANK, title_of
from pa_difc.tuning.sampler import make_sampler
from pa_difc.tuning.search import best_toml
from pa_difc.tuning.space import LAST_EPOCH, Dimension
from pa_difc.tuning.study import SELECTIONS, Choice, choose
from pa_difc.tuning.tables import gain_table, main_table, trials_csv, trials_table


def line(*recalls):
    return Line("", {"macro_recall": [recall / 100 for recall in recalls]}, [], [], collapsed=False)


def gained(*points):
    base = (40.0, 50.0, 45.0, 42.0, 48.0)[: len(points)]
    return gain_sentence([line(*(b + g for b, g in zip(base, points, strict=True))), line(*base)], "dim")


def test_a_gain_smaller_than_chance_makes_is_not_called_one():
    """Mean 0.533 and deviation 0.493 over 3 seeds: t = 1.87, p = 0.20; 0.533 ± 4.303 · 0.493 / √3."""
    said = gained(0.3, 0.2, 1.1)
    assert "can't be told from no change (+0.5 points; 95 % interval -0.7 to +1.8, p = 0.202, " in said
    assert "paired t-test over 3 seeds): 45.5 % against 45.0 % with the defaults" in said
    assert "raised" not in said and "lowered" not in said


@pytest.mark.parametrize(("sign", "word"), [(1, "raised"), (-1, "lowered")])
def test_a_gain_that_chance_hardly_makes_is(sign, word):
    """Mean 2 and deviation 0.2 over 3 seeds: t = 17.3, p = 0.0033; 2 ± 4.303 · 0.2 / √3."""
    said = gained(*(sign * gain for gain in (1.8, 2.0, 2.2)))
    assert f"Tuning {word} mean recall on dim by 2.0 points (95 % interval" in said
    assert ("+1.5 to +2.5" if sign > 0 else "-2.5 to -1.5") in said and "p = 0.003" in said


@pytest.mark.parametrize("points", [(1.0,), (2.0, 1.9)])
def test_fewer_than_three_seeds_are_not_tested(points):
    said = gained(*points)
    assert "can't be tested with fewer than 3 seeds: give more to --confirm-seeds" in said
    assert "raised" not in said and "p =" not in said and "interval" not in said


def test_one_difference_on_all_seeds_is_not_tested_either():
    assert "can't be tested with the same difference on every seed" in gained(1.0, 1.0, 1.0)


def test_a_choice_of_the_defaults_changes_nothing():
    assert "Tuning did not change mean recall on dim" in gained(0.0, 0.0, 0.0)


def test_a_line_never_has_a_value_above_the_best_beside_it(capsys):
    """Workers finish between two looks: two trials are new at once, and one more comes while lines are printed."""
    study = optuna.create_study(direction="maximize")
    board = Board(study, 4, "im", [])

    def finish(*values):
        for value in values:
            study.add_trial(optuna.create_trial(values=[value]))

    print_line = board.print
    board.print = lambda line: (print_line(line), finish(0.99) if len(study.trials) == 2 else None)
    finish(0.91, 0.9304)
    board.look()
    board.look()
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r" · \d+ (s|min) left$", "", line) for line in lines] == [
        "trial 0  im 0.9100  1 of 4 done · best im 0.9100",
        "trial 1  im 0.9304  2 of 4 done · best im 0.9304",
        "trial 2  im 0.9900  3 of 4 done · best im 0.9900",
    ]


def test_each_finished_trial_is_a_line_wherever_it_is_printed_to(capsys, monkeypatch):
    """Also in a pipe, whatever standard error is; those that were there at the beginning are not news."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    now = iter([0.0, 60.0, 60.0, 180.0, 180.0])
    monkeypatch.setattr("pa_difc.tuning.progress.time.monotonic", lambda: next(now))
    study = optuna.create_study(direction="maximize")
    study.add_trial(optuna.create_trial(values=[0.5]))
    progress = Progress(study, 5, "im")
    assert progress.title(study.ask()) == "trial 1  1 of 5 done · best im 0.5000"
    for trial in (optuna.create_trial(values=[0.25]), optuna.create_trial(state=optuna.trial.TrialState.PRUNED)):
        study.add_trial(trial)
        progress.say()
    assert capsys.readouterr().out.splitlines() == [
        "trial 2  im 0.2500  2 of 5 done · best im 0.5000 · 3 min left",
        "trial 3  stopped early  3 of 5 done · best im 0.5000 · 3 min left",
    ]


def chosen_of(rows, selection):
    rng = np.random.default_rng(0)
    good = rng.dirichlet(np.ones(7) * 0.3, 50)
    return choose(fake_study([(*row, good) for row in rows]), selection)


def test_the_choice_names_its_criterion_and_that_of_the_best_value():
    rows = [(0.9, 0.6, -0.1), (0.95, 0.5, -0.1), (0.8, 0.4, -0.1)]
    assert reasons(chosen_of(rows, "im"), "im") == ["Trial 1 is chosen by im."]
    choice = chosen_of(rows, "consensus")
    choice = Choice(choice.candidates[0], choice.candidates, choice.scores, choice.feasible)
    said = " ".join(reasons(choice, "consensus"))
    assert "Trial 0 is chosen by consensus over several criteria: mean rank by im, class_ami and ensv" in said
    assert said.endswith("The best im is trial 1's: 0.9500 against 0.9000.")


def test_a_better_value_that_costs_source_recall_is_explained():
    said = " ".join(reasons(chosen_of([(0.9, 0.6, -0.1), (0.95, 0.9, 0.1)], "consensus"), "consensus"))
    assert said.endswith("0.9500 against 0.9000, but that trial does not keep the source's recall.")
    said = " ".join(reasons(chosen_of([(0.9, 0.6, 0.2), (0.95, 0.9, 0.1)], "consensus"), "consensus"))
    assert "No trial keeps the source's recall, so all could be chosen." in said


def test_where_the_chosen_trial_stands_by_labels():
    choice = chosen_of([(0.8, 0.6, -0.1), (0.95, 0.5, -0.1), (0.9, 0.4, -0.1)], "im")
    assert choice.chosen.number == 1
    assert standing(choice, [0.5, 0.6, 0.6]) == ""
    assert standing(choice, [0.5, 0.55, 0.6]).startswith("By target labels, 1 of 3 trials are better")
    assert standing(choice, [0.5, 0.45, 0.612]).endswith(
        "the chosen trial is the worst of 3, 16.2 points below the best."
    )


@pytest.mark.parametrize(("name", "number", "is_random"), [(n, k, k < 10) for n in ("tpe", "gp") for k in (9, 10)])
def test_trials_are_few_while_the_sampler_draws_at_random(name, number, is_random):
    """The next value after some trials is that of a random sampler with the same seed, or not."""
    x = {"x": optuna.distributions.FloatDistribution(0, 1)}
    study = optuna.create_study(sampler=make_sampler(name, 0))
    for k in range(number):
        study.add_trial(optuna.create_trial(params={"x": k / 10}, distributions=x, value=k))
    seed = int(np.random.SeedSequence([0, number]).generate_state(1)[0])
    alike = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    assert (study.ask(x).params == alike.ask(x).params) == is_random


@pytest.mark.parametrize(("number", "said"), [(1, "Only 1 trial:"), (10, "Only 10 trials:"), (11, "")])
def test_few_trials_are_said(number, said):
    found = " ".join(few_trials(chosen_of([(0.9, 0.6, -0.1)] * number, "im")))
    assert found.startswith(said) and bool(found) == bool(said)


@pytest.mark.parametrize(
    ("value", "end"),
    [(2.861, "upper"), (1.95, None), (2.05, "upper"), (0.3, None), (0.0762, None), (0.0745, "lower"), (0.05, "lower")],
)
def test_the_outer_tenth_of_a_range_by_its_scale(value, end):
    """0.05 … 3 spans ln 60 = 4.094, a tenth of which is a factor of 1.506: below 0.0753 and above 1.992."""
    assert SPACE["max_margin"].near_end(value, 0.3, 40) == end


def test_ends_on_a_linear_scale_and_ranges_that_can_t_be_wider():
    linear = Dimension("", low=0.0, high=3.0)
    assert [linear.near_end(v, 1.0, 40) for v in (0.29, 0.31, 2.69, 2.71)] == ["lower", None, None, "upper"]
    assert Dimension("", low=0, high=LAST_EPOCH).near_end(0, 5, 40) is None
    assert Dimension("", choices=(1, 2)).near_end(1, 1, 40) is None
    assert Dimension("", around=10, log=True).near_end(0.0095, 0.001, 40) == "upper"


def test_a_choice_at_the_end_of_its_range_says_how_to_widen_it():
    trial = optuna.create_trial(
        values=[0.9],
        params={"max_margin": 2.861, "epsilon": 0.1},
        distributions={k: optuna.distributions.FloatDistribution(0.001, 9) for k in ("max_margin", "epsilon")},
    )
    space = {key: SPACE[key] for key in ("max_margin", "epsilon")}
    (said,) = near_ends(Choice(trial, [trial], {}, [True]), space, config())
    assert "max_margin 2.86 lies at the upper end of 0.05 … 3" in said
    assert "--space FILE.py" in said and "--study NAME" in said


def test_the_help_says_which_source_a_toy_target_has(capsys):
    _, out, _ = here("search", "--help")
    assert "(default: raf_db; for a toy target toy_studio)" in " ".join(out.split())


def test_the_trials_table_has_what_the_choice_goes_by():
    rows = [(0.9, 0.6, -0.1), (0.95, 0.5, -0.1), (0.8, 0.4, 0.2)]
    choice = chosen_of(rows, "consensus")
    head, *body = trials_table(choice, "im", None)
    assert head == ["trial", "im (objective)", "class_ami", "ensv", "rank", "keeps source recall"]
    assert [row[1] for row in body] == ["0.9000", "0.9500", "0.8000"] and [row[-1] for row in body] == [
        "yes",
        "yes",
        "no",
    ]
    places = np.array([scipy.stats.rankdata([-v for v in choice.scores[name]]) for name in ("im", "class_ami", "ensv")])
    assert [float(row[4]) for row in body] == [pytest.approx(value, abs=0.005) for value in places.mean(axis=0)]
    assert trials_table(choice, "bnm", None)[0][1:3] == ["bnm (objective)", "im"]
    name, *numbers = trials_csv(choice, None)
    assert set(CRITERIA) | {"ensv", "rank", "chosen"} <= set(name)
    assert [row[name.index("chosen")] for row in numbers].count(True) == 1


def test_the_gain_is_a_row_of_a_table_too():
    def table(*points):
        base = (40.0, 50.0, 45.0)[: len(points)]
        lines = [line(*(b + g for b, g in zip(base, points, strict=True))), line(*base)]
        head, row = gain_table(lines)
        return dict(zip(head, row, strict=True))

    found = table(1.8, 2.0, 2.2)
    assert (found["Δ, points"], found["95 % interval"], found["p"], found["seeds"]) == (
        "+2.0",
        "+1.5 to +2.5",
        "0.003",
        "3",
    )
    assert table(1.0, 2.0)["p"] == table(1.0, 2.0)["95 % interval"] == "–"


def test_importance_of_few_trials_has_a_caveat():
    assert "2 trials are too few to rank settings by" in doubt(12) and "1 trial is too few" in doubt(4)
    assert "too few" not in doubt(50)


@pytest.mark.parametrize(("given", "end"), [({}, ""), ({"study": "mine"}, " · mine")])
def test_a_study_s_title_is_words_and_best_toml_says_whose_values_it_has(given, end, tmp_path):
    settings = config(source="toy_studio", target="toy_street")
    plan = StudyPlan(settings, {key: SPACE[key] for key in ("max_margin", "epsilon")}, tmp_path, **given)
    assert title_of(plan) == f"Tuning dann + difc, toy_studio → toy_street{end}"
    written = best_toml(plan, optuna.create_trial(values=[0.9], params={}, distributions={}))
    for words in ("toy_studio → toy_street", "method dann", "loss difc", f"Study {plan.name}"):
        assert words in written.partition("[")[0], words


def test_what_differs_from_the_published_ensv_is_said():
    assert "not by accuracy" in RANK and "in the paper by accuracy" in SELECTIONS["ensv"]


def line_of(frequent):
    values = {"accuracy": [0.5], "macro_recall": [0.4], "macro_recall_20": [frequent], "macro_f1": [0.3]}
    return Line("chosen", values, [0.4], [1], False)


@pytest.mark.parametrize(("frequent", "shown"), [(0.4, False), (0.45, True)])
def test_recall_of_frequent_classes_is_shown_only_where_it_differs(frequent, shown):
    head, row = main_table([line_of(frequent)])
    assert ("≥ 20 faces, %" in head) == shown == ("45.0" in row) and len(head) == len(row)


def test_every_figure_says_what_it_shows_and_the_objective_has_its_name():
    study = fake_study([(0.9, 0.6, -0.1, np.eye(2)), (0.8, 0.5, -0.1, np.eye(2)[::-1])])
    shown = {title: caption for title, _, caption in figures(study, choose(study, "im"), None, ["a", "b"], "im")}
    assert shown["History"].endswith("is im.") and all(caption.endswith(".") for caption in shown.values())
