"""A model folder explains itself: to the hub, to programs without this package, and to whoever adds to it."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from made import OLD_TORCH
from made_models import record, untrained
from PIL import Image
from safetensors.torch import load_file, save_file

import pa_difc
from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
from pa_difc.data.labels import EXPRESSIONS, LabelSet
from pa_difc.deploy.card import model_card
from pa_difc.deploy.export import export_model
from pa_difc.deploy.model import FaceModel, load_model, save_model
from pa_difc.deploy.onnx_names import names_line
from pa_difc.deploy.predict import predict_images
from pa_difc.deploy.temperature import temperature
from pa_difc.training.model_settings import model_settings
from pa_difc.util.errors import UserError
from pa_difc.util.files import file_digest, write_sealed

NO_ONNX = pytest.mark.skipif(OLD_TORCH, reason="ONNX needs torch 2.6")
THREE = LabelSet(("dog", "cat", 'a "quoted" bird'))


def refused(folder):
    with pytest.raises(UserError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    return str(caught.value)


def refusals(folder, load=load_model):
    """The error of loading a folder, in a list; an empty one if it is loaded."""
    try:
        load(folder)
    except UserError as error:
        return [str(error)]
    return []


def edited(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_classes_are_said_in_the_hub_s_words(tmp_path):
    save_model(untrained(THREE), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["id2label"] == {"0": "dog", "1": "cat", "2": 'a "quoted" bird'}
    assert config["label2id"] == {"dog": 0, "cat": 1, 'a "quoted" bird': 2}


def test_others_may_add_to_the_settings_and_it_is_kept(tmp_path):
    model = untrained(THREE)
    save_model(model, tmp_path / "a")
    edited(tmp_path / "a", license="cc-by-4.0", transformers={"a": [1, 2]})
    again = load_model(tmp_path / "a")
    save_model(again, tmp_path / "b")
    save_model(model, tmp_path / "a")  # the same model once more, from where nothing was added
    for folder in ("a", "b"):
        config = json.loads((tmp_path / folder / "config.json").read_text())
        assert config["license"] == "cc-by-4.0" and config["transformers"] == {"a": [1, 2]}
        load_model(tmp_path / folder)


def test_a_sealed_folder_of_before_is_read_as_it_is_and_with_more(tmp_path):
    save_model(untrained(THREE), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    sealed = {key: value for key, value in config.items() if key not in ("id2label", "label2id")}
    write_sealed(tmp_path / "config.json", sealed)
    assert load_model(tmp_path).classes == THREE.names
    edited(tmp_path, tags=["added later"])
    assert load_model(tmp_path).settings["tags"] == ["added later"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id2label": {"0": "cat", "1": "dog", "2": 'a "quoted" bird'}}, "id2label does not name the classes"),
        ({"label2id": {"dog": 0}}, "label2id does not name the classes"),
        ({"labels": {"names": ["dog", "Dog", "x"], "synonyms": {}, "excluded": []}}, "two names for one class"),
        ({"labels": {"names": ["dog"], "synonyms": {}, "excluded": []}}, "there must be at least two"),
        ({"labels": {"names": ["dog", "cat"], "synonyms": {"x": 3}, "excluded": []}}, "synonyms must be words"),
        ({"calibration": {"temperature": 0, "faces": 3, "nll": [1, 1]}}, "calibration.temperature is 0"),
        ({"input": {"size_px": 32, "crop": "round", "prepared": True, "landmarks": False}}, "input.crop is 'round'"),
    ],
)
def test_what_is_needed_is_checked(changes, words, tmp_path):
    save_model(untrained(THREE), tmp_path)
    edited(tmp_path, **changes)
    assert words in refused(tmp_path)


def nested(folder, *keys, value):
    """Changes a value deep in the settings; None removes it."""
    path = folder / "config.json"
    settings = place = json.loads(path.read_text())
    for key in keys[:-1]:
        place = place[key]
    place.pop(keys[-1], None)
    if value is not None:
        place[keys[-1]] = value
    path.write_text(json.dumps(settings))


ADJUSTED = {"ratio": [1.0, 2.0, 1.0], "scale": 0.5, "bias": [0.0] * 3}


@pytest.mark.parametrize(
    ("part", "keys", "value"),
    [
        ("settings.eval", ["settings", "eval", "views"], "none"),
        ("settings.eval", ["settings", "eval"], None),
        ("settings.model", ["settings", "model", "input_scale"], 1.1),
        ("settings.model", ["settings", "model", "input_scale"], None),
        ("settings.method", ["settings", "method", "name"], "source_only"),
        ("input", ["input", "prepared"], True),
        ("adjustment", ["adjustment", "scale"], 0.25),
        ("adjustment", ["adjustment"], None),
        ("product", ["product"], None),
        ("product", ["product", "power"], 0.75),
        ("product", ["product", "model", "labels", "names"], ["cat", "dog", 'a "quoted" bird']),
    ],
)
def test_what_would_change_predictions_is_refused_by_name_unless_it_is_on_purpose(part, keys, value, tmp_path):
    model = untrained(THREE, views="flip", input_scale=0.9)
    product = {"power": 0.5, "model": untrained(THREE, seed=2).settings}
    sealed = FaceModel(model.settings | {"adjustment": ADJUSTED, "product": product}).eval()
    save_model(sealed, tmp_path)
    nested(tmp_path, "settings", "eval", "note", value="of somebody else")
    nested(tmp_path, "adjustment", "bias", value=[0, 0, 0])  # as JavaScript writes 0.0
    load_model(tmp_path)
    nested(tmp_path, *keys, value=value)
    assert f"{part} changed since the export" in refused(tmp_path)
    nested(tmp_path, "digests", part, value=None)
    assert all("since the export" not in said for said in refusals(tmp_path))  # but some don't fit the weights


def test_classes_in_another_order_are_refused_unless_they_are_renamed_on_purpose(tmp_path):
    save_model(untrained(THREE), tmp_path)
    names = ["cat", "dog", "bird"]
    edited(tmp_path, labels={"names": names, "synonyms": {}, "excluded": []})
    edited(tmp_path, id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})
    said = refused(tmp_path)
    assert "labels.names changed since the export" in said and """delete 'labels.names' from "digests" there""" in said
    nested(tmp_path, "digests", "labels.names", value=None)
    assert load_model(tmp_path).classes == ("cat", "dog", "bird")


def test_without_their_hash_weights_are_refused(tmp_path):
    save_model(untrained(THREE, seed=1), tmp_path)
    nested(tmp_path, "weights", value=None)
    assert "weights is missing, the hash of model.safetensors: export it again" in refused(tmp_path)
    for key in ("digests", "id2label", "label2id", "face_crop"):
        nested(tmp_path, key, value=None)  # as older versions wrote it
    load_model(tmp_path)


@pytest.mark.parametrize("digests", [None, "no object"])
def test_without_its_digests_a_folder_of_this_version_is_refused(digests, tmp_path):
    save_model(untrained(THREE), tmp_path)
    nested(tmp_path, "digests", value=digests)
    nested(tmp_path, "labels", "names", value=["cat", "dog", 'a "quoted" bird'])
    names = json.loads((tmp_path / "config.json").read_text())["labels"]["names"]
    edited(tmp_path, id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})
    said = refused(tmp_path)
    assert "digests is missing" in said if digests is None else "digests is 'no object'" in said
    assert "export the run again" in said


@pytest.mark.parametrize("how", ["missing", "cut", "swapped"])
def test_weights_that_are_gone_or_damaged_are_to_be_exported_again(how, tmp_path):
    save_model(untrained(THREE), tmp_path)
    path = tmp_path / "model.safetensors"
    content = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(content[:-1] if how == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    words = {"missing": f"{path} is missing", "cut": f"cannot read {path}", "swapped": "or is damaged"}
    said = refused(tmp_path)
    assert words[how] in said
    assert f"export it again: pa-difc export --model RUN --out {tmp_path}, where RUN is the folder of run abc" in said


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_settings_that_an_editor_encoded_otherwise_are_read(encoding, tmp_path):
    save_model(untrained(THREE), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text(), encoding=encoding)
    assert load_model(tmp_path).classes == THREE.names
    path.write_text(path.read_text(encoding)[:-9], encoding=encoding)
    assert refused(tmp_path).endswith("not a whole JSON file; export the run again")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(value, tmp_path):
    model = untrained(THREE)
    name = next(n for n, p in model.named_parameters() if p.dim() == 2)
    with torch.no_grad():
        model.get_parameter(name)[1, 0] = value
    save_model(model, tmp_path)
    assert f"{name} has values that are not finite" in refused(tmp_path)


def test_weights_of_another_shape_and_of_another_model_are_refused(tmp_path):
    save_model(untrained(THREE, seed=1), tmp_path / "other")
    save_model(untrained(THREE), tmp_path / "own")
    path = tmp_path / "own" / "model.safetensors"
    path.write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    assert "does not belong to its config.json" in refused(tmp_path / "own")
    weights = load_file(path)
    name = next(iter(weights))
    save_file(weights | {name: torch.zeros(7, 2, 3)}, path)
    edited(tmp_path / "own", weights=file_digest(path))
    assert "do not fit the settings" in refused(tmp_path / "own")


def test_preprocessing_is_written_out_in_full(tmp_path):
    export_model(untrained(EXPRESSIONS, crop="arcface", backbone="mobilefacenet"), tmp_path, (), None)
    said = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert said["size"] == {"height": 32, "width": 32} and said["resample"] == Image.Resampling.BILINEAR
    assert said["do_rescale"] and said["rescale_factor"] == 1 / 255 and not said["do_normalize"]
    # torchvision's and MobileFaceNet's, inside of the network
    assert said["normalized_inside"] == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    assert (said["channel_order"], said["layout"], said["range"]) == ("RGB", "NCHW", [0.0, 1.0])
    assert said["face_crop"]["name"] == "arcface" and "MTCNN" in said["face_crop"]["detector"]
    expected = np.array([[38.2946, 51.6963], [73.5318, 51.5014]]) * 32 / 112  # ArcFace's eyes
    np.testing.assert_allclose(said["face_crop"]["points"][:2], expected, atol=1e-3)


@pytest.mark.parametrize(("crop", "name"), [("cdfer", "cdfer"), ("none", "none"), (None, "centre square")])
def test_the_crop_is_named_as_the_faces_were_trained_on(crop, name, tmp_path):
    export_model(untrained(THREE, crop=crop), tmp_path, (), None)
    said = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert said["face_crop"]["name"] == name and said["face_crop"].get("margin") == (0.1 if name == "cdfer" else None)
    assert said["normalized_inside"] == {"mean": [0.5] * 3, "std": [0.25] * 3}
    assert json.loads((tmp_path / "config.json").read_text())["face_crop"] == name
    assert refusals(tmp_path, pa_difc.load) == []
    edited(tmp_path, face_crop="arcface")
    assert f"face_crop is not {name!r}" in refused(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"size": {"height": 64, "width": 64}},
            "size is {'height': 64, 'width': 64}, but by its config.json the model",
        ),
        ({"views": "flip"}, "views is 'flip', but by its config.json the model takes 'none'"),
        ({"input_scale": 0.9}, "input_scale is 0.9, but"),
        ({"do_normalize": True}, "do_normalize is True, but"),
        (
            {"face_crop": {"name": "centre square"}},
            "face_crop.name is 'centre square', but by its config.json the model",
        ),
        ({"face_crop": "cdfer"}, "not a description of a model's input"),
    ],
)
def test_a_folder_whose_two_files_disagree_on_the_input_is_refused(change, words, tmp_path):
    export_model(untrained(THREE, crop="cdfer"), tmp_path, (), None)
    file = tmp_path / "preprocessor_config.json"
    right = json.loads(file.read_text())
    file.write_text(json.dumps(right | change))
    (line,) = refusals(tmp_path, pa_difc.load)
    assert (
        line.startswith(f"{file}: ") and words in line and line.endswith("export the model again") and "\n" not in line
    )
    if isinstance(change.get("face_crop"), str):
        return
    export_model(load_model(tmp_path), tmp_path, (), None)  # as the error says
    assert json.loads(file.read_text()) == right and refusals(tmp_path, pa_difc.load) == []
    added = {"image_mean": [0.5] * 3, **{key: right[key] for key in right if key not in ("channel_order", "views")}}
    file.write_text(json.dumps(added))  # as another program may write it
    assert refusals(tmp_path, pa_difc.load) == []


def head_of(card):
    _, text, _ = card.split("---\n", 2)
    return yaml.safe_load(text)


def test_the_card_has_the_hub_s_front_matter():
    run = record(EXPRESSIONS)
    run["scores"]["target"] |= {"accuracy": 0.75, "macro_recall": 0.5, "macro_f1": 0.25}
    run["data"]["source"]["name"] = "folder:/home/me/secret faces"
    head = head_of(model_card(run, model_settings(run)))
    assert (head["license"], head["library_name"]) == ("other", "pa-difc")
    assert head["pipeline_tag"] == "image-classification" and "facial-expression-recognition" in head["tags"]
    assert {"mcd", "difc"} < set(head["tags"]) and head["datasets"] == ["there"]
    (result,) = head["model-index"][0]["results"]
    assert result["task"] == {"type": "image-classification"} and result["dataset"]["name"] == "there"
    assert {m["type"]: m["value"] for m in result["metrics"]} == {"accuracy": 0.75, "recall": 0.5, "f1": 0.25}


def test_the_card_s_headline_has_the_interval_of_accuracy_and_no_recall_that_is_not_known():
    """Wilson's: 56 of 91 faces are right; 5,600 of 9,100."""
    run = record(EXPRESSIONS)
    target = run["scores"]["target"] | {"accuracy": 56 / 91}
    for times, interval, frequent in ((1, "51–71", None), (100, "61–63", 0.7)):
        confusion = np.zeros((7, 7), dtype=int)
        confusion[0, 0], confusion[3, 4] = 56 * times, 35 * times
        run["scores"]["target"] = target | {"confusion": confusion.tolist(), "macro_recall_20": frequent}
        text = model_card(run, model_settings(run))
        assert f"accuracy 61.5 % ({interval}), mean recall 50.0 %" in text and "95 % interval" in text
        assert ("at least 20 test faces 70.0 %" in text) is ("at least 20" in text) is (frequent is not None)


@pytest.mark.parametrize(("epochs", "said"), [(1, "  1 epoch, seed"), (3, "  3 epochs, seed")])
def test_the_card_counts_epochs(epochs, said):
    run = record(EXPRESSIONS)
    run["history"], run["settings"]["run"]["epochs"] = [{}] * epochs, epochs
    assert said in model_card(run, model_settings(run))


@pytest.mark.parametrize("labelled", [True, False])
def test_the_card_says_of_how_many_faces_each_recall_is(labelled):
    """All of one face is no 100 %."""
    run = record(EXPRESSIONS)
    k = len(EXPRESSIONS)
    for side, right, fewest in (("source", 1.0, 1), ("target", 0.5, 2000)):
        run["scores"][side] = run["scores"][side] | {"recall": [right] * k}
        run["data"][side] = run["data"][side] | {"test_counts": range(fewest, fewest + k)}
    if not labelled:
        run["scores"]["unlabelled_target"] = {"predicted": [10] * k, "collapsed": False}
        del run["scores"]["target"]
    text = model_card(run, model_settings(run))
    rest = "50.0 % | 2,002 |" if labelled else "14.3 % |"
    assert (
        f"| {EXPRESSIONS.names[2]} | 100.0 % | 3 | {rest}" in text and "A recall from few faces is uncertain." in text
    )


@pytest.mark.parametrize(("right", "faces", "warned"), [(0.1, 100, True), (0.25, 20, True), (0.25, 2000, False)])
def test_a_card_warns_of_a_model_that_may_hardly_beat_guessing(right, faces, warned):
    """Seven classes: guessing has 14.3 %, and the lower limit has to be above 22.9 %."""
    run = record(EXPRESSIONS)
    k = len(EXPRESSIONS)
    run["scores"]["source"] |= {"recall": [right] * k, "macro_recall": right}
    run["data"]["source"]["test_counts"] = [faces] * k
    text = model_card(run, model_settings(run))
    assert (f"**Do not use it yet: its mean recall on held-out source is {right:.1%} (95 % interval " in text) is warned


def test_of_a_target_without_labels_no_score_is_claimed():
    run = record(THREE)
    run["scores"]["unlabelled_target"] = {"predicted": [1, 2, 3], "collapsed": False}
    del run["scores"]["target"]
    head = head_of(model_card(run, model_settings(run)))
    assert "model-index" not in head and "metrics" not in head
    assert "facial-expression-recognition" not in head["tags"]


def session_of(path):
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def onnx_inputs(path):
    session = session_of(path)
    return [i.name for i in session.get_inputs()], session.get_modelmeta().custom_metadata_map


@NO_ONNX
def test_onnx_says_what_it_takes_and_gives(tmp_path):
    export_model(untrained(THREE, views="flip"), tmp_path, ("onnx",), None)
    names, said = onnx_inputs(tmp_path / "model.onnx")
    assert names == ["image"] and "landmark_places" not in said
    assert json.loads(said["classes"]) == list(THREE.names)
    assert (said["size_px"], said["channel_order"], said["range"]) == ("32", "RGB", "[0, 1]")
    assert said["crop"] == "centre square"
    assert json.loads(said["preprocessing"]) == json.loads((tmp_path / "preprocessor_config.json").read_text())


@NO_ONNX
def test_onnx_takes_landmarks_where_the_network_looks_at_them(tmp_path):
    model = untrained(THREE, feature_head="global_local", crop="cdfer")
    export_model(model, tmp_path, ("onnx",), None)
    names, said = onnx_inputs(tmp_path / "model.onnx")
    assert names == ["image", "landmarks"] and np.shape(json.loads(said["landmark_places"])) == (5, 2)


@pytest.fixture(scope="module")
def without_the_package(tmp_path_factory):
    """A folder of packages with onnxruntime, NumPy, Pillow and what these need, and nothing else."""
    import importlib.metadata as installed

    folder, left, done = tmp_path_factory.mktemp("site"), ["onnxruntime", "numpy", "pillow"], set()
    while left:
        name = left.pop()
        if name in done:
            continue
        done.add(name)
        try:
            package = installed.distribution(name)
        except installed.PackageNotFoundError:
            continue
        for file in package.files or ():
            top = Path(file.parts[0])
            if top.name not in ("..", "__pycache__") and not (folder / top).is_symlink():
                (folder / top).symlink_to(package.locate_file(top))
        needs = [r for r in package.requires or () if "extra ==" not in r]
        left += [
            r.split(";")[0].split("[")[0].split("<")[0].split(">")[0].split("=")[0].split("!")[0].strip() for r in needs
        ]
    return folder


@NO_ONNX
@pytest.mark.parametrize("crop", [None, "cdfer", "landmarks"])
def test_a_program_without_this_package_says_what_predict_says(crop, without_the_package, portrait, tmp_path):
    changes = {"feature_head": "global_local", "crop": "cdfer"} if crop == "landmarks" else {"crop": crop}
    model = untrained(THREE, views="flip", **changes)
    export_model(model, tmp_path / "kept", ("onnx",), None)
    face = portrait.crop((150, 40, 300, 160))  # not square, part of a face
    if crop == "landmarks":  # in which none are found
        face = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
    files = [tmp_path / "face.png", tmp_path / "lying.jpg"]
    face.save(files[0])
    turned = Image.Exif()
    turned[0x0112] = 6  # a camera held upright
    face.save(files[1], exif=turned, quality=95)
    fading = face.copy()
    fading.putalpha(Image.linear_gradient("L").resize(face.size))
    fading.save(tmp_path / "fading.png")
    files.append(tmp_path / "fading.png")
    code = (
        f"import sys; sys.path = [p for p in sys.path if 'site-packages' not in p] + [{str(without_the_package)!r}]\n"
    )
    code += "import importlib.util as u; assert not any(map(u.find_spec, ('torch', 'pa_difc', 'torchvision')))\n"
    code += f"sys.argv = ['use_onnx.py', *{list(map(str, files))!r}]; import runpy\n"
    code += f"runpy.run_path({str(tmp_path / 'kept' / 'use_onnx.py')!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    for row, (face,) in zip(said, predict_images(model, files, crop="none"), strict=True):
        np.testing.assert_allclose(list(row["probabilities"].values()), face.probs_array, atol=1e-5)
        assert row["label"] == face.label and list(row["probabilities"]) == list(THREE.names)


@NO_ONNX
def test_onnx_that_names_its_classes_otherwise_than_the_folder_is_noticed(portrait, tmp_path, capsys):
    import runpy

    export_model(untrained(THREE, crop="none"), tmp_path, ("onnx", "pt2"), None)
    portrait.save(tmp_path / "face.png")

    def told():
        main = runpy.run_path(str(tmp_path / "use_onnx.py"))["main"]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            pa_difc.load(tmp_path)
        return main([str(tmp_path / "face.png")]), capsys.readouterr(), [str(w.message) for w in said]

    assert (told()[0], told()[2]) == (0, [])
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").unlink()  # the program needs none
    assert runpy.run_path(str(tmp_path / "use_onnx.py"))["main"]([str(tmp_path / "face.png")]) == 0
    (tmp_path / "config.json").write_text(config)
    capsys.readouterr()
    names = ["wolf", "lion", 'a "quoted" bird']
    edited(tmp_path, labels={"names": names, "synonyms": {}, "excluded": []})
    assert runpy.run_path(str(tmp_path / "use_onnx.py"))["main"]([str(tmp_path / "face.png")]) == 2  # in one place only
    assert "config.json wolf" in capsys.readouterr().err
    edited(tmp_path, id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})
    nested(tmp_path, "digests", "labels.names", value=None)
    code, (out, err), said = told()
    assert code == 2 and out == "" and err.count("\n") == 1
    for line in (err, *said):
        assert 'model.onnx names its classes dog, cat, a "quoted" bird, and config.json wolf, lion, a "quoted"' in line
    assert len(said) == 1
    (tmp_path / "README.md").write_text("a card")
    save_model(load_model(tmp_path), tmp_path)  # seals the change; the programs of before it go
    left = {path.name for path in tmp_path.iterdir()}
    assert not left & {"model.onnx", "use_onnx.py", "model.pt2"} and "README.md" in left
    export_model(load_model(tmp_path), tmp_path, ("onnx",), None)
    assert (told()[0], told()[2]) == (0, [])


@pytest.mark.parametrize(
    "damage", [lambda c: b"", lambda c: c[: len(c) // 2], lambda c: b"\xff" * 40, lambda c: b"\x07" * 9]
)
def test_a_damaged_onnx_file_says_nothing_of_names(damage, tmp_path):
    fields = b"\x08\x0a" + b"\x12\x02ab" + b'\x72\x12\x0a\x07classes\x12\x07["a"]  '
    (tmp_path / "model.onnx").write_bytes(fields)
    assert "names its classes a, and config.json b, c" in names_line(tmp_path, ("b", "c"))
    assert names_line(tmp_path, ("a",)) is None
    (tmp_path / "model.onnx").write_bytes(damage(fields))
    assert names_line(tmp_path, ("b", "c")) is None


@NO_ONNX
@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_the_program_refuses_gray_that_pillow_would_make_white(kind, tmp_path):
    import runpy

    export_model(untrained(THREE), tmp_path / "kept", ("onnx",), None)
    probabilities = runpy.run_path(str(tmp_path / "kept" / "use_onnx.py"))["probabilities"]
    with pytest.raises(ValueError, match="more than 8 bits"):
        probabilities(Image.fromarray(np.full((60, 60), 300, kind)))


@NO_ONNX
def test_the_program_goes_on_after_files_that_it_cannot_read(without_the_package, portrait, tmp_path):
    export_model(untrained(THREE), tmp_path / "kept", ("onnx",), None)
    good = ["first.png", "last.png", "caf\udce9.png"]
    for name in good:
        portrait.save(tmp_path / name)
    (tmp_path / "half.png").write_bytes((tmp_path / "first.png").read_bytes()[:3000])
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder").mkdir()
    Image.fromarray(np.full((60, 60), 300, np.uint16)).save(tmp_path / "deep.png")
    bad = ["nowhere.png", "half.png", "notes.txt", "folder", "deep.png"]
    program = [sys.executable, "-S", tmp_path / "kept" / "use_onnx.py"]  # -S: nothing but the packages on the path

    def run(*files):
        env = {**os.environ, "PYTHONPATH": str(without_the_package), "PYTHONIOENCODING": "utf-8:strict"}
        done = subprocess.run([*program, *files], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=env)
        return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()

    code, out, err = run(good[0], *bad, *good[1:])
    assert code == 1 and [json.loads(line)["file"] for line in out] == good
    assert [line.split(":")[:2] for line in err] == [["error", f" {name}"] for name in bad]
    assert "No such file" in err[0] and "8 bits" in err[-1]
    code, out, err = run(*good)
    assert (code, len(out), err) == (0, 3, [])
    code, out, err = run()
    assert (code, out, err) == (2, [], ["usage: python use_onnx.py face.jpg …"])


def test_the_program_is_short():
    import pa_difc.deploy

    lines = (Path(pa_difc.deploy.__file__).with_name("use_onnx.py")).read_text().splitlines()
    assert len(lines) <= 110


def test_a_temperature_is_the_one_at_which_labels_are_most_probable():
    """Predictions that are sharpened by T are brought back by T."""
    rng = np.random.default_rng(3)
    truth = rng.dirichlet([1.0, 0.7, 2.0], 6000)
    labels = np.array([rng.choice(3, p=p) for p in truth])
    for t in (0.6, 2.5):
        sharp = truth**t / (truth**t).sum(axis=1, keepdims=True)
        assert temperature(sharp, labels) == pytest.approx(t, rel=0.06)


def calibrated_run(folder, adjustment=None, n=60):
    """A run's folder, as far as its model is read from it: an export with predictions beside it."""
    model = untrained(THREE)
    model.settings["adjustment"] = adjustment
    save_model(model, folder)
    rng = np.random.default_rng(0)
    probs = np.full((n, 3), 0.005, np.float32)
    probs[np.arange(n), rng.integers(0, 3, n)] = 0.99  # very sure, and right by chance alone
    np.savez(folder / "outputs.npz", source_probs=probs, source_labels=rng.integers(0, 3, n).astype(np.int16))


def export(*arguments):
    with pytest.raises(SystemExit) as stop:
        exit_with(lambda: main(["export", *map(str, arguments)]))
    return stop.value.code


@NO_ONNX
def test_calibrate_makes_it_less_sure_and_changes_no_class(tmp_path, capsys):
    calibrated_run(tmp_path / "run")
    assert export("--model", tmp_path / "run", "--out", tmp_path / "kept", "--format", "onnx", "--calibrate") == 0
    out = capsys.readouterr().out
    assert "fitted on 60 held-out faces of the source" in out and "on the target it may still be overconfident" in out
    before, after = load_model(tmp_path / "run"), load_model(tmp_path / "kept")
    t = after.settings["calibration"]["temperature"]
    assert t > 5  # sure of what it does not know
    image, points = torch.rand(6, 3, 32, 32), torch.zeros(6, 5, 2)
    with torch.no_grad():
        p, q = before(image, points), after(image, points)
    expected = p ** (1 / t)
    torch.testing.assert_close(q, expected / expected.sum(dim=1, keepdim=True))
    (said,) = session_of(tmp_path / "kept" / "model.onnx").run(None, {"image": image.numpy()})
    np.testing.assert_allclose(said, q.numpy(), atol=1e-5)
    run = record(THREE)
    assert f"temperature {t:.2f}" in model_card(run, after.settings)


def test_calibrate_is_refused_in_a_line_where_it_cannot_be(tmp_path, capsys):
    calibrated_run(tmp_path / "few", n=20)
    calibrated_run(tmp_path / "done", {"scale": 2.0, "bias": [0.0] * 3, "ratio": [1.0] * 3})
    save_model(untrained(THREE), tmp_path / "alone")
    for name, words in (("few", "20 held-out faces"), ("done", "already"), ("alone", "needs a finished run's folder")):
        assert export("--model", tmp_path / name, "--out", tmp_path / "out", "--calibrate") == 2
        err = capsys.readouterr().err
        assert words in err and err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_calibrated_model_leaves_no_other_s_formats(tmp_path):
    calibrated_run(tmp_path / "run")
    export("--model", tmp_path / "run", "--out", tmp_path / "kept")
    (tmp_path / "kept" / "model.onnx").write_bytes(b"of the model without a temperature")
    export("--model", tmp_path / "run", "--out", tmp_path / "kept", "--calibrate")
    assert not (tmp_path / "kept" / "model.onnx").exists()


def test_a_card_goes_along_with_its_model(tmp_path):
    save_model(untrained(THREE), tmp_path / "a")
    (tmp_path / "a" / "README.md").write_text("# mine\n")
    export("--model", tmp_path / "a", "--out", tmp_path / "b")
    assert (tmp_path / "b" / "README.md").read_text() == "# mine\n"


def test_nothing_of_the_user_s_folder_is_removed(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    save_model(untrained(THREE), tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
