"""One function that trains and scores an adapter, written for the host's, and ours in it: nothing about it changes."""

import inspect

import numpy as np
import pytest
import torch
from checkpoints import allowed
from ignite.engine import Events
from made import TRAINED
from pytorch_adapt import adapters as host
from pytorch_adapt.adapters import BaseAdapter
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.datasets import DataloaderCreator
from pytorch_adapt.frameworks.ignite import CheckpointFnCreator, Ignite
from pytorch_adapt.layers import MultipleModels
from pytorch_adapt.meta_validators import ForwardOnlyValidator
from pytorch_adapt.validators import AccuracyValidator, IMValidator, ScoreHistory
from pytorch_adapt.weighters import MeanWeighter
from toys import BATCH, COUNTS, D, F, K, datasets, schedule, weights

from pa_difc import DANN, MCD, METHODS, SourceOnly, attach

MEAN = {"hook_kwargs": {"weighter": MeanWeighter()}}  # the host's way to add losses up; ours sum them
PAIRS = {
    "Classifier": (host.Classifier, SourceOnly, {}),
    "DANN": (host.DANN, DANN, MEAN),
    "MCD": (host.MCD, MCD, MEAN),
}
DIFC = {"class_counts": COUNTS, "schedule": schedule()}


def compare(make, folder):
    """What a user of the host writes: fake data, models, an adapter, Ignite, checkpoints, the best model's score."""
    torch.manual_seed(0)
    models = {"G": torch.nn.Sequential(torch.nn.Linear(D, F), torch.nn.Tanh()), "C": torch.nn.Linear(F, K)}
    if "MCD" in make.__qualname__:
        models["C"] = MultipleModels(torch.nn.Linear(F, K), torch.nn.Linear(F, K))
    if "DANN" in make.__qualname__:
        models["D"] = torch.nn.Sequential(torch.nn.Linear(F, 1), torch.nn.Flatten(0))
    adapter = make(models=Models(models), optimizers=Optimizers((torch.optim.Adam, {"lr": 0.01})))
    ignite = Ignite(
        adapter,
        validator=ScoreHistory(AccuracyValidator(key_map={"src_train": "src_val"})),
        checkpoint_fn=CheckpointFnCreator(dirname=folder),
        with_pbars=False,
    )
    losses = []
    ignite.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: losses.append(engine.state.output))
    np.random.seed(0)
    torch.manual_seed(0)
    creator = DataloaderCreator(batch_size=BATCH)
    run = {"datasets": datasets(), "dataloader_creator": creator, "max_epochs": 4}
    ForwardOnlyValidator().run(ignite, **run)
    with allowed():
        score = ignite.evaluate_best_model(datasets(), IMValidator(), creator)
    output = adapter.inference(torch.ones(2, D), domain=torch.ones(2, dtype=torch.long))
    return {"adapter": adapter, "losses": losses, "output": output, "score": score, "ignite": ignite}


def bound(cls, **kwargs):
    """The class with further arguments, under its own name."""

    def make(**containers):
        return cls(**containers, **kwargs)

    make.__qualname__ = cls.__qualname__
    return make


@pytest.mark.parametrize("name", PAIRS)
def test_with_cross_entropy_ours_is_theirs_to_the_bit(name, tmp_path):
    theirs, ours, kwargs = PAIRS[name]
    a, b = compare(bound(theirs), tmp_path / "a"), compare(bound(ours, **kwargs), tmp_path / "b")
    assert [{k: dict(v) for k, v in losses.items()} for losses in a["losses"]] == b["losses"]
    assert weights(a["adapter"]).equal(weights(b["adapter"]))
    assert a["ignite"].validator.epochs.tolist() == b["ignite"].validator.epochs.tolist()
    if name != "MCD":  # where ours predicts by the mean of two softmaxes, the host by the sum of the logits
        assert a["score"] == b["score"] and a["output"]["logits"].equal(b["output"]["logits"])


@pytest.mark.parametrize("name", PAIRS)
def test_with_difc_everything_looks_the_same(name, tmp_path):
    """Losses have the same names, outputs the same keys and shapes, checkpoints the same parts; only numbers differ."""
    theirs, ours, kwargs = PAIRS[name]
    plain = compare(bound(theirs), tmp_path / "plain")
    attached = bound(lambda **containers: attach(theirs(**containers), "difc", **DIFC))
    attached.__qualname__ = name
    made = (
        compare(bound(ours, loss="difc", **DIFC, **kwargs), tmp_path / "ours"),
        compare(attached, tmp_path / "attached"),
    )
    for one in made:
        for before, after in zip(plain["losses"], one["losses"], strict=True):
            assert {k: v.keys() for k, v in before.items()} == {k: v.keys() for k, v in after.items()}
        assert {k: v.shape for k, v in plain["output"].items()} == {k: v.shape for k, v in one["output"].items()}
        assert not weights(plain["adapter"]).equal(weights(one["adapter"]))
        assert one["adapter"].loss.phase.value == "difc" and isinstance(one["adapter"], BaseAdapter)
    assert weights(made[0]["adapter"]).equal(weights(made[1]["adapter"]))


@pytest.mark.parametrize("method", TRAINED)
def test_the_host_s_arguments_are_arguments_of_every_method(method):
    taken = set(inspect.signature(host.BaseAdapter.__init__).parameters) - {"self"}
    cls = METHODS[method]
    assert issubclass(cls, BaseAdapter)
    heads = cls.heads(384 if cls.needs_regions else F, K)
    made = cls(
        Models({"G": torch.nn.Linear(D, 384 if cls.needs_regions else F), **heads}), **dict.fromkeys(taken - {"models"})
    )
    assert made.inference(torch.zeros(2, D)).keys() == {"features", "logits"}
