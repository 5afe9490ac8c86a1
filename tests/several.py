"""Trains the cases of contracts/test_distributed.py; run by a launcher, or called. A network without BatchNorm and
dropout, in float64, so that the number of processes changes nothing but the order of sums."""

import sys
from pathlib import Path

import torch
from made import random_faces
from torch import nn

from pa_difc.backbones import BACKBONES, BackboneSpec
from pa_difc.build import resolve, run_cell
from pa_difc.config import Config
from pa_difc.data import Domain
from pa_difc.distributed import join

CASES = {
    "mcd": {"method": "mcd"},
    "by_step": {"method": "mcd_onestep", "refresh": "step"},
    "by_evaluation": {"method": "safn", "estimate": "evaluation", "target_sampler": "pseudo_balanced"},
    "by_passes": {"method": "source_only", "sampler": "class_balanced", "zoom": 0.1},
    "weighted": {"method": "mdd", "loss": "weighted_inverse"},
    "class_ratio": {"method": "detn", "weight": 0.0},  # its MMD is of a part's pairs, its state of the whole
}


class Plain(nn.Module):
    num_features = 16

    def __init__(self, head, local_head):
        super().__init__()
        self.net = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 16), nn.Tanh())

    def forward(self, face):
        return self.net(face.image.double())


def train(case, out):
    """The record of a case."""
    BACKBONES["plain"] = BackboneSpec(Plain, 32, 0.05, "for equality", head="global_only")
    options = {"loss": "difc", "epsilon": 0.5, "reweight_epoch": 1, **CASES[case]}
    config = resolve(Config(backbone="plain", epochs=4, batch_size=16, crop_px=32, **options))
    source = Domain("bright", random_faces(45, 1), random_faces(14, 2))
    target = Domain("dim", random_faces(61, 3), random_faces(21, 4))  # 16 + 16 + 16 + 13: the last parts are 6 and 7
    return run_cell(config, source, target, Path(out) / case, progress=False)


if __name__ == "__main__":
    join("cpu")
    torch.set_default_dtype(torch.float64)
    for case in CASES:
        train(case, sys.argv[1])
