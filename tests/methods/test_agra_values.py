"""AGRA's losses and graph in numbers: an uneven batch, gradients, and what of its state is kept."""

import math

import pytest
import torch
from pytorch_adapt.containers import Models, Optimizers

from pa_difc import METHODS
from pa_difc.methods.regions import RegionGraph

N, M, K, D = 7, 5, 3, 4


def adapter(**kwargs):
    torch.manual_seed(0)
    cls = METHODS["agra"]
    models = Models({"G": torch.nn.Linear(D, 384), **cls.heads(384, K, options=cls.Options(**kwargs))})
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.0})), loss=lambda z, y: 0 * z.sum(), **kwargs)
    with torch.no_grad():
        made.models["C"].weight.mul_(300.0)  # some samples are certain, some are not
        made.models["R"].means.normal_()
        made.models["R"].seen.fill_(True)
    made.models.eval()
    return made


def batch():
    generator = torch.Generator().manual_seed(1)
    return {
        "src_imgs": torch.randn(N, D, generator=generator),
        "target_imgs": 2 * torch.randn(M, D, generator=generator) + 1,
        "src_labels": torch.arange(N) % K,
        "src_domain": torch.zeros(N, dtype=torch.long),
        "target_domain": torch.ones(M, dtype=torch.long),
    }


def domain_loss(made, data):
    """Σ_d Σ_i w_i BCE(D(R(f_i)), d) / Σ_i w_i with w = 1 + e^(−H(p)), and all the weights."""
    loss, all_weights = 0.0, []
    for imgs, domain in ((data["src_imgs"], 0), (data["target_imgs"], 1)):
        regions = made.models["R"](made.models["G"](imgs), domain)
        guesses, probs = made.models["D"](regions), made.models["C"](regions).softmax(dim=1).tolist()
        weights = [1 + math.exp(sum(v * math.log(v) for v in p if v)) for p in probs]
        terms = [-torch.log(torch.sigmoid(z if domain else -z)) for z in guesses]
        loss = loss + sum(w * t for w, t in zip(weights, terms, strict=True)) / sum(weights)
        all_weights += weights
    return loss, all_weights


def test_its_domain_loss_against_loops():
    made, data = adapter(), batch()
    expected, weights = domain_loss(made, data)
    assert max(weights) > 1.9 and min(weights) < 1.6
    assert made.training_step(data)["total_loss"]["domain_loss"] == pytest.approx(expected.item(), rel=1e-4)


def test_the_domain_loss_is_reversed_at_the_regions_and_stops_at_the_predictions():
    """With a reversal of −1, −1 times the gradient that the formula has with its weights held constant."""
    made, data = adapter(), batch()
    made.training_step(data)
    found = {name: next(made.models[name].parameters()).grad.clone() for name in ("R", "D")}
    assert made.models["C"].weight.grad is None or made.models["C"].weight.grad.abs().sum() == 0
    made.models.zero_grad()
    again = adapter()
    domain_loss(again, data)[0].backward()
    torch.testing.assert_close(found["D"], next(again.models["D"].parameters()).grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found["R"], -next(again.models["R"].parameters()).grad, rtol=1e-4, atol=1e-6)


def test_a_step_moves_the_means_of_labels_in_the_source_and_of_predictions_in_the_target():
    made, data = adapter(momentum=0.75), batch()
    graph = made.models["R"]
    before = graph.means.clone()
    source, target = made.models["G"](data["src_imgs"]), made.models["G"](data["target_imgs"])
    predicted = made.models["C"](graph(target, 1)).argmax(dim=1)
    made.training_step(data)
    for domain, features, classes in ((0, source, data["src_labels"]), (1, target, predicted)):
        for k in range(K):
            own = [f.view(6, 64) for f, c in zip(features, classes, strict=True) if c == k]
            expected = 0.75 * before[domain, k] + 0.25 * sum(own) / len(own) if own else before[domain, k]
            torch.testing.assert_close(graph.means[domain, k], expected)


def test_a_guess_per_face():
    assert METHODS["agra"].heads(384, K)["D"](torch.randn(N, 384)).shape == (N,)


def test_the_graph_keeps_its_means_and_not_its_links():
    state = RegionGraph(K).state_dict()
    assert {name for name in state if "." not in name} == {"means", "seen"}
    assert state["means"].shape == (2, K, 6, 64) and state["seen"].shape == (2, K)


@pytest.mark.parametrize("known", [False, True])
def test_the_other_domain_s_nearest_means_have_no_gradient(known):
    graph, own = RegionGraph(K), torch.randn(N, 6, 64, requires_grad=True)
    graph.seen.fill_(known)
    assert not graph.nearest_means(own, 1).requires_grad


def test_zero_is_a_link_like_any_other():
    x = torch.randn(N, 384)
    torch.manual_seed(0)
    plain = RegionGraph(K).eval()
    torch.manual_seed(0)
    apart = RegionGraph(K, links_within=(0.0, 0.0), links_across=(0.0, 0.0, 0.0)).eval()
    first = x.clone()
    first[:, :64] += 1.0  # the whole face alone
    moved = (apart(first, 0) - apart(x, 0)).view(N, 6, 64).abs().amax(dim=2)
    assert moved[:, 0].min() > 0 and moved[:, 1:].max() < 1e-6
    assert (plain(first, 0) - plain(x, 0)).view(N, 6, 64)[:, 1:].abs().max() > 1e-3
