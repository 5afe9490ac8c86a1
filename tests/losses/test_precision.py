"""Half precision in: float32 losses and float64 confusion out, under autocast and after half() alike."""

import numpy as np
import pytest
import torch
from confusion_loops import confusion, raised, softmax
from rare import slow

from pa_difc import LOSSES, DIFCLoss, Schedule, make_loss
from pa_difc.functional import (
    class_margins,
    confusion_margins,
    confusion_scores,
    di_loss,
    gap_sums,
    logit_spread,
    mean_probs,
)

HALVES = [torch.bfloat16, torch.float16]
SIZES = [7, 1000]


def counts(k):
    return [3 + 97 * (5 * i % k) for i in range(k)]


def half_logits(dtype, k, n=64, seed=0, scale=1.0):
    """Logits as a network under autocast gives them, up to about 8 times ``scale``."""
    generator = torch.Generator().manual_seed(seed)
    network = torch.nn.Linear(16, k, bias=False)
    torch.nn.init.normal_(network.weight, std=0.5 * scale, generator=generator)
    with torch.autocast("cpu", dtype=dtype):
        logits = network(torch.randn(n, 16, generator=generator)).detach()
    assert logits.dtype == dtype
    return logits.requires_grad_()


def made(name, k, dtype=None):
    """A loss in its third epoch, moved to a precision before its first step."""
    schedule = Schedule(steps_per_epoch=1, confusion_epoch=1, reweight_epoch=1)
    loss = make_loss(name, counts(k), schedule)
    loss = loss if dtype is None else loss.to(dtype)
    for seed in range(2 if hasattr(loss, "update") else 0):
        loss.update(half_logits(torch.bfloat16, k, seed=9 + seed))
    return loss


def value_and_gradient(loss, logits, labels):
    value = loss(logits, labels)
    return value.item(), torch.autograd.grad(value, logits)[0]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_half_logits_is_that_of_float64(name, k, dtype):
    logits, labels = half_logits(dtype, k), torch.arange(64) * 3 % k
    if LOSSES[name].classifier == "cosine":
        logits = (logits * 3).clamp(-29, 29).detach().requires_grad_()
    expected, gradient = value_and_gradient(made(name, k).double(), logits.detach().double().requires_grad_(), labels)
    with torch.autocast("cpu", dtype=dtype):
        for loss in (made(name, k), made(name, k, dtype), made(name, k).to(dtype)):
            found, slope = value_and_gradient(loss, logits, labels)
            assert loss(logits, labels).dtype == torch.float32
            assert found == pytest.approx(expected, rel=1e-5)
            # A gradient of half-precision logits is rounded to their precision, once.
            torch.testing.assert_close(slope.double(), gradient, rtol=torch.finfo(dtype).eps, atol=1e-7)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("unit", ["logit", "spread"])
def test_an_epsilon_of_a_fiftieth_counts_beside_logits_of_eight(k, dtype, unit):
    """The paper's ε moves the loss, and its gradient, by as much as in float64."""
    logits = torch.full((4, k), 7.0, dtype=dtype)
    logits[torch.arange(4), torch.arange(4)] = 8.0
    labels = torch.arange(4)
    spread = logits.double().std(dim=1, correction=0).mean() if unit == "spread" else 1.0

    def moved_by(epsilon, loss_of):
        margins = confusion_margins(torch.zeros(k, dtype=torch.float64), torch.arange(k, 0, -1.0), epsilon)
        return loss_of(margins)

    def exact(margins):
        z = logits.double()[:, None, :] - spread * margins[None, None, :] * torch.eye(k)[labels][:, None, :]
        return -(z[torch.arange(4), 0].log_softmax(1)[torch.arange(4), labels]).mean()

    def ours(epsilon):
        schedule = Schedule(steps_per_epoch=1, confusion_epoch=1, reweight_epoch=None)
        loss = DIFCLoss([5] * k, schedule, max_margin=0.0, epsilon=epsilon, margin_unit=unit).to(dtype)
        loss.update(least_sure_of_the_first(k))
        value = loss(logits.requires_grad_(), labels)
        return value.item(), torch.autograd.grad(value, logits)[0]

    wanted = (moved_by(0.02, exact) - moved_by(0.0, exact)).item()
    (with_it, steeper), (without, flatter) = ours(0.02), ours(0.0)
    assert with_it - without == pytest.approx(wanted, rel=2e-3, abs=2e-6) and wanted > 1e-4 * min(1, spread)
    if unit == "logit" and k == 7:  # beyond what rounding the gradient to half precision leaves
        assert steeper[0, 0] != flatter[0, 0]


def least_sure_of_the_first(k):
    """Target logits by which class 0 is the most confused, class 1 the next, and so on."""
    return torch.eye(k, dtype=torch.float64) * torch.linspace(1, 6, k, dtype=torch.float64)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("n", [257, 2049, 5000])
def test_every_sample_is_counted(dtype, n):
    logits = torch.zeros(n, 7, dtype=dtype)
    logits[:, 2] = 0.5
    sums, sizes = gap_sums(mean_probs(logits).to(dtype))
    assert sizes.tolist() == [0, 0, n, 0, 0, 0, 0]
    loss = DIFCLoss(counts(7), Schedule(steps_per_epoch=2, confusion_epoch=1)).to(dtype)
    loss.update(logits)
    loss.to(dtype).update(logits)
    gap = (np.exp(0.5) - 1) / (np.exp(0.5) + 6)
    assert loss.confusion[2].item() == pytest.approx(1 / gap, rel=1e-12)
    assert sums[2].item() == pytest.approx(n * gap, rel=0.02)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(("k", "n"), [(7, 96), *slow((1000, 400))])
def test_the_order_of_confusion_is_that_of_float64_in_100_of_100_batches(dtype, k, n):
    base = class_margins(counts(k))
    for seed in range(100):
        batches = [half_logits(dtype, k, n // 2, seed=2 * seed + i) for i in range(2)]
        loss = DIFCLoss(counts(k), Schedule(steps_per_epoch=2, confusion_epoch=1), epsilon=0.5).to(dtype)
        for logits in batches:
            loss.update(logits)
        exact = confusion(softmax(torch.cat(batches).detach().double().numpy()))
        expected = raised(base.double().numpy(), exact, 0.5)
        assert np.array_equal(
            np.argsort(-loss.confusion.numpy(), kind="stable"), np.argsort(-np.array(exact), kind="stable")
        )
        np.testing.assert_allclose(loss.margins.numpy(), expected, rtol=3e-7)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_functions_give_at_least_float32(dtype):
    logits, labels = half_logits(dtype, 7), torch.arange(64) % 7
    margins = class_margins(torch.tensor([9.0, 1, 2, 3, 4, 5, 6], dtype=dtype))
    assert margins.dtype == mean_probs(logits).dtype == confusion_scores(logits.softmax(1)).dtype == torch.float32
    assert di_loss(logits, labels, margins.to(dtype)).dtype == torch.float32
    assert confusion_margins(margins.to(dtype), torch.rand(7)).dtype == torch.float32
    assert logit_spread(logits).item() == pytest.approx(logit_spread(logits.double()).item(), rel=1e-6)
    assert gap_sums(logits.softmax(1))[0].dtype == gap_sums(logits.softmax(1))[1].dtype == torch.float64


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_on_another_device_keeps_its_precision(name):
    loss = torch.nn.ModuleDict({"loss": made(name, 7)})
    before = {n: b.clone() for n, b in loss.named_buffers()}
    for move in ("half", "bfloat16", "float"):
        getattr(loss, move)()
    for n, b in loss.named_buffers():
        torch.testing.assert_close(b, before[n], rtol=0, atol=0, equal_nan=True)
    assert all(b.is_meta for b in loss.to("meta", torch.float16).buffers())
