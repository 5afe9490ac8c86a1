"""JUMBOT's and ETD's optimal transport against plain loops and POT, and where its gradient goes."""

import math

import numpy as np
import ot
import pytest
import torch
from steps import D, M, N, adapter, batch, grads, step_of

from pa_difc.methods.etd import attended_costs, dual
from pa_difc.methods.jumbot import joint_costs
from pa_difc.methods.transport import unbalanced_plan


def test_jumbot_s_costs_against_loops():
    made, data = adapter("jumbot"), batch()
    step = step_of(made, data)
    costs = joint_costs(step, alpha=0.3, label_cost=0.7)
    for i in range(N):
        for j in range(M):
            distance = sum((a - b) ** 2 for a, b in zip(step.src_features[i], step.target_features[j], strict=True))
            surprise = -step.target_logits[j].softmax(0)[step.src_labels[i]].log()
            assert costs[i, j].item() == pytest.approx((0.3 * distance + 0.7 * surprise).item(), rel=1e-4)


def scaled(costs, epsilon, tau, steps=4000):
    """The plan by scaling a kernel in turns, u = (a / K v)^(τ / (τ + ε)), the way JUMBOT's authors have it computed."""
    kernel, (n, m) = [[math.exp(-c / epsilon) for c in row] for row in costs.tolist()], costs.shape
    u, v, power = [1.0] * n, [1.0] * m, tau / (tau + epsilon)
    for _ in range(steps):
        u = [(1 / n / sum(kernel[i][j] * v[j] for j in range(m))) ** power for i in range(n)]
        v = [(1 / m / sum(kernel[i][j] * u[i] for i in range(n))) ** power for j in range(m)]
    return torch.tensor([[u[i] * kernel[i][j] * v[j] for j in range(m)] for i in range(n)])


@pytest.mark.filterwarnings("ignore:If reg_type = entropy")
@pytest.mark.parametrize(("epsilon", "tau", "largest"), [(0.13, 0.7, 3.0), (0.02, 0.3, 1.5), (1.4, 0.2, 9.0)])
def test_the_plan_is_the_authors(epsilon, tau, largest):
    costs = torch.rand(N, M, dtype=torch.float64) * largest
    plan = unbalanced_plan(costs, epsilon, tau)
    torch.testing.assert_close(plan, scaled(costs, epsilon, tau).double(), rtol=1e-5, atol=1e-9)
    uniform = np.full(N, 1 / N), np.full(M, 1 / M)
    for regulariser, same in (("entropy", True), ("kl", False)):  # POT's before 0.9.5, which the authors had; and after
        found = ot.unbalanced.sinkhorn_knopp_unbalanced(
            *uniform, costs.numpy(), epsilon, tau, reg_type=regulariser, stopThr=1e-12, numItermax=10_000
        )
        assert np.allclose(found, plan.numpy(), rtol=1e-4, atol=1e-9) is same


def test_the_plan_minimises_its_objective():
    costs, epsilon, tau = torch.rand(4, 3, dtype=torch.float64) * 2, 0.3, 0.6

    def kl(x, y):
        return (x * (x / y).log() - x + y).sum()

    def objective(plan):
        rows, columns = kl(plan.sum(1), torch.full((4,), 1 / 4)), kl(plan.sum(0), torch.full((3,), 1 / 3))
        return (plan * costs).sum() + epsilon * (plan * (plan.log() - 1)).sum() + tau * (rows + columns)

    plan = unbalanced_plan(costs, epsilon, tau)
    least = objective(plan)
    for _ in range(50):
        assert objective(plan * (1 + 0.02 * torch.randn(4, 3, dtype=torch.float64))) > least


@pytest.mark.parametrize(("epsilon", "tau"), [(0.01, 0.5), (0.3, 0.2)])
def test_mass_falls_as_costs_rise(epsilon, tau):
    """Equal costs c: the mass is (N M)^(ε / (2τ + ε)) e^(−c / (2τ + ε)); no scale of the costs cancels out."""
    masses = [unbalanced_plan(torch.full((N, M), c, dtype=torch.float64), epsilon, tau).sum() for c in (0.2, 0.9, 4.0)]
    expected = [math.exp((epsilon * math.log(N * M) - c) / (2 * tau + epsilon)) for c in (0.2, 0.9, 4.0)]
    assert [mass.item() for mass in masses] == pytest.approx(expected, rel=1e-5)
    costs = 0.5 + torch.rand(N, M)  # the cheapest pairs decide: none may be near 0
    assert unbalanced_plan(3 * costs, epsilon, tau).sum() < 0.8 * unbalanced_plan(costs, epsilon, tau).sum()
    far = unbalanced_plan(torch.cat([costs, costs + 50]), epsilon, tau)
    assert far[N:].sum() < 0.01 * far[:N].sum()  # samples that are far from everything stay behind


def test_a_plan_of_large_costs_and_little_entropy_does_not_underflow():
    costs, epsilon, tau = torch.rand(N, M, dtype=torch.float64) * 300 + 50, 0.01, 5.0
    assert (-costs / epsilon).exp().max() == 0
    plan = unbalanced_plan(costs, epsilon, tau)
    prices = -tau * (N * plan.sum(1)).log()[:, None] - tau * (M * plan.sum(0)).log()
    expected = ((prices - costs) / epsilon).exp()  # each entry follows from the marginals
    there = plan > 1e-12 * plan.max()
    assert there.any(1).all() and plan.sum() > 0
    torch.testing.assert_close(plan[there].log(), expected[there].log(), rtol=0, atol=0.05)
    balanced = unbalanced_plan(costs, 0.5, 1e5)  # marginals that nothing may leave
    exact = torch.from_numpy(ot.emd(np.full(N, 1 / N), np.full(M, 1 / M), costs.numpy()))
    torch.testing.assert_close(balanced.sum(1), torch.full((N,), 1 / N, dtype=torch.float64), atol=1e-3, rtol=0)
    assert (balanced * costs).sum().item() == pytest.approx((exact * costs).sum().item(), rel=0.05)


def test_jumbot_s_loss_and_gradient():
    options = {"alpha": 0.2, "label_cost": 0.3, "tau": 1.5, "epsilon": 0.05}
    made, data = adapter("jumbot", weight=0.3, **options), batch()
    costs = joint_costs(step_of(made, data), 0.2, 0.3)
    plan = unbalanced_plan(costs.detach(), epsilon=0.05, tau=1.5)
    assert not plan.requires_grad
    value = made.training_step(data)["total_loss"]["transport_loss"]
    assert value == pytest.approx(0.3 * (plan * costs).sum().item(), rel=1e-4)
    torch.testing.assert_close(
        made.models["G"].weight.grad,
        torch.autograd.grad(0.3 * (plan * joint_costs(step_of(made, data), 0.2, 0.3)).sum(), made.models["G"].weight)[
            0
        ],
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
        loss = -dual(u, v, costs, 0.5, 10.0)[0]
        loss.backward()
        return loss

    optimizer.step(closure)
    plan = dual(u, v, costs, 0.5, 10.0)[1].numpy() / (N * M)
    sinkhorn = ot.sinkhorn(np.full(N, 1 / N), np.full(M, 1 / M), costs.numpy(), reg=0.5)
    np.testing.assert_allclose(plan, sinkhorn, atol=2e-3)


def dual_loop(u, v, costs, epsilon, largest):
    """The dual's value and plan by plain Python: e^x, and its tangent where e^x would be above the largest."""
    value, plan = sum(u) / len(u) + sum(v) / len(v), []
    for i, a in enumerate(u):
        for j, b in enumerate(v):
            x = (a + b - costs[i][j]) / epsilon
            growth = math.exp(x) if math.exp(x) <= largest else largest * (1 + x - math.log(largest))
            value -= epsilon * growth / len(u) / len(v)
            plan.append(min(largest, math.exp(x)))
    return value, plan


@pytest.mark.parametrize(("epsilon", "largest"), [(0.4, 1.7), (1.3, 0.6)])
def test_etd_s_dual_goes_on_as_its_tangent_beyond_the_largest_plan(epsilon, largest):
    u, v = torch.randn(4, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    costs = torch.rand(4, 3, dtype=torch.float64)
    u.requires_grad_()
    value, plan = dual(u, v, costs, epsilon, largest)
    expected, entries = dual_loop(u.tolist(), v.tolist(), costs.tolist(), epsilon, largest)
    assert value.item() == pytest.approx(expected) and plan.flatten().tolist() == pytest.approx(entries)
    assert 0 < sum(entry == pytest.approx(largest) for entry in entries) < len(entries)  # some clipped, some not
    assert not plan.requires_grad
    (gradient,) = torch.autograd.grad(value, u)
    for i in range(4):  # slopes of value's loop
        ends = [u.tolist() for _ in range(2)]
        ends[0][i] += 1e-6
        ends[1][i] -= 1e-6
        up, down = (dual_loop(end, v.tolist(), costs.tolist(), epsilon, largest)[0] for end in ends)
        assert gradient[i].item() == pytest.approx((up - down) / 2e-6, rel=1e-5)


def test_etd_s_loss_with_options_away_from_the_defaults():
    options = {"weight": 0.3, "epsilon": 0.7, "entropy_weight": 0.6, "largest_plan": 1.1}
    made, data = adapter("etd", **options), batch()
    step = step_of(made, data)
    costs = attended_costs(step.src_features, step.target_features)
    u, v = (made.models[n](f).flatten().tolist() for n, f in (("U", step.src_features), ("V", step.target_features)))
    gain, plan = dual_loop(u, v, costs.tolist(), 0.7, 1.1)
    transport = sum(p * c for p, c in zip(plan, costs.flatten().tolist(), strict=True)) / len(plan)
    entropy = -sum(p * math.log(p) for row in step.target_logits.softmax(1).tolist() for p in row) / M
    expected = 0.3 * (transport - gain + 0.6 * entropy)
    assert made.training_step(data)["total_loss"]["transport_loss"] == pytest.approx(expected, rel=1e-4)


def test_etd_s_attention_and_mean_are_constants_for_the_gradient():
    source, target = torch.randn(4, D, dtype=torch.float64), torch.randn(3, D, dtype=torch.float64)
    source.requires_grad_()
    (gradient,) = torch.autograd.grad(attended_costs(source, target).sum(), source)
    with torch.no_grad():
        distances = torch.cdist(source, target).square()
        attention = attended_costs(source, target) * distances.mean() / distances
        expected = (2 * attention[:, :, None] * (source[:, None] - target)).sum(1) / distances.mean()
    torch.testing.assert_close(gradient, expected)


def test_etd_s_features_and_potentials_see_each_other_s_values_only():
    made, data = adapter("etd"), batch()
    found = grads(made, data)
    assert found["U"] > 0 and found["V"] > 0 and found["G"] > 0 and found["C"] > 0  # C by the entropy
    step = step_of(made, data)
    costs = attended_costs(step.src_features, step.target_features)
    u, v = made.models["U"](step.src_features).flatten(), made.models["V"](step.target_features).flatten()
    plan = dual(u, v, costs, 0.5, 10.0)[1]
    descended = (plan * costs).mean() + 0.1 * torch.distributions.Categorical(
        logits=step.target_logits
    ).entropy().mean()
    expected = torch.autograd.grad(made.weight * descended, made.models["G"].weight)[0]
    torch.testing.assert_close(made.models["G"].weight.grad, expected)
