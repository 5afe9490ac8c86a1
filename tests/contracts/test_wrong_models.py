"""Models that give what no method can use: one line says which model, what it gave and what would be right."""

import pytest
import torch
from made import TRAINED
from pytorch_adapt.adapters import DANN as HostsDANN
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.layers import MultipleModels

from pa_difc import DANN, MCD, METHODS, Schedule, attach
from pa_difc.methods.slot import LossSlot
from pa_difc.util.errors import UserError

K, D, F = 4, 6, 5


class Gives(torch.nn.Module):
    """A linear layer whose output is dressed up."""

    def __init__(self, inputs, outputs, dress):
        super().__init__()
        self.layer, self.dress = torch.nn.Linear(inputs, outputs), dress

    def forward(self, x):
        return self.dress(self.layer(x))


class ModelOutput(dict):
    """What Hugging Face's models give: logits as an attribute."""

    logits = None


def hugging(x):
    made = ModelOutput(logits=x)
    made.logits = x
    return made


def step(cls, models, **options):
    torch.manual_seed(0)
    given = {"G": torch.nn.Linear(D, F), **getattr(cls, "heads", DANN.heads)(F, K), **models}
    containers = Models(given), Optimizers((torch.optim.SGD, {"lr": 0.01}))
    made = cls(*containers, **options) if issubclass(cls, LossSlot) else attach(cls(*containers), **options)
    batch = {
        "src_imgs": torch.randn(8, D),
        "target_imgs": torch.randn(8, D),
        "src_labels": torch.arange(8) % K,
        "src_domain": torch.zeros(8, dtype=torch.long),
        "target_domain": torch.ones(8, dtype=torch.long),
    }
    made.training_step(batch)


def refused(cls, loss="ce", class_counts=None, **models):
    """The message of a step of a method, or of an adapter of pytorch-adapt with the loss attached."""
    with pytest.raises(UserError) as error:
        step(cls, models, loss=loss, class_counts=class_counts, schedule=Schedule(4))
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("method", [m for m in TRAINED if not METHODS[m].needs_regions])
def test_features_that_are_no_tensor(method):
    cls = METHODS[method]
    for dress, what in ((lambda x: (x, x), "a tuple of 2"), (hugging, "a ModelOutput")):
        message = refused(cls, G=Gives(D, F, dress))
        assert message == f"{cls.__name__}: G gives {what}: must give features (N, D), a tensor"


def test_features_that_are_maps():
    message = refused(DANN, G=Gives(D, F, lambda x: x[:, :, None, None]))
    assert message == "DANN: G gives features of shape (8, 5, 1, 1): must be (N, D), pooled and flattened"


@pytest.mark.parametrize("method", ["source_only", "dann", "safn", "detn", "mdd"])
def test_logits_that_are_no_tensor(method):
    cls = METHODS[method]
    for dress, what in ((lambda x: [x, x], "a list of 2"), (hugging, "a ModelOutput")):
        message = refused(cls, C=Gives(F, K, dress))
        assert message == f"{cls.__name__}: C gives {what}: must give logits (N, K), a tensor"


@pytest.mark.parametrize("method", ["mcd", "swd", "star", "mcd_onestep"])
def test_other_than_two_classifiers(method):
    cls = METHODS[method]
    three = MultipleModels(*(torch.nn.Linear(F, K) for _ in range(3)))
    for classifier, what in ((three, "a list of 3"), (torch.nn.Linear(F, K), "a Tensor")):
        message = refused(cls, C=classifier)
        assert message == f"{cls.__name__}: C gives {what}: must give a list of logits (N, K) of 2 classifiers"


@pytest.mark.parametrize("loss", ["ce", "focal", "difc"])
def test_another_number_of_classes_than_the_loss_s(loss):
    """Also for a loss attached to an adapter of pytorch-adapt, whose errors begin with the names of its hooks."""
    words = "logits of shape (8, 4): must be (N, 3): the loss was made for 3 classes, by class_counts or num_classes"
    for cls in (DANN, HostsDANN):
        assert refused(cls, loss, [5, 6, 7]) == words


def test_another_error_is_left_as_it_is():
    class Broken(torch.nn.Module):
        def forward(self, x):
            raise ZeroDivisionError("of my own")

    with pytest.raises(ZeroDivisionError, match="of my own"):
        step(MCD, {"G": Broken()})
