"""``python -m pa_difc datasets`` and ``prepare``, as a person calls them; the rest of prepare is in data/."""

from dataclasses import replace

import numpy as np
import pytest
from made import ROOT, random_faces
from photographs import drawn_faces
from PIL import Image
from rare import slow

from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
from pa_difc.data import DATASETS, Domain, FaceSet, load_domain
from pa_difc.data.domains import cut_differently, require_landmarks, require_same_crop
from pa_difc.data.labels import SEVEN
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError


def call(capsys, *arguments):
    """Exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as stop:
        exit_with(lambda: main([str(a) for a in arguments]))
    said = capsys.readouterr()
    return stop.value.code, said.out, said.err


@pytest.fixture
def faces(tmp_path):
    images, _, labels = drawn_faces(40, 96)
    for i, split in [(i, s) for s in ("train", "test") for i in range(20)]:
        path = tmp_path / "faces" / split / SEVEN[labels[i]] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = images[i + 20 * (split == "test")].transpose(1, 2, 0)
        Image.fromarray(np.pad(pixels, ((20, 20), (20, 20), (0, 0)), constant_values=190)).save(path)
    return tmp_path


def test_all_datasets_are_listed(capsys, tmp_path):
    (tmp_path / "jaffe").mkdir()
    code, out, _ = call(capsys, "datasets", "--data-root", tmp_path)
    assert code == 0
    lines = {line[2:].split()[0]: line for line in out.splitlines() if line[2:].split()}
    assert set(DATASETS) <= set(lines)
    assert lines["jaffe"].startswith("✓") and lines["raf_db"].startswith(" ") and lines["toy_studio"].startswith("✓")


@pytest.mark.parametrize("name", DATASETS)
def test_each_dataset_is_described(capsys, tmp_path, name):
    code, out, _ = call(capsys, "datasets", name, "--data-root", tmp_path)
    drawn = DATASETS[name].reader is None
    assert code == (0 if drawn else 1) and out.startswith(f"{name}: ")
    assert drawn or all(word in out for word in ("from", "expected", "split", "found     nothing"))


def test_what_was_found_is_counted(capsys, faces):
    code, out, _ = call(capsys, "datasets", "folder:faces", "--data-root", faces)
    assert code == 0 and "40 samples" in out and "fingerprint" in out
    assert [word for line in out.splitlines() if (word := line.split()[0]) in ("train", "test")] == ["train", "test"]


def test_prepare_then_nothing_to_do_then_check_then_look(capsys, faces):
    command = ("prepare", "--dataset", "folder:faces", "--data-root", faces, "--out", faces / "store")
    code, out, err = call(capsys, *command, "--processes", 1)
    assert code == 0, err
    assert "images/s" in out and "contact_sheet.png" in out and "train" in out
    assert "up to date" in call(capsys, *command)[1]
    assert call(capsys, "prepare", "--check", faces / "store")[:2] == (0, f"{faces / 'store'}: whole\n")
    (faces / "store" / "labels.npy").write_bytes(b"")
    code, out, _ = call(capsys, "prepare", "--check", faces / "store")
    assert code == 1 and "labels.npy" in out
    code, out, err = call(capsys, "datasets", "store:store", "--data-root", faces)
    assert code == 2 and "labels.npy has 0 bytes" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--dataset and --out must be given"),
        (("--dataset", "toy_studio", "--out", "s"), "needs no store"),
        (("--dataset", "fer2014", "--out", "s"), "did you mean 'fer2013'"),
        (("--dataset", "jaffe", "--out", "s"), "no folder"),
        (("--dataset", "folder:faces", "--out", "s", "--crop", "cdfr"), "did you mean 'cdfer'"),
        (
            ("--dataset", "folder:faces", "--out", "s", "--crop-px", 9),
            "must be a finite number at least 16 and at most 1024",
        ),
        (("--dataset", "folder:faces", "--out", "s", "--processes", 0), "--processes 0: must be at least 1"),
        (("--dataset", "folder:faces", "--out", "s", "--device", "tpu"), "tpu"),
        (("--check", "nowhere"), "cannot read"),
    ],
)
def test_mistakes_are_answered_in_one_line(capsys, faces, monkeypatch, arguments, words):
    monkeypatch.chdir(faces)
    code, _, err = call(capsys, "prepare", *arguments, *(() if "--check" in arguments else ("--data-root", faces)))
    assert code == 2 and words in err and err.count("\n") == 1, err
    assert not (faces / "s").exists()


def test_stores_cut_out_differently_are_not_compared():
    crops = [Domain(c, random_faces(7, 0), random_faces(7, 1), store={"crop": c}) for c in ("cdfer", "cdfer", "none")]
    require_same_crop(*crops[:2], Domain("drawn", random_faces(7, 0), random_faces(7, 1)))
    with pytest.raises(UserError, match=r"cropped differently \(cdfer: cdfer, none: none\)"):
        require_same_crop(*crops)


def test_the_protocol_says_which_crops_go_together():
    said = " ".join((ROOT / "docs" / "protocol.md").read_text().split())
    stored = [Domain(c, random_faces(7, 0), random_faces(7, 1), store={"crop": c}) for c in ("cdfer", "arcface")]
    raw = Domain("raw", random_faces(7, 0), random_faces(7, 1), cut="the centre square")
    with pytest.raises(UserError):
        require_same_crop(*stored)
    assert "Two stores with different crops are refused" in said
    for one in stored:
        require_same_crop(raw, one)
        assert cut_differently(raw, one) and cut_differently(one, raw)
    assert "raw images next to a store with a different crop give a warning" in said


@pytest.mark.parametrize(
    ("backbone", "landmark_branch"),
    [("mobilefacenet", "ir"), *slow(("ir18", "conv"), ("ir50", "conv"))],
)
def test_stores_train_the_paper_s_backbones(faces, capsys, backbone, landmark_branch):
    code, _, err = call(
        capsys, "prepare", "--dataset", "folder:faces", "--data-root", faces, "--out", faces / "store",
        "--processes", 1,
    )  # fmt: skip
    assert code == 0, err
    options = {"source": "toy_studio", "target": "store:store", "root": str(faces), "epochs": 1, "batch_size": 8}
    config = resolve(Settings.of(method="dann", backbone=backbone, landmark_branch=landmark_branch, **options))
    target = load_domain("store:store", faces, size_px=112)
    drawn, points, labels = draw_toy(7)
    source = Domain("drawn", *[FaceSet(drawn, points, labels, tuple(map(str, range(7))))] * 2)
    require_landmarks(source, target)
    few = replace(target, train=first(target.train, 7), test=first(target.test, 7))
    record = run_cell(config, source, few, faces / "runs", progress=False)
    assert len(record["history"]) == 1 and record["data"]["target"]["store"]["crop"] == "cdfer"


def draw_toy(n):
    images, points, _ = drawn_faces(n, 112)
    return images, points, np.arange(n) % 7


def first(faces, n):
    return FaceSet(faces.images[:n], faces.landmarks[:n], faces.labels[:n], faces.names[:n])
