"""Trains what contracts/test_distributed.py compares: `several.py OUT cases|rest` by a launcher."""

import json
import sys
from pathlib import Path

import torch
from made import JOINED, TRAINED, random_faces
from torch import nn

from pa_difc.backbones import BACKBONES, BackboneSpec
from pa_difc.data import Domain
from pa_difc.methods import METHODS, SourceOnly
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.distributed import join, rank, require_one_process
from pa_difc.util.errors import UserError

#: Without BatchNorm and dropout, in float64, the number of processes changes nothing but the order of sums.
CASES = {
    "mcd": {"method": "mcd"},
    "by_step": {"method": "mcd_onestep", "refresh": "step"},
    "by_evaluation": {"method": "safn", "confusion_from": "evaluation", "target_sampler": "pseudo_balanced"},
    "by_passes": {"method": "source_only", "sampler": "class_balanced", "zoom": 0.1},
    "by_spread": {"method": "mcd", "margin_unit": "spread"},
    "weighted": {"method": "mdd", "loss": "weighted_inverse"},
    "by_guesses": {"method": "mcd+mean_teacher", "target_loss": "difc", "align": "estimated", "ema": 0.9},
    "by_own_guesses": {"method": "adamatch", "threshold": 0.5, "align": "source"},
    "balanced": {"method": "source_only+abc", "abc_threshold": 0.0},
    "class_ratio": {"method": "detn", "weight": 0.0},  # its MMD is of the pairs in a part, its state of the whole
}
#: With both, in float32: that they train at all, and stay the same everywhere.
EVERY = {
    name: {"method": name, "backbone": "small", "epochs": 2, "ema": 0.9 if name in JOINED else 0.0}
    for name in (*TRAINED, *JOINED)
    if not METHODS[name].one_process
}


class Plain(nn.Module):
    num_features = 16

    def __init__(self, feature_head, landmark_branch):
        super().__init__()
        self.net = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 16), nn.Tanh())

    def forward(self, face):
        return self.net(face.image.double())


class Drifting(SourceOnly):
    """What no one should train on several processes: a state that depends on which one it is."""

    def method_state(self):
        return {"own": nn.BatchNorm1d(1 + rank())}


def train(case, out, options):
    """The record of a case."""
    BACKBONES["plain"] = BackboneSpec(Plain, 32, 0.05, "for equality", feature_head="global_only")
    METHODS["drifting"] = Drifting
    options = {"backbone": "plain", "loss": "difc", "reweight_epoch": 1, "epochs": 4, **options}
    if options["loss"] == "difc":
        options["loss.epsilon"] = 0.5  # methods have an ε of their own
    config = resolve(Settings.of(**{"batch_size": 16, "crop_px": 32, **options}))
    source = Domain("bright", random_faces(45, 1), random_faces(14, 2))
    target = Domain("dim", random_faces(61, 3), random_faces(21, 4))  # 16 + 16 + 16 + 13: the last parts are 6 and 7
    return run_cell(config, source, target, Path(out) / case, progress=False)


def refused(out):
    """What is said of runs that several processes can't make."""
    ir = {"method": "agra", "backbone": "small", "feature_head": "global_local", "crop_px": 48}
    tries = {
        "command": lambda: require_one_process("compare"),
        "device": lambda: join("cuda:1"),
        "none": lambda: join("cpu"),
        "agra": lambda: train("agra", out, ir),
        "batch": lambda: train("batch", out, {"batch_size": 2}),
        "drifting": lambda: train("drifting", out, {"method": "drifting", "backbone": "small"}),
    }

    def two_disks():
        own = Path(out, f"disk{rank()}")
        for _ in range(2):
            train("own", own, {"method": "source_only", "backbone": "small", "epochs": 1})
            for record in own.glob("own/runs/*/record.json"):
                record.unlink()

    tries["disk"] = two_disks
    said = {}
    for name, attempt in tries.items():
        try:
            attempt()
        except UserError as error:
            said[name] = str(error)
    return said


def main(out, what):
    if what == "cases":
        join("cpu")
        torch.set_default_dtype(torch.float64)
        chosen = CASES
    else:
        said = refused(out)
        Path(out, f"{rank()}.json").write_text(json.dumps(said))
        chosen = EVERY
    for case, options in chosen.items():
        train(case, out, options)


if __name__ == "__main__":
    main(*sys.argv[1:])
