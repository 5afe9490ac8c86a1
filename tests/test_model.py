"""A finished run's model: it says what the run was scored on, in every format, and on photographs."""

import csv
import io
import json
import pickle

import numpy as np
import pytest
import torch
from made import JOINED, OLD_TORCH, TRAINED, random_faces
from PIL import Image
from safetensors.torch import load_file, save_file

import pa_difc
from pa_difc.commands.console import exit_with as run_command
from pa_difc.commands.parser import main
from pa_difc.data import Domain
from pa_difc.data.faces import Face
from pa_difc.data.views import views_of
from pa_difc.deploy.agreement import example
from pa_difc.deploy.export import export_model, run_record
from pa_difc.deploy.model import FaceModel, load_model, save_model
from pa_difc.training.record import RunFolder
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError


def trained(out, source, target, method="source_only", epochs=1, **more):
    settings = Settings.of(method=method, loss="difc", epochs=epochs, crop_px=32, batch_size=16, **more)
    settings = resolve(settings)
    run_cell(settings, source, target, out, progress=False)
    return RunFolder.of(out, settings, source, target).path


@pytest.fixture(scope="module")
def domains():
    return (
        Domain("bright", random_faces(45, 1), random_faces(14, 2)),
        Domain("dim", random_faces(61, 3), random_faces(21, 4)),
    )


@pytest.fixture(scope="module")
def run_folder(domains, tmp_path_factory):
    """Of MCD with landmark branches."""
    return trained(tmp_path_factory.mktemp("run"), *domains, method="mcd", feature_head="global_local")


@pytest.fixture(scope="module")
def plain(domains, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("plain"), *domains)


def inputs(faces):
    return torch.from_numpy(faces.images).float() / 255, torch.from_numpy(faces.landmarks)


@pytest.mark.parametrize("method", [*TRAINED, *JOINED])
def test_the_model_says_what_its_run_was_scored_on(method, domains, tmp_path):
    folder = trained(tmp_path, *domains, method=method, prior_correction="none", ema=0.5 if method in JOINED else 0.0)
    model = load_model(folder)
    with torch.no_grad():
        probs = model(*inputs(domains[1].test)).numpy()
    np.testing.assert_allclose(probs, np.load(folder / "outputs.npz")["target_probs"], atol=1e-5)
    save_model(model, tmp_path / "kept")
    with torch.no_grad():
        again = load_model(tmp_path / "kept")(*inputs(domains[1].test)).numpy()
    assert (again == probs).all()


def test_an_estimated_prior_is_part_of_the_model(tmp_path):
    rng = np.random.default_rng(0)
    faces = [random_faces(n, s) for n, s in ((140, 1), (140, 2), (70, 3), (70, 4))]
    for f in faces:  # the class in a corner of the face: quickly learnt, so that the estimate is not refused
        f.images[:, :, 2:20, 2:20] = (30 * f.labels + 20)[:, None, None, None] + rng.integers(0, 8, (len(f), 1, 18, 18))
    source, target = Domain("a", faces[0], faces[1]), Domain("b", faces[2], faces[3])
    folder = trained(tmp_path, source, target, prior_correction="bbse", lr=0.05, epochs=8)
    adjustment = run_record(folder)["model"]["adjustment"]
    model = load_model(folder)
    with torch.no_grad():
        probs = model(*inputs(target.test)).numpy()
    np.testing.assert_allclose(probs, np.load(folder / "outputs.npz")["target_probs"], atol=1e-5)
    assert not adjustment["refused"] and model.settings["adjustment"] is not None
    unadjusted = FaceModel(model.settings | {"adjustment": None}).eval()
    unadjusted.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert np.abs(unadjusted(*inputs(target.test)).numpy() - probs).max() > 1e-3


@pytest.mark.skipif(OLD_TORCH, reason="ONNX needs torch 2.6")
@pytest.mark.parametrize("which", ["run_folder", "plain"])
def test_every_format_gives_the_same_probabilities(which, request, tmp_path):
    model = load_model(request.getfixturevalue(which))
    lines = export_model(model, tmp_path, ("onnx", "pt2"), run_record(request.getfixturevalue(which)))
    assert len(lines) == 4
    assert {p.name for p in tmp_path.iterdir()} >= {"model.safetensors", "config.json", "README.md", "model.onnx"}

    import onnxruntime

    image, points = example(model, 6, seed=9)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    values = {"image": image.numpy(), "landmarks": points.numpy()}
    given = {i.name: values[i.name] for i in session.get_inputs()}
    with torch.no_grad():
        expected = model(image, points).numpy()
    np.testing.assert_allclose(session.run(None, given)[0], expected, atol=1e-4)
    program = torch.export.load(tmp_path / "model.pt2").module()
    np.testing.assert_allclose(program(image, points).detach().numpy(), expected, atol=1e-4)
    if which == "run_folder":  # the landmarks of a model with branches for them are not traced away
        moved = given | {"landmarks": given["landmarks"][:, ::-1].copy()}
        assert np.abs(session.run(None, moved)[0] - expected).max() > 1e-4


def test_no_warning_of_torch_s_own_shows_through(run_folder, tmp_path, recwarn):
    export_model(load_model(run_folder), tmp_path, ("pt2",), None)
    assert not [str(w.message) for w in recwarn if "tensor" in str(w.message)]


def test_an_older_torch_makes_no_onnx_and_says_so(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.4.1+cu121")
    with pytest.raises(UserError, match=r"ONNX needs torch 2\.6 or newer, and this is 2\.4\.1"):
        export_model(load_model(plain), tmp_path, ("onnx",), None)


def test_the_card_is_written_from_the_record(run_folder, tmp_path):
    export_model(load_model(run_folder), tmp_path, (), run_record(run_folder))
    card = (tmp_path / "README.md").read_text()
    record = run_record(run_folder)
    assert f"accuracy {100 * record['scores']['target']['accuracy']:.1f} %" in card
    assert "target labels used in training or selection: none" in card and "last epoch" in card
    assert all(name in card for name in ("mcd", "difc", "neutral", "What it can't do", record["key"]))


def damage(folder, name, content):
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", b"{", r"config\.json"),
        ("config.json", b'{"format": 99}', "format 99"),
        ("model.safetensors", b"no", "cannot read"),
        ("model.safetensors", b"", "cannot read"),
    ],
)
def test_a_damaged_model_is_named(name, content, words, plain, tmp_path):
    save_model(load_model(plain), tmp_path)
    damage(tmp_path, name, content)
    with pytest.raises(UserError, match=words):
        load_model(tmp_path)


def test_weights_of_another_shape_are_refused(plain, tmp_path):
    save_model(load_model(plain), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = next(iter(weights))
    save_file(weights | {name: torch.zeros(1, 2, 3)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"does not belong to its config\.json"):
        load_model(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    newer = ("weights", "digest", "digests", "id2label", "label2id", "face_crop")
    settings = {k: v for k, v in settings.items() if k not in newer}  # as an older version wrote it
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match="do not fit"):
        load_model(tmp_path)


def test_another_model_s_formats_do_not_stay(run_folder, plain, tmp_path):
    export_model(load_model(run_folder), tmp_path, (), run_record(run_folder))
    (tmp_path / "model.onnx").write_bytes(b"made from these weights")
    export_model(load_model(run_folder), tmp_path, (), None)
    assert (tmp_path / "model.onnx").exists()  # the same model: it stays
    export_model(load_model(plain), tmp_path, (), None)
    own = {"model.safetensors", "config.json", "preprocessor_config.json"}
    assert {p.name for p in tmp_path.iterdir()} == own


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "README.md", "model.onnx"])
def test_nothing_of_somebody_else_s_is_written_over(name, plain, tmp_path):
    (tmp_path / name).write_text('{"model_type": "vit"}')
    with pytest.raises(UserError, match="holds files that export did not write: give another --out"):
        export_model(load_model(plain), tmp_path, ("onnx",), None)
    assert [p.name for p in tmp_path.iterdir()] == [name] and "vit" in (tmp_path / name).read_text()


def test_a_model_is_loaded_from_a_path_in_words(plain):
    assert pa_difc.load(str(plain)).labels == load_model(plain).classes


def test_a_malicious_checkpoint_is_not_executed(plain, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    import shutil

    shutil.copytree(plain, tmp_path / "run")
    torch.save({"key": "k", "models": Bomb()}, tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(UserError, match="damaged"):
        load_model(tmp_path / "run")
    damage(tmp_path / "run", "checkpoint.pt", pickle.dumps(Bomb()))
    with pytest.raises(UserError, match="damaged"):
        load_model(tmp_path / "run")
    assert not (tmp_path / "executed").exists()


def command(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main([str(a) for a in arguments]))
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """The astronaut alone, twice in one picture, none, and a file that is no picture."""
    from skimage.data import astronaut

    folder = tmp_path_factory.mktemp("photographs")
    face = Image.fromarray(astronaut())
    face.save(folder / "one.jpg", quality=95)
    both = Image.new("RGB", (1024, 512))
    both.paste(face, (0, 0))
    both.paste(face.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    both.save(folder / "two.png")
    Image.new("RGB", (200, 160), "gray").save(folder / "none.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no")
    return folder


def test_a_photograph_s_face_is_found_where_it_is(run_folder, photographs, tmp_path, capsys):
    model = load_model(run_folder)
    export_model(model, tmp_path / "kept", (), None)
    given = ["--out", tmp_path / "p.csv", "--annotate", tmp_path / "pictures"]
    code, _, err = command(capsys, "predict", "--model", tmp_path / "kept", photographs, *given)
    assert code == 0 and "2 of 4 images without a prediction" in err
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_file = {}
    for row in rows:
        by_file.setdefault(row["file"].rpartition("/")[2], []).append(row)
    assert {k: len(v) for k, v in by_file.items()} == {"one.jpg": 1, "two.png": 2, "none.png": 1, "broken.jpg": 1}
    assert by_file["none.png"][0]["problem"] == "no face" and by_file["broken.jpg"][0]["problem"]

    (row,) = by_file["one.jpg"]
    box = [float(row[k]) for k in ("left", "top", "right", "bottom")]
    assert box == pytest.approx([181, 70, 269, 178], abs=10)  # her face, read off the picture by eye
    points = np.array([[float(row[f"{a}{i}"]) for a in "xy"] for i in range(1, 6)])
    # left eye, right eye, tip of the nose, corners of the mouth
    assert np.abs(points - [[203, 101], [246, 103], [225, 126], [204, 140], [245, 140]]).max() < 5
    probs = [float(row[name]) for name in model.classes]
    assert sum(probs) == pytest.approx(1, abs=1e-3) and row["label"] == model.classes[np.argmax(probs)]

    first, second = sorted(by_file["two.png"], key=lambda r: float(r["left"]))
    assert float(second["left"]) + float(first["right"]) == pytest.approx(1024, abs=12)  # the mirrored one
    with Image.open(tmp_path / "pictures" / "one.jpg.png") as picture:
        assert picture.width > 512 and picture.height == 512


def test_pictures_are_written_over_nothing_but_pictures_of_before(plain, photographs, tmp_path, capsys):
    folder = tmp_path / "faces"
    (folder / "more").mkdir(parents=True)
    for name in ("one.jpg", "more/one.jpg", "none.png"):
        (folder / name).write_bytes((photographs / name.rpartition("/")[2]).read_bytes())
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "none.png.png").write_bytes(b"mine")
    code, _, err = command(capsys, "predict", "--model", plain, folder / "none.png", "--annotate", tmp_path / "mine")
    assert code == 2 and "none.png.png was not written by predict" in err and err.count("\n") == 1
    assert (tmp_path / "mine" / "none.png.png").read_bytes() == b"mine"
    code, _, err = command(capsys, "predict", "--model", plain, folder, "--out", folder / "none.png")
    assert code == 2 and "none.png is one of the images" in err
    (tmp_path / "mine.csv").write_text("name,age\n")
    code, _, err = command(capsys, "predict", "--model", plain, folder, "--out", tmp_path / "mine.csv")
    assert code == 2 and "mine.csv was not written by predict" in err and err.count("\n") == 1
    for kind in ("csv", "json", "csv"):
        given = ["--format", kind, "--out", tmp_path / "ours"]
        assert command(capsys, "predict", "--model", plain, folder / "none.png", *given)[0] == 0
    for _ in range(2):  # our own are
        code, _, err = command(capsys, "predict", "--model", plain, folder, "--annotate", tmp_path / "drawn")
        assert code == 0, err
        drawn = sorted(p.relative_to(tmp_path / "drawn").as_posix() for p in (tmp_path / "drawn").rglob("*.png"))
        assert drawn == ["more/one.jpg.png", "none.png.png", "one.jpg.png"]
    assert before == {path: path.read_bytes() for path in folder.rglob("*.*")}


def test_predictions_are_the_model_s_on_the_crop_it_was_trained_with(plain, photographs, capsys):
    from pa_difc.data.crops import cut_face
    from pa_difc.data.detect import FaceDetector

    code, out, _ = command(capsys, "predict", "--model", plain, photographs / "one.jpg", "--format", "json")
    assert code == 0
    (row,) = json.loads(out)
    model, image = load_model(plain), Image.open(photographs / "one.jpg").convert("RGB")
    (face,) = FaceDetector("cpu").detect([image], [False])[0]
    for crop, same in ((model.settings["input"]["crop"], True), ("none", False)):
        cut = cut_face(image, face.box, face.points, crop, model.size_px)
        with torch.no_grad():
            image_, points = torch.from_numpy(cut.image)[None].float() / 255, torch.from_numpy(cut.landmarks)[None]
            probs = model(image_, points)[0].tolist()
        told = [row[name] for name in model.classes]
        assert (told == pytest.approx(probs, abs=1e-5)) is same


@pytest.mark.parametrize("views", ["flip", "flip+scales"])
def test_other_views_than_the_model_s_can_be_asked_for(views, plain, photographs, capsys):
    from pa_difc.data.crops import cut_face
    from pa_difc.data.detect import FaceDetector

    given = ["predict", "--model", plain, photographs / "one.jpg", "--format", "json"]
    (alone,), (row,) = (json.loads(command(capsys, *given, *more)[1]) for more in ([], ["--views", views]))
    model, image = load_model(plain), Image.open(photographs / "one.jpg").convert("RGB")
    (face,) = FaceDetector("cpu").detect([image], [False])[0]
    cut = cut_face(image, face.box, face.points, model.settings["input"]["crop"], model.size_px)
    faces = Face(torch.from_numpy(cut.image)[None].float() / 255, torch.from_numpy(cut.landmarks)[None])
    with torch.no_grad():
        probs = torch.stack([model(*view)[0] for view in views_of(faces, views)]).mean(dim=0).tolist()
    assert [row[name] for name in model.classes] == pytest.approx(probs, abs=1e-5)
    assert [alone[name] for name in model.classes] != pytest.approx(probs, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "--model", "MODEL", "PHOTO", "--views", "flop"], "unknown views 'flop': did you mean 'flip'"),
        (["predict", "--model", "MODEL", "nowhere.jpg"], "nowhere.jpg: no such file"),
        (["predict", "--model", "EMPTY", "MODEL"], "no model here"),
        (["predict", "--model", "MODEL", "EMPTY"], "no images"),
        (["predict", "--model", "MODEL", "PHOTO", "--device", "tpu"], "device 'tpu'"),
        (["export", "--model", "EMPTY", "--out", "EMPTY"], "no model here"),
    ],
)
def test_mistakes_are_answered_in_one_line(arguments, words, plain, photographs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    places = {"MODEL": plain, "EMPTY": tmp_path / "empty", "PHOTO": photographs / "one.jpg"}
    code, _, err = command(capsys, *[places.get(a, a) for a in arguments])
    assert code == 2 and words in err and err.count("\n") == 1 and err.startswith("error: "), err


def test_csv_with_a_comma_in_a_name(plain, photographs, tmp_path, capsys):
    (tmp_path / 'a, "b".png').write_bytes((photographs / "none.png").read_bytes())
    code, out, _ = command(capsys, "predict", "--model", plain, tmp_path / 'a, "b".png')
    (row,) = csv.DictReader(io.StringIO(out))
    assert code == 0 and row["file"].endswith('a, "b".png') and row["problem"] == "no face"
