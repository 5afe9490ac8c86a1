"""Models without training, for tests of their folders."""

import numpy as np
import torch

from pa_difc.deploy.model import FaceModel
from pa_difc.training.model_settings import model_settings


def record(labels, method="mcd", **model):
    """As much of a run's record as its model is made from."""
    k = len(labels)
    scores = {
        **dict.fromkeys(("accuracy", "macro_recall", "macro_f1"), 0.5),
        "macro_recall_20": None,
        "recall": [0.5] * k,
        "collapsed": False,
        "confusion": np.eye(k, dtype=int).tolist(),
    }
    side = {"name": "here", "train_counts": [3] * k, "test_counts": [2] * k, "store": None}
    return {
        "key": "abc",
        "labels": labels.to_dict(),
        "settings": {
            "data": {"source": "here", "target": "there", "root": "/data", "crop_px": 32},
            "model": {
                "backbone": "small", "feature_head": "global_only", "landmark_branch": "conv", "pretrained": None,
                "classifier": "linear", "scale": 1.0, "options": {}, **model,
            },
            "loss": {"name": "difc", "options": {}},
            "method": {"name": method, "options": {}},
            "run": {"seed": 0, "epochs": 2, "device": "cpu"},
        },
        "data": {"source": side, "target": side | {"name": "there"}},
        "scores": {"source": scores, "target": scores},
        "model": {"adjustment": None},
        "versions": {"pa-difc": "0.2.0", "torch": "2.9.0"},
        "history": [{"epoch": 1}, {"epoch": 2}],
        "selection": "last epoch",
        "target_labels": "none",
        "finished": "2026-01-01",
    }  # fmt: skip


def untrained(labels, seed=0, **changes):
    """A model with random weights, in eval mode; of ``changes``, "views" and what :func:`record` takes."""
    views, crop = changes.pop("views", "none"), changes.pop("crop", None)
    run = record(labels, **changes)
    run["settings"]["eval"] = {"views": views}
    if changes.get("feature_head") == "global_local":
        run["settings"]["data"]["crop_px"] = 48
    if crop:
        run["data"]["target"]["store"] = {"crop": crop}
    torch.manual_seed(seed)
    return FaceModel(model_settings(run)).eval()
