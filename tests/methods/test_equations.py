"""Each method's own loss against plain loops or a public package, and where its gradient goes."""

import math

import numpy as np
import ot
import pytest
import torch
from pytorch_adapt.containers import Models, Optimizers
from scipy.stats import wasserstein_distance
from torch.nn.functional import softplus

from pa_difc import METHODS
from pa_difc.methods.detn import conditional_mmd
from pa_difc.methods.etd import ENTROPY_WEIGHT, attended_costs, dual
from pa_difc.methods.jumbot import joint_costs
from pa_difc.methods.lpl import locality
from pa_difc.methods.mdd import GAMMA, log_one_minus_prob
from pa_difc.methods.mmd import SCALES, ClassRatio, weighted_mmd
from pa_difc.methods.penalty import Step
from pa_difc.methods.star import StochasticClassifier
from pa_difc.methods.swd import sliced_wasserstein
from pa_difc.methods.transport import unbalanced_plan

N, M, K, D = 9, 7, 4, 6


def adapter(method, **kwargs):
    torch.manual_seed(0)
    cls = METHODS[method]
    models = Models({"G": torch.nn.Linear(D, D), **cls.heads(D, K)})
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.0})), loss=lambda z, y: 0.0 * z.sum(), **kwargs)
    made.models.eval()  # no dropout
    return made


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "src_imgs": torch.randn(N, D, generator=generator),
        "target_imgs": torch.randn(M, D, generator=generator) + 1,
        "src_labels": torch.arange(N) % K,
        "src_domain": torch.zeros(N, dtype=torch.long),
        "target_domain": torch.ones(M, dtype=torch.long),
    }


def step_of(made, data):
    features = {d: made.models["G"](data[f"{d}_imgs"]) for d in ("src", "target")}
    logits = {d: made.models["C"](f) for d, f in features.items()}
    return Step(features["src"], logits["src"], data["src_labels"], features["target"], logits["target"])


def grads(made, data):
    """The gradient norm of each model from the method's own loss alone."""
    made.training_step(data)
    return {
        name: sum(p.grad.abs().sum().item() for p in model.parameters() if p.grad is not None)
        for name, model in made.models.items()
    }


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
    expected = 0.7 * (GAMMA * sum(agree) / N - sum(differ) / M)
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


def test_swd_s_discrepancy_is_of_the_softmaxes():
    made, data = adapter("swd", hook_kwargs={"repeat": 1}), batch()
    a, b = (z.softmax(1) for z in made.models["C"](made.models["G"](data["target_imgs"])))
    torch.manual_seed(5)
    expected = sliced_wasserstein(a, b).item()
    torch.manual_seed(5)
    assert made.training_step(data)["y_loss"]["discrepancy_loss"] == pytest.approx(-expected, rel=1e-4)


def test_star_draws_around_its_mean_and_predicts_with_it():
    torch.manual_seed(0)
    head = StochasticClassifier(torch.nn.Linear(D, K))
    x = torch.randn(1, D)
    draws = torch.stack([z for _ in range(3000) for z in head(x)])[:, 0]  # (6000, K)
    sigma = softplus(torch.tensor(-2.0)).item()  # 0.127: s = 0 in the beginning
    expected = sigma * (x.square().sum() + 1).sqrt()  # weights and bias
    torch.testing.assert_close(draws.std(dim=0), expected.expand(K), rtol=0.05, atol=0)
    torch.testing.assert_close(draws.mean(dim=0), head.mean(x)[0], rtol=0, atol=0.03)
    first, second = head(x)
    assert not first.equal(second)
    head.eval()
    assert all(z.equal(head.mean(x)) for z in head(x))


def test_star_learns_its_spread():
    made = adapter("star")
    made.models.train()
    made.training_step(batch())
    assert all(p.grad.abs().sum() > 0 for p in made.models["C"].spread.values())


# JUMBOT and ETD


def test_jumbot_s_costs_against_loops():
    made, data = adapter("jumbot"), batch()
    step = step_of(made, data)
    costs = joint_costs(step, alpha=0.3, lam=0.7)
    for i in range(N):
        for j in range(M):
            distance = sum((a - b) ** 2 for a, b in zip(step.src_features[i], step.target_features[j], strict=True))
            surprise = -step.target_logits[j].softmax(0)[step.src_labels[i]].log()
            assert costs[i, j].item() == pytest.approx((0.3 * distance + 0.7 * surprise).item(), rel=1e-4)


def test_the_unbalanced_plan_is_a_plan():
    costs = torch.rand(N, M)
    balanced = unbalanced_plan(costs, 0.01, 1e4)  # marginals that nothing may leave
    exact = ot.emd(np.full(N, 1 / N), np.full(M, 1 / M), costs.double().numpy())
    torch.testing.assert_close(balanced.sum(1), torch.full((N,), 1 / N), atol=1e-3, rtol=0)
    assert (balanced * costs).sum().item() == pytest.approx((torch.from_numpy(exact) * costs).sum().item(), rel=0.05)
    loose = unbalanced_plan(torch.cat([costs, costs + 50]), 0.01, 0.05)
    assert loose[N:].sum() < 0.01 * loose[:N].sum()  # samples that are far from everything stay behind


def test_jumbot_s_loss_and_gradient():
    made, data = adapter("jumbot", weight=0.3), batch()
    costs = joint_costs(step_of(made, data))
    plan = unbalanced_plan(costs.detach(), 0.01, 0.5)
    assert not plan.requires_grad
    value = made.training_step(data)["total_loss"]["transport_loss"]
    assert value == pytest.approx(0.3 * (plan * costs).sum().item(), rel=1e-4)
    torch.testing.assert_close(
        made.models["G"].weight.grad,
        torch.autograd.grad(0.3 * (plan * joint_costs(step_of(made, data))).sum(), made.models["G"].weight)[0],
    )


def test_etd_s_attention_and_costs_against_loops():
    source, target = torch.randn(N, D), torch.randn(M, D)
    costs, rows = attended_costs(source, target), []
    for i in range(N):
        scores = [math.exp(float(source[i] @ target[j]) / math.sqrt(D)) for j in range(M)]
        rows.append([M * s / sum(scores) for s in scores])
    distances = [[float((source[i] - target[j]).square().sum()) for j in range(M)] for i in range(N)]
    mean = sum(map(sum, distances)) / (N * M)
    for i in range(N):
        for j in range(M):
            assert costs[i, j].item() == pytest.approx(rows[i][j] * distances[i][j] / mean, rel=1e-4)


def test_etd_s_potentials_climb_to_the_entropic_plan():
    costs = torch.rand(N, M, dtype=torch.float64) * 2
    u, v = (torch.zeros(n, dtype=torch.float64, requires_grad=True) for n in (N, M))
    optimizer = torch.optim.LBFGS([u, v], max_iter=500, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = -dual(u, v, costs)[0]
        loss.backward()
        return loss

    optimizer.step(closure)
    plan = dual(u, v, costs)[1].numpy() / (N * M)
    sinkhorn = ot.sinkhorn(np.full(N, 1 / N), np.full(M, 1 / M), costs.numpy(), reg=0.5)
    np.testing.assert_allclose(plan, sinkhorn, atol=2e-3)


def test_etd_s_features_and_potentials_see_each_other_s_values_only():
    made, data = adapter("etd"), batch()
    found = grads(made, data)
    assert found["U"] > 0 and found["V"] > 0 and found["G"] > 0 and found["C"] > 0  # C by the entropy
    step = step_of(made, data)
    costs = attended_costs(step.src_features, step.target_features)
    plan = dual(made.models["U"](step.src_features).flatten(), made.models["V"](step.target_features).flatten(), costs)[
        1
    ]
    descended = (plan * costs).mean() + ENTROPY_WEIGHT * torch.distributions.Categorical(
        logits=step.target_logits
    ).entropy().mean()
    expected = torch.autograd.grad(made.weight * descended, made.models["G"].weight)[0]
    torch.testing.assert_close(made.models["G"].weight.grad, expected)


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


def test_lpl_never_touches_the_target():
    made, data = adapter("lpl"), batch()
    first = made.training_step(data)
    data["target_imgs"] = torch.full_like(data["target_imgs"], torch.nan)
    assert made.training_step(data) == first
    assert first["total_loss"]["locality_loss"] == pytest.approx(
        0.003 * 0.5 * locality(made.models["G"](data["src_imgs"]), data["src_labels"], 20).item(), rel=1e-4
    )


# DETN and ECAN


def test_weighted_mmd_against_loops():
    source, target, weights = torch.randn(N, D), torch.randn(M, D) + 1, torch.rand(N)
    points = [*source, *target]
    width = sum(float((a - b).square().sum()) for a in points for b in points) / (N + M) ** 2
    kernel = lambda a, b: sum(math.exp(-float((a - b).square().sum()) / (s * width)) for s in SCALES) / len(SCALES)  # noqa: E731
    w = [float(v) / float(weights.sum()) for v in weights]
    expected = sum(w[i] * w[j] * kernel(source[i], source[j]) for i in range(N) for j in range(N))
    expected += sum(kernel(a, b) for a in target for b in target) / M**2
    expected -= 2 * sum(w[i] * kernel(source[i], t) for i in range(N) for t in target) / M
    assert weighted_mmd(source, target, weights).item() == pytest.approx(expected, rel=1e-3)
    assert weighted_mmd(source, source.clone()).item() == pytest.approx(0, abs=1e-6)


def test_weights_make_up_for_other_proportions():
    """The same two clusters, in other proportions: with the ratios as weights the domains lie on each other."""
    torch.manual_seed(0)
    cluster = lambda centre, n: torch.randn(n, 2) * 0.1 + centre  # noqa: E731
    source = torch.cat([cluster(0, 160), cluster(3, 40)])
    target = torch.cat([cluster(0, 40), cluster(3, 160)])
    weights = torch.cat([torch.full((160,), 0.25), torch.full((40,), 4.0)])
    assert weighted_mmd(source, target, weights) < 0.01 * weighted_mmd(source, target)


def test_class_ratio_follows_predictions_within_bounds():
    ratio = ClassRatio(3, momentum=0.5, largest=4.0)
    assert ratio.alpha.tolist() == [1, 1, 1]
    for _ in range(30):
        ratio.update(torch.tensor([0, 0, 1, 2]), torch.eye(3)[[1, 1, 1, 2]])
    torch.testing.assert_close(ratio.alpha, torch.tensor([0.25, 3.0, 1.0]), atol=1e-3, rtol=0)  # 0 / 0.5 is held at ¼
    with pytest.raises(ValueError, match="were made with"):
        ClassRatio(3).load_state_dict(ratio.state_dict())


def test_detn_s_ratio_is_used_before_it_is_updated():
    made, data = adapter("detn", num_classes=K), batch()
    made.ratio.target.copy_(torch.tensor([0.4, 0.3, 0.2, 0.1]))
    step, alpha = step_of(made, data), made.ratio.alpha.clone()
    expected = weighted_mmd(step.src_features, step.target_features, alpha[step.src_labels]).item()
    assert made.training_step(data)["total_loss"]["mmd_loss"] == pytest.approx(expected, rel=1e-4)
    assert not made.ratio.alpha.equal(alpha) and made.misc["class_ratio"] is made.ratio


def test_ecan_adds_the_classes_that_both_domains_have():
    made, data = adapter("ecan", num_classes=K), batch()
    step = step_of(made, data)
    predicted, terms = step.target_logits.argmax(1), []
    for k in range(K):
        if (predicted == k).any():
            terms.append(weighted_mmd(step.src_features[step.src_labels == k], step.target_features[predicted == k]))
    assert conditional_mmd(step, K).item() == pytest.approx((sum(terms) / len(terms)).item(), rel=1e-5)
    marginal = adapter("detn", num_classes=K).training_step(data)["total_loss"]["mmd_loss"]
    both = made.training_step(data)["total_loss"]["mmd_loss"]
    assert both == pytest.approx(marginal + 0.1 * (sum(terms) / len(terms)).item(), rel=1e-4)
    nobody = step._replace(src_labels=torch.full((N,), 3), target_logits=torch.eye(K)[[0] * M])
    assert conditional_mmd(nobody, K).item() == 0
