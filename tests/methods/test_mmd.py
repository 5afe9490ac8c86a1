"""DETN's and ECAN's weighted kernels against plain loops."""

import math

import pytest
import torch
from steps import D, K, M, N, adapter, batch, step_of

from pa_difc.methods.detn import conditional_mmd
from pa_difc.methods.mmd import SCALES, ClassRatio, weighted_mmd


def loop(source, target, weights, scales, width=None):
    """The weighted MMD² by plain loops over numbers."""
    source, target = source.detach(), target.detach()
    points = [*source, *target]
    square = lambda a, b: sum((float(p) - float(q)) ** 2 for p, q in zip(a, b, strict=True))  # noqa: E731
    width = width or sum(square(a, b) for a in points for b in points) / len(points) ** 2
    kernel = lambda a, b: sum(math.exp(-square(a, b) / (s * width)) for s in scales) / len(scales)  # noqa: E731
    w = [float(v) / float(weights.sum()) for v in weights]
    n, m = len(source), len(target)
    within = sum(w[i] * w[j] * kernel(source[i], source[j]) for i in range(n) for j in range(n))
    within += sum(kernel(a, b) for a in target for b in target) / m**2
    return within - 2 * sum(w[i] * kernel(source[i], t) for i in range(n) for t in target) / m


@pytest.mark.parametrize("scales", [SCALES, (0.3,), (0.2, 3.0, 7.0)])
def test_weighted_mmd_against_loops(scales):
    source, target, weights = torch.randn(N, D), torch.randn(M, D) + 1, torch.rand(N)
    expected = loop(source, target, weights, scales)
    assert weighted_mmd(source, target, weights, scales).item() == pytest.approx(expected, rel=1e-3)
    plain = loop(source, target, torch.ones(N), scales)
    assert weighted_mmd(source, target, scales=scales).item() == pytest.approx(plain, rel=1e-3)
    assert weighted_mmd(source, source.clone()).item() == pytest.approx(0, abs=1e-6)


def test_the_width_of_kernels_is_a_constant_for_the_gradient():
    """Else features could shrink or grow at will: a slope by differences, with the width held."""
    source, target = torch.randn(4, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64) + 1
    weights, scales = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64), (0.4, 2.0)
    both = torch.cat([source, target])
    width = float(torch.cdist(both, both).square().mean())
    source.requires_grad_()
    (gradient,) = torch.autograd.grad(weighted_mmd(source, target, weights, scales), source)
    for i, d in ((0, 0), (2, 1), (3, 2)):
        ends = []
        for step in (1e-5, -1e-5):
            moved = source.detach().clone()
            moved[i, d] += step
            ends.append(loop(moved, target, weights, scales, width))
        assert gradient[i, d].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4)


def test_weights_make_up_for_other_proportions():
    """The same two clusters, in other proportions: with the ratios as weights the domains lie on each other."""
    torch.manual_seed(0)
    cluster = lambda centre, n: torch.randn(n, 2) * 0.1 + centre  # noqa: E731
    source = torch.cat([cluster(0, 160), cluster(3, 40)])
    target = torch.cat([cluster(0, 40), cluster(3, 160)])
    weights = torch.cat([torch.full((160,), 0.25), torch.full((40,), 4.0)])
    assert weighted_mmd(source, target, weights) < 0.01 * weighted_mmd(source, target)


@pytest.mark.parametrize("unit", [1e-3, 0.5, 20.0])
def test_the_unit_of_features_does_not_matter(unit):
    """The kernels' width is that of the batch."""
    generator = torch.Generator().manual_seed(0)
    source, target = torch.randn(20, 3, generator=generator), 1 + torch.randn(15, 3, generator=generator)
    expected = weighted_mmd(source, target).item()
    assert expected > 0.01 and weighted_mmd(unit * source, unit * target).item() == pytest.approx(expected, rel=1e-3)


def test_the_ratio_is_within_a_fifth_and_five_unless_told_otherwise():
    ratio = ClassRatio(2, momentum=0.5)
    for _ in range(30):
        ratio.update(torch.tensor([0, 0]), torch.eye(2)[[1, 1]])
    assert ratio.alpha.tolist() == pytest.approx([1 / 5, 5])


def test_class_ratio_follows_predictions_within_bounds():
    ratio = ClassRatio(3, momentum=0.5, largest=4.0)
    assert ratio.alpha.tolist() == [1, 1, 1]
    for _ in range(30):
        ratio.update(torch.tensor([0, 0, 1, 2]), torch.eye(3)[[1, 1, 1, 2]])
    torch.testing.assert_close(ratio.alpha, torch.tensor([0.25, 3.0, 1.0]), atol=1e-3, rtol=0)  # 0 / 0.5 is held at ¼
    with pytest.raises(ValueError, match="were computed with"):
        ClassRatio(3).load_state_dict(ratio.state_dict())


def test_class_ratio_against_loops():
    """Running shares with a momentum of 0.8, and their ratio within [1/2.5, 2.5]."""
    ratio, source, target = ClassRatio(4, momentum=0.8, largest=2.5), [0.25] * 4, [0.25] * 4
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        labels = torch.randint(3, (10,), generator=generator)
        logits = torch.randn(9, 4, generator=generator) + torch.tensor([-3.0, 0.5, 0.5, 2.0])
        ratio.update(labels, logits)
        predicted = logits.argmax(1).tolist()
        for shares, classes in ((source, labels.tolist()), (target, predicted)):
            shares[:] = [0.8 * old + 0.2 * classes.count(k) / len(classes) for k, old in enumerate(shares)]
    expected = [min(2.5, max(1 / 2.5, t / s)) for s, t in zip(source, target, strict=True)]
    assert ratio.alpha.tolist() == pytest.approx(expected, rel=1e-5)
    assert min(expected) == 1 / 2.5 and max(expected) == 2.5 and len({*expected}) > 2


def test_detn_s_ratio_is_used_before_it_is_updated():
    made, data = adapter("detn"), batch()
    made.ratio.target.copy_(torch.tensor([0.4, 0.3, 0.2, 0.1]))
    step, alpha = step_of(made, data), made.ratio.alpha.clone()
    expected = weighted_mmd(step.src_features, step.target_features, alpha[step.src_labels]).item()
    assert made.training_step(data)["total_loss"]["mmd_loss"] == pytest.approx(expected, rel=1e-4)
    assert not made.ratio.alpha.equal(alpha) and made.misc["class_ratio"] is made.ratio


def test_ecan_s_two_terms_with_options_away_from_the_defaults():
    scales = (0.3, 3.0)
    made = adapter("ecan", weight=0.4, conditional_weight=0.7, kernel_scales=scales, largest_ratio=3.0)
    made.ratio.target.copy_(torch.tensor([0.8, 0.1, 0.05, 0.05]))
    data = batch()
    step = step_of(made, data)
    predicted, terms = step.target_logits.argmax(1), []
    for k in range(K):
        source, target = step.src_features[step.src_labels == k], step.target_features[predicted == k]
        if len(target):
            terms.append(loop(source, target, torch.ones(len(source)), scales))
    assert len(terms) > 1
    weights = torch.tensor([3.0, 0.4, 1 / 3, 1 / 3])[step.src_labels]
    marginal = loop(step.src_features, step.target_features, weights, scales)
    expected = 0.4 * (marginal + 0.7 * sum(terms) / len(terms))
    assert made.training_step(data)["total_loss"]["mmd_loss"] == pytest.approx(expected, rel=1e-3)


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


def test_a_class_in_neither_domain_has_ratio_one():
    ratio = ClassRatio(3, momentum=0.0, largest=4.0)
    logits = 5.0 * torch.eye(3)[[0, 0, 1]]
    ratio.update(torch.tensor([0, 0, 0]), logits)
    assert ratio.alpha.tolist() == pytest.approx([2 / 3, 4.0, 1.0])  # 1/3 of the target and none of the source: the cap
