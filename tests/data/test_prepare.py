"""Preparing a face store: what is in it, and that nothing can make it half of one."""

import json
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from photographs import content, drawn_faces, photographs
from PIL import Image

from pa_difc.commands.prepare import _summary
from pa_difc.data import load_domain
from pa_difc.data.crops import TYPICAL_POINTS
from pa_difc.data.datasets import find_dataset
from pa_difc.data.detect import Detection, FaceDetector
from pa_difc.data.prepare import PrepareSettings, prepare_store, run, work
from pa_difc.data.prepare import plan as plan_module
from pa_difc.data.prepare.assemble import Notes, read_notes
from pa_difc.data.readers.listing import Listing, Sample
from pa_difc.data.store import FILES, check_store, open_store
from pa_difc.util.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    where = photographs(root / "faces")
    Image.fromarray(np.full((80, 80), 120, dtype=np.uint8)).save(root / "faces" / "train" / "happy" / "wall.png")
    (root / "faces" / "train" / "happy" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n half of an image")
    return root, where


@pytest.fixture(scope="module")
def store(folder, tmp_path_factory):
    return prepare(folder[0], tmp_path_factory.mktemp("stores") / "faces")


def prepare(root, out, processes=1, name="folder:faces", **settings):
    reader, path = find_dataset(name, root)
    prepare_store(name, reader(path), out, PrepareSettings(**settings), processes=processes)
    return out


def start_here():
    """Makes this process a worker."""
    handler = signal.getsignal(signal.SIGINT)
    work.start_worker("cpu", 256)
    signal.signal(signal.SIGINT, handler)  # a worker leaves Ctrl-C to its parent; here there is none


class Here(ThreadPoolExecutor):
    """Workers that are no processes of their own."""

    def __init__(self, processes, context, started, arguments):
        start_here()
        super().__init__(1)


# What is in it


def test_a_store_holds_the_faces_and_their_points(folder, store):
    _, where = folder
    opened = open_store(store)
    assert set(opened.splits) == {"train", "test"} and opened.manifest["faces"] == 39
    boxes = np.load(store / "boxes.npy")
    names = [n for s in sorted(opened.splits) for n in opened.splits[s].names]
    assert names == json.loads((store / "names.json").read_text())
    for faces in opened.splits.values():
        for i, name in enumerate(faces.names):
            assert opened.words[faces.labels[i]] == name.split("/")[1] and name.split("/")[0] in opened.splits
            left, top, right, bottom = boxes[names.index(name)]
            across, along = int(0.5 * int(0.2 * (right - left))), int(0.5 * int(0.2 * (bottom - top)))
            left, top = max(0, left - across), max(0, top - along)
            right, bottom = min(156, right + across), min(136, bottom + along)
            back = faces.landmarks[i] * np.array([right - left, bottom - top]) / 112 + [left, top]
            assert np.abs(back - where[name]).mean() < 4  # pixels of 96: the detector's own error
    assert (np.load(store / "confidence.npy") > 0.9).mean() > 0.9


def test_what_is_not_in_it_is_listed(store):
    manifest = open_store(store).manifest
    assert manifest["without_face"] == ["train/happy/wall.png"]
    assert [bad["name"] for bad in manifest["unreadable"]] == ["train/happy/cut.png"]
    assert manifest["listed"] == 41 and sum(sum(c.values()) for c in manifest["counts"].values()) == 39
    assert set(manifest["parameters"]) == set(PrepareSettings().to_dict()) and manifest["versions"]["facenet-pytorch"]


def test_the_contact_sheet_is_a_picture(store):
    with Image.open(store / "contact_sheet.png") as sheet:
        assert sheet.width == 1440 and sheet.height > 600
        assert (np.asarray(sheet.convert("RGB")) == [255, 45, 85]).all(-1).any()  # a box


@pytest.mark.parametrize("mode", ["arcface", "none"])
def test_other_crops(folder, tmp_path, mode):
    root, where = folder
    opened = open_store(prepare(root, tmp_path / mode, crop=mode, crop_px=64))
    faces = opened.splits["test"]
    assert faces.size_px == 64
    if mode == "none":
        expected = np.array([where[n] for n in faces.names]) * 64 / np.array([156, 136])
        assert np.abs(faces.landmarks - expected).mean() < 2
    else:
        assert faces.landmarks.std(axis=0).max() < 3  # every face has its points in nearly the same place


def test_images_without_a_face_are_kept_whole_where_asked(folder, tmp_path):
    opened = open_store(prepare(folder[0], tmp_path / "s", on_missing="whole"))
    faces = opened.splits["train"]
    wall = faces.names.index("train/happy/wall.png")
    np.testing.assert_allclose(faces.landmarks[wall], TYPICAL_POINTS)
    assert (faces.images[wall] == 120).all() and opened.manifest["without_face"] == ["train/happy/wall.png"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"on_missing": "error"}, "wall.png: no face found"), ({"on_bad_image": "error"}, "cut.png: ")],
)
def test_either_stops_where_asked(folder, tmp_path, settings, words):
    with pytest.raises(UserError, match=words):
        prepare(folder[0], tmp_path / "s", **settings)
    assert not (tmp_path / "s" / "manifest.json").exists()


def listed(root, **kinds):
    """Photographs with boxes or without."""
    return Listing([Sample(name, "happy", "train", root / f"{name}.png", **more) for name, more in kinds.items()])


@pytest.mark.parametrize("crop", ["cdfer", "arcface", "none"])
@pytest.mark.parametrize("on_missing", ["drop", "whole"])
def test_each_image_is_in_one_count_and_every_sentence_is_true(tmp_path, monkeypatch, capsys, crop, on_missing):
    """Images with a face, without, unreadable ones, and boxes that lie outside: of a wall, and of a single pixel."""
    where = photographs(tmp_path / "faces", n=3)
    for name, path in zip(("face", "boxed", "far"), where, strict=True):
        shutil.copy(tmp_path / "faces" / path, tmp_path / f"{name}.png")
    for name, size in (("wall", 80), ("boxed_wall", 80), ("edge", 80), ("pixel", 1), ("boxed_pixel", 1)):
        Image.new("RGB", (size, size), (120, 120, 120)).save(tmp_path / f"{name}.png")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n half of an image")
    large = (50.0, 20.0, 70.0, 60.0)
    listing = listed(
        tmp_path, face={}, wall={}, pixel={}, cut={},
        boxed={"box": (20.0, 10.0, 110.0, 100.0)}, boxed_wall={"box": large}, boxed_pixel={"box": large},
        far={"box": (500.0, 500.0, 600.0, 600.0)}, edge={"box": (-40.0, 0.0, -3.0, 40.0)},
    )  # fmt: skip
    searched = []
    detect = FaceDetector.detect
    monkeypatch.setattr(FaceDetector, "detect", lambda self, images, close: searched.extend(images) or detect(
        self, images, close))  # fmt: skip
    monkeypatch.setattr(run, "ProcessPoolExecutor", Here)
    settings = PrepareSettings(crop=crop, on_missing=on_missing, crop_px=32)
    manifest, worked = prepare_store("legend:x", listing, tmp_path / "store", settings)
    assert len(searched) == 5  # neither of what can't be read, nor where the box is not in the image
    assert sorted(manifest["without_face"]) == ["boxed_wall", "pixel", "wall"]
    assert [bad["name"] for bad in manifest["unreadable"]] == ["cut"]
    assert sorted(bad["name"] for bad in manifest["misplaced"]) == ["boxed_pixel", "edge", "far"]
    assert all("is not inside" in bad["reason"] for bad in manifest["misplaced"])
    names = json.loads((tmp_path / "store" / "names.json").read_text())
    assert sorted(names) == sorted(["boxed", "face"] + (manifest["without_face"] if on_missing == "whole" else []))
    assert len(open_store(tmp_path / "store").splits["train"]) == len(names)
    _summary(manifest, worked, 1.0, tmp_path / "store")
    said = capsys.readouterr().out
    whole = on_missing == "whole"
    assert f"2 faces{' and 3 images without one' if whole else ''} of 9 images" in said
    assert f"without a face: 3 (33.3%), {'kept' if whole else 'left out'}" in said
    assert "unreadable: 1, such as cut" in said and "with a box or points that don't fit: 3, such as" in said
    _summary(manifest, 0, 1.0, tmp_path / "store")
    assert f"up to date: 2 faces{' and 3 images without one' if whole else ''}, nothing" in capsys.readouterr().out


def test_the_summary_rounds_nothing_to_none_and_names_what_there_is(tmp_path, capsys):
    manifest = {
        "listed": 5000, "faces": 4998, "without_face": ["a", "b"], "parameters": {"on_missing": "drop"}, "words": [],
        "notes": [], "left_out": {}, "duplicates": None, "counts": {"both": {}},
    }  # fmt: skip
    for seconds, rate in ((100_000, "0.05"), (2000, "2.5"), (1.5, "3,333")):
        _summary(manifest, 5000, seconds, tmp_path)
        assert f"4,998 faces of 5,000 images, {rate} images/s" in (said := capsys.readouterr().out)
    assert "without a face: 2 (<0.1%), left out" in said
    assert "no labels: usable as a target; nothing can be scored on it" in said and "both" not in said
    labelled = manifest | {"words": ["sad"], "counts": {"both": {"sad": 4998}}}
    _summary(labelled, 5000, 2.0, tmp_path)
    said = capsys.readouterr().out
    assert "  train+test sad 4,998" in said and "no labels" not in said


@pytest.mark.parametrize("on_missing", ["drop", "whole"])
def test_an_image_that_is_gone_when_it_is_cut_is_unreadable_and_not_without_a_face(tmp_path, monkeypatch, on_missing):
    """A large photograph is read again for its crop."""
    Image.new("RGB", (2400, 1800), (120, 120, 120)).save(tmp_path / "wall.jpg")
    sample = Sample("wall", "happy", "train", tmp_path / "wall.jpg")
    start_here()
    settings = PrepareSettings(on_missing=on_missing, crop_px=512)  # cut from a finer decoding than is searched
    monkeypatch.setattr(work, "picture_px", lambda crop_px, detect_px: 400)
    detect = FaceDetector.detect
    monkeypatch.setattr(FaceDetector, "detect", lambda self, images, close: (tmp_path / "wall.jpg").unlink() or detect(
        self, images, close))  # fmt: skip
    work.make_chunk(tmp_path / "chunk.npz", [sample], settings)
    notes = read_notes(tmp_path / "chunk.npz")
    if on_missing == "drop":
        assert (notes.missing, notes.bad) == ([0], [])
    else:
        assert (notes.missing, notes.bad) == ([], [(0, "no such file")])
    assert notes.kept == notes.misplaced == []


def test_a_face_that_only_touches_its_image_is_none(tmp_path, monkeypatch):
    """MTCNN's boxes reach beyond the image; one of which nothing lies in it can't be cut out, and is not unreadable."""
    Image.new("RGB", (80, 80), (120, 120, 120)).save(tmp_path / "wall.png")
    start_here()
    beyond = Detection((90.0, 10.0, 130.0, 60.0), np.arange(10, dtype=np.float32).reshape(5, 2), 0.9)
    monkeypatch.setattr(FaceDetector, "detect", lambda self, images, close: [[beyond] for _ in images])
    sample = Sample("wall", "happy", "train", tmp_path / "wall.png")
    work.make_chunk(tmp_path / "chunk.npz", [sample], PrepareSettings())
    assert read_notes(tmp_path / "chunk.npz") == Notes([], [0], [], [])


def test_boxes_that_are_none_stop_where_asked(tmp_path):
    Image.new("RGB", (80, 80)).save(tmp_path / "a.png")
    start_here()
    for box in ((500.0, 500.0, 600.0, 600.0), (0.0, 0.0, float("inf"), 9.0), (0.0, float("nan"), 9.0, 9.0)):
        sample = Sample("a", "happy", "train", tmp_path / "a.png", box=box)
        work.make_chunk(tmp_path / "chunk.npz", [sample], PrepareSettings())
        notes = read_notes(tmp_path / "chunk.npz")
        assert (notes.kept, notes.missing, notes.bad, len(notes.misplaced)) == ([], [], [], 1)
        with pytest.raises(UserError, match=r"a: the face's box .*--on-bad-image skip"):
            notes.require(PrepareSettings(on_bad_image="error"), [sample])
        notes.require(PrepareSettings(on_missing="error"), [sample])  # nobody looked for a face


def test_a_given_box_is_the_box_and_its_face_is_taken(tmp_path):
    """Two faces in a picture, each with its line in ExpW's list."""
    faces, _, labels = drawn_faces(40, 96)
    root = tmp_path / "expw"
    (root / "label").mkdir(parents=True)
    (root / "image" / "origin").mkdir(parents=True)
    lines = []
    for i in range(0, 40, 2):
        canvas = np.full((110, 230, 3), 190, dtype=np.uint8)
        canvas[7:103, 10:106], canvas[7:103, 120:216] = (faces[j].transpose(1, 2, 0) for j in (i, i + 1))
        Image.fromarray(canvas).save(root / "image" / "origin" / f"{i}.png")
        codes = {v: k for k, v in {0: 5, 1: 2, 2: 1, 3: 3, 4: 4, 5: 0, 6: 6}.items()}
        for j, left in enumerate((10, 120)):  # top left right bottom
            lines.append(f"{i}.png {j} 17 {left + 10} {left + 86} 98 99 {codes[int(labels[i + j])]}")
    (root / "label" / "label.lst").write_text("\n".join(lines))
    opened = open_store(prepare(tmp_path, tmp_path / "store", name="expw"))
    names = json.loads((tmp_path / "store" / "names.json").read_text())
    boxes = np.load(tmp_path / "store" / "boxes.npy")
    assert len(names) >= 36
    for name, box in zip(names, boxes, strict=True):
        left = (10, 120)[int(name.rpartition("#")[2])]
        assert box.tolist() == [left + 10, 17, left + 86, 98]
    points = np.concatenate([s.landmarks for s in opened.splits.values()])
    assert (points > 0).mean() > 0.99 and (points < 112).mean() > 0.99  # of the face in the box, not of its neighbour


def test_duplicates_are_left_out_where_asked(folder, store, tmp_path):
    shutil.copytree(folder[0] / "faces", tmp_path / "faces")
    test_image = next((tmp_path / "faces" / "test").rglob("*.png"))
    shutil.copy(test_image, tmp_path / "faces" / "train" / test_image.parent.name / "copy.png")
    shutil.copytree(store, tmp_path / "plain")
    clean = open_store(prepare(tmp_path, tmp_path / "clean", deduplicate=True))
    assert open_store(tmp_path / "plain").manifest["duplicates"] is None
    assert clean.manifest["duplicates"]["across_splits"] == 1 and clean.manifest["faces"] == 39
    with pytest.raises(UserError, match="prepared without --deduplicate"):
        load_domain("store:plain", tmp_path, size_px=112, deduplicate=True)
    assert load_domain("store:clean", tmp_path, size_px=112, deduplicate=True).duplicates.dropped == 1


# Nothing can make it half of one


def test_it_does_not_depend_on_the_number_of_processes_nor_on_interruptions(folder, store, tmp_path, monkeypatch):
    monkeypatch.setattr(plan_module, "CHUNK", 16)
    several = prepare(folder[0], tmp_path / "several", processes=2)
    again = prepare(folder[0], tmp_path / "again")
    assert content(several) == content(again)
    # Chunks of another size give the detector other batches, whose last bits may be rounded otherwise.
    images, others = (np.load(path / "images.npy").astype(int) for path in (several, store))
    assert np.abs(images - others).max() <= 1 and (images != others).mean() < 1e-4


def test_a_second_call_does_nothing(folder, store):
    before = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in store.iterdir()}
    prepare(folder[0], store)
    assert before == {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in store.iterdir()}


def test_other_images_or_settings_do_not_overwrite_it(folder, store, tmp_path):
    with pytest.raises(UserError, match="holds a store of other images or settings"):
        prepare(folder[0], store, crop="none")
    shutil.copytree(folder[0] / "faces", tmp_path / "faces")
    changed = next((tmp_path / "faces" / "train" / "happy").glob("0*.png"))
    Image.fromarray(np.asarray(Image.open(changed)) // 2).save(changed)
    with pytest.raises(UserError, match="other images"):
        prepare(tmp_path, store)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("not to be lost")
    with pytest.raises(UserError, match="not empty and no store"):
        prepare(folder[0], tmp_path / "mine")


def test_unfinished_work_of_other_settings_is_not_used(folder, store, tmp_path):
    out = tmp_path / "s"
    with pytest.raises(UserError, match="no face found"):
        prepare(folder[0], out, on_missing="error")
    assert list((out / ".part").glob("*.npz"))
    prepare(folder[0], out)
    assert content(out) == content(store)


@pytest.mark.parametrize("missing", ["manifest.json", "images.npy"])
def test_a_store_that_is_not_whole_is_not_read(store, tmp_path, missing):
    broken = shutil.copytree(store, tmp_path / "faces")
    (broken / missing).unlink()
    with pytest.raises(UserError) as error:
        load_domain("store:faces", tmp_path, size_px=112)
    assert missing in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", FILES)
def test_check_finds_a_changed_byte(store, tmp_path, name):
    assert check_store(store) == []
    broken = shutil.copytree(store, tmp_path / "s")
    data = bytearray((broken / name).read_bytes())
    data[-1] ^= 1
    (broken / name).write_bytes(bytes(data))
    problems = check_store(broken)
    assert len(problems) == 1 and problems[0].startswith(name)


# What training reads


def test_domains_read_stores_by_name_and_by_path(folder, store, tmp_path):
    shutil.copytree(store, tmp_path / "fer2013")
    by_name = load_domain("fer2013", tmp_path, size_px=112)
    by_path = load_domain("store:fer2013", tmp_path, size_px=112)
    assert by_name.train.fingerprint == by_path.train.fingerprint != by_name.test.fingerprint
    assert isinstance(by_name.train.images.base, np.memmap) or isinstance(by_name.train.images, np.memmap)
    summary = by_name.summary()
    assert summary["store"]["crop"] == "cdfer" and summary["store"]["without_face"] == 1
    assert [bad["name"] for bad in summary["bad_images"]] == ["train/happy/cut.png"]


def test_a_store_of_images_without_labels_is_a_target_without_labels(folder, store, tmp_path):
    prepare(folder[0], tmp_path / "loose", name="images:faces/train")
    opened, labelled = open_store(tmp_path / "loose"), open_store(store).splits["train"]
    assert set(opened.splits) == {"both"} and set(opened.splits["both"].labels) == {-1}
    names = opened.splits["both"].names
    same = [labelled.names.index(f"train/{name}") for name in names]
    assert len(names) == len(labelled) and len(set(same)) == len(names)
    difference = opened.splits["both"].images.astype(int) - labelled.images[same]
    assert np.abs(difference).mean() < 0.5  # other batches in the detector round otherwise
    assert not load_domain("store:loose", tmp_path, size_px=112).labelled


def test_another_size_is_resized_with_its_points(store, tmp_path):
    shutil.copytree(store, tmp_path / "s")
    large, small = (load_domain("store:s", tmp_path, size_px=p).train for p in (112, 56))
    np.testing.assert_allclose(small.landmarks * 2, large.landmarks, rtol=1e-5)
    assert small.images.shape[-1] == 56 and small.fingerprint != large.fingerprint
    difference = large.images.reshape(-1, 3, 56, 2, 56, 2).mean((3, 5)) - small.images
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize(("key", "value"), [("crop", "square"), ("on_missing", "skip"), ("face", "first")])
def test_settings_are_checked(key, value):
    with pytest.raises(UserError, match=f"unknown {key.replace('_', ' ')} {value!r}"):
        PrepareSettings(**{key: value})
    with pytest.raises(UserError, match="crop_px=5: must be a finite number at least 16 and at most 1024"):
        PrepareSettings(crop_px=5)
