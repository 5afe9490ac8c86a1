"""Converts settings of model folders of version 0.1 (format 1) to format 2."""

from __future__ import annotations

from typing import Any

from ..data.labels import EXPRESSIONS
from ..util.shapes import COUNT, FLAG, NUMBER, TEXT, one_of

#: Format 1 had only the seven expressions, and its settings in one flat object.
SHAPE: dict[str, Any] = {
    "classes": (one_of(*EXPRESSIONS.names), len(EXPRESSIONS)),
    "input": {"size_px": COUNT, "crop": TEXT, "prepared": FLAG, "landmarks": FLAG},
    "config": {
        **dict.fromkeys(("source", "target", "method", "loss", "backbone", "backbone_head", "local_head"), TEXT),
        **dict.fromkeys(("head", "adjust"), TEXT),
        **dict.fromkeys(("seed", "epochs", "crop_px"), COUNT),
        "scale": NUMBER,
    },
    "run": TEXT,
}


def translated(old: dict[str, Any]) -> dict[str, Any]:
    """Converts settings of format 1 to format 2.

    Settings that only training used (learning rates, options of the loss, weight of the method's own loss) are dropped.

    Args:
        old: settings of the shape :data:`SHAPE`, with classes in the order of the seven expressions.
    """
    config = old["config"]
    return {key: value for key, value in old.items() if key not in ("classes", "config")} | {
        "format": 2,
        "labels": EXPRESSIONS.to_dict(),
        "settings": {
            "data": {key: config[key] for key in ("source", "target", "crop_px")},
            "model": {
                "backbone": config["backbone"],
                "feature_head": config["backbone_head"],
                "landmark_branch": config["local_head"],
                "classifier": config["head"],
                "scale": config["scale"],
                "options": {},
            },
            "loss": {"name": config["loss"], "options": {}},
            "method": {"name": config["method"], "options": {}},
            "run": {"seed": config["seed"], "epochs": config["epochs"], "prior_correction": config["adjust"]},
        },
    }
