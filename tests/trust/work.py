"""Four kinds of work that can be killed or run out of disk: how each is started, and what it leaves in the end."""

import json
import re

import numpy as np
import optuna
import torch
from PIL import Image

from pa_difc.data.labels import SEVEN

PAIR = ["--source", "folder:bright", "--target", "folder:dim"]
SMALL = ["--set", "crop_px=32", "batch_size=16"]


def training(root, out):
    return ["train", *PAIR, "--data-root", root, "--method", "mcd", "--epochs", "4", "--out", out, *SMALL]


def preparing(root, out):
    given = ["--on-missing", "whole", "--detect-px", "64", "--processes", "1"]
    return ["prepare", "--dataset", "folder:many", "--data-root", root, "--out", out, *given]


def study(root, out):
    given = ["--method", "source_only", "--epochs", "2", "--features", "frozen", "--trials", "4"]
    return ["search", *PAIR, "--data-root", root, "--out", out, *given, "--confirm-seeds", "0", *SMALL]


def exporting(root, out):
    return ["export", "--model", root / "run", "--out", out]


def trained(out):
    """Scores, history and weights."""
    (record,) = out.glob("runs/*/record.json")
    content = json.loads(record.read_text())
    log = [json.loads(line) for line in record.with_name("log.jsonl").read_text().splitlines()]
    timeless = [[{k: v for k, v in h.items() if k != "seconds"} for h in hs] for hs in (content["history"], log)]
    models = torch.load(record.with_name("checkpoint.pt"), weights_only=True)["models"]
    weights = {f"{m}.{k}": v.tolist() for m, state in models.items() for k, v in state.items()}
    with np.load(record.with_name("outputs.npz")) as arrays:
        return content["scores"], timeless, weights, {k: arrays[k].tolist() for k in arrays.files}


def files(out):
    """Every file, to the byte."""
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def studied(out):
    """Trials that came to their end, the choice, and the scores after it."""
    (folder,) = out.iterdir()
    url = f"sqlite:///{folder / 'study.db'}"
    (summary,) = optuna.get_all_study_summaries(url)
    trials = optuna.load_study(study_name=summary.study_name, storage=url).trials
    done = [(t.params, t.value, t.constraints) for t in trials if t.state.name == "COMPLETE"]
    assert not any(t.state.name in ("RUNNING", "WAITING") for t in trials)
    chosen, once = re.subn(": trial [0-9]+,", "", (folder / "best.toml").read_text())  # one that was lost has a number
    assert once == 1
    records = [json.loads(p.read_text()) for p in sorted(folder.glob("after/runs/*/record.json"))]
    return done, chosen, [r["scores"] for r in records]


KINDS = {
    "training": (training, trained),
    "prepare": (preparing, files),
    "study": (study, studied),
    "export": (exporting, files),
}


def many_pictures(folder, n=280):
    """Three chunks of pictures without a face."""
    rng = np.random.default_rng(5)
    for i in range(n):
        path = folder / ("test" if i % 5 == 0 else "train") / SEVEN[i % 7] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(path)
