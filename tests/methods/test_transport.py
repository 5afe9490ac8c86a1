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
    costs = joint_costs(step_of(made, data), 0.01, 0.5)
    plan = unbalanced_plan(costs.detach(), 0.01, 0.5)
    assert not plan.requires_grad
    value = made.training_step(data)["total_loss"]["transport_loss"]
    assert value == pytest.approx(0.3 * (plan * costs).sum().item(), rel=1e-4)
    torch.testing.assert_close(
        made.models["G"].weight.grad,
        torch.autograd.grad(0.3 * (plan * joint_costs(step_of(made, data), 0.01, 0.5)).sum(), made.models["G"].weight)[
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
