"""DETN's and ECAN's weighted kernels against plain loops."""

import math

import pytest
import torch
from steps import D, K, M, N, adapter, batch, step_of

from pa_difc.methods.detn import conditional_mmd
from pa_difc.methods.mmd import SCALES, ClassRatio, weighted_mmd


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
    made, data = adapter("detn"), batch()
    made.ratio.target.copy_(torch.tensor([0.4, 0.3, 0.2, 0.1]))
    step, alpha = step_of(made, data), made.ratio.alpha.clone()
    expected = weighted_mmd(step.src_features, step.target_features, alpha[step.src_labels]).item()
    assert made.training_step(data)["total_loss"]["mmd_loss"] == pytest.approx(expected, rel=1e-4)
    assert not made.ratio.alpha.equal(alpha) and made.misc["class_ratio"] is made.ratio


def test_ecan_adds_the_classes_that_both_domains_have():
    made, data = adapter("ecan"), batch()
    step = step_of(made, data)
    predicted, terms = step.target_logits.argmax(1), []
    for k in range(K):
        if (predicted == k).any():
            terms.append(weighted_mmd(step.src_features[step.src_labels == k], step.target_features[predicted == k]))
    assert conditional_mmd(step, K).item() == pytest.approx((sum(terms) / len(terms)).item(), rel=1e-5)
    marginal = adapter("detn").training_step(data)["total_loss"]["mmd_loss"]
    both = made.training_step(data)["total_loss"]["mmd_loss"]
    assert both == pytest.approx(marginal + 0.1 * (sum(terms) / len(terms)).item(), rel=1e-4)
    nobody = step._replace(src_labels=torch.full((N,), 3), target_logits=torch.eye(K)[[0] * M])
    assert conditional_mmd(nobody, K).item() == 0
