"""Choosing without target labels, on predictions written by hand."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from records import flat_scores, load_grids, record
from records import write as write_files

from pa_difc.evaluation.criteria import ensemble_agreement, information_maximization
from pa_difc.report.certainty import certainty
from pa_difc.report.choice_lead import sentence_of_choice
from pa_difc.report.choice_tables import candidates_table, judged, selection_notes
from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.lead import sentence
from pa_difc.report.selection import select
from pa_difc.report.tables import ablation
from pa_difc.util.errors import UserError

N = 70
LOSSES_OF_MANY = ("ce", "drw", "margin", "di", "difc")
TRUTH = np.arange(N) % 7


def told(said, sure=0.9):
    """Probabilities that say these classes."""
    return ((1 - sure) / 6 + (sure - (1 - sure) / 6) * np.eye(7)[said]).astype(np.float32)


def wrong(share, seed):
    """The truth, but a share of it replaced by another class: another one for each seed."""
    said = TRUTH.copy()
    chosen = np.random.default_rng(seed).permutation(N)[: int(share * N)]
    said[chosen] = (said[chosen] + 1 + seed) % 7
    return said


def write(folder, method, loss, target, source=TRUTH, seed=0, sure=0.9):
    """A run that predicts so on target and source; its features are the target's classes, blurred."""
    kept = [float((source == TRUTH)[k == TRUTH].mean()) for k in range(7)]
    known = flat_scores(7, float(np.mean(kept))) | {"recall": kept}
    scores = {"source": known, "target": flat_scores(7, float((target == TRUTH).mean()))}
    counts = {"train_counts": [10] * 7, "test_counts": [N // 7] * 7}
    rng = np.random.default_rng(seed)
    features = (3 * np.eye(7)[TRUTH] + rng.normal(size=(N, 7))).astype(np.float16)
    arrays = {"labels": TRUTH.astype(np.int8), "kept": np.arange(N), "features": features}
    outputs = {f"{side}_{part}": a for side in ("source", "target") for part, a in arrays.items()}
    outputs |= {"source_probs": told(source), "target_probs": told(target, sure)}
    return write_files(folder, record(method, loss, seed, scores=scores, counts=counts), outputs)


def blind(path):
    """A run's files as they are for a target without labels."""
    record = json.loads((path / "record.json").read_text())
    said = dict(np.load(path / "outputs.npz"))
    predicted = np.bincount(said["target_probs"].argmax(axis=1), minlength=7)
    del record["scores"]["target"]
    record["scores"]["unlabelled_target"] = {
        "predicted": predicted.tolist(),
        "collapsed": int((predicted > 0).sum()) < 4,
    }
    (path / "record.json").write_text(json.dumps(record))
    np.savez(path / "outputs.npz", **said | {"target_labels": np.full(N, -1, np.int8)})


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "source_only", "ce", wrong(0.5, 0))
    write(tmp_path, "dann", "ce", wrong(0.3, 1))
    write(tmp_path, "mcd", "ce", wrong(0.1, 2))
    return tmp_path


def grid_of(folder):
    (grid,) = load_grids(folder)
    return grid


def test_the_best_is_found_without_a_label_and_labels_tell_that_it_was(folder):
    assert select(grid_of(folder)).chosen.name == "mcd + ce"
    head, consensus, *others = judged(select(grid_of(folder)))
    assert head[0] == "criterion" and consensus[:4] == ["consensus", "mcd + ce", "90.0", "0.0"]
    assert float(consensus[4]) > 0.8
    assert {row[0] for row in others} == {"im", "class_ami", "ensv", "bnm", "snd", "src_macro"}
    assert {row[0]: row[-1] for row in others}["src_macro"] == "–"  # all are alike on the source


def test_regret_is_what_the_pick_lacks_to_the_best(folder):
    # Four more that agree in one error: the mean of all predictions is theirs, and EnsV goes with them.
    for method in ("safn", "star", "mdd", "cdan"):
        write(folder, method, "ce", (TRUTH + (TRUTH < 2) * 3) % 7)
    rows = {row[0]: row for row in judged(select(grid_of(folder)))}
    pick, recall, regret = rows["ensv"][1:4]
    assert pick != "mcd + ce" and float(regret) == pytest.approx(90.0 - float(recall), abs=0.1) and float(regret) > 0


def test_confidence_wins_by_information_maximisation_and_not_by_consensus(folder):
    write(folder, "safn", "ce", wrong(0.4, 4), sure=0.999)
    rows = {row[0]: row for row in judged(select(grid_of(folder)))}
    assert rows["im"][1] == "safn + ce" and rows["consensus"][1] == "mcd + ce"


def test_scores_are_those_of_the_criteria_and_means_over_seeds(folder):
    write(folder, "mcd", "ce", wrong(0.2, 3), seed=1)
    (mcd,) = [c for c in select(grid_of(folder)).candidates if c.method == "mcd"]
    runs = {(c.method, r.cell[2]): r for c in select(grid_of(folder)).candidates for r in c.runs}
    probs = {key: run.outputs["target_probs"] for key, run in runs.items()}
    votes = [0.5 if method == "mcd" else 1 for method, _ in probs]  # one of each cell
    agreement = dict(zip(probs, ensemble_agreement(list(probs.values()), votes), strict=True))
    assert mcd.scores["ensv"] == pytest.approx((agreement["mcd", 0] + agreement["mcd", 1]) / 2)

    class Shown:
        target_probs = probs["mcd", 0]

    one = information_maximization(Shown)
    Shown.target_probs = probs["mcd", 1]
    assert mcd.scores["im"] == pytest.approx((one + information_maximization(Shown)) / 2)
    said = np.concatenate([wrong(0.1, 2), wrong(0.2, 3)])
    assert mcd.predicted == pytest.approx(np.bincount(said, minlength=7) / len(said))


@pytest.mark.parametrize("labelled", [True, False])
def test_one_class_for_almost_all_faces_is_marked_and_not_chosen(folder, labelled):
    """The others are predicted for a face each, so that no class is missing."""
    said = np.full(N, 3)
    said[:7] = np.arange(7)
    write(folder, "mcd", "margin", said, sure=0.999)
    for path in [] if labelled else (folder / "runs").iterdir():
        blind(path)
    selection = select(grid_of(folder))
    assert selection.chosen.name == "mcd + ce"
    assert [row[1] for row in candidates_table(selection)[1:] if row[0] == "mcd"] == ["ce ←", "margin †"]
    (note,) = [note for note in selection_notes(selection) if note.startswith("†")]
    assert "or one class for at least 90 % of the faces; not chosen" in note
    if not labelled:  # in a record that was written before such runs counted, too
        said = {run.cell: run.record["scores"]["unlabelled_target"]["collapsed"] for run in grid_of(folder).runs}
        assert [cell[:2] for cell, collapsed in said.items() if collapsed] == [("mcd", "margin")]


@pytest.mark.parametrize("loss", ["drw", "margin"])
def test_one_that_forgets_the_source_or_collapses_is_not_chosen(folder, loss):
    if loss == "drw":
        write(folder, "mcd", loss, TRUTH, source=wrong(0.05, 0))  # five points of source recall: too many
        mark, words = "§", "§ more than 3 points of source recall below source_only + ce"
    else:
        write(folder, "mcd", loss, TRUTH % 3)
        mark, words = "†", "† collapsed"
    selection = select(grid_of(folder))
    assert selection.chosen.name == "mcd + ce"
    assert any(words in note for note in selection_notes(selection))
    assert [row[1] for row in candidates_table(selection)[1:] if row[0] == "mcd"] == ["ce ←", f"{loss} {mark}"]


def test_without_the_reference_or_an_eligible_cell_it_warns(tmp_path):
    for i in range(3):
        write(tmp_path, "dann", ("ce", "drw", "di")[i], np.zeros(N, int))
    notes = " ".join(selection_notes(select(grid_of(tmp_path))))
    assert "because source_only + ce, with which the others are compared, is missing" in notes and "unreliable" in notes


def test_no_choice_where_outputs_are_gone_or_of_other_faces(folder):
    next(folder.rglob("*dann-ce-0/outputs.npz")).unlink()
    assert select(grid_of(folder)) is None and len(judged(select(grid_of(folder)))) == 1


def test_a_grid_without_labels_chooses_the_same_and_shows_no_score(folder):
    chosen = select(grid_of(folder)).chosen
    for path in (folder / "runs").iterdir():
        blind(path)
    grid = grid_of(folder)
    again = select(grid).chosen
    assert not grid.labelled and again.name == chosen.name and again.scores == chosen.scores
    assert (
        "Take mcd + ce, chosen by consensus among 3 cells. Its mean recall on held-out faces of toy_studio is 100%."
        in (text := sentence(grid))
    )
    assert text.count("%") == 1  # of the source
    (page,) = write_grid_report(folder, folder / "out")
    assert "Choosing without labels" in page.read_text() and "Accuracy" not in page.read_text()


def test_labels_that_appear_or_vanish_behind_a_record_are_refused(folder):
    path = next(folder.rglob("*mcd-ce-0"))
    said = dict(np.load(path / "outputs.npz"))
    np.savez(path / "outputs.npz", **said | {"target_labels": np.full(N, -1, np.int8)})
    with pytest.raises(UserError, match="do not fit together"):
        select(grid_of(folder))
    blind(path)
    np.savez(path / "outputs.npz", **said)
    with pytest.raises(UserError, match="do not fit together"):
        select(grid_of(folder))


def test_a_record_says_something_of_the_target(folder):
    path = next(folder.rglob("*mcd-ce-0/record.json"))
    record = json.loads(path.read_text())
    del record["scores"]["target"]
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"scores\.target is missing"):
        load_grids(folder)


def test_each_cell_has_one_vote_whatever_its_seeds(tmp_path):
    """Three seeds of one cell say class 1 of everything, one of two others each the truth: the truth has two votes."""
    for seed in range(3):
        write(tmp_path, "dann", "ce", np.full(N, 1), seed=seed)
    write(tmp_path, "as_is", "ce", TRUTH)
    write(tmp_path, "mcd", "ce", TRUTH)
    scores = {c.method: c.scores["ensv"] for c in select(grid_of(tmp_path)).candidates}
    assert scores["as_is"] == scores["mcd"] == 1 and scores["dann"] == pytest.approx(1 / 7)


def test_what_never_saw_the_source_need_not_know_it(folder):
    write(folder, "as_is", "ce", TRUTH, source=wrong(0.9, 0))
    write(folder, "source_free", "ce", TRUTH, source=wrong(0.9, 0))
    write(folder, "safn", "ce", TRUTH, source=wrong(0.9, 0))
    keeps = {c.method: c.keeps_source for c in select(grid_of(folder)).candidates}
    assert keeps.pop("safn") is False and all(keeps.values())


def test_a_cell_is_taken_over_the_untrained_classifier_only_if_two_criteria_say_so(tmp_path):
    """dann is less certain, less like its features' clusters, less like the others; safn very sure and else the same.

    Three of the four cells are sure (im, bnm), two of them are wrong: mcd is right, and most agree with nobody.
    """
    write(tmp_path, "as_is", "ce", wrong(0.3, 0), sure=0.8)
    write(tmp_path, "dann", "ce", wrong(0.6, 3), sure=0.4)
    write(tmp_path, "safn", "ce", np.zeros(N, int), sure=0.999)
    write(tmp_path, "mcd", "ce", wrong(0.05, 5), sure=0.95)
    selection = select(grid_of(tmp_path))
    bar, *others = sorted(selection.candidates, key=lambda c: c.method)
    above = {c.method: sum(c.scores[n] > bar.scores[n] for n in ("im", "class_ami", "bnm", "ensv")) for c in others}
    assert above["dann"] == 0 and above["safn"] < 2 <= above["mcd"]
    assert {c.method for c in selection.candidates if c.below_as_is} == {"dann", "safn"}
    marks = {row[0]: row[1] for row in candidates_table(selection)[1:]}
    assert marks["mcd"] == "ce ←" and "¶" in marks["dann"] and "¶" in marks["safn"] and "¶" not in marks["as_is"]
    assert "¶ better than as_is by fewer than two of im, class_ami, bnm, ensv; not chosen" in selection_notes(selection)
    snd = {c.method: c.scores["snd"] for c in selection.candidates}
    assert snd["dann"] > snd["as_is"]  # being dense does not save it


def test_a_crowd_of_cells_that_agree_does_not_outvote_a_better_one(tmp_path):
    """Four cells with the same faults: their mean agrees with them, their certainty and their clusters do not."""
    write(tmp_path, "as_is", "ce", TRUTH, sure=0.95)
    for method in ("dann", "mcd", "safn", "mdd"):
        write(tmp_path, method, "ce", wrong(0.5, 1), sure=0.7)
    selection = select(grid_of(tmp_path))
    ensv = {c.method: c.scores["ensv"] for c in selection.candidates}
    assert min(ensv[m] for m in ("dann", "mcd", "safn", "mdd")) > ensv["as_is"]
    assert selection.chosen.method == "as_is" == selection.pick("ensv").method


def test_not_even_where_nothing_else_may_be_taken(tmp_path):
    """The untrained classifier has collapsed; the other one is worse still, though it knows the source."""
    write(tmp_path, "as_is", "ce", TRUTH % 3, source=wrong(0.9, 0))
    write(tmp_path, "dann", "ce", np.random.default_rng(0).permutation(TRUTH), sure=0.2)
    selection = select(grid_of(tmp_path))
    assert [row[1] for row in candidates_table(selection)[1:]] == ["– † ←", "ce ¶"]
    assert selection.pick("src_macro").method == "as_is"
    assert "unreliable" in " ".join(selection_notes(selection))


def test_agreement_with_the_untrained_classifier_is_the_share_of_equal_predictions(folder):
    write(folder, "as_is", "ce", wrong(0.2, 5))
    write(folder, "mcd", "ce", wrong(0.3, 3), seed=1)
    selection = select(grid_of(folder))
    shares = {c.method: c.agreement for c in selection.candidates}
    base = wrong(0.2, 5)
    assert shares["as_is"] == 1 and shares["dann"] == pytest.approx((wrong(0.3, 1) == base).mean())
    both = [(wrong(0.1, 2) == base).mean(), (wrong(0.3, 3) == base).mean()]
    assert shares["mcd"] == pytest.approx(np.mean(both))
    head, *rows = candidates_table(selection)
    (mcd,) = [row for row in rows if row[0] == "mcd"]
    assert mcd[head.index("agrees with as_is")] == f"{np.mean(both):.0%}"
    main = ablation(grid_of(folder))
    (mcd,) = [row for row in main if row[0] == "mcd"]
    assert mcd[main[0].index("agrees with as_is")].startswith(f"{100 * np.mean(both):.1f} ± ")


def test_a_grid_without_the_untrained_classifier_says_nothing_of_it(folder):
    assert "agrees with as_is" not in candidates_table(select(grid_of(folder)))[0]
    assert "as_is" not in " ".join(ablation(grid_of(folder))[0]) + sentence(grid_of(folder))


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"mcd": (0.62, 0.60), "dann": (0.61, 0.90)}, "helped: mcd + ce has +4.0 points of mean recall and +3.0 of"),
        ({"mcd": (0.62, 0.57)}, "helped: mcd + ce has +4.0 points of mean recall and 0.0 of"),
        ({"mcd": (0.62, 0.50), "dann": (0.50, 0.50)}, "helped mean recall only: mcd + ce has +4.0 points"),
        ({"mcd": (0.55, 0.50), "dann": (0.50, 0.70)}, "helped accuracy only: dann + ce has -8.0 points"),
        ({"mcd": (0.55, 0.57), "dann": (0.50, 0.50)}, "did not help: mcd + ce is 3.0 points of mean recall and 0.0"),
        ({"source_free": (0.99, 0.99), "mcd": (0.5, 0.5)}, "did not help: mcd + ce is 8.0 points of mean recall and"),
        ({"source_free": (0.99, 0.99)}, "No cell was trained on toy_studio to be compared with as_is"),
    ],
)
def test_the_first_sentence_says_whether_the_source_paid(tmp_path, scores, said):
    for method, (recall, accuracy) in {"as_is": (0.58, 0.57), **scores}.items():
        found = flat_scores(7, recall) | {"accuracy": accuracy}
        write_files(tmp_path, record(method, "ce", 0, scores={"source": flat_scores(7, 0.5), "target": found}))
    first, _, second = sentence(grid_of(tmp_path)).partition(" accuracy. ")
    assert said in first and first.endswith("which has 58.0 % mean recall and 57.0 %")
    assert " has the highest mean recall on fer2013" in second


def test_gains_over_the_untrained_classifier_are_tested_over_the_seeds_of_the_other(tmp_path):
    """Recalls 60, 61, 65 against 58: t = 4 / (2.6458 / √3) = 2.619, p = 0.120 with two degrees of freedom."""
    values = [("as_is", 0, 0.58), *(("mcd", seed, v) for seed, v in enumerate((0.60, 0.61, 0.65)))]
    for method, seed, value in values:
        scores = {"source": flat_scores(7, 0.5), "target": flat_scores(7, value)}
        write_files(tmp_path, record(method, "ce", seed, scores=scores))
    head, *rows = ablation(grid_of(tmp_path))
    (mcd,) = [dict(zip(head, row, strict=True)) for row in rows if row[0] == "mcd"]
    assert (mcd["Δ recall vs as_is"], mcd["p vs as_is"], mcd["agrees with as_is"]) == ("+4.0", "0.120", "–")
    text = sentence(grid_of(tmp_path))
    assert text.startswith("Whether training on toy_studio helped is unclear: mcd + ce has +4.0 points of mean")
    assert "has +4.0 points of mean recall (p = 0.120, p = 0.120 by Holm, 3 seeds; 95 % interval over seeds " in text
    assert "and +4.0 of accuracy (p = 0.120" in text


@pytest.mark.parametrize(("share", "said"), [(0.1, "Training on toy_studio helped: "), (0.55, "helped is unclear: ")])
def test_one_seed_pays_only_beyond_what_other_faces_would_change(tmp_path, share, said):
    """10 and 55 % wrong against 60 %, on 70 faces."""
    write(tmp_path, "as_is", "ce", wrong(0.6, 0))
    write(tmp_path, "mcd", "ce", wrong(share, 1))
    first = sentence(grid_of(tmp_path)).partition(" over as_is")[0]
    assert said in first and "95 % interval over faces" in first


def test_a_gain_that_may_be_chance_does_not_outweigh_a_loss_that_is_none(tmp_path):
    """Recall: 3, 5 and 10 points more, p = 0.10; accuracy: 20, 21 and 22 less."""
    write_files(tmp_path, record("as_is", "ce", 0, scores=dict.fromkeys(("source", "target"), flat_scores(7, 0.6))))
    for seed, (recall, accuracy) in enumerate(((0.63, 0.40), (0.65, 0.39), (0.70, 0.38))):
        scores = flat_scores(7, recall) | {"accuracy": accuracy}
        write_files(tmp_path, record("mcd", "ce", seed, scores={"source": flat_scores(7, 0.5), "target": scores}))
    assert sentence(grid_of(tmp_path)).startswith(
        "Training on toy_studio did not help: mcd + ce has +6.0 points of mean"
    )


def test_of_many_cells_the_best_must_be_beyond_what_the_best_of_many_has_by_chance(tmp_path):
    """Gains of 2, 2.5 and 3.5: t = 2.667 / (0.7638 / √3) = 6.05, p = 0.026; five cells have them, and 5 p = 0.131."""
    values = [("as_is", "ce", 0, 0.58)]
    for loss in LOSSES_OF_MANY:
        values += [("mcd", loss, seed, v) for seed, v in enumerate((0.60, 0.605, 0.615))]
    for method, loss, seed, value in values:
        scores = {"source": flat_scores(7, 0.5), "target": flat_scores(7, value)}
        write_files(tmp_path, record(method, loss, seed, scores=scores))
    first = sentence(grid_of(tmp_path)).partition(" over as_is")[0]
    assert "p = 0.026, p = 0.131 by Holm" in first and "is unclear: " in first


def test_a_choice_is_said_before_what_labels_say_of_it(folder):
    write(folder, "as_is", "ce", wrong(0.4, 5))
    grid = grid_of(folder)
    assert sentence_of_choice(select(grid)) == (
        "Chosen without labels: mcd + ce, by consensus among 4 cells. By the labels, read after the choice, it has "
        "90.0 % mean recall and 90.0 % accuracy; as_is has 60.0 % mean recall and 60.0 % accuracy."
    )


def test_a_tie_is_called_one(tmp_path):
    """Two cells agree on every face."""
    for method in ("dann", "mcd"):
        write(tmp_path, method, "ce", wrong(0.2, 1))
    write(tmp_path, "safn", "ce", wrong(0.6, 2))
    text = " ".join(certainty(select(grid_of(tmp_path))))
    assert "It is tied with mcd + ce at a mean rank of " in text and "weak" not in text


def test_a_choice_that_most_criteria_would_not_make_is_called_weak(folder):
    selection = select(grid_of(folder))
    assert not any("weak" in told for told in (*certainty(selection), sentence_of_choice(selection)))
    others = [c for c in selection.candidates if c is not selection.chosen]
    for name in ("im", "bnm", "ensv"):  # what these criteria say is turned against the chosen cell
        selection.chosen.scores[name] = min(c.scores[name] for c in others) - 1
    rival, other = others[0], others[1]
    for name in ("im", "bnm", "ensv"):
        rival.scores[name], other.scores[name] = (2, 1) if name != "bnm" else (1, 2)
    said = " ".join(certainty(selection))
    assert (
        f"Used alone, class_ami picks {selection.chosen.name} too; im and ensv pick {rival.name} and bnm picks" in said
    )
    for name in ("im", "bnm", "ensv"):
        rival.scores[name] = 3
    said = " ".join(certainty(selection))
    assert f"Used alone, class_ami picks {selection.chosen.name} too; im, bnm and ensv pick {rival.name}. " in said
    weak = "The criteria disagree: the choice is weak."
    assert weak in certainty(selection) and weak in sentence_of_choice(selection)
    for path in (folder / "runs").iterdir():
        blind(path)
    assert f"among 3 cells. {weak} " in f"{sentence(grid_of(folder), selection)} "


@pytest.mark.parametrize(("recall", "warned"), [(0.2, True), (0.3, True), (0.4, False), (0.6, False)])
def test_a_choice_that_may_hardly_beat_guessing_on_held_out_source_is_not_recommended(tmp_path, recall, warned):
    """Of seven classes guessing has 14.3 %; a tenth of the way to 100 % is 22.9 %: 30 % of 70 faces may be less."""
    for seed, method in enumerate(("dann", "mcd")):
        write(tmp_path, method, "ce", wrong(0.2, seed), source=wrong(1 - recall, 1))
    selection = select(grid_of(tmp_path))
    first, name = certainty(selection)[0], selection.chosen.name
    assert first.startswith(f"Do not use {name} yet: ") is warned
    if warned:
        assert re.search(
            rf"{recall:.1%} \(95 % interval \d+\.\d to \d+\.\d%\), and guessing among 7 classes has 14.3%", first
        )
        assert "It needs more time, more labelled faces, or weights to start from." in first
        longer = replace(selection, longer="more epochs")
        assert "It needs more epochs, more labelled faces, or weights to start from." in certainty(longer)[0]
    assert sentence_of_choice(selection).startswith(f"Do not use {name} yet: ") is warned
    for path in (tmp_path / "runs").iterdir():
        blind(path)
    lead = sentence(grid_of(tmp_path), selection)  # the page's first words
    assert lead.startswith(f"Do not use {name} yet: ") is warned and (f"Take {name}" in lead) is not warned


def test_without_a_source_nothing_is_said_of_its_recall(tmp_path):
    for seed, method in enumerate(("as_is", "source_free")):
        path = write(tmp_path, method, "ce", wrong(0.2, seed), source=wrong(0.9, 1))
        written = json.loads((path / "record.json").read_text())
        del written["scores"]["source"]
        written["settings"]["data"]["source"] = "none"
        (path / "record.json").write_text(json.dumps(written))
    selection = select(grid_of(tmp_path))
    assert "source" not in " ".join(certainty(selection)).replace("source_free", "")
    assert "source recall" not in candidates_table(selection)[0]


def test_source_recall_has_its_interval_and_ranks_within_chance_are_named(tmp_path):
    """70 held-out faces: 50 and 54 % may be the same, and 90 % is not."""
    for method, share in (("dann", 0.5), ("mcd", 0.46), ("safn", 0.1)):
        write(tmp_path, method, "ce", wrong(0.2, 1), source=wrong(share, 3 if method == "safn" else 1))
    selection = select(grid_of(tmp_path))
    column = [row[2] for row in candidates_table(selection)[1:]]
    assert all(re.fullmatch(r"\d+\.\d \(\d+–\d+\)", cell) for cell in column) and column[0].startswith("50.0 (")
    assert "In source recall" not in " ".join(certainty(selection)) and selection.chosen.method == "safn"
    for c in selection.candidates:
        c.scores["consensus"] = float(c.method == "dann")
    assert "In source recall, mcd + ce differs from it by no more than chance may explain" in " ".join(
        certainty(selection)
    )


def test_cells_that_may_not_be_chosen_pick_nothing(folder):
    """The best by every criterion has collapsed: the sentence speaks of the others alone."""
    selection = select(grid_of(folder))
    barred = replace(selection.chosen, collapsed=True)
    assert not any("among the cells" in line for line in certainty(selection))
    rest = [c for c in selection.candidates if c is not selection.chosen]
    some = replace(selection, candidates=[*rest, barred])
    said = " ".join(certainty(some))
    assert (
        "Used alone, and among the cells that may be chosen, " in said
        and barred.name not in said.partition("In source")[0]
    )
    one = replace(selection, candidates=[rest[0], *(replace(c, collapsed=True) for c in rest[1:]), barred])
    assert "No other cell may be chosen." in certainty(one) and "Used alone" not in " ".join(certainty(one))


def test_two_cells_agree_once(tmp_path):
    """With three cells there are a mean and a least share; with two there is one share."""
    write(tmp_path, "dann", "ce", wrong(0.2, 1))
    write(tmp_path, "mcd", "ce", wrong(0.4, 2))
    share = (wrong(0.2, 1) == wrong(0.4, 2)).mean()
    text = " ".join(certainty(select(grid_of(tmp_path))))
    assert f"The two cells agree on {share:.0%} of the faces; where two differ" in text and "average" not in text
    write(tmp_path, "safn", "ce", wrong(0.6, 3))
    assert "Two cells agree on " in (text := " ".join(certainty(select(grid_of(tmp_path))))) and "on average" in text


@pytest.mark.parametrize("best", ["as_is", "mcd"])
def test_without_labels_the_first_sentence_says_how_far_the_choice_is_from_no_training(folder, best):
    write(folder, "as_is", "ce", TRUTH if best == "as_is" else wrong(0.6, 5))
    for path in (folder / "runs").iterdir():
        blind(path)
    text = sentence(grid_of(folder))
    if best == "as_is":
        page = write_grid_report(folder, folder / "out")[0].with_name("report.md").read_text()
        criteria = page.partition("## Choosing without labels")[2].strip().partition("\n")[0]
        assert all(f" {name} " in criteria for name in ("class_ami", "ensv", "im", "bnm"))  # all that the rule reads
        assert " im " not in candidates_table(select(grid_of(folder)), narrow=True)[0]
        assert "Take as_is, the pretrained classifier without training, the only one of" in text
        assert text.endswith("Nothing says that training on toy_studio helped.")
    else:
        share = (wrong(0.1, 2) == wrong(0.6, 5)).mean()
        assert f"It agrees with as_is, the pretrained classifier without training, on {share:.0%} of the" in text


def test_an_overview_of_several_targets_without_labels_says_of_which_it_is_sure(tmp_path):
    """Both pairs have the same cells, so that nothing else tells the notes apart."""
    for target in ("images:a", "images:b"):
        for loss in ("ce", "difc"):
            path = write(tmp_path / target[-1], "dann", loss, wrong(0.2, 1))
            blind(path)
            content = json.loads((path / "record.json").read_text())
            content["settings"]["data"]["target"] = content["common"]["settings"]["data"]["target"] = target
            (path / "record.json").write_text(json.dumps(content))
    write_grid_report(tmp_path, tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    for target in ("images:a", "images:b"):
        assert f"How certain is the choice on toy_studio → {target}? " in text
