"""Files that were made to do harm: code in pickles, pictures as large as a house, paths that lead out."""

import ast
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from damage import TRAIN, command, png_bomb, refused, tiff_bomb, write_store
from made import random_faces

import pa_difc
from pa_difc.training.frozen import freeze
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError
from pa_difc.util.files import file_digest


class Malice:
    """Leaves a mark where it is executed."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return (open, (self.mark, "w"))


@pytest.fixture
def mark(tmp_path):
    """The file that is there once code was executed; what is tested is shown to be able to."""
    mark = tmp_path / "executed"
    pickle.loads(pickle.dumps(Malice(mark)))
    assert mark.exists()
    mark.unlink()
    yield mark
    assert not mark.exists()


def poisoned(path, mark, how):
    """Writes a file that executes code if it is unpickled."""
    malice = Malice(mark)
    if how == "pickle":
        path.write_bytes(pickle.dumps(malice))
    elif how == "torch":
        torch.save({"key": "k", "models": malice, "x": malice}, path)
    elif how == "npz":
        np.savez(path.open("wb"), **dict.fromkeys(("target_labels", "source_train", "notes"), np.array([malice])))
    else:
        np.save(path.open("wb"), np.array([malice], dtype=object))


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_checkpoints_and_weights_do_not_execute(how, mark, pair, run_folder, tmp_path):
    run = shutil.copytree(run_folder, tmp_path / "out" / "runs" / run_folder.name)
    poisoned(run / "checkpoint.pt", mark, how)
    code, _, err = command("export", "--model", run, "--out", tmp_path / "model")
    assert refused(code, err) and "checkpoint.pt is damaged" in err
    (run / "record.json").unlink()
    code, _, err = command("train", *pair, *TRAIN, "--out", tmp_path / "out")
    assert refused(code, err) and "checkpoint.pt is damaged" in err
    for name in ("weights.pt", "weights.pth", "weights.safetensors"):
        poisoned(tmp_path / name, mark, how)
        code, _, err = command("train", *pair, *TRAIN, "--out", tmp_path / "o", "--pretrained", tmp_path / name)
        assert refused(code, err) and name in err


def test_a_model_s_folder_does_not_execute(mark, run_folder, tmp_path):
    assert command("export", "--model", run_folder, "--out", tmp_path / "model")[0] == 0
    for how in ("pickle", "torch"):
        poisoned(tmp_path / "model" / "model.safetensors", mark, how)
        code, _, err = command("predict", "--model", tmp_path / "model", tmp_path)
        assert refused(code, err) and "model.safetensors" in err


def test_outputs_do_not_execute(mark, run_folder, tmp_path):
    run = shutil.copytree(run_folder, tmp_path / "run")
    poisoned(run / "outputs.npz", mark, "npz")
    code, _, err = command("report", tmp_path)
    assert refused(code, err) and "outputs.npz" in err


def test_features_do_not_execute(mark, source, target, tmp_path):
    config = resolve(Settings.of(method="source_only", loss="ce", epochs=1, batch_size=16, crop_px=32))
    freeze(config, source, target, tmp_path)
    features = next(tmp_path.rglob("features.npz"))
    poisoned(features, mark, "npz")
    with pytest.raises(UserError, match=r"cannot read .*features\.npz"):
        freeze(config, source, target, tmp_path)


def test_a_store_s_arrays_do_not_execute(mark, tmp_path):
    store = write_store(tmp_path / "store", random_faces(21, 1), random_faces(14, 2))
    manifest = json.loads((store / "manifest.json").read_text())
    del manifest["digest"]
    for name in ("labels.npy", "images.npy"):
        poisoned(store / name, mark, "npy")
        manifest["files"][name] = {"bytes": (store / name).stat().st_size, "blake2b": file_digest(store / name)}
        (store / "manifest.json").write_text(json.dumps(manifest))
        code, _, err = command("datasets", "store:store", "--data-root", tmp_path)
        assert refused(code, err) and ".npy" in err


def given(call, name):
    return next((ast.literal_eval(word.value) for word in call.keywords if word.arg == name), None)


def test_torch_loads_weights_only_and_numpy_no_pickles():
    calls = dict.fromkeys(("torch.load", "np.load"), 0)
    for path in Path(pa_difc.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in calls:
                calls[called] += 1
                safe = given(node, "weights_only") if called == "torch.load" else not given(node, "allow_pickle")
                assert safe, f"{path}, line {node.lineno}"
    assert all(calls.values()), calls


@pytest.mark.slow
def test_a_chunk_of_unfinished_work_does_not_execute(mark, tmp_path, data_root):
    prepare = ["prepare", "--dataset", "folder:bright", "--data-root", data_root, "--out", tmp_path / "s"]
    prepare += ["--processes", "1", "--on-missing", "error", "--detect-px", "64"]
    code, _, err = command(*prepare)
    assert refused(code, err) and "no face found" in err
    poisoned(tmp_path / "s" / ".part" / "000000.npz", mark, "npz")
    code, _, err = command(*prepare)
    assert refused(code, err) and "000000.npz" in err


@pytest.mark.parametrize(("name", "bomb"), [("bomb.png", png_bomb(50_000)), ("bomb.tif", tiff_bomb(50_000))])
def test_a_decompression_bomb_is_refused_with_one_line(name, bomb, data_root, tmp_path):
    shutil.copytree(data_root / "bright", tmp_path / "pictures")
    (tmp_path / "pictures" / "train" / "happy" / name).write_bytes(bomb)
    given = ["--source", "folder:pictures", "--target", "folder:pictures", "--data-root", tmp_path]
    code, _, err = command("train", *given, *TRAIN, "--out", tmp_path / "o", "--on-bad-image", "error")
    assert refused(code, err) and f"{name}: " in err and "pixels" in err


def test_links_are_followed_but_lists_do_not_lead_out(data_root, tmp_path):
    """Who has data elsewhere links to them; a list that comes with data may not reach beyond its folder."""
    (tmp_path / "linked").symlink_to(data_root / "bright")
    code, out, _ = command("datasets", "folder:linked", "--data-root", tmp_path)
    assert code == 0 and "84 samples" in out
    (tmp_path / "mine" / "images").mkdir(parents=True)
    secret = tmp_path / "secret.png"
    shutil.copy(next((data_root / "bright").rglob("*.png")), secret)
    for entry in ("../../secret.png", str(secret), "a/../../../secret.png"):
        (tmp_path / "mine" / "legend.csv").write_text(f"image,emotion\n{entry},happy\n")
        code, _, err = command("datasets", "legend:mine", "--data-root", tmp_path)
        assert refused(code, err) and "must be a path below images/" in err


@pytest.mark.parametrize("value", ["lr=1e300", "lr=1e30"])
def test_a_learning_rate_after_which_nothing_is_finite(value, pair, tmp_path):
    """Where the last update makes the weights NaN, no loss tells: the run has failed all the same."""
    words = [*TRAIN, value, "--out", tmp_path / "out"]
    code, _, err = command("train", *pair, *words)
    assert refused(code, err), (code, err)
    grid = ["--methods", "source_only", "--losses", "ce", "di", "--epochs", "1", "--set", "batch_size=64", "crop_px=32"]
    code, _, err = command("compare", *pair, *grid, value, "--out", tmp_path / "grid")
    if value == "lr=1e300":  # which no weight can take
        assert refused(code, err), err
    else:
        assert code == 2 and err.startswith("failed: source_only · ce: ") and err.endswith(" … and 1 more run\n"), err
    assert not list(tmp_path.rglob("record.json"))
