"""Faces are cut out as the model's training faces were, or as is asked for, and a difference is said."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
from pa_difc.data.crops import TYPICAL_POINTS
from pa_difc.deploy.model import load_model

BOX = "faces that are detected and cropped to the box and about 10 % around it"
ALIGNED = "faces that are detected and aligned by eyes, nose and mouth"


@pytest.fixture
def predict(predict):
    """Rows, and what was said, of a command that works."""

    def run(model, *words):
        code, rows, err = predict(model, *words)
        assert code == 0, err
        return rows, err

    return run


@pytest.mark.parametrize(
    ("trained", "crop", "said"),
    [
        (None, "model", f"on images as they are, but now sees {BOX} (--crop none if"),
        (None, "cdfer", f"on images as they are, but now sees {BOX} (--crop none if"),
        (None, "none", None),
        ("cdfer", "model", None),
        ("cdfer", "cdfer", None),
        ("cdfer", "none", f"was trained on {BOX}, but now sees whole images (--crop model shows it"),
        ("arcface", "model", None),
        ("arcface", "cdfer", f"on {ALIGNED}, but now sees {BOX}"),
        ("none", "model", None),
        ("none", "none", None),
        ("arcface", "none", f"on {ALIGNED}, but now sees whole images"),
        ("none", "cdfer", f"on whole images, but now sees {BOX}"),
    ],
)
def test_a_crop_that_the_model_was_not_trained_on_is_said(
    trained, crop, said, as_they_are, prepared, tmp_path, predict
):
    Image.new("RGB", (90, 60)).save(tmp_path / "a.png")
    _, err = predict(prepared[trained] if trained else as_they_are, tmp_path / "a.png", "--crop", crop)
    assert ("the model was trained" in err) is (said is not None)
    assert said is None or said in err


def noise(width, height):
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


def probs_of(folder, pixels, points=TYPICAL_POINTS * 32 / 112):
    with torch.no_grad():
        image = torch.from_numpy(np.asarray(pixels).transpose(2, 0, 1).copy())[None].float() / 255
        return load_model(folder)(image, torch.from_numpy(points)[None])[0].numpy()


def told(row, folder):
    return [float(row[name]) for name in load_model(folder).classes]


def test_without_a_crop_every_image_is_a_face(as_they_are, tmp_path, predict):
    """All of an image that a model was trained on without prepare: the square in its middle."""
    image = noise(60, 40)
    image.save(tmp_path / "a.png")
    assert predict(as_they_are, tmp_path / "a.png")[0][0]["problem"] == "no face"
    (row,), _ = predict(as_they_are, tmp_path / "a.png", "--crop", "none")
    square = image.resize((32, 32), Image.Resampling.BILINEAR, box=(10, 0, 50, 40))
    assert told(row, as_they_are) == pytest.approx(probs_of(as_they_are, square).tolist(), abs=1e-6)
    assert [row[k] for k in ("left", "top", "right", "bottom", "x1")] == ["10.0", "0.0", "50.0", "40.0", ""]


def test_without_a_crop_a_model_of_whole_images_is_shown_them(prepared, tmp_path, predict):
    image = noise(60, 40)
    image.save(tmp_path / "a.png")
    (row,), _ = predict(prepared["none"], tmp_path / "a.png", "--crop", "none")
    stretched = image.resize((32, 32), Image.Resampling.BILINEAR)
    assert told(row, prepared["none"]) == pytest.approx(probs_of(prepared["none"], stretched).tolist(), abs=1e-6)


def test_several_faces_of_an_image_that_is_one_face_are_one_row(prepared, group, tmp_path, predict):
    group(0.2, (900, 700))[0].save(tmp_path / "a.jpg")
    assert len(predict(prepared["cdfer"], tmp_path / "a.jpg")[0]) == 6
    for words in ([], ["--crop", "none"]):
        (row,), _ = predict(prepared["none"], tmp_path / "a.jpg", *words)
        assert (float(row["right"]), float(row["bottom"])) == (900, 700)


def test_another_crop_than_the_model_s_is_another_prediction(prepared, portrait, tmp_path, predict):
    portrait.save(tmp_path / "a.png")
    rows = [predict(prepared["arcface"], tmp_path / "a.png", "--crop", crop)[0] for crop in ("model", "cdfer")]
    same = predict(prepared["cdfer"], tmp_path / "a.png")[0]
    assert told(rows[0][0], prepared["cdfer"]) != told(rows[1][0], prepared["cdfer"])
    assert told(rows[1][0], prepared["cdfer"]) == told(same[0], prepared["cdfer"])


def test_more_pixels_are_asked_for_by_a_flag(prepared, group, tmp_path, predict):
    group(0.03, (1600, 1200))[0].save(tmp_path / "a.jpg")
    for px, faces in ((256, 0), (1024, 6)):
        rows, _ = predict(prepared["cdfer"], tmp_path / "a.jpg", "--detect-px", px)
        assert sum(not row["problem"] for row in rows) == faces


@pytest.mark.parametrize("px", [63, 4097, -1])
def test_pixels_out_of_range_are_refused(px, prepared, tmp_path, capsys):
    with pytest.raises(SystemExit):
        exit_with(lambda: main(["predict", "--model", str(prepared["cdfer"]), "x", "--detect-px", str(px)]))
    assert f"--detect-px {px}: must be from 64 to 4096" in capsys.readouterr().err


def test_json_has_the_same_rows(prepared, portrait, tmp_path, predict, capsys):
    portrait.save(tmp_path / "a.png")
    ((row,), _), words = predict(prepared["cdfer"], tmp_path / "a.png"), ["--format", "json"]
    with pytest.raises(SystemExit):
        exit_with(lambda: main(["predict", "--model", str(prepared["cdfer"]), str(tmp_path / "a.png"), *words]))
    (same,) = json.loads(capsys.readouterr().out)
    assert {k: str(v) for k, v in same.items()} == row
