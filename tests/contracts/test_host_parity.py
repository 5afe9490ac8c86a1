"""With cross-entropy, or DIFC at zero margins and unit weights, each method is the host's own adapter to the bit."""

import copy

import pytest
import torch
from pytorch_adapt import adapters as host
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.hooks import AFNHook
from pytorch_adapt.layers import MultipleModels
from pytorch_adapt.weighters import MeanWeighter

from pa_difc import DANN, MCD, SAFN, DIFCLoss, Schedule, SourceOnly

STEPS, N, K, D = 6, 12, 5, 10

#: The methods for which the host has all parts.
OF_THE_HOST = ("source_only", "dann", "safn", "mcd")


def head(seed):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(16, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.3), torch.nn.Linear(8, K)
    )


def models(method):
    torch.manual_seed(1)
    extractor = torch.nn.Sequential(
        torch.nn.Linear(D, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Dropout(0.5)
    )
    made = {"G": extractor, "C": MultipleModels(head(2), head(3)) if method == "mcd" else head(2)}
    if method == "dann":
        made["D"] = torch.nn.Sequential(
            torch.nn.Linear(16, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1), torch.nn.Flatten(0)
        )
    return made


def batches():
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        yield {
            "src_imgs": torch.randn(N, D, generator=generator),
            "target_imgs": torch.randn(N, D, generator=generator) + 0.5,
            "src_labels": torch.randint(K, (N,), generator=generator),
            "src_domain": torch.zeros(N, dtype=torch.long),
            "target_domain": torch.ones(N, dtype=torch.long),
        }


def optimizers():
    return Optimizers((torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}))


def ours(method, loss):
    cls, kwargs = {
        "source_only": (SourceOnly, {}),
        "dann": (DANN, {"hook_kwargs": {"weighter": MeanWeighter()}}),
        "mcd": (MCD, {"hook_kwargs": {"weighter": MeanWeighter()}}),
        "safn": (SAFN, {"weight": 1.0, "hook_kwargs": {"weighter": MeanWeighter()}}),
    }[method]
    return cls(Models(models(method)), optimizers(), loss=loss, **kwargs)


def theirs(method):
    cls, kwargs = {
        "source_only": (host.Classifier, {}),
        "dann": (host.DANN, {}),
        "mcd": (host.MCD, {}),
        "safn": (host.Classifier, {"hook_kwargs": {"post": [AFNHook()]}}),
    }[method]
    return cls(Models(models(method)), optimizers(), **kwargs)


def neutral_difc():
    schedule = Schedule(steps_per_epoch=2, confusion_epoch=1, reweight_epoch=1)
    return DIFCLoss([3, 4, 5, 6, 7], schedule, max_margin=0.0, epsilon=1e-30, class_weights=[1.0] * K)


def train(adapter):
    counts = dict.fromkeys(adapter.models, 0)

    def count(name):
        def hook(*_):
            counts[name] += 1

        return hook

    for name, model in adapter.models.items():
        model.register_forward_hook(count(name))
    adapter.models.train()
    torch.manual_seed(5)
    losses = [copy.deepcopy(adapter.training_step(batch)) for batch in batches()]
    return losses, counts, torch.get_rng_state()


@pytest.mark.parametrize("method", OF_THE_HOST)
@pytest.mark.parametrize("loss", ["ce", "difc"])
def test_bit_identical_to_the_host(method, loss):
    our_adapter = ours(method, "ce" if loss == "ce" else neutral_difc())
    their_adapter = theirs(method)
    our_losses, our_counts, our_rng = train(our_adapter)
    their_losses, their_counts, their_rng = train(their_adapter)
    assert our_losses == their_losses  # the same keys and, to the bit, the same numbers
    for name, model in their_adapter.models.items():
        for key, value in model.state_dict().items():  # BatchNorm's counts and statistics among them
            assert torch.equal(value, our_adapter.models[name].state_dict()[key]), (name, key)
    assert torch.equal(our_rng, their_rng)  # dropout drew the same random numbers
    extra = extra_forwards(method) if loss == "difc" else {}
    assert {k: v - their_counts[k] for k, v in our_counts.items()} == {k: extra.get(k, 0) for k in our_counts}


def extra_forwards(method):
    """Passes in eval mode that confusion costs: none in MCD, of C elsewhere, of G too without target features."""
    return {
        "mcd": {},
        "dann": {"C": STEPS},
        "safn": {"C": STEPS},
        "source_only": {"G": STEPS, "C": STEPS},
    }[method]


def test_a_margin_breaks_the_identity():
    """The contract above can fail."""
    schedule = Schedule(steps_per_epoch=2, confusion_epoch=1, reweight_epoch=None)
    loss = DIFCLoss([3, 4, 5, 6, 7], schedule, max_margin=0.3)
    assert train(ours("mcd", loss))[0] != train(theirs("mcd"))[0]


def test_the_mode_of_frozen_parts_is_left_as_it_was():
    adapter = ours("dann", neutral_difc())
    adapter.models.train()
    adapter.models["C"][1].eval()
    adapter.training_step(next(batches()))
    assert adapter.models["C"].training and not adapter.models["C"][1].training
