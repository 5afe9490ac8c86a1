"""The control for other methods: their training without their loss, so that BatchNorm's statistics alone differ."""

import pytest
import torch
from pytorch_adapt.containers import Models, Optimizers

from pa_difc import METHODS, DIFCLoss, Schedule
from pa_difc.util.errors import UserError

N, K, D = 16, 4, 6


def trained(method, norm=True, loss="ce", steps=4, **options):
    """The models of a method after some steps from the same weights, on shifted targets."""
    torch.manual_seed(0)
    cls = METHODS[method]
    layers = [torch.nn.Linear(D, 8), *([torch.nn.BatchNorm1d(8)] if norm else []), torch.nn.ReLU()]
    models = Models({"G": torch.nn.Sequential(*layers), **cls.heads(8, K)})
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.1})), loss=loss, **options)
    made.models.train()
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        made.training_step(
            {
                "src_imgs": torch.randn(N, D, generator=generator),
                "target_imgs": 3 + torch.randn(N, D, generator=generator),
                "src_labels": torch.arange(N) % K,
                "src_domain": torch.zeros(N, dtype=torch.long),
                "target_domain": torch.ones(N, dtype=torch.long),
            }
        )
    return {name: value.clone() for name, value in models["G"].state_dict().items()}


def equal(a, b):
    return {name: a[name].equal(b[name]) for name in a}


@pytest.mark.parametrize("loss", ["ce", "difc"])
def test_it_trains_as_dann_does_without_its_loss(loss):
    def made(method, **options):
        given = DIFCLoss([8, 4, 2, 1], Schedule(2, confusion_epoch=1, reweight_epoch=1)) if loss == "difc" else loss
        return trained(method, loss=given, **options)

    assert all(equal(made("source_bn"), made("dann", weight=0.0)).values())


def test_weights_are_those_of_source_only_and_statistics_are_not():
    same = equal(trained("source_bn"), trained("source_only"))
    differing = {name for name, is_same in same.items() if not is_same}
    assert differing == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}


def test_each_domain_passes_once_in_a_step():
    assert (
        trained("source_bn", steps=4)["1.num_batches_tracked"]
        == 2 * trained("source_only", steps=4)["1.num_batches_tracked"]
    )


@pytest.mark.parametrize(("method", "needs_target"), [("source_only", False), ("source_bn", True)])
def test_what_is_trained_without_target_images(method, needs_target):
    models = Models({"G": torch.nn.Linear(D, 8), **METHODS[method].heads(8, K)})
    made = METHODS[method](models, Optimizers((torch.optim.SGD, {"lr": 0.1})), loss="ce")
    batch = {"src_imgs": torch.randn(N, D), "src_labels": torch.arange(N) % K, "src_domain": torch.zeros(N)}
    if not needs_target:
        assert made.training_step(batch)
        return
    with pytest.raises(UserError, match=r"no target_imgs, which SourceBN needs"):
        made.training_step(batch)


def test_without_batchnorm_it_is_source_only():
    assert all(equal(trained("source_bn", norm=False), trained("source_only", norm=False)).values())
