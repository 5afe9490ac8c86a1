"""What is true of the equations for any input."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pa_difc import DIFCLoss, Schedule
from pa_difc.functional import (
    class_margins,
    confusion_margins,
    confusion_scores,
    di_loss,
    drw_weights,
    gap_sums,
    imbalance_ratio,
    logit_spread,
)

counts_lists = st.lists(st.integers(1, 10**7), min_size=2, max_size=12)


def batch(seed, n=16, k=5):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, k, generator=generator, dtype=torch.float64)
    return logits, torch.randint(k, (n,), generator=generator)


@given(counts_lists, st.floats(0, 10))
def test_the_rarest_class_gets_the_cap_and_rarer_never_gets_less(counts, cap):
    margins = class_margins(torch.tensor(counts).double(), cap)
    assert margins.max().item() == pytest.approx(cap)
    order = sorted(range(len(counts)), key=lambda k: counts[k])
    assert all(margins[a] >= margins[b] for a, b in pairwise(order))


@given(counts_lists, st.randoms())
def test_permuting_classes_permutes_everything(counts, random):
    order = list(range(len(counts)))
    random.shuffle(order)
    counts = torch.tensor(counts).double()
    for fn in (imbalance_ratio, class_margins, drw_weights):
        torch.testing.assert_close(fn(counts)[order], fn(counts[order]))


@given(counts_lists, st.floats(0, 1))
def test_drw_weights_sum_to_k_and_favour_the_rare(counts, beta):
    weights = drw_weights(torch.tensor(counts).double(), beta)
    assert weights.sum().item() == pytest.approx(len(counts))
    assert (weights > 0).all()
    assert weights[counts.index(min(counts))] >= weights[counts.index(max(counts))]


@pytest.mark.parametrize("counts", [[3, 5], (3, 5), torch.tensor([3, 5]), torch.tensor([3.0, 5.0])])
def test_counts_may_be_lists_or_tensors(counts):
    assert class_margins(counts).tolist() == pytest.approx([0.3, 0.3 * (3 / 5) ** 0.25])
    assert class_margins(counts).dtype == torch.float32


@pytest.mark.parametrize("fn", [imbalance_ratio, class_margins, drw_weights])
def test_float64_in_float64_out(fn):
    assert fn(torch.tensor([3.0, 5.0], dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("fn", [imbalance_ratio, class_margins, drw_weights])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_whole_counts_have_the_default_dtype_out(fn, dtype):
    assert fn(torch.tensor([3, 5], dtype=dtype)).dtype == torch.float32
    assert fn([3.0, 5.0]).dtype == torch.float32


def test_float64_losses_and_confusion():
    logits, labels = batch(0)
    margins = torch.rand(5, dtype=torch.float64)
    assert di_loss(logits, labels, margins).dtype == torch.float64
    assert confusion_scores(logits.softmax(1)).dtype == torch.float64
    assert confusion_margins(margins, torch.rand(5)).dtype == torch.float64


@pytest.mark.parametrize("fn", [imbalance_ratio, class_margins, drw_weights])
def test_an_empty_class_is_named(fn):
    with pytest.raises(ValueError, match="class 1 has no source sample"):
        fn([3, 0, 2])


@pytest.mark.parametrize("counts", [[1.0, math.inf], [1.0, math.nan], [[1, 2]], [], [3, -1]])
def test_counts_that_are_none(counts):
    with pytest.raises(ValueError):
        class_margins(counts)


@pytest.mark.parametrize("cap", [-0.1, math.nan, math.inf])
def test_a_cap_that_is_none(cap):
    with pytest.raises(ValueError, match="max_margin"):
        class_margins([1, 2], cap)


@pytest.mark.parametrize("beta", [-0.1, 1.1, math.nan])
def test_a_beta_out_of_range(beta):
    with pytest.raises(ValueError, match="beta"):
        drw_weights([1, 2], beta)


@given(st.integers(0, 1000))
def test_zero_margins_are_cross_entropy_to_the_bit(seed):
    logits, labels = batch(seed)
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="none").mean()
    assert di_loss(logits, labels, torch.zeros(5).double()).equal(expected)


@given(st.integers(0, 1000), st.floats(-50, 50))
def test_a_constant_on_all_logits_changes_nothing(seed, constant):
    logits, labels = batch(seed)
    margins = torch.rand(5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(di_loss(logits + constant, labels, margins), di_loss(logits, labels, margins))


@given(st.integers(0, 1000))
def test_batch_order_is_irrelevant(seed):
    logits, labels = batch(seed)
    margins = torch.rand(5, dtype=torch.float64)
    order = torch.randperm(len(labels))
    torch.testing.assert_close(di_loss(logits[order], labels[order], margins), di_loss(logits, labels, margins))
    torch.testing.assert_close(confusion_scores(logits[order].softmax(1)), confusion_scores(logits.softmax(1)))


@given(st.integers(0, 1000))
def test_larger_margins_cost_more(seed):
    logits, labels = batch(seed)
    margins = torch.rand(5, dtype=torch.float64)
    assert di_loss(logits, labels, margins + 0.1) > di_loss(logits, labels, margins)


def test_gradcheck():
    logits, labels = batch(4, n=5, k=4)
    margins, weights = torch.rand(4, dtype=torch.float64), torch.rand(4, dtype=torch.float64) + 0.1
    assert torch.autograd.gradcheck(lambda z: di_loss(z, labels, margins, weights, 2.0), logits.requires_grad_())


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30))
def test_sums_of_batches_are_sums_of_the_whole(seed, cut):
    probs = batch(seed, n=31)[0].softmax(1)
    whole = gap_sums(probs)
    parts = [a + b for a, b in zip(gap_sums(probs[:cut]), gap_sums(probs[cut:]), strict=True)]
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b)


def test_more_confidence_is_less_confusion():
    logits = batch(2, n=200)[0]
    assert (confusion_scores((3 * logits).softmax(1)) < confusion_scores(logits.softmax(1))).all()


def test_confusion_margins_leave_their_input_alone():
    margins = torch.zeros(3)
    confusion_margins(margins, torch.tensor([1.0, 2.0, 3.0]))
    assert margins.eq(0).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: di_loss(torch.zeros(2, 3), torch.zeros(3, dtype=torch.long), torch.zeros(3)),
        lambda: di_loss(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), torch.zeros(2)),
        lambda: confusion_scores(torch.zeros(3)),
        lambda: confusion_scores(torch.zeros(3, 1)),
        lambda: confusion_margins(torch.zeros(3), torch.zeros(2)),
        lambda: confusion_margins(torch.zeros(2), torch.tensor([0.0, math.nan])),
        lambda: confusion_margins(torch.zeros(2), torch.zeros(2), epsilon=-1),
    ],
)
def test_shapes_and_values_that_do_not_fit(call):
    with pytest.raises(ValueError) as error:
        call()
    assert "\n" not in str(error.value)


def test_the_examples_in_the_docstrings():
    import doctest

    import pa_difc.functional

    result = doctest.testmod(pa_difc.functional, extraglobs={"torch": torch})
    assert result.attempted >= 5 and result.failed == 0


def test_the_spread_is_the_mean_deviation_over_the_classes_and_0_of_no_samples():
    z = batch(3)[0]
    deviations = [math.sqrt(sum((v - sum(row) / 5) ** 2 for v in row) / 5) for row in z.tolist()]
    assert logit_spread(z.requires_grad_()).item() == pytest.approx(sum(deviations) / 16)
    assert not logit_spread(z).requires_grad
    assert logit_spread(torch.zeros(0, 5)).equal(torch.tensor(0.0))


@pytest.mark.parametrize("proportions", [[0.6, 0.3, 0.1], torch.tensor([0.2, 0.2, 0.6]), [0.1, 0.1]])
def test_proportions_are_no_counts(proportions):
    """The effective number of samples is a different one."""
    for make in (drw_weights, lambda counts: DIFCLoss(counts, Schedule(5))):
        with pytest.raises(
            ValueError, match=r"^class_counts=\[0.*\]: these look like proportions; give the samples per"
        ):
            make(proportions)


def test_counts_may_be_estimates():
    assert drw_weights([1.5, 20.25])[0] > 1 and drw_weights([0.5, 0.75]).sum() == pytest.approx(2)
    assert drw_weights([1.0]).tolist() == [1.0]
