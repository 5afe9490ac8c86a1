"""Runs of format 2, written by hand for tests of reports."""

import json

import numpy as np

from pa_difc.report.grid import make_grids
from pa_difc.report.run import all_runs
from pa_difc.report.sweep import split_sweeps

SEVEN = ["surprise", "fear", "disgust", "happy", "sad", "anger", "neutral"]

#: Everything that runs of one table share, as far as reports show it.
RUN = {"epochs": 8, "prior_correction": "none"}
DATA = {
    "labels": "expressions", "crop_px": 32, "target_sampler": "shuffled", "target_shift": None, "shift_draw": 0,
    "on_bad_image": "skip", "deduplicate": False,
}  # fmt: skip


def record(
    method, loss, seed=0, *, names=SEVEN, scores=None, source="toy_studio", target="fer2013", finished="2026-01-01",
    method_options=None, loss_options=None, code=None, epochs=8, confusion_epoch=4, optimiser=None, common_code="c0",
    fingerprints=("d0", "d1"), data=None, history=(), counts=None, labels=None, **more,
):  # fmt: skip
    """A record; what is named by keyword is not what the others have."""
    k, data = len(names), {"source": source, "target": target, **DATA, **(data or {})}
    loss_settings = {"name": loss, "confusion_epoch": confusion_epoch, "options": loss_options or {}}
    optimiser = {"name": "sgd", "lr": 0.02, **(optimiser or {})}
    run = RUN | {"epochs": epochs}
    model = {"backbone": "small", "feature_head": "global_only"}
    counts = counts or {"train_counts": [10] * k, "test_counts": [2] * k}
    sides = {
        side: {"name": name, **counts, "transductive": False, "train_fingerprint": f"{side}0"}
        for side, name in (("source", source), ("target", target))
    }
    shared_loss = {"confusion_epoch": confusion_epoch}
    settings = {"data": data, "model": model, "optimiser": optimiser, "loss": shared_loss, "run": run}
    return {
        "format": 2,
        "key": f"{method}-{loss}-{seed}",
        "labels": labels or {"names": list(names), "synonyms": {}, "excluded": []},
        "settings": settings | {
            "loss": loss_settings,
            "method": {"name": method, "options": method_options or {}},
            "run": run | {"seed": seed},
        },
        "identity": {"code": {"package": common_code, **(code or {})}},
        "common": {"settings": settings, "code": common_code, "data": list(fingerprints)},
        "data": sides,
        "scores": scores or {"source": flat_scores(k, 0.5), "target": flat_scores(k, 0.5)},
        "history": [{"epoch": i, "seconds": 1.0, "lr": 0.1, "losses": {}, **h} for i, h in enumerate(history, 1)],
        "model": {"adjustment": None},
        "seconds": {"training": 2.0},
        "versions": {"pa-difc": "0.2.0", "torch": "2.9.0"},
        "target_labels": "none",
        "selection": "last epoch",
        "finished": finished,
        **more,
    }  # fmt: skip


def flat_scores(k, value, collapsed=False):
    """Scores with this recall for every class."""
    confusion = np.eye(k, dtype=int) + 1
    return {
        **dict.fromkeys(("accuracy", "macro_recall", "macro_f1"), value),
        "macro_recall_20": None,
        "recall": [value] * k,
        "collapsed": collapsed,
        "confusion": confusion.tolist(),
    }


def state(margins, confusion, phase="difc", reweighted=True):
    """What a loss with state leaves in the history of an epoch."""
    return {"state": {"phase": phase, "reweighted": reweighted, "margins": margins, "confusion": confusion}}


def write(folder, record, arrays=None):
    """Writes a run's folder; returns it. ``arrays`` are its outputs."""
    path = folder / "runs" / f"{len(list(folder.rglob('record.json'))):03d}-{record['key']}"
    path.mkdir(parents=True)
    (path / "record.json").write_text(json.dumps(record))
    if arrays is not None:
        np.savez(path / "outputs.npz", **arrays)
    return path


def outputs(labels, probs, seed=0, dim=5):
    """Outputs in which source and target are predicted alike; features are noise around the class."""
    n, rng = len(labels), np.random.default_rng(seed)
    centres = 3 * np.random.default_rng(1).normal(size=(probs.shape[1], dim))
    features = (centres[labels] + rng.normal(size=(n, dim))).astype(np.float16)
    parts = {"labels": labels.astype(np.int8), "probs": probs.astype(np.float32), "kept": np.arange(n)}
    parts["features"] = features
    return {f"{side}_{part}": a for side in ("source", "target") for part, a in parts.items()}


def write_many_classes(folder, k, losses=("ce", "drw", "di", "difc"), methods=("mcd",)):
    """A grid of K classes in which everything is there that a page can show."""
    rng = np.random.default_rng(k)
    names = [f"emotion {i} of many" if k > 10 and i % 9 == 0 else f"class{i}" for i in range(k)]
    names = SEVEN[:k] if k <= 7 else [*SEVEN, "contempt"] if k == 8 else names
    labels = np.arange(20 * k) % k
    counts = {"train_counts": (400 // (1 + np.arange(k)) + 3).tolist(), "test_counts": [20] * k}
    for method in methods:
        for loss in losses:
            for seed in (0, 1, 2):
                said = np.where(rng.random(len(labels)) < 0.6, labels, rng.integers(0, k, len(labels)))
                probs = 0.3 * rng.dirichlet(np.ones(k), len(labels)) + 0.7 * np.eye(k)[said]
                confusion = np.zeros((k, k), dtype=int)
                np.add.at(confusion, (labels, probs.argmax(1)), 1)
                recall = (confusion.diagonal() / 20).tolist()
                mean = float(np.mean(recall))
                scores = {"accuracy": mean, "macro_recall": mean, "macro_f1": mean, "recall": recall}
                scores["macro_recall_20"] = mean  # there are 20 faces of every class
                scores |= {"confusion": confusion.tolist(), "collapsed": False}
                epochs = [
                    state(
                        (0.3 * rng.random(k)).tolist(), [None] * k if e < 4 else (5 * rng.random(k)).tolist(),
                        "di" if e < 4 else "difc", e >= 3,
                    )
                    for e in range(8)
                ]  # fmt: skip
                one = record(
                    method, loss, seed, names=names, scores={"source": scores, "target": scores}, counts=counts,
                    history=epochs if loss == "difc" else [{}] * 8,
                )  # fmt: skip
                write(folder, one, outputs(labels, probs, seed, dim=max(5, k)))
    return names


def load_grids(folder):
    """The grids of all runs below a folder but those of label-shift sweeps; raises the error of a damaged one."""
    found = all_runs(folder)
    if found.damaged:
        raise found.damaged[0]
    return make_grids(split_sweeps(found.runs)[1])
