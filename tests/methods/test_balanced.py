"""The balanced classifier (ABC) against plain loops, what it is drawn by, and what it leaves alone."""

import copy
import math

import numpy as np
import pytest
import torch
from made import random_faces
from pytorch_adapt.containers import Models, Optimizers
from taught import D, F, K, M, N, batch, softmax
from taught import adapter as taught_adapter

from pa_difc import METHODS
from pa_difc.data import PairLoader
from pa_difc.methods.balanced import Balance
from pa_difc.util.errors import UserError


def adapter(method, **options):
    """A method whose balanced classifier is more certain than at first, and another than its own."""
    made = taught_adapter(method, **options)
    if "B" in made.models:
        with torch.no_grad():
            for parameter in made.models["B"].parameters():
                parameter.copy_(4 * parameter + 0.3 * torch.randn_like(parameter))
    return made


def drawn(seed=0, strong=True, labels=None):
    generator = torch.Generator().manual_seed(100 + seed)
    found = batch(seed, strong=strong) | {
        "src_draws": torch.rand(N, generator=generator),
        "target_draws": torch.rand(M, generator=generator),
    }
    return found | ({"src_labels": torch.tensor(labels)} if labels else {})


#: Of a batch of eight: 5, 2 and 1 samples of three classes, none of the fourth.
UNEVEN = [0, 0, 1, 0, 2, 0, 1, 0]


def parts(made, data):
    return {name: value for step in made.training_step(data).values() for name, value in step.items()}


def logits(made, x):
    """Of the balanced classifier, in the mode that the models are in."""
    with torch.no_grad():
        return made.models["B"](made.models["G"](x)).tolist()


def by_the_formulas(made, data, counts, done, threshold):
    """Both losses of a batch, in plain Python."""
    least = min(n for n in counts if n)
    share = [least / n if n else 1.0 for n in counts]
    source = 0.0
    for z, y, u in zip(logits(made, data["src_imgs"]), data["src_labels"].tolist(), data["src_draws"], strict=True):
        source += -math.log(softmax(z)[y]) if u < share[y] else 0.0
    target, kept = 0.0, 0
    views = data.get("target_imgs_strong", data["target_imgs"])
    for plain, z, u in zip(logits(made, data["target_imgs"]), logits(made, views), data["target_draws"], strict=True):
        p = softmax(plain)
        guess = p.index(max(p))
        if max(p) >= threshold and u < 1 - done * (1 - share[guess]):
            target, kept = target - math.log(softmax(z)[guess]), kept + 1
    return source / N, target / M, kept


@pytest.mark.parametrize(("steps", "done"), [(None, 1.0), (4, 0.5)])
@pytest.mark.parametrize("base", ["source_only", "mcd", "dann"])
def test_against_the_formulas(base, steps, done):
    made = adapter(f"{base}+abc", lr=0.0, abc_weight=0.6, abc_threshold=0.7, abc_steps=steps)
    made.models.eval()  # no dropout
    for seed in range(2):
        made.training_step(drawn(seed, labels=UNEVEN))
    counts, numbers = [10, 4, 2, 0], []
    for seed in range(7, 10):
        data = drawn(seed, labels=UNEVEN[::-1])
        counts = [n + UNEVEN.count(k) for k, n in enumerate(counts)]
        made.balance.steps.fill_(2)
        source, target, kept = by_the_formulas(made, data, counts, done, 0.7)
        found = parts(made, data)
        assert found["balanced_loss"] == pytest.approx(0.6 * source, rel=1e-4) and source > 0
        assert found["balanced_target_loss"] == pytest.approx(0.6 * target, rel=1e-4)
        numbers.append(kept)
    assert 0 < sum(numbers) < 3 * M


def test_a_class_counts_as_often_as_the_rarest():
    """Of many draws: each class N_min times among the source's, and all guesses at first."""
    balance = Balance(3, total_steps=10)
    labels = torch.tensor([0] * 80 + [1] * 20 + [2] * 4).repeat(200)
    balance.count(labels)
    kept = torch.rand(labels.shape, generator=torch.Generator().manual_seed(0)) < balance.share(labels)
    numbers = labels[kept].bincount() / 200
    assert numbers.tolist() == pytest.approx([4, 4, 4], rel=0.1)
    assert balance.done == 0
    balance.steps += 25
    assert balance.done == 1 and Balance(3, None).done == 1


def test_guesses_of_frequent_classes_are_left_out_as_training_goes_on():
    """In the first step all of them teach, in the last one of five."""
    made = adapter("source_only+abc", lr=0.0, abc_threshold=0.0, abc_steps=5)
    data = drawn(labels=UNEVEN) | {"target_imgs": batch()["src_imgs"][:1].expand(M, -1)}
    with torch.no_grad():
        made.models["B"].weight.zero_()
        made.models["B"].bias.copy_(torch.tensor([4.0, 0.0, 0.0, 0.0]))  # every guess is of the most frequent class
    data |= {"target_imgs_strong": data["target_imgs"], "target_draws": torch.linspace(0.05, 0.95, M)}
    each = -math.log(softmax([4.0, 0.0, 0.0, 0.0])[0])
    for step in range(8):
        chance = 1 - min(1, step / 5) * (1 - 1 / 5)
        kept = sum(u < chance for u in data["target_draws"].tolist())
        assert parts(made, data)["balanced_target_loss"] == pytest.approx(kept / M * each, rel=1e-4), step
    assert kept == 1


def test_before_any_label_and_for_a_class_that_never_came():
    balance = Balance(3, None)
    assert balance.share(torch.tensor([0, 2])).tolist() == [1, 1]
    balance.count(torch.tensor([0, 0, 1]))
    assert balance.share(torch.tensor([0, 1, 2])).tolist() == [0.5, 1, 1]


def test_labels_that_are_none_count_for_nothing():
    made, data = adapter("source_only+abc", lr=0.0, loss=lambda z, y: 0.0 * z.sum()), drawn()
    data["src_labels"] = data["src_labels"].clone()
    data["src_labels"][:3] = -100
    made.training_step(data)
    assert made.balance.counts.sum() == N - 3
    data["src_labels"][:] = -100
    assert parts(made, data)["balanced_loss"] == 0


def test_it_begins_as_the_method_s_own_classifier_and_predicts():
    made = adapter("mcd+abc")
    first = made.models["C"].models[0]
    heads = METHODS["mcd+abc"].heads(F, K)
    assert torch.equal(heads["B"].weight, heads["C"].models[0].weight) and heads["B"] is not heads["C"].models[0]
    with torch.no_grad():
        made.models["B"].weight.add_(1.0)
    made.models.eval()
    x = batch()["target_imgs"]
    with torch.no_grad():
        expected = made.models["B"](made.models["G"](x))
        assert not torch.allclose(expected.softmax(1), first(made.models["G"](x)).softmax(1))
        found = made.inference(x)
    torch.testing.assert_close(found["logits"], expected)
    assert torch.equal(found["features"], made.models["G"](x).detach())


@pytest.mark.parametrize("base", ["source_only", "mcd", "mcd_onestep", "star", "dann", "mdd", "safn", "jumbot"])
def test_its_loss_moves_features_and_itself_and_the_optimiser_takes_one_step(base):
    made = adapter(f"{base}+abc", loss=lambda z, y: 0.0 * z.sum(), abc_threshold=0.0)
    before, steps = made.models["B"].weight.clone(), []
    step = made.optimizers["B"].step
    made.optimizers["B"].step = lambda *a, **k: (
        steps.append(any(p.grad is not None and p.grad.abs().sum() > 0 for p in made.models["B"].parameters())),
        step(*a, **k),
    )[1]
    made.training_step(drawn())
    assert steps.count(True) == 1 and (made.models["B"].weight - before).abs().max() > 1e-3


def test_both_losses_are_in_the_gradient_and_guesses_are_not():
    """The gradient is that of the two cross-entropies with masks and guesses as numbers."""
    made = adapter("source_only+abc", loss=lambda z, y: 0.0 * z.sum(), abc_threshold=0.4)
    data, reference = drawn(labels=UNEVEN), copy.deepcopy(dict(made.models.items()))
    share = torch.tensor([1 / 5, 1 / 2, 1.0, 1.0])
    for model in reference.values():
        model.eval()
    with torch.no_grad():
        best, guess = reference["B"](reference["G"](data["target_imgs"])).softmax(1).max(1)
    kept = [data["src_draws"] < share[data["src_labels"]], (best >= 0.4) & (data["target_draws"] < share[guess])]
    terms = zip(("src_imgs", "target_imgs_strong"), (data["src_labels"], guess), kept, strict=True)
    loss = sum(
        (torch.nn.functional.cross_entropy(reference["B"](reference["G"](data[x])), y, reduction="none") * m).mean()
        for x, y, m in terms
    )
    loss.backward()
    made.training_step(data)
    assert all(0 < m.sum() < len(m) for m in kept)
    for name in ("G", "B"):
        for a, b in zip(made.models[name].parameters(), reference[name].parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad)
    assert all(p.grad is None or not p.grad.any() for p in made.models["C"].parameters())


def test_guessing_moves_no_batchnorm():
    made, data = adapter("source_only+abc", lr=0.0, normed=True), drawn()
    reference = copy.deepcopy(made.models["G"]).train()
    made.training_step(data)
    for view in ("src_imgs", "target_imgs_strong"):
        reference(data[view])
    torch.testing.assert_close(made.models["G"][1].running_mean, reference[1].running_mean)
    assert int(made.models["G"][1].num_batches_tracked) == 2


def test_without_a_strong_view_or_draws_of_the_loader():
    made = adapter("source_only+abc", abc_threshold=0.0)
    plain, data = adapter("source_only+abc", abc_threshold=0.0), drawn(strong=False)
    assert made.training_step(data) == plain.training_step(data | {"target_imgs_strong": data["target_imgs"]})
    losses = parts(made, batch())
    assert all(math.isfinite(v) for v in losses.values())


@pytest.mark.parametrize("name", ["mcd+mean_teacher+abc", "mcd+abc+mean_teacher", "dann+sentry+abc", "mcc+abc"])
def test_additions_teach_the_method_and_not_the_balanced_classifier(name):
    """Their losses are those that they have without it."""
    together, alone = (adapter(n, lr=0.0) for n in (name, name.replace("+abc", "")))
    for made in (together, alone):
        made.models.eval()
    first, second = parts(together, drawn()), parts(alone, drawn())
    for loss, value in second.items():
        if loss != "total":
            assert first[loss] == pytest.approx(value, rel=1e-5), loss
    assert first.keys() - second.keys() == {"balanced_loss", "balanced_target_loss"}
    if "mean_teacher" in name:
        assert set(together.teaching.teacher.models) == {"G", "C"} and together.teaching.teacher is not None
    assert together.inference_models == ("G", "B")


def test_where_it_does_not_fit():
    for name, why in (
        ("agra+abc", "abc does not fit, agra does not predict with C on the features of G"),
        ("source_free+abc", "abc does not fit, source_free has no source labels to balance"),
        ("as_is+abc", "as_is does no training, so nothing can be added to it"),
        ("mcd+abc+abc", "abc would be a second self-training or confusion loss; only one is possible"),
    ):
        with pytest.raises(UserError, match=why):
            METHODS[name]


def test_models_that_it_needs_are_asked_for():
    cls = METHODS["cdan+abc"]
    assert cls.extra_models == ("D", "B")
    models = {"G": torch.nn.Linear(D, F), **cls.heads(F, K)}
    del models["B"]
    with pytest.raises(Exception, match="B"):
        cls(Models(models), Optimizers((torch.optim.SGD, {"lr": 0.1})))


def test_draws_are_of_the_position_alone():
    """The same after a resume and on any number of processes, and nothing else is drawn otherwise."""
    faces = random_faces(20, 0), random_faces(28, 1)

    def batches(draws=True, **kwargs):
        return list(PairLoader(*faces, batch_size=8, seed=3, **kwargs).epoch(2, strong=1, draws=draws))

    whole, again, without = batches(), batches(), batches(draws=False)
    halves = [batches(rank=rank, processes=2) for rank in range(2)]
    for i, given in enumerate(whole):
        for key in ("src_draws", "target_draws"):
            assert torch.equal(given[key], again[i][key])
            assert torch.equal(given[key], torch.cat([half[i][key] for half in halves]))
            assert len(given[key]) == len(given["src_labels"]) and key not in without[i]
        assert not torch.equal(given["src_draws"], given["target_draws"])
        assert torch.equal(given["target_imgs_strong"].image, without[i]["target_imgs_strong"].image)
        assert torch.equal(given["src_imgs"].image, without[i]["src_imgs"].image)
    assert not torch.equal(whole[0]["src_draws"], whole[1]["src_draws"])
    other = next(PairLoader(*faces, batch_size=8, seed=3).epoch(3, draws=True))
    assert not torch.equal(whole[0]["src_draws"], other["src_draws"])
    numbers = torch.cat([b["src_draws"] for b in whole])
    assert numbers.min() >= 0 and numbers.max() < 1 and 0.3 < numbers.mean() < 0.7


def test_it_predicts_rare_classes_more_often_than_the_classifier_beside_it():
    """Two overlapping classes, ten to one in the source, one to one in the target."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    cls = METHODS["source_only+abc"]
    models = Models({"G": torch.nn.Linear(2, 2), **cls.heads(2, 2)})
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.2})))

    def points(labels):
        return torch.tensor(rng.normal(size=(len(labels), 2)) + 1.2 * labels[:, None], dtype=torch.float32)

    for _ in range(400):
        y = (rng.random(44) < 1 / 11).astype(int)
        t = rng.integers(0, 2, 44)
        made.training_step({
            "src_imgs": points(y), "src_labels": torch.tensor(y), "target_imgs": points(t),
            "src_draws": torch.tensor(rng.random(44)), "target_draws": torch.tensor(rng.random(44)),
        })  # fmt: skip
    x = points(rng.integers(0, 2, 2000))
    with torch.no_grad():
        own, balanced = ((models[n](models["G"](x)).argmax(1) == 1).float().mean().item() for n in ("C", "B"))
    assert own < 0.3 and 0.4 < balanced < 0.6
