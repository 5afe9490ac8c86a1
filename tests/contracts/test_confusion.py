"""Every method tells a loss with state about its step, once, with the predictions of that step's target batch."""

import pytest
import torch
from made import TRAINED
from pytorch_adapt.containers import Models, Optimizers

from pa_difc import METHODS

N, M, K, D = 8, 6, 4, 5


class Told(torch.nn.Module):
    """A loss that keeps what it is told."""

    def __init__(self, needs_target_logits):
        super().__init__()
        self.needs_target_logits, self.told = needs_target_logits, []

    def forward(self, logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels)

    def update(self, target_logits=None):
        self.told.append(target_logits)


def stepped(method, needs_target_logits):
    torch.manual_seed(0)
    cls = METHODS[method]
    width = 384 if cls.needs_regions else 7
    models = Models({"G": torch.nn.Linear(D, width), **cls.heads(width, K)})
    loss = Told(needs_target_logits)
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.0})), loss=loss)
    made.models.eval()
    data = {
        "src_imgs": torch.randn(N, D),
        "target_imgs": torch.randn(M, D),
        "src_labels": torch.arange(N) % K,
        "src_domain": torch.zeros(N, dtype=torch.long),
        "target_domain": torch.ones(M, dtype=torch.long),
    }
    features = made.models["G"](data["target_imgs"])
    if "R" in made.models:
        features = made.models["R"](features, 1)
    expected = made.models["C"](features)
    made.training_step(data)
    return loss.told, expected


@pytest.mark.parametrize("method", TRAINED)
def test_a_loss_that_asks_for_them_is_told_the_target_logits(method):
    (told,), expected = stepped(method, needs_target_logits=True)
    torch.testing.assert_close(told, expected)


@pytest.mark.parametrize("method", TRAINED)
def test_a_loss_that_does_not_ask_is_told_of_the_step_alone(method):
    told, _ = stepped(method, needs_target_logits=False)
    assert told == [None]
