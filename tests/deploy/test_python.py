"""A model in Python: whatever an image comes as, what is said of it is what the command says of the file."""

import csv
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pa_difc
from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
from pa_difc.deploy.images import find_images
from pa_difc.deploy.predictor import Predictor
from pa_difc.util.errors import ModelWarning, UserError


@pytest.fixture(scope="module")
def folder(prepared):
    return prepared["cdfer"]


@pytest.fixture(scope="module")
def model(folder):
    return pa_difc.load(folder)


@pytest.fixture(scope="module")
def small(portrait):
    """A photograph of one face, in few pixels, so that it is searched quickly."""
    return portrait.crop((120, 0, 330, 210))


@pytest.fixture
def told(folder, capsys):
    """What the command writes of files: rows as a reader of the table has them."""

    def run(*words):
        with pytest.raises(SystemExit) as stop:
            exit_with(lambda: main(["predict", "--model", str(folder), *map(str, words)]))
        out, err = capsys.readouterr()
        assert stop.value.code == 0, err
        return list(csv.DictReader(io.StringIO(out)))

    return run


def as_read(rows, but=("file",)):
    """Rows as a reader of the table has them, without some columns."""
    return [{key: str(value) for key, value in row.items() if key not in but and value != ""} for row in rows]


def test_a_file_s_faces_are_those_of_the_command(model, small, tmp_path, told):
    small.save(tmp_path / "a.png")
    faces = model(str(tmp_path / "a.png"))
    assert as_read(faces.rows(), ()) == as_read(told(tmp_path / "a.png"), ())
    (face,) = faces
    assert face.source == str(tmp_path / "a.png") and face.label in model.labels
    assert face.confidence == max(face.probs.values()) == face.probs[face.label]
    assert list(face.probs) == list(model.labels) and face.probs_array.tolist() == list(face.probs.values())
    assert sum(face.probs.values()) == pytest.approx(1, abs=1e-5)
    left, top, right, bottom = face.box
    assert [left, top, right, bottom] == pytest.approx([61, 70, 149, 178], abs=10)  # read off the picture by eye
    assert face.points.shape == (5, 2) and (face.points[:, 0] > left).all() and (face.points[:, 1] < bottom).all()
    assert face.as_dict() == json.loads(json.dumps(face.as_dict()))
    assert face.as_dict()["probs"] == face.probs and face.as_dict()["box"] == list(face.box)


def saved(image, path, **how):
    image.save(path, **how)
    return path


def kinds(small, folder):
    """Files of all kinds, by what is unusual about them."""
    rgba = small.convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize(small.size))
    deep = np.asarray(small.convert("L")).astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = small.transpose(Image.Transpose.ROTATE_90)
    frames = [Image.new("P", small.size, 3), small.convert("P")]
    return {
        "gray": saved(small.convert("L"), folder / "gray.png"),
        "transparent": saved(rgba, folder / "transparent.png"),
        "transparent palette": saved(small.quantize(64), folder / "palette.png", transparency=3),
        "16 bits": saved(Image.fromarray(deep), folder / "deep.png"),
        "CMYK": saved(small.convert("CMYK"), folder / "cmyk.jpg", quality=95),
        "turned": saved(turned, folder / "turned.jpg", exif=exif, quality=95),
        "turned TIFF": saved(turned, folder / "turned.tif", exif=exif),
        "GIF of frames": saved(frames[1], folder / "frames.gif", save_all=True, append_images=frames[:1]),
        "WebP": saved(small, folder / "a.webp", lossless=True),
    }


KINDS = (
    "gray",
    "transparent",
    "transparent palette",
    "16 bits",
    "CMYK",
    "turned",
    "turned TIFF",
    "GIF of frames",
    "WebP",
)


def test_an_opened_image_is_as_its_file(model, small, tmp_path):
    """Whatever its colours, its depth, and the way it was held: the same to the bit, loaded before or not."""
    for kind, path in kinds(small, tmp_path).items():
        of_file = model(path)
        assert len(of_file) == 1, kind
        with Image.open(path) as fresh, Image.open(path) as loaded:
            loaded.load()
            for image in (fresh, loaded):
                assert model(image).rows() == of_file.rows(), kind


def test_arrays_and_tensors_are_as_their_file(model, small, tmp_path):
    for image, name in ((small, "colour"), (small.convert("L"), "gray")):
        of_file = model(saved(image, tmp_path / f"{name}.png"))
        array = np.asarray(image)
        tensor = torch.from_numpy(np.atleast_3d(array).transpose(2, 0, 1).copy())
        given = [array, array[::-1][::-1], np.atleast_3d(array), tensor]
        for x in given:
            assert as_read(model(x).rows()) == as_read(of_file.rows())
    assert model(np.asarray(small)[:, :, ::-1])[0].probs != of_file[0].probs


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (
            np.zeros((8, 9, 3)),
            "an array of shape (8, 9, 3) and type float64: must be uint8, 0 to 255; if it is in 0..1",
        ),
        (np.zeros((8, 9), np.uint16), "type uint16: must be uint8, 0 to 255"),
        (np.zeros((8, 9, 4), np.uint8), "Image.fromarray(array)"),
        (np.zeros((3, 8, 9), np.uint8), "array.transpose(1, 2, 0)"),
        (np.zeros((2, 8, 9, 3), np.uint8), "list(array)"),
        (np.zeros((0, 9, 3), np.uint8), "must be (H, W, 3), RGB, or (H, W), gray"),
        (np.zeros((8, 9, 3), object), "an array of shape (8, 9, 3) and type object: must be uint8"),
        (Image.new("RGB", (0, 5)), "image 0: 0x5 pixels: the image is empty"),
        (np.zeros(8, np.uint8), "must be (H, W, 3), RGB, or (H, W), gray"),
        (torch.zeros(3, 8, 9), "a tensor of shape (3, 8, 9) and type torch.float32: must be uint8"),
        (torch.zeros(8, 9, 3, dtype=torch.uint8), "must be (3, H, W), RGB"),
        (torch.zeros(2, 3, 8, 9, dtype=torch.uint8), "list(tensor)"),
        (b"\xff\xd8", "image 0 is of type bytes: give Image.open(io.BytesIO(…))"),
        (bytearray(b"\xff\xd8"), "image 0 is of type bytearray: give Image.open(io.BytesIO(…))"),
        (None, "NoneType can't be predicted: give a path, a PIL image, an array"),
        (7, "int can't be predicted"),
        ({"image": "a.jpg"}, "dict can't be predicted"),
        ([7], "image 0 is of type int"),
        (["."], ". is a folder: give it alone, or a list of its images"),
        ("nowhere.jpg", "nowhere.jpg: no such file"),
        (
            "https://a.b/c.jpg",
            "https://a.b/c.jpg: no such file; addresses are not read: download it, and give the file",
        ),
        (io.BytesIO(b"\xff\xd8"), "an open file (BytesIO) can't be predicted: give its path, or Image.open(file)"),
    ],
)
@pytest.mark.parametrize("ask", ["__call__", "features"])
def test_what_is_no_image_is_refused_in_a_line(ask, x, words, model):
    with pytest.raises(UserError) as error:
        getattr(model, ask)(x)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_an_open_file_is_refused_at_once_and_not_read_line_by_line(model, small, tmp_path):
    with saved(small, tmp_path / "a.jpg").open("rb") as file:
        with pytest.raises(UserError, match=r"an open file \(BufferedReader\) .* give its path"):
            model(file)
        assert file.tell() == 0


@pytest.mark.parametrize("where", ["image", "video", "model"])
def test_an_address_is_no_path(where, model):
    """On the command line too, where it comes as a path, and two slashes are one."""
    address = Path("https://example.org/a")
    read = {"image": lambda a: find_images([a]), "video": model.video, "model": pa_difc.load}[where]
    with pytest.raises(UserError, match=r"https://example.org/a: no such .*; addresses are not read: download it"):
        read(address)


def test_what_is_asked_for_that_does_not_exist_is_refused(model, folder, small):
    for wrong, words in (
        ({"crop": "nonw"}, "unknown crop 'nonw': did you mean 'none'?"),
        ({"batch_size": 0}, "batch_size=0: must be a whole number of at least 1"),
    ):
        with pytest.raises(UserError, match=words.replace("?", r"\?")):
            model(small, **wrong)
    for wrong, words in (
        ({"device": "tpu"}, "device 'tpu'"),
        ({"crop": "x"}, "unknown crop 'x'"),
        ({"views": "flop"}, "unknown views 'flop'"),
        ({"detect_px": 63}, "detect_px=63: must be a whole number from 64 to 4096"),
    ):
        with pytest.raises(UserError, match=words):
            pa_difc.load(folder, **wrong)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model, small: model(small, batch_size="8"), "batch_size='8': must be a whole number of at least 1"),
        (lambda model, small: model.features(small, batch_size=2.5), "batch_size=2.5: must be a whole number"),
        (lambda model, small: model.predict(small, batch_size=None), "batch_size=None: must be a whole number"),
        (lambda model, small: model(small, batch_size=True), "batch_size=True: must be a whole number"),
        (lambda model, small: model(small, batch_size=10**30), "must be a whole number of at least 1"),
        (lambda model, small: model.each([small], batch_size=0), "batch_size=0: must be a whole number"),
        (lambda model, small: model.each([small], at_once="2"), "at_once='2': must be a whole number"),
        (lambda model, small: model.video("a.mp4", batch_size="8"), "batch_size='8': must be a whole number"),
        (lambda model, small: model.video("a.mp4", every=2.5), "every=2.5: must be a whole number of at least 1"),
        (lambda model, small: model.video("a.mp4", smooth=3), "smooth=3: must be text"),
        (lambda model, small: model.video(None), "source=None: must be a path, as text or a Path, or a camera's"),
        (lambda model, small: model.video(True), "source=True: must be a whole number of at least 0"),
        (lambda model, small: model.video(np.int64(-1)), "must be a whole number of at least 0"),
        (lambda model, small: pa_difc.load(None), "folder=None: must be a path, as text or a Path"),
        (lambda model, small: pa_difc.load(""), "folder='': must be a path, as text or a Path"),
        (lambda model, small: model(""), "images='': must be a path, as text or a Path"),
        (lambda model, small: pa_difc.load(b"my_model"), "folder=b'my_model': must be a path"),
        (lambda model, small: pa_difc.load("x", device=3), "device '3' can't be used"),
        (lambda model, small: Predictor(model.model, detect_px="640"), "detect_px='640': must be a whole number from"),
        (lambda model, small: Predictor(model.model, detect_px=640.5), "detect_px=640.5: must be a whole number"),
        (lambda model, small: Predictor(model.model, crop=None), "unknown crop 'None'"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_in_a_line(call, words, model, small):
    with pytest.raises(UserError) as error:
        call(model, small)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_whole_numbers_of_other_libraries_are_whole_numbers(model, small):
    assert len(model(small, batch_size=np.int64(3))) == 1
    assert Predictor(model.model, detect_px=np.int32(640)).detect_px == 640


def test_many_are_a_list_in_order_and_an_iterator_is_read_as_it_is_gone_through(model, small, tmp_path):
    empty = Image.new("RGB", (90, 60))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no")
    given = [small, empty, tmp_path / "broken.jpg", np.asarray(small)]
    found = model(given)
    assert isinstance(found, list) and [len(faces) for faces in found] == [1, 0, 0, 1]
    assert [faces.source for faces in found] == ["image 0", "image 1", str(tmp_path / "broken.jpg"), "image 3"]
    assert found[1].problem == "no face" and found[1] == [] and found[2].problem and not found[0].problem
    assert as_read(found[0].rows()) == as_read(found[3].rows())
    assert [as_read(faces.rows()) for faces in model(tuple(given))] == [as_read(faces.rows()) for faces in found]
    assert model([]) == [] and list(model(iter([]))) == []

    read = []

    def reading():
        for number in range(100):
            read.append(number)
            yield small

    lazily = model(reading())
    assert not isinstance(lazily, list) and not read
    assert next(lazily)[0].label == found[0][0].label and len(read) <= 16


def test_a_folder_is_many(model, album, told):
    found = model(album)
    assert [row["file"] for faces in found for row in faces.rows()] == [row["file"] for row in told(album)]
    assert [faces.rows() for faces in model(np.array([faces.source for faces in found]))] == [f.rows() for f in found]


@pytest.mark.parametrize("crop", ["model", "none", "cdfer"])
def test_the_crop_is_the_command_s(crop, folder, model, small, tmp_path, told):
    path = saved(small, tmp_path / "a.png")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        rows = [model(path, crop=crop).rows(), pa_difc.load(folder, crop=crop)(path).rows()]
    assert rows[0] == rows[1] and as_read(rows[0], ()) == as_read(told(path, "--crop", crop), ())
    words = [str(w.message) for w in said if w.category is ModelWarning]
    assert all("but now sees whole images" in line and "crop=model" in line for line in words)
    assert len(words) == (2 if crop == "none" else 0)


def test_a_crop_that_it_was_not_trained_on_is_said_once(folder, small):
    model = pa_difc.load(folder)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")  # Python's own: once for each line of the program
        model(small, crop="none")
        model.features(small, crop="none")
        again = model([small, small], crop="none")
        pa_difc.load(folder)(small, crop="none")
    assert len(said) == 2 and len(again) == 2 and said[0].filename == __file__


def test_views_and_detect_px_are_the_command_s(folder, model, group, tmp_path, told):
    path = saved(group(0.03, (1600, 1200), 2)[0], tmp_path / "a.jpg")
    for px, faces in ((256, 0), (1024, 2)):
        found = pa_difc.load(folder, views="flip", detect_px=px)(path)
        assert len(found) == faces
        assert as_read(found.rows(), ()) == as_read(told(path, "--views", "flip", "--detect-px", px), ())
    assert found[0].probs != model(path)[0].probs


def test_more_at_a_time_says_the_same(model, small):
    given = [small, Image.new("RGB", (90, 60)), small.resize((300, 300)), small.rotate(10), small]
    alone, together = model(given), model(given, batch_size=3)
    assert [len(faces) for faces in together] == [1, 0, 1, 1, 1]
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.source == b.source and a.box == b.box
            np.testing.assert_allclose(a.probs_array, b.probs_array, atol=1e-6)


def test_features_are_those_that_the_classifier_is_shown(model, small):
    given = [small, Image.new("RGB", (90, 60)), small.rotate(10)]
    features = model.features(given)
    assert [len(x) for x in features] == [1, 0, 1] and features[1].shape == (0, features[0].shape[1])
    with torch.no_grad():
        logits = model.model.models["C"](torch.from_numpy(features[2]))
    np.testing.assert_allclose(logits.softmax(dim=1)[0].numpy(), model(given)[2][0].probs_array, atol=1e-6)
    np.testing.assert_array_equal(model.features(small), features[0])
    assert [x.shape for x in model.features(iter(given))] == [x.shape for x in features]


def test_a_table_in_pandas_is_the_command_s(model, album, told):
    import pandas as pd

    Image.new("RGB", (90, 60)).save(album / "monday" / "empty.png")
    frame = model(album).to_dataframe()
    rows = told(album)
    assert list(frame.columns) == list(rows[0]) and len(frame) == len(rows)
    for row, (_, other) in zip(rows, frame.iterrows(), strict=True):
        assert row == {key: "" if pd.isna(value) else str(value) for key, value in other.items()}
    assert model(album / "tuesday" / "1.png").to_dataframe()["label"].tolist() == [rows[-1]["label"]]
    assert list(model([]).to_dataframe().columns)[:2] == ["file", "label"]


def test_without_pandas_its_name_is_said(model, small, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(UserError, match=r"to_dataframe\(\) needs pandas: pip install pandas"):
        model(small).to_dataframe()


def test_what_it_looks_like(model, small, tmp_path):
    name = "<b>&.png"
    faces = model([saved(small, tmp_path / name), Image.new("RGB", (90, 60))])
    label, sure = faces[0][0].label, f"{faces[0][0].confidence:.0%}"
    assert f"{label} {sure}" in repr(faces[0]) and f"Face({label} {sure}, box=(" in repr(faces[0][0])
    assert "no face" in repr(faces[1]) and "<Predictor: source_only · ce, small at 32 px, crop cdfer, on cpu" in repr(
        model
    )
    html = faces._repr_html_()
    assert "&lt;b&gt;&amp;.png" in html and "<b>&" not in html and "no face" in html and label in html
    assert faces[0][0]._repr_html_() == faces[0]._repr_html_()


def test_another_process_can_be_given_it(model, small):
    import pickle

    said = model(small)
    again = pickle.loads(pickle.dumps(model))(small)
    assert again.rows() == said.rows() == pickle.loads(pickle.dumps(said)).rows()


def test_nothing_of_torch_s_settings_is_changed(folder):
    before = torch.backends.cudnn.benchmark, torch.is_grad_enabled()
    pa_difc.load(Path(folder))
    assert (torch.backends.cudnn.benchmark, torch.is_grad_enabled()) == before
