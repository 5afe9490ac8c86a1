"""``pa-difc adapt``: a grid that fits into its budget, chosen without labels, stopped and gone on with."""

import json
import re
import shutil
import signal
import sys
import time
from dataclasses import replace
from unittest import mock

import pytest
import torch
from processes import apart, here, start

from pa_difc.commands import adapt_plan
from pa_difc.commands import budget as planning
from pa_difc.commands.adapt import FROM_CLASSIFIER, FROM_SCRATCH
from pa_difc.commands.measuring import Pace, measure
from pa_difc.commands.parser import main
from pa_difc.deploy import card
from pa_difc.deploy.model import load_model as load
from pa_difc.training import outcome
from pa_difc.util.errors import UserError

SMALL = ["--set", "crop_px=32", "batch_size=16"]


@pytest.fixture(autouse=True, scope="module")
def few_steps():
    """Small data is trained on for 5 epochs and not for as many as real small data needs."""
    with mock.patch.object(planning, "MOST_STEPS", 40):
        yield


@pytest.fixture(scope="module")
def home(data_root, tmp_path_factory):
    """A labelled source, a target's images without labels, and a model of a run on the source."""
    home = tmp_path_factory.mktemp("adapt")
    for name in ("bright", "dim"):
        shutil.copytree(data_root / name, home / name)
    for i, path in enumerate(sorted((home / "dim").rglob("*.png"))):
        (home / "loose").mkdir(exist_ok=True)
        shutil.copy(path, home / "loose" / f"{i:03}.png")
    given = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", str(data_root), "--epochs", "3"]
    out = ["--set", "crop_px=32", "batch_size=16", "lr=0.05", "--out", str(home / "before")]
    assert main(["train", "--method", "source_only", "--loss", "ce", *given, *out]) == 0
    return home


def words(home, out, *more, target="images:loose"):
    given = ["--source", "folder:bright", "--target", target, "--data-root", str(home), "--out", str(out)]
    return ["adapt", *given, "--budget", "5m", *more]


def model_before(home):
    (model,) = (home / "before" / "runs").iterdir()
    return ["--pretrained", str(model), "--set", "batch_size=16"]


def cells_of(out):
    records = [json.loads(path.read_text()) for path in out.glob("runs/*/record.json")]
    return {(r["settings"]["method"]["name"], r["settings"]["loss"]["name"]): r for r in records}


@pytest.fixture(scope="module")
def adapted(home):
    out = home / "adapted"
    code, said, err = here(*words(home, out, *model_before(home)))
    assert code == 0, err
    return out, said


def test_unlabelled_faces_a_pretrained_model_and_one_command(adapted):
    out, said = adapted
    assert set(cells_of(out)) == {row[:2] for row in FROM_CLASSIFIER}
    assert "126 faces without labels" in said and not re.search(r"accuracy +\d", said)
    decided = re.search(r"decided: 5 cells, (\d+) epochs? of (\d+) steps", said)
    assert int(decided[1]) == 5 and int(decided[2]) == 8  # there is time for all 40 steps that are worth it
    assert "epochs of 8 steps, the most that adapt trains; " in said
    assert "agrees with as_is" in said and re.search(r"  \d+ s left\n", said)
    assert re.findall(r"\n(\d)/5  \w", said) == list("12345") and re.search(r"\n\d/5  mcc\+mean_teacher · difc ", said)


def test_the_chosen_cell_is_exported_and_its_page_says_why(adapted):
    out, said = adapted
    chosen = re.search(r"chosen without labels: (\S+) \+ (\S+)", said)
    (folder,) = out.glob(f"runs/{chosen[1]}-{chosen[2]}-seed0-*")
    faces, points = torch.rand(3, 3, 32, 32), torch.zeros(3, 5, 2)
    assert torch.equal(load(out / "model")(faces, points), load(folder)(faces, points))
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    lead, detail = text.split("\n\n")[1:3]
    assert lead.startswith("images:loose has no labels: how good a cell is on it is unknown. Take ")
    assert "as_is, the pretrained classifier without training" in f"{lead} {detail}"
    assert re.search(r"Its mean recall on held-out faces of folder:bright is \d+%\.", f"{lead} {detail}")
    for shown in (page, text):
        assert (
            "How certain is the choice" in shown
            and "Only labels can tell" in shown
            and "Choosing without labels" in shown
        )


def test_all_cells_share_what_the_budget_decided(adapted):
    out, _ = adapted
    plan = json.loads((out / "plan.json").read_text())
    for record in cells_of(out).values():
        settings = record["settings"]
        assert settings["run"]["epochs"] == plan["epochs"] and settings["model"]["precision"] == plan["precision"]
        assert settings["model"]["input_scale"] == plan["input_scale"] and settings["eval"]["views"] == "flip"
        assert settings["optimiser"]["ema"] == 0.99
    options = {method: r["settings"]["method"]["options"] for (method, _), r in cells_of(out).items()}
    for method, _, own in FROM_CLASSIFIER:
        assert {f"method.{name}": value for name, value in options[method].items()}.items() >= own.items()


def test_killed_and_gone_on_with_it_ends_as_if_it_never_was(home, adapted, tmp_path):
    undisturbed, said = adapted
    out = tmp_path / "again"
    out.mkdir()
    shutil.copy(undisturbed / "plan.json", out)  # the same pace, or it would be another plan
    command = ["-m", "pa_difc", *words(home, out, *model_before(home))]
    process = start(*command)
    deadline = time.time() + 120
    while len(list(out.glob("runs/*/record.json"))) < 2:
        assert time.time() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/record.json")}
    assert len(finished) < 5 and not (out / "model").exists()
    code, again, err = apart(*command[2:])
    assert code == 0, err
    assert "measuring" not in again and (out / "plan.json").read_bytes() == (undisturbed / "plan.json").read_bytes()
    assert all(path.stat().st_mtime_ns == then for path, then in finished.items())
    first, second = cells_of(undisturbed), cells_of(out)
    assert {cell: r["scores"] for cell, r in first.items()} == {cell: r["scores"] for cell, r in second.items()}
    chosen = [re.search(r"chosen without labels: (.+)", text)[1] for text in (said, again)]
    assert chosen[0] == chosen[1]


def test_without_weights_all_is_learnt_from_the_source_and_labels_are_read_after_the_choice(home, tmp_path, capsys):
    assert main(words(home, tmp_path, *SMALL, target="folder:dim")) == 0
    said = capsys.readouterr().out
    assert set(cells_of(tmp_path)) == {row[:2] for row in FROM_SCRATCH}
    assert "no --pretrained: all is learnt from the source; pa-difc weights lists" in " ".join(said.split())
    assert "as_is" not in said and "decided: 3 cells, 10 epochs of 4 steps" in said
    chosen = re.search(r"chosen without labels: (\S+) \+ (\S+)", said)
    record = cells_of(tmp_path)[chosen[1], chosen[2]]
    page = (tmp_path / "report.md").read_text()
    assert (
        "## Criteria of the choice" in page
        and "How certain is the choice" in page
        and f"| {chosen[1]} | {chosen[2]} ←" in page
    )
    hint = "o --pretrained: all is learnt from the source; pa-difc weights lists public networks to start from"
    top = re.sub("<[^>]+>", "", (tmp_path / "report.html").read_text().partition("<details")[0])
    assert f"N{hint}" in top and f"N{hint}" in page.partition("\n## ")[0]
    before, after = said.split("chosen without labels: ")
    assert hint in " ".join(before.split()) and hint in " ".join(after.split())
    assert f"read after the choice: accuracy {record['scores']['target']['accuracy']:5.1%} (" in after
    assert (
        not re.search(r"accuracy +\d", before) and before.count("source recall ") > 3
    )  # of each cell, and in the table
    assert re.search(r"1/3  \S+ · \S+ +source recall +\d+\.\d%  classes \d of 7 ", before)


def crop_said(out, said):
    """The crop of the last line's command and of the card's; images as they are need --crop none."""
    last, card = said.strip().splitlines()[-1], (out / "model" / "README.md").read_text()
    return "--crop none" in last, "--crop none" in card


def test_the_last_line_and_the_card_name_the_crop_of_the_training_images(home, adapted, tmp_path):
    """The target's images are faces as they are; a face store is cropped, and so is what the model will see."""
    assert crop_said(*adapted) == (True, True)
    settings = {"input": {"prepared": True}}
    assert "--crop" not in card._use(settings) and "photo.jpg" in card._use(settings)


@pytest.mark.slow
def test_what_is_said_at_the_end_fits_a_terminal(home, adapted, tmp_path, capsys, monkeypatch):
    shutil.copytree(adapted[0], tmp_path / "again")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(words(home, tmp_path / "again", *model_before(home))) == 0
    said = capsys.readouterr().out
    end = said[said.index("\nmethod ") :]
    shown = [line for line in end.splitlines() if str(tmp_path) not in line]  # a path is not broken
    assert not [line for line in shown if len(line) > 80]
    assert len(shown) > 15 and "decided: 5 cells" in said


def test_a_model_that_may_hardly_beat_guessing_is_not_recommended_anywhere(home, adapted, tmp_path, capsys):
    """A learning rate of nothing teaches nothing: the table's notes, the last line, the page and the card say so."""
    assert main(words(home, tmp_path, *SMALL, "lr=1e-9")) == 0
    said, warning = capsys.readouterr().out, "mean recall on held-out source is "
    assert f"yet: its {warning}" in said and said.strip().splitlines()[-2].startswith("do not use it yet: ")
    assert f"**Do not use it yet: its {warning}" in (tmp_path / "model" / "README.md").read_text()
    assert "Do not use " in (tmp_path / "report.md").read_text().split("\n\n")[1]
    out, said = adapted
    assert "o not use " not in said and "o not use it yet" not in (out / "model" / "README.md").read_text()


@pytest.mark.slow
def test_a_phase_that_never_begins_is_said_once_before_training_and_at_the_choice(home, tmp_path, capsys):
    assert main(words(home, tmp_path, *SMALL, "confusion_epoch=30", "reweight_epoch=30")) == 0
    before, table = capsys.readouterr().out.split("\nmethod  ")
    line = "begin in epoch 31, but there are only 5 epochs; give more epochs than the 5 of adapt"
    assert before.count(line) == 1 and table.partition("chosen without")[0].count(line) == 0
    chosen = re.search(r"chosen without labels: (\S+) \+ (\S+)", table)
    at_the_choice = f"Its training lacked a phase: difc: class weights and confusion {line}"
    assert table.count(at_the_choice) == (chosen[2] == "difc")
    assert "give more epochs than the 5" in (tmp_path / "report.md").read_text()


def test_a_cell_that_is_refused_stops_no_other(home, tmp_path, capsys, monkeypatch):
    def run_cell(settings, *args, **kwargs):
        if settings.method.name == "mean_teacher":
            raise UserError("all guesses are of one class")
        return trained(settings, *args, **kwargs)

    trained = outcome.run_cell
    monkeypatch.setattr(outcome, "run_cell", run_cell)
    assert main(words(home, tmp_path, *SMALL)) == 0
    said = capsys.readouterr()
    assert "failed: mean_teacher · difc: all guesses are of one class" in said.err
    assert len(cells_of(tmp_path)) == 2 and "chosen without labels: " in said.out
    monkeypatch.setattr(outcome, "run_cell", lambda *a, **k: (_ for _ in ()).throw(UserError("no")))
    with pytest.raises(UserError, match="none of the 3 cells could be trained"):
        main(words(home, tmp_path / "none", *SMALL))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--budget", "20"], "--budget '20': must be a time such as 20m, 90s or 1h30m"),
        (["--budget", "soon"], "--budget 'soon': must be a time"),
        (["--budget", "0m"], "--budget '0m': must be a time"),
        (["--set", "epochs=3"], "--set epochs: set by --budget; pa-difc compare accepts it"),
        (["--set", "method=dann"], "set by --method"),
        (["--set", "wieght=1"], "wieght"),
        (["--pretrained", "nowhere", "--backbone", "small"], "cannot read weights nowhere: no such file or folder"),
        (["--target", "images:nowhere"], "no folder"),
        (["--source", "images:loose"], "images:loose has no labels: a source is learnt from its labels"),
        (["--backbone", "smal"], "smal"),
    ],
)
def test_mistakes_are_answered_in_one_line(home, tmp_path, more, said):
    with pytest.raises(UserError, match=re.escape(said)) as refused:
        main(words(home, tmp_path, *SMALL, *more))
    assert "\n" not in str(refused.value) and not list(tmp_path.glob("runs"))


def test_somebody_else_s_report_is_not_written_over(home, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(UserError, match="give another --out"):
        main(words(home, tmp_path, *SMALL))
    assert (tmp_path / "report.html").read_text() == "mine"


def test_what_was_measured_for_too_short_a_budget_is_kept_for_the_next_call(home, tmp_path, capsys, monkeypatch):
    def on_a_slow_machine(*args, **kwargs):
        found = measure(*args, **kwargs)
        return replace(found, step={method: 100 * seconds for method, seconds in found.step.items()})

    monkeypatch.setattr(adapt_plan, "measure", on_a_slow_machine)
    with pytest.raises(UserError, match=r"--budget: too short; .*: give --budget") as refused:
        main(words(home, tmp_path, *SMALL, "--budget", "1s"))
    assert "measuring" in capsys.readouterr().out and not list(tmp_path.glob("runs"))
    named = str(refused.value).rpartition(" ")[2]
    assert main(words(home, tmp_path, *SMALL, "--budget", named)) == 0
    said = capsys.readouterr().out
    assert "measuring" not in said and "decided: 3 cells" in said and "chosen without labels: " in said
    assert not (tmp_path / "pace.json").exists() and (tmp_path / "plan.json").exists()


def machine_of(monkeypatch, step, end=0.0, face=1e-4):
    """A machine on which each training step takes ``step`` seconds, and each predicted face ``face``."""
    trained = [method for method, *_ in FROM_CLASSIFIER if method != "as_is"]
    found = Pace("float32", 1.0, dict.fromkeys(trained, step), face, end=end)
    monkeypatch.setattr(adapt_plan, "measure", lambda *_, **__: found)


@pytest.mark.slow
def test_cells_that_do_not_fit_are_left_out_from_the_end_and_named(home, tmp_path, capsys, monkeypatch):
    """Of the 300 s 195 are planned: an end takes 60 s of each cell, so that three fit."""
    machine_of(monkeypatch, 1e-4, end=60.0)
    assert main(words(home, tmp_path, *model_before(home))) == 0
    said = capsys.readouterr()
    why = re.search(r"--budget: too short; 5 cells take at least .* here: give --budget \w+. Left out: .*", said.err)[0]
    assert why.endswith("Left out: mean_teacher + drw and mcc+mean_teacher + difc")
    assert "decided: 3 cells, 5 epochs" in said.out
    assert [*cells_of(tmp_path)] and set(cells_of(tmp_path)) == {row[:2] for row in FROM_CLASSIFIER[:3]}
    assert why in (tmp_path / "report.md").read_text()
    machine_of(monkeypatch, 1e9)  # the plan is kept for the same command
    assert main(words(home, tmp_path, *model_before(home))) == 0
    said = capsys.readouterr()
    assert "decided: 3 cells" in said.out and why in (tmp_path / "report.md").read_text()
    assert main([*words(home, tmp_path, *model_before(home)), "--budget", "15m"]) == 0  # and the pace for a longer one
    assert "decided: 5 cells" in capsys.readouterr().out
    assert set(cells_of(tmp_path)) == {row[:2] for row in FROM_CLASSIFIER}
    assert "Left out" not in (tmp_path / "report.md").read_text()


def test_the_faces_that_a_budget_left_to_be_scored_are_counted_and_reviewed(home, tmp_path, capsys, monkeypatch):
    machine_of(monkeypatch, 1e4, face=10.0)
    assert main(words(home, tmp_path, *model_before(home))) == 0
    assert "used only 100 of the 126 test faces of images:loose" in " ".join(capsys.readouterr().out.split())
    assert "used only 100 of the 126 test faces of images:loose." in (tmp_path / "report.md").read_text()
    assert main(["errors", str(tmp_path)]) == 0
    (page,) = tmp_path.rglob("errors*/**/*.html")
    part = "100 of the 126 test faces were predicted, as many as the time budget allowed."
    assert part in page.read_text() and part in " ".join(capsys.readouterr().out.split())
    table = next(page.parent.rglob("predictions.csv")).read_text().splitlines()
    assert len(table) == 101


@pytest.mark.slow
def test_where_no_training_fits_the_pretrained_classifier_alone_is_the_answer(home, tmp_path, capsys, monkeypatch):
    machine_of(monkeypatch, 1e4)
    assert main(words(home, tmp_path, *model_before(home))) == 0
    said = capsys.readouterr()
    reason = re.search(r"too short; 5 cells take at least .* here: give --budget \w+", said.err)[0]
    assert "Nothing is trained: the model is as_is, the pretrained classifier" in said.err
    assert "decided: 1 cell, without training" in said.out and "chosen without labels: as_is\n" in said.out
    assert set(cells_of(tmp_path)) == {("as_is", "ce")} and (tmp_path / "model" / "config.json").exists()
    page = (tmp_path / "report.md").read_text()
    assert "Take as_is, the pretrained classifier without training, the only cell" in page
    html = re.sub("<[^>]+>", "", (tmp_path / "report.html").read_text())
    for shown in (page, html):  # what the terminal said, and of the training that was not
        assert reason in shown and "Settings: nothing was trained" in shown
        assert "learning rate" not in shown.partition("Figures")[0] and "no choice was made" in shown
        assert not re.search(r"ensv|class_ami|rank", shown.partition("Figures")[0])
    (tmp_path / "pace.json").unlink()
    machine_of(monkeypatch, 1e-4)
    assert main(words(home, tmp_path, *model_before(home))) == 0  # nothing was decided for good
    assert set(cells_of(tmp_path)) == {row[:2] for row in FROM_CLASSIFIER}


def test_a_source_that_lacks_a_class_still_gets_what_can_be_trained(home, tmp_path, capsys):
    shutil.copytree(home / "bright", tmp_path / "bright")
    shutil.copytree(home / "loose", tmp_path / "loose")
    for split in ("train", "test"):
        shutil.rmtree(tmp_path / "bright" / split / "fear")
    assert main(words(tmp_path, tmp_path / "out", *SMALL)) == 0
    said = capsys.readouterr()
    assert said.err.count("failed: ") == 1 and "fear" in said.err and said.err.endswith("… and 1 more run\n")
    assert (
        "chosen without labels: source_only + ce\n  source_only + ce is the only cell: no choice was made" in said.out
    )


def test_the_command_to_copy_has_a_line_of_its_own(adapted):
    out, said = adapted
    *_, before, command_line = said.strip("\n").splitlines()
    assert before == "to use it on images cut like those of the target:"
    assert command_line == f"  pa-difc predict --model {out / 'model'} --crop none face.jpg"


def test_what_each_crop_would_cost_is_printed_and_on_the_page(adapted):
    out, said = adapted
    rows = {
        row[0]: row[1].split()
        for row in re.findall(r"\n    (size of the face|criterion|source recall)[^\n]*?((?: +[-\d.]+)+)(?=\n)", said)
    }
    assert rows.keys() == {"size of the face", "criterion", "source recall"}
    assert rows["size of the face"] == ["0.8", "0.9", "1", "1.1", "1.2"]
    text = (out / "report.md").read_text()
    for scale, criterion, recall in zip(*rows.values(), strict=True):
        assert f"{scale}: {criterion} ({recall} %)" in text
    assert re.search(r"\n    chosen: ", said) and "without labels, with mean recall on" in text


def test_each_criterion_of_the_table_is_explained_below_it(adapted):
    end = adapted[1].partition("\nmethod ")[2]
    shown = [name for name in ("class_ami", "ensv") if name in end.partition("\n")[0]]
    assert len(shown) == 2 and all(re.search(rf"\n{name}: \w+", end) for name in shown)
