"""DIFC in every classification adapter of the host's, by one call: its loss, its writer and its state."""

import pytest
import torch
from hosts import ADAPTERS, COUNTS, TWO, D, F, K, N, adapter, batch, difc, flat, state, train
from made import TRAINED
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.hooks import validate_hook
from pytorch_adapt.weighters import MeanWeighter

from pa_difc import DANN, MCD, METHODS, DIFCLoss, SourceOnly, attach


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_loss_trains_counts_steps_and_moves_margins(name):
    plain = train(adapter(name), 1)
    made = attach(adapter(name), "difc", COUNTS, difc().schedule, epsilon=0.5, max_margin=0.0)
    assert isinstance(made.loss, DIFCLoss) and made.misc["difc"] is made.loss
    assert train(made, 1) == plain  # without margins the first step is the host's
    losses = train(made, 3, first=1)
    assert (made.loss.step, made.loss.phase.value, made.loss.reweighted) == (4, "difc", True)
    assert made.loss.margins.sum() == pytest.approx(0.5 * (1 + 1 / 2 + 1 / 4 + 1 / 8)) and made.loss.margins.min() > 0
    assert all(torch.tensor(list(part.values())).isfinite().all() for step in losses for part in step.values())


@pytest.mark.parametrize("name", ADAPTERS)
def test_margins_change_the_training(name):
    ends = []
    for loss in (difc(max_margin=0.0), difc(max_margin=3.0)):
        made = attach(adapter(name), loss)
        train(made, 1)
        ends.append(torch.cat([p.detach().flatten() for p in made.models["C"].parameters()]))
    assert (ends[0] - ends[1]).abs().max() > 1e-4


@pytest.mark.parametrize("name", ADAPTERS)
def test_confusion_is_of_the_target_s_logits(name):
    """The sums are those of the target's predictions, made by the weights that the step began with."""
    made = attach(adapter(name), difc())
    for optimizer in made.optimizers.values():
        optimizer.param_groups[0]["lr"] = 0.0
    with torch.no_grad():
        domain = torch.ones(N, dtype=torch.long)
        if name in TWO:
            logits = made.models["C"](made.models["G"](batch()["target_imgs"]))
            probs = logits[1].softmax(1) if name == "SymNets" else sum(z.softmax(1) for z in logits) / 2
        else:
            probs = made.inference(batch()["target_imgs"], domain=domain)["logits"].softmax(1)
    train(made, 1)
    top = probs.sort(descending=True).values
    gaps = torch.zeros(K).index_add(0, probs.argmax(1), top[:, 0] - top[:, 1])
    torch.testing.assert_close(made.loss.gap_sums.float(), gaps, rtol=1e-4, atol=1e-5)
    assert made.loss.gap_counts.tolist() == torch.bincount(probs.argmax(1), minlength=K).tolist()


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_checkpoint_resumes_exactly(name, tmp_path):
    straight = attach(adapter(name), difc())
    train(straight, 5)
    begun = attach(adapter(name), difc())
    train(begun, 3)
    torch.save(state(begun), tmp_path / "checkpoint.pt")
    resumed = attach(adapter(name), difc())
    for key, value in torch.load(tmp_path / "checkpoint.pt", weights_only=True).items():
        getattr(resumed, key).load_state_dict(value)
    train(resumed, 2, first=3)
    expected, found = flat(state(straight)), flat(state(resumed))
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        same = value.equal(found[key]) if isinstance(value, torch.Tensor) else value == found[key]
        assert same or (isinstance(value, torch.Tensor) and value.isnan().any()), key
    assert resumed.loss.margins.equal(straight.loss.margins) and resumed.loss.step == 5


@pytest.mark.parametrize("name", ADAPTERS)
def test_keys_are_enforced_with_the_loss_s_and_the_hook_is_valid(name):
    made = attach(adapter(name), difc())
    if "misc" in made.key_enforcer.requirements:
        assert "difc" in made.key_enforcer.requirements["misc"]
    made.key_enforcer.check({k: getattr(made, k) for k in ("models", "optimizers", "misc")})
    assert validate_hook(made.hook, list(batch()))["C"] >= 1


OURS = {
    "source_only": ("Classifier", SourceOnly, {}),
    "dann": ("DANN", DANN, {"hook_kwargs": {"weighter": MeanWeighter()}}),
    "mcd": ("MCD", MCD, {"hook_kwargs": {"weighter": MeanWeighter()}}),
}


@pytest.mark.parametrize("method", OURS)
def test_in_the_host_s_adapter_it_is_our_method_to_the_bit(method):
    name, cls, kwargs = OURS[method]
    theirs, made = attach(adapter(name), difc()), adapter(name)
    ours = cls(made.models, Optimizers((torch.optim.SGD, {"lr": 0.05})), loss=difc(), **kwargs)
    assert train(theirs, 5) == train(ours, 5)
    assert theirs.loss.margins.equal(ours.loss.margins) and theirs.loss.confusion.equal(ours.loss.confusion)


@pytest.mark.parametrize("method", TRAINED)
def test_attached_to_a_method_of_ours_it_is_the_loss_of_its_slot(method):
    cls, ends = METHODS[method], []
    for late in (False, True):
        torch.manual_seed(0)
        features = 384 if cls.needs_regions else F
        models = Models({"G": torch.nn.Linear(D, features), **cls.heads(features, K)})
        made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.01})), loss="ce" if late else difc())
        made = attach(made, difc()) if late else made
        made.models.train()
        ends.append((train(made, 4), made.loss.margins, made.reads_target))
    assert ends[0][0] == ends[1][0] and ends[0][1].equal(ends[1][1]) and ends[0][2] and ends[1][2]
