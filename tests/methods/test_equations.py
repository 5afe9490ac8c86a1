"""CDAN, MDD, SWD, STAR and LPL: each loss against plain loops or a public package, and where its gradient goes."""

import math

import ot
import pytest
import torch
from scipy.stats import wasserstein_distance
from steps import D, K, M, N, adapter, batch, grads, step_of
from torch.nn.functional import softplus

from pa_difc import METHODS
from pa_difc.methods.lpl import locality
from pa_difc.methods.mdd import log_one_minus_prob
from pa_difc.methods.penalty import Step
from pa_difc.methods.star import StochasticClassifier
from pa_difc.methods.swd import sliced_wasserstein


def entropy(p):
    return -sum(v * math.log(v) for v in p)


# CDAN


def test_cdan_against_the_equation():
    made, data = adapter("cdan"), batch()
    step, total = step_of(made, data), 0.0
    for features, logits, domain in (
        (step.src_features, step.src_logits, 0),
        (step.target_features, step.target_logits, 1),
    ):
        weights, losses = [], []
        for f, z in zip(features, logits.softmax(1), strict=True):
            outer = torch.stack([p * v for p in z for v in f])  # f ⊗ p
            d = torch.sigmoid(made.models["D"].net(outer[None])).item()
            losses.append(-math.log(d if domain else 1 - d))
            weights.append(1 + math.exp(-entropy(z.tolist())))
        total += sum(w * value for w, value in zip(weights, losses, strict=True)) / sum(weights)
    assert made.training_step(data)["total_loss"]["domain_loss"] == pytest.approx(total, rel=1e-4)


@pytest.fixture
def unlike():
    """A step whose rows are of all entropies, the source's mostly low and the target's mostly high."""
    torch.manual_seed(4)
    src_logits = torch.randn(N, K) * torch.linspace(0.5, 12, N)[:, None]
    target_logits = torch.randn(M, K) * torch.linspace(2, 0, M)[:, None] ** 2
    return Step(3 * torch.randn(N, D), src_logits, torch.arange(N) % K, 3 * torch.randn(M, D), target_logits)


def cdan_parts(made, step):
    """Entropy weights 1 + e^(−H) and losses of each domain's samples, by plain Python."""
    parts = []
    for features, logits, domain in (
        (step.src_features, step.src_logits, 0),
        (step.target_features, step.target_logits, 1),
    ):
        weights, losses = [], []
        for f, z in zip(features, logits.softmax(1), strict=True):
            d = torch.sigmoid(made.models["D"].net(torch.stack([p * v for p in z for v in f])[None])).item()
            losses.append(-math.log(d if domain else 1 - d))
            weights.append(1 + math.exp(-entropy(z.tolist())))
        parts.append((weights, losses))
    return parts


def test_cdan_s_weights_grow_with_certainty_and_are_normalised_domain_by_domain(unlike):
    made = adapter("cdan")
    for parameter in made.models["D"].parameters():  # a discriminator that has opinions
        parameter.data.mul_(3)
    found, parts = made.penalty(unlike).item(), cdan_parts(made, unlike)
    expected = sum(sum(w * v for w, v in zip(*part, strict=True)) / sum(part[0]) for part in parts)
    assert found == pytest.approx(expected, rel=1e-4)
    turned = [([1 + 1 / (w - 1) for w in weights], losses) for weights, losses in parts]  # 1 + e^(+H)
    jointly = 2 * sum(sum(w * v for w, v in zip(*part, strict=True)) for part in parts)
    jointly /= sum(sum(weights) for weights, _ in parts)
    plain = sum(sum(losses) / len(losses) for _, losses in parts)
    others = [sum(sum(w * v for w, v in zip(*part, strict=True)) / sum(part[0]) for part in turned), jointly, plain]
    assert all(abs(other - expected) > 0.02 * expected for other in others), (expected, others)


def test_cdan_s_gradient_is_reversed_at_the_features_and_stops_at_the_predictions():
    plain, half = grads(adapter("cdan"), batch()), grads(adapter("cdan", weight=0.5), batch())
    assert plain["C"] == 0 and plain["G"] > 0
    assert half["G"] == pytest.approx(plain["G"] / 2, rel=1e-4) and half["D"] == pytest.approx(plain["D"], rel=1e-5)
    made, data = adapter("cdan"), batch()
    made.training_step(data)
    reversed_grad = made.models["G"].weight.grad.clone()
    made.models.zero_grad()
    step = step_of(made, data)
    made.reversal.update_weight(-1.0)  # the identity, with its gradient as it is
    made.penalty(step).backward()
    torch.testing.assert_close(reversed_grad, -made.models["G"].weight.grad)


def test_cdan_s_randomised_product_for_large_heads():
    large = METHODS["cdan"].heads(700, 7)["D"]
    assert large.random is not None and large.net[0].in_features == 1024
    assert any("rand_mat" in name for name in large.state_dict())  # resumed with the models
    assert METHODS["cdan"].heads(128, 7)["D"].random is None


# MDD


def test_log_one_minus_prob():
    logits, classes = torch.randn(N, K, dtype=torch.float64), torch.arange(N) % K
    expected = [math.log(1 - p[k].item()) for p, k in zip(logits.softmax(1), classes, strict=True)]
    torch.testing.assert_close(log_one_minus_prob(logits, classes), torch.tensor(expected, dtype=torch.float64))
    certain = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    value = log_one_minus_prob(certain, torch.tensor([0]))
    value.backward()
    assert value.item() == pytest.approx(-60 + math.log(2), rel=1e-5) and certain.grad.isfinite().all()


def test_mdd_against_the_equation():
    made, data = adapter("mdd", weight=0.7), batch()
    step = step_of(made, data)
    source = made.models["C_adv"](step.src_features).softmax(1)
    target = made.models["C_adv"](step.target_features).softmax(1)
    agree = [-math.log(p[z.argmax()].item()) for p, z in zip(source, step.src_logits, strict=True)]
    differ = [math.log(1 - p[z.argmax()].item()) for p, z in zip(target, step.target_logits, strict=True)]
    expected = 0.7 * (4 * sum(agree) / N - sum(differ) / M)
    assert made.training_step(data)["total_loss"]["disparity_loss"] == pytest.approx(expected, rel=1e-4)


def test_mdd_s_main_classifier_gets_no_gradient_and_features_a_tenth_reversed():
    made, data = adapter("mdd", weight=1.0), batch()
    found = grads(made, data)
    assert found["C"] == 0 and found["C_adv"] > 0
    reversed_grad = made.models["G"].weight.grad.clone()
    made.models.zero_grad()
    made.reversal.update_weight(-1.0)
    made.penalty(step_of(made, data)).backward()
    torch.testing.assert_close(reversed_grad, -0.1 * made.models["G"].weight.grad)


# SWD and STAR


def test_sliced_wasserstein_on_one_axis_is_the_wasserstein_distance():
    x, y = torch.rand(20, 1, dtype=torch.float64), torch.rand(20, 1, dtype=torch.float64)
    squared = ot.wasserstein_1d(x.flatten().numpy(), y.flatten().numpy(), p=2)
    assert sliced_wasserstein(x, y, 5).item() == pytest.approx(squared, rel=1e-9)
    shifted = sliced_wasserstein(x, x + 0.3, 5).item() ** 0.5
    assert shifted == pytest.approx(wasserstein_distance(x.flatten(), x.flatten() + 0.3), rel=1e-9)


def test_sliced_wasserstein_against_loops():
    x, y = torch.rand(10, K), torch.rand(10, K)
    torch.manual_seed(3)
    found = sliced_wasserstein(x, y, 6).item()
    torch.manual_seed(3)
    theta = torch.randn(K, 6)
    total = 0.0
    for m in range(6):
        direction = theta[:, m] / theta[:, m].norm()
        a, b = sorted((x @ direction).tolist()), sorted((y @ direction).tolist())
        total += sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / 10
    assert found == pytest.approx(total / 6, rel=1e-5)


def test_directions_are_uniform_on_the_sphere():
    """Two sets of one point each, apart along one axis of K: the mean of θ₁² is 1/K, and no direction is left out."""
    torch.manual_seed(0)
    for axis in range(K):
        apart = torch.zeros(1, K)
        apart[0, axis] = 2.0
        squared = sliced_wasserstein(torch.zeros(1, K), apart, 20_000).item()
        assert squared == pytest.approx(4 / K, rel=0.05)
    both = torch.zeros(1, K)
    both[0, 0], both[0, 1] = 2.0, -2.0  # directions of one sign alone would see less of this
    assert sliced_wasserstein(torch.zeros(1, K), both, 20_000).item() == pytest.approx(8 / K, rel=0.05)


@pytest.mark.parametrize("directions", [128, 3])
def test_swd_s_discrepancy_is_of_the_softmaxes(directions):
    made, data = adapter("swd", repeat=1, directions=directions), batch()
    a, b = (z.softmax(1) for z in made.models["C"](made.models["G"](data["target_imgs"])))
    torch.manual_seed(5)
    expected = sliced_wasserstein(a, b, directions).item()
    torch.manual_seed(5)
    assert made.training_step(data)["y_loss"]["discrepancy_loss"] == pytest.approx(-expected, rel=1e-4)


def test_star_draws_around_its_mean_and_predicts_with_it():
    torch.manual_seed(0)
    head = StochasticClassifier(torch.nn.Linear(D, K))
    x = torch.randn(1, D)
    draws = torch.stack([z for _ in range(3000) for z in head(x)])[:, 0]  # (6000, K)
    sigma = softplus(torch.tensor(-2.0)).item()  # 0.127: s = 0 in the beginning
    expected = sigma * x.norm()  # the bias is not drawn
    torch.testing.assert_close(draws.std(dim=0), expected.expand(K), rtol=0.05, atol=0)
    torch.testing.assert_close(draws.mean(dim=0), head.mean(x)[0], rtol=0, atol=0.03)
    first, second = head(x)
    assert not first.equal(second)
    head.eval()
    assert all(z.equal(head.mean(x)) for z in head(x))


def test_star_draws_weights_and_no_bias():
    """Where features are 0 only the bias is left."""
    head = StochasticClassifier(torch.nn.Sequential(torch.nn.Linear(D, D), torch.nn.Linear(D, K)), 3.0)
    assert sorted(head.spread) == ["0_weight", "1_weight"]
    one = StochasticClassifier(torch.nn.Linear(D, K), initial_spread=3.0)
    first, second = one(torch.zeros(2, D))
    assert first.equal(second) and first[0].equal(one.mean.bias)


def test_star_s_models_from_when_biases_were_drawn_predict_the_same():
    head, other = (StochasticClassifier(torch.nn.Linear(D, K)).eval() for _ in range(2))
    state = head.state_dict() | {"spread.bias": torch.zeros(K)}
    torch.nn.ModuleDict({"C": other}).load_state_dict({f"C.{name}": value for name, value in state.items()})
    x = torch.randn(3, D)
    assert other(x)[0].equal(head(x)[0])
    with pytest.raises(RuntimeError, match=r"spread\.other"):
        other.load_state_dict(state | {"spread.other": torch.zeros(K)})


def test_star_learns_its_spread():
    made = adapter("star")
    made.models.train()
    made.training_step(batch())
    assert all(p.grad.abs().sum() > 0 for p in made.models["C"].spread.values())


def test_star_repeats_step_c_as_its_authors_do():
    """Passes of F: one each for source and target in A and B, and one for each repetition of C."""
    passes = {}
    for repeat in (None, 2):
        made = adapter("star", repeat=repeat)
        made.models["G"].register_forward_hook(lambda *_, key=repeat: passes.update({key: passes.get(key, 0) + 1}))
        made.training_step(batch())
    assert passes[None] - passes[2] == 5 - 2


# LPL


@pytest.mark.parametrize("k", [1, 2, 20])
def test_locality_against_loops(k):
    features, labels = torch.randn(N, D), torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 3])
    total = 0.0
    for i in range(N):
        same = [j for j in range(N) if j != i and labels[j] == labels[i]]
        near = sorted(same, key=lambda j: float((features[i] - features[j]).norm()))[:k]
        if near:
            total += (features[i] - features[near].mean(0)).square().sum().item()
    assert locality(features, labels, k).item() == pytest.approx(total / N, rel=1e-5)


@pytest.mark.parametrize("k", [1, 2, 20])
def test_locality_s_gradient_is_the_paper_s(k):
    """(f_i − mean of its neighbours) / N for half the locality, which leaves the neighbours' own gradient out."""
    features, labels = torch.randn(N, D, requires_grad=True), torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 3])
    (gradient,) = torch.autograd.grad(0.5 * locality(features, labels, k), features)
    for i, x in enumerate(features.detach()):
        others = [j for j in range(N) if j != i and labels[j] == labels[i]]
        near = sorted(others, key=lambda j: float((x - features.detach()[j]).norm()))[:k]
        expected = (x - features.detach()[near].mean(0)) / N if near else torch.zeros(D)
        torch.testing.assert_close(gradient[i], expected)


def test_lpl_never_touches_the_target():
    made, data = adapter("lpl"), batch()
    first = made.training_step(data)
    data["target_imgs"] = torch.full_like(data["target_imgs"], torch.nan)
    assert made.training_step(data) == first
    assert first["total_loss"]["locality_loss"] == pytest.approx(
        0.003 * 0.5 * locality(made.models["G"](data["src_imgs"]), data["src_labels"], 20).item(), rel=1e-4
    )
