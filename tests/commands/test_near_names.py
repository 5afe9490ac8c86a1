"""A flag, a folder or weights with a name that does not exist: the error names what was probably meant."""

from pathlib import Path

import pytest

import pa_difc
from pa_difc.backbones.places import place_digest
from pa_difc.backbones.published import PUBLISHED
from pa_difc.commands.parser import main
from pa_difc.data.loading import load_domain
from pa_difc.util.errors import UserError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "--modl", "x", "a.jpg"], "required: --model; --modl is unknown: did you mean --model?"),
        (
            ["predict", "--model", "x", "--anotate=b", "a.jpg"],
            "--anotate=b; --anotate is unknown: did you mean --annota",
        ),
        (["predict", "--zzzz", "a.jpg"], "required: --model\n"),
    ],
)
def test_a_flag_that_is_like_another(words, said, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compar", "--lossses", "ce"], "error: unknown command 'compar': did you mean compare?\n"),
        (["Sreach"], "error: unknown command 'Sreach': did you mean search?\n"),
        (["zzzz"], "error: unknown command 'zzzz': pa-difc --help lists them\n"),
        (["predict", "--model", "x", "--crop", "cdfr", "a"], "(choose from model, cdfer, none): did you mean cdfer?\n"),
        (["list", "methds"], "did you mean methods?\n"),
        (["export", "--model", "x", "--out", "y", "--format", "zip"], "invalid choice: 'zip' (choose from "),
    ],
)
def test_a_command_or_a_value_that_is_like_another(words, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["folder", "images", "store"])
def test_a_dataset_s_folder_that_is_like_another(kind, tmp_path):
    (tmp_path / "my_labelled_faces").mkdir()
    with pytest.raises(UserError, match=f"did you mean '{tmp_path}/my_labelled_faces'"):
        load_domain(f"{kind}:my_labeled_faces", tmp_path, size_px=32)


def test_a_model_s_folder_that_is_like_another(tmp_path):
    (tmp_path / "my_model").mkdir()
    with pytest.raises(UserError, match=f"no such folder; did you mean '{tmp_path}/my_model'"):
        pa_difc.load(tmp_path / "my_modell")


@pytest.mark.parametrize("name", ["face_api", "downloads/face_expression"])
def test_public_weights_that_are_not_there_are_said_where_to_get(name):
    with pytest.raises(UserError) as refused:
        place_digest(Path(name))
    said = str(refused.value)
    assert said.startswith(
        f"cannot read weights {name}: no such file or folder; face_api are public weights: get them "
    )
    assert PUBLISHED["face_api"].origin in said and "`pa-difc weights face_api` says more" in said


def test_other_weights_that_are_not_there_are_pointed_to_the_list(tmp_path):
    (tmp_path / "net.pth").touch()
    with pytest.raises(UserError, match=f"did you mean '{tmp_path}/net.pth'.; `pa-difc weights` lists public weights"):
        place_digest(tmp_path / "nett.pth")
