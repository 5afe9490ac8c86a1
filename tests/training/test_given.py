"""What a user gives: a file, flags and --set, in this order of precedence; and the file that a run leaves."""

import argparse

import pytest

from pa_difc.commands.flags import add_grid_flags, add_training_flags
from pa_difc.commands.given_cells import settings_of_grid
from pa_difc.training.record import settings_file
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError


def grid(*words, methods=("mcd",), losses=("difc",)):
    parser = argparse.ArgumentParser(epilog="")
    add_training_flags(parser)
    add_grid_flags(parser, methods, losses)
    parser.add_argument("--seeds", nargs="+", type=int)
    return settings_of_grid(parser.parse_args([str(w) for w in words]), methods=methods, losses=losses)


def one(*words, **kwargs):
    (settings,) = grid(*words, **kwargs)
    return settings


def test_set_beats_nothing_flags_beat_the_file_and_the_file_the_defaults(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('epochs = 3\n[optimiser]\nlr = 0.5\n[loss]\nepsilon = 0.25\n[data]\nlabels = "valence"\n')
    settings = one("--config", file)
    assert (settings.run.epochs, settings.optimiser.lr, settings.data.labels) == (3, 0.5, "valence")
    assert settings.loss.options["epsilon"] == 0.25
    settings = one("--config", file, "--epochs", 9, "--set", "lr=0.125", "loss.epsilon=1")
    assert (settings.run.epochs, settings.optimiser.lr, settings.loss.options["epsilon"]) == (9, 0.125, 1.0)


def test_the_settings_that_a_run_leaves_give_the_same_run(tmp_path):
    words = ["--epochs", 3, "--set", "gamma=2.5", "classifier=cosine", "class_weights=1,2,3,4,5,6,7", "clip_norm=2"]
    before = one(*words, "--methods", "mdd", "--losses", "difc", "--seeds", 4)
    file = tmp_path / "settings.toml"
    file.write_text(settings_file(before))
    assert one("--config", file) == before  # method, loss and seed among them
    assert one("--config", file, "--methods", "mcd").method.options["repeat"] == 4  # mdd's options stay behind
    assert one("--config", file, "--losses", "ce").loss.options == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "epochs=1", "epochs=2"], "run.epochs is given twice: by --set epochs and by --set epochs"),
        (["--set", "epochs=1", "run.epochs=2"], "given twice: by --set epochs and by --set run.epochs"),
        (["--epochs", "3", "--set", "epochs=3"], "given twice: by --epochs and by --set epochs"),
        (["--set", "seed=7"], r"--set seed: set by --seeds \(--seed\) for each run"),
        (["--set", "method=dann"], "set by --methods"),
        (["--set", "loss.name=ce"], "set by --losses"),
        (["--set", "epsilon"], "must be key=value"),
        (["--set", "epsilon=much"], "epsilon=much: must be a number"),
        (["--set", "gamma=2"], "'gamma' is an option of methods mdd and losses focal, and none of these is used"),
        (["--losses", "ce", "--set", "loss.epsilon=1"], "'loss.epsilon' is an option of losses difc, and none"),
        (["--methods", "mdd", "mcd", "--losses", "focal", "--set", "gamma=2"], "give the whole key"),
    ],
)
def test_what_is_refused(words, said):
    with pytest.raises(UserError, match=said):
        grid(*words)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epocs = 1", "unknown key 'epocs': did you mean 'epochs'"),
        ("[run]\nepochs = 0", "epochs=0: must be"),
        ("[run]\nepochs = true", "epochs=True: must be a whole number"),
        ("[data]\nsource = [1]", "source=.*: must be text"),
        ("[a.b]\nc = 1", "must be a single value"),
        ("=", "not TOML"),
        ("epochs = 1\n[run]\nepochs = 2", "given twice"),
    ],
)
def test_a_file_that_is_not_as_it_should_be(text, said, tmp_path):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UserError, match=said) as error:
        grid("--config", tmp_path / "c.toml")
    assert "c.toml" in str(error.value) and "\n" not in str(error.value)


def test_an_option_goes_to_the_cells_that_have_it():
    cells = grid("--methods", "mdd", "mcd", "--losses", "ce", "focal", "--set", "method.gamma=3", "loss.gamma=5")
    found = [(c.method.name, c.method.options.get("gamma"), c.loss.options.get("gamma")) for c in cells]
    assert found == [("mdd", 3.0, None), ("mdd", 3.0, 5.0), ("mcd", None, None), ("mcd", None, 5.0)]


def test_a_seed_named_twice_is_one_run():
    assert [c.run.seed for c in grid("--seeds", 1, 0, 1)] == [1, 0]


def test_old_files_of_studies_are_read(tmp_path):
    (tmp_path / "best.toml").write_text("max_margin = 0.7\nepsilon = 0.1\nreweight_epoch = 2\nlr = 0.01\n")
    settings = one("--config", tmp_path / "best.toml")
    assert settings.loss.options["max_margin"] == 0.7 and settings.loss.reweight_epoch == 2
    (tmp_path / "best.toml").write_text('head = "cosine"\nestimate = "evaluation"\n')
    settings = one("--config", tmp_path / "best.toml")
    assert settings.model.classifier == "cosine" and settings.loss.options["confusion_from"] == "evaluation"


def test_a_file_of_every_default_is_complete():
    settings = resolve(Settings())
    text = settings_file(settings)
    for key, value in settings.flat().items():
        assert value is None or f"{key.partition('.')[2]} = " in text


def test_what_followed_from_the_others_in_a_run_s_file_does_so_again(tmp_path):
    """A cosine classifier that came with ldam, a rate that came with sgd, phases that came with the epochs."""
    file = tmp_path / "settings.toml"
    file.write_text(settings_file(one("--losses", "ldam", "--epochs", 4)))
    settings = one("--config", file, "--losses", "ce", "--epochs", 10, "--set", "optimiser=adamw")
    assert (settings.model.classifier, settings.model.scale) == ("linear", 1.0)
    assert (settings.loss.confusion_epoch, settings.loss.reweight_epoch) == (5, 5)
    assert settings.optimiser.lr == pytest.approx(0.001)
    assert one("--config", file, "--methods", "agra").model.feature_head == "global_local"


def test_what_was_asked_for_stays_and_so_does_what_was_edited(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(settings_file(one("--set", "lr=0.02", "classifier=cosine", "scale=30")))
    settings = one("--config", file, "--losses", "ce", "--set", "optimiser=adamw")
    assert (settings.optimiser.lr, settings.model.classifier, settings.model.scale) == (0.02, "cosine", 30.0)
    file.write_text(settings_file(one()).replace("lr = 0.02", "lr = 0.5"))
    assert one("--config", file, "--set", "optimiser=adamw").optimiser.lr == 0.5


def test_a_cosine_classifier_of_a_run_from_before_keeps_the_scale_that_it_had(tmp_path):
    """Where a loss brought no scale it was 1; the file says so, as of every value, and that it followed."""
    file = tmp_path / "settings.toml"
    text = settings_file(one("--losses", "di", "--set", "classifier=cosine"))
    assert "scale = 30.0" in text and '"model.scale"' in text
    file.write_text(text.replace("scale = 30.0", "scale = 1.0"))
    assert one("--config", file, "--losses", "di").model.scale == 1.0
    assert one("--config", file, "--losses", "di", "--set", "scale=30").model.scale == 30.0


@pytest.mark.parametrize("key", ["optimizer.lr", "foo", "lr"])
def test_a_key_that_is_said_to_follow_has_to_be_one(key, tmp_path):
    (tmp_path / "c.toml").write_text(f'follows = ["{key}"]\n[optimiser]\nlr = 0.5\n')
    with pytest.raises(UserError, match=f"follows: unknown setting '{key}'"):
        one("--config", tmp_path / "c.toml")


def test_an_option_goes_to_the_cells_in_which_it_does_something():
    """adamatch's teacher is the student, which has no decay."""
    cells = grid("--methods", "mean_teacher", "adamatch", "dann", "--losses", "ce", "--set", "teacher_decay=0.9")
    decays = {cell.method.name: cell.method.options.get("teacher_decay") for cell in cells}
    assert decays == {"mean_teacher": 0.9, "adamatch": 0.99, "dann": None}
    cells = grid("--methods", "mean_teacher", "adamatch", "--losses", "ce", "--set", "temperature=0.3", "align=none")
    assert [cell.method.options["temperature"] for cell in cells] == [0.3, 0.3]
    for words in (["adamatch"], ["adamatch", "dann"]):
        with pytest.raises(UserError, match=r"^teacher_decay=0\.9 has no effect with teacher=student$"):
            grid("--methods", *words, "--losses", "ce", "--set", "teacher_decay=0.9")
    with pytest.raises(UserError, match=r"^target_margin=2 has no effect with target_loss=ce$"):
        grid("--methods", "mean_teacher", "adamatch", "--losses", "ce", "--set", "target_margin=2")
    with pytest.raises(UserError, match=r"--set teacher_decay: teacher_decay=2\.0: must be a finite number"):
        grid("--methods", "mean_teacher", "adamatch", "--losses", "ce", "--set", "teacher_decay=2")


def test_a_command_s_own_options_give_way_where_they_would_do_nothing():
    """adapt's source_free has a decay of its own, which a teacher that is given may leave without effect."""
    from made import settings_of_adapt

    cells = {cell.method.name: cell.method.options for cell in settings_of_adapt("--set", "teacher=student")}
    assert cells["source_free"]["teacher"] == "student" and cells["mean_teacher"]["teacher"] == "student"
    with pytest.raises(UserError, match=r"teacher_decay=0\.5 has no effect with teacher=student"):
        settings_of_adapt("--set", "teacher=student", "teacher_decay=0.5")
    cells = [cell.method.options for cell in settings_of_adapt("--set", "teacher_decay=0.5")]
    assert {given["teacher_decay"] for given in cells if given.get("teacher") == "average"} == {0.5}
    (from_start,) = (given for given in cells if given.get("teacher") == "start")  # its teacher is no average
    assert from_start["teacher_decay"] != 0.5
