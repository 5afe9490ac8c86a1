"""Predictions of methods with two classifiers: the mean of two softmaxes (Sreenivas et al. 2022, eq. 8)."""

import pytest
import torch
from pytorch_adapt.containers import Models, Optimizers

from pa_difc import METHODS

N, K, D = 9, 4, 6


@pytest.mark.parametrize("method", ["mcd", "mcd_onestep", "swd"])
def test_their_probabilities_are_the_mean_of_both(method):
    torch.manual_seed(0)
    cls = METHODS[method]
    made = cls(Models({"G": torch.nn.Linear(D, D), **cls.heads(D, K)}), Optimizers((torch.optim.SGD, {"lr": 0.01})))
    made.models.eval()
    x = 8 * torch.randn(N, D)
    found = made.inference(x)
    features = made.models["G"](x)
    first, second = (z.exp() / z.exp().sum(dim=1, keepdim=True) for z in made.models["C"](features))
    torch.testing.assert_close(found["features"], features)
    torch.testing.assert_close(found["logits"].exp(), (first + second) / 2)  # log p, so that a softmax gives p
    of_sums = sum(made.models["C"](features)).softmax(dim=1)
    assert (found["logits"].exp() - of_sums).abs().max() > 0.05
