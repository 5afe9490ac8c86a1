"""Malformed inputs through the public commands: one line and exit code 2, or a counted skip; never a traceback, a hang
or a wrong number. The slow part tries more than two thousand."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
from damage import (
    PICTURES,
    TRAIN,
    Tally,
    command,
    damaged,
    dumps,
    image_bytes,
    not_images,
    refused,
    rewritten,
    write_store,
)
from lists import bad_lists, good_lists
from made import random_faces

from pa_difc.data.labels import SEVEN

SIZES = [
    pytest.param(1, id="some"),
    pytest.param(8, id="many", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def tally():
    """Of the whole module; says at the end how many there were."""
    tally = Tally()
    yield tally
    tally.report()


@pytest.fixture(scope="module")
def model(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "kept"
    code, _, err = command("export", "--model", run_folder, "--out", folder)
    assert code == 0, err
    return folder


@pytest.mark.parametrize("times", SIZES)
def test_images(tally, times, data_root, tmp_path):
    """Every one of them is in the record: as a face, by name among the unreadable, or counted among what is none.

    Links that lead nowhere, pipes and devices are counted, and never opened; a folder is none, whatever its name.
    """
    rng = np.random.default_rng(times)
    shutil.copytree(data_root / "bright", tmp_path / "pictures")
    folder = tmp_path / "pictures" / "train" / "happy"
    before = len(list(folder.iterdir()))
    none = not_images(folder)
    n = 90 * times
    for i in range(n):
        kind = list(PICTURES)[i % len(PICTURES)]
        suffix = PICTURES[kind] if i % 7 else "bmp"  # some with a wrong one
        (folder / f"broken{i}.{suffix}").write_bytes(damaged(image_bytes(kind, rng), rng))
    code, _, err = command(
        "train", "--source", "folder:pictures", "--target", "folder:bright", "--data-root", tmp_path, *TRAIN, "--out",
        tmp_path / "out",
    ) if (tmp_path / "bright").symlink_to(data_root / "bright") is None else ()  # fmt: skip
    assert code == 0, err
    record = json.loads(next(tmp_path.glob("out/runs/*/record.json")).read_text())
    source = record["data"]["source"]
    bad = {b["name"].rpartition("/")[2]: b["reason"] for b in source["bad_images"]}
    assert source["left_out"] == {"broken links": 2, "pipes, sockets and devices": 2}
    assert source["train_counts"][SEVEN.index("happy")] + len(bad) + 4 == before + n + none - 1
    assert all("\n" not in reason and reason for reason in bad.values())
    for path in folder.iterdir():
        if path.name.startswith("broken"):
            tally.check("images", path.name, True)
        elif not path.name[0].isdigit():
            tally.check("images", path.name, (path.name in bad) == path.is_file())
    assert {"bomb.png", "bomb.tif", "above.png", "program.jpg"} <= bad.keys()
    assert "pixels" in bad["bomb.png"] and "pixels" in bad["bomb.tif"] and n / 3 < len(bad)


@pytest.mark.parametrize("times", SIZES)
def test_photographs_to_predict(tally, times, model, tmp_path):
    rng = np.random.default_rng(times)
    folder = tmp_path / "photographs"
    folder.mkdir()
    not_images(folder)
    for i in range(12 * times):
        kind = list(PICTURES)[i % len(PICTURES)]
        (folder / f"broken{i}.{PICTURES[kind]}").write_bytes(damaged(image_bytes(kind, rng), rng))
    code, out, err = command("predict", "--model", model, folder)
    rows = list(csv.DictReader(io.StringIO(out)))
    images = {str(p) for p in folder.iterdir() if p.is_file()}  # no folder, pipe, device or link that leads nowhere
    assert code == 0 and {r["file"] for r in rows} == images
    problems = sum(bool(r["problem"]) for r in rows)
    lines = err.splitlines()
    left_out = "left out: 2 broken links, 2 pipes, sockets and devices"
    assert lines[0] == left_out and lines[1].startswith("the model was trained on images")
    assert lines[2:] == [f"{problems} of {len(images)} images without a prediction; see the column 'problem'"]
    for row in rows:
        probs = [float(row[name] or 0) for name in SEVEN]
        tally.check("photographs", row, bool(row["problem"]) or abs(sum(probs) - 1) < 1e-2)


@pytest.mark.parametrize("times", SIZES)
def test_lists(tally, times, tmp_path):
    """Rows that mean nothing are refused; a list with bytes out of place is refused, or read as another list."""
    rng = np.random.default_rng(times)
    for number, (name, files) in enumerate(bad_lists()):
        root = tmp_path / f"bad{number}"
        good_lists(root, name, files)
        code, _, err = command("train", "--source", name, "--data-root", root)
        tally.check("rows", (name, str(files)[:200]), refused(code, err), err)
    for name in ("fer2013", "muxspace", "raf_db", "raf_db_original", "expw", "ck_plus"):
        for i in range(10 * times):
            root = tmp_path / f"{name}{i}"
            written = good_lists(root, name, {})
            path = written[rng.integers(len(written))]
            lines = path.read_bytes().count(b"\n") + 1
            path.write_bytes(damaged(path.read_bytes(), rng))

            def judge(name=name, root=root, lines=lines):
                code, out, err = command("datasets", name, "--data-root", root)
                found = int(out.partition("found     ")[2].partition(" samples")[0].replace(",", "") or 0)
                return refused(code, err) or (code == 0 and 0 < found <= 10 * lines), err or out

            tally.attempt("lists", path.read_bytes()[:300], judge)


@pytest.mark.parametrize("times", SIZES)
def test_stores(tally, times, tmp_path):
    rng = np.random.default_rng(times)
    store = write_store(tmp_path / "whole", random_faces(21, 1), random_faces(14, 2))
    _, counts, _ = command("datasets", "store:whole", "--data-root", tmp_path)
    assert counts.count("\n") == 4 and command("prepare", "--check", store)[0] == 0
    manifest = json.loads((store / "manifest.json").read_text())
    for i in range(40 * times):
        broken = shutil.copytree(store, tmp_path / str(i))
        if i % 2:
            path = broken / "manifest.json"
            path.write_text(dumps(rewritten(manifest, rng)))
        else:
            path = list(broken.iterdir())[rng.integers(8)]
            path.write_bytes(damaged(path.read_bytes(), rng))
        if path.read_bytes() == (store / path.name).read_bytes():
            continue

        def judge(broken=broken, path=path):
            code, out, err = command("datasets", f"store:{broken.name}", "--data-root", tmp_path)
            same = code == 0 and out.replace(str(broken), str(store)) == counts
            quiet = path.suffix in (".json",) and path.name != "names.json"  # an edit may leave what is used alone
            checked, _, problem = command("prepare", "--check", broken)
            seen = checked == 1 or refused(checked, problem) or quiet
            return (refused(code, err) or same or (code == 0 and quiet)) and seen, (err, out, problem)

        tally.attempt("stores", (path.name, path.read_bytes()[:100]), judge)
        shutil.rmtree(broken)


@pytest.mark.parametrize("times", SIZES)
@pytest.mark.parametrize("name", ["checkpoint.pt", "record.json"])
def test_runs_to_export(tally, times, name, run_folder, model, tmp_path):
    """Refused, or the very weights."""
    rng = np.random.default_rng(times)
    exported(tally, 12 * times, name, run_folder, model, tmp_path, rng)


@pytest.mark.parametrize("times", SIZES)
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_models(tally, times, name, model, tmp_path):
    rng = np.random.default_rng(times)
    exported(tally, 12 * times, name, model, model, tmp_path, rng)


def exported(tally, n, name, folder, model, tmp_path, rng):
    for i in range(n):
        broken = shutil.copytree(folder, tmp_path / f"{i}")
        path = broken / name
        if path.suffix == ".json" and i % 2:
            path.write_text(dumps(rewritten(json.loads(path.read_text()), rng)))
        else:
            path.write_bytes(damaged(path.read_bytes(), rng))

        def judge(broken=broken, i=i):
            code, _, err = command("export", "--model", broken, "--out", tmp_path / f"out{i}")
            if code == 0:
                kept = tmp_path / f"out{i}" / "model.safetensors"
                return kept.read_bytes() == (model / "model.safetensors").read_bytes(), "other weights"
            return refused(code, err), err

        tally.attempt(f"export {name}", path.read_bytes()[:200], judge)
        shutil.rmtree(broken)


@pytest.mark.parametrize("times", SIZES)
def test_checkpoints_to_go_on_from(tally, times, pair, tmp_path):
    """Refused, or the scores of a run that was never disturbed."""
    rng = np.random.default_rng(times)
    arguments = ["train", *pair, *TRAIN, "--out", tmp_path]
    assert command(*arguments)[0] == 0
    record = next(tmp_path.glob("runs/*/record.json"))
    checkpoint, scores = record.with_name("checkpoint.pt"), json.loads(record.read_text())["scores"]
    whole = checkpoint.read_bytes()
    for _ in range(4 * times):
        record.unlink(missing_ok=True)
        checkpoint.write_bytes(damaged(whole, rng))

        def judge():
            code, _, err = command(*arguments)
            same = code == 0 and json.loads(record.read_text())["scores"] == scores
            return same or refused(code, err), err

        tally.attempt("checkpoints", checkpoint.read_bytes()[:50], judge)


@pytest.mark.parametrize("times", SIZES)
def test_weights(tally, times, pair, run_folder, model, tmp_path):
    import torch

    rng = np.random.default_rng(times)
    torch.save(torch.load(run_folder / "checkpoint.pt", weights_only=True)["models"]["G"], tmp_path / "whole.pt")
    for i in range(4 * times):
        whole = (model / "model.safetensors") if i % 2 else tmp_path / "whole.pt"
        path = tmp_path / f"weights{i}{whole.suffix}"
        path.write_bytes(damaged(whole.read_bytes(), rng))

        def judge(path=path):
            code, _, err = command("train", *pair, *TRAIN, "--out", tmp_path / "out", "--pretrained", path)
            return code == 0 or refused(code, err), err

        tally.attempt("weights", path.read_bytes()[:50], judge)


@pytest.mark.parametrize("times", SIZES)
@pytest.mark.parametrize("name", ["record.json", "outputs.npz"])
def test_reports(tally, times, name, run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("pa_difc.report.grid_page.figures", lambda grid: {str(grid.runs[0].outputs): []})
    rng = np.random.default_rng(times)
    broken = shutil.copytree(run_folder, tmp_path / "run")
    whole = (broken / name).read_bytes()
    assert command("report", tmp_path)[0] == 0
    tables = {p.name: p.read_text() for p in tmp_path.rglob("report/tables/*.csv")}
    for i in range(15 * times):
        edited = name == "record.json" and i % 2
        new = dumps(rewritten(json.loads(whole), rng)).encode() if edited else damaged(whole, rng)
        (broken / name).write_bytes(new)

        def judge(edited=edited):
            code, _, err = command("report", tmp_path)
            same = tables == {p.name: p.read_text() for p in tmp_path.rglob("report/tables/*.csv")}
            return refused(code, err) or (code == 0 and (same or edited)), err

        tally.attempt(f"report {name}", new[:200], judge)


TOML = b"""# a study's choice
max_margin = 0.3
epsilon = 0.02
loss = "difc"
reweight_epoch = 2
reweight_with_confusion = true
"""


@pytest.mark.parametrize("times", SIZES)
def test_settings_files(tally, times, tmp_path):
    """The source does not exist, so that whatever can be read is refused for that."""
    rng = np.random.default_rng(times)
    for i in range(40 * times):
        text = damaged(TOML, rng) if i else b"x = " + b"[" * 100_000
        (tmp_path / "x.toml").write_bytes(text)

        def judge():
            code, _, err = command("train", "--config", tmp_path / "x.toml", "--source", "folder:none")
            return refused(code, err), err

        tally.attempt("settings", text[:200], judge)
