"""Does a method adapt? Four classes of points, turned and shifted in the target; target accuracy, mean of five seeds.

The comparison is source-only with the same extractor and steps. AGRA is left out: these points have no regions, and its
gain on them is noise (−5 points when this was first written, +1 later).
"""

from functools import cache
from statistics import mean

import numpy as np
import pytest
import torch
from made import TRAINED
from pytorch_adapt.containers import Models, Optimizers

from pa_difc import METHODS

CLASSES, DIMENSIONS, SAMPLES, STEPS = 4, 12, 240, 300
ANGLE, SHIFT, NOISE = 0.5, 2.5, 0.6  #: radians in each pair of axes; length along a random direction

#: What each method gained over its comparison when this was written, in points; None: no adaptation by design.
GAINED = {
    "source_bn": None,  # these points need no BatchNorm
    "lpl": None,
    "dann": 14,
    "cdan": 15,
    "mdd": 4,
    "mcd": 13,
    "mcd_onestep": 11,
    "swd": 2,
    "star": 4,
    "safn": -37,  # norms of a network from scratch: Δr = 1 a step outgrows the classes. On drawn faces it gains 11.
    "detn": 12,
    "ecan": 14,
    "jumbot": 10,
    "etd": 8,
    "mcc": 15,
    "mean_teacher": 9,
    "adamatch": -2,  # its own hard guesses, without another view of the points to learn them on
    "sentry": -41,  # without views every point agrees with itself, so that entropy only falls
}


def points(seed):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLASSES, DIMENSIONS))
    centres *= 2.5 / np.linalg.norm(centres, axis=1, keepdims=True)
    labels = np.arange(SAMPLES) % CLASSES
    source, target = (centres[labels] + NOISE * rng.normal(size=(SAMPLES, DIMENSIONS)) for _ in range(2))
    turn = np.kron(np.eye(DIMENSIONS // 2), [[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])
    away = rng.normal(size=DIMENSIONS)
    target = target @ turn.T + SHIFT * away / np.linalg.norm(away)
    return (torch.tensor(x, dtype=torch.float32) for x in (source, target, labels))


@cache
def accuracy(method, seed):
    source, target, labels = points(seed)
    labels = labels.long()
    cls = METHODS[method]
    torch.manual_seed(seed)
    layers = [torch.nn.Linear(DIMENSIONS, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32), torch.nn.ReLU()]
    models = Models({"G": torch.nn.Sequential(*layers), **cls.heads(32, CLASSES)})
    optimizers = Optimizers((torch.optim.SGD, {"lr": 0.02, "momentum": 0.9}))
    made = cls(models, optimizers, **cls.schedule_options(STEPS))
    made.models.train()
    rng = np.random.default_rng(seed)
    for _ in range(STEPS):
        i, j = rng.integers(0, SAMPLES, (2, 32))
        made.training_step(
            {
                "src_imgs": source[i],
                "target_imgs": target[j],
                "src_labels": labels[i],
                "src_domain": torch.zeros(32, dtype=torch.long),
                "target_domain": torch.ones(32, dtype=torch.long),
            }
        )
    made.models.eval()
    with torch.no_grad():
        return (made.inference(target, domain=1)["logits"].argmax(1) == labels).float().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize("method", [m for m in TRAINED if m != "source_only" and not METHODS[m].needs_regions])
def test_target_accuracy_over_source_only(method):
    gain = 100 * mean(accuracy(method, seed) - accuracy("source_only", seed) for seed in range(5))
    expected = GAINED[method]
    if expected is None:
        assert abs(gain) < 3
    elif expected > 0:
        assert gain > 0.4 * expected
    else:
        assert gain < 0, "it adapts after all: say so in GAINED and in its docstring"
