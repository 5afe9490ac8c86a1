"""What every loss takes, and what it says of the rest: a contract over the registry."""

from collections import Counter, OrderedDict
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from loss_loops import COUNTS, K, N, made, random_batch

from pa_difc import LOSSES, DIFCLoss, LogitAdjustedLoss, Schedule, make_loss
from pa_difc.losses.inputs import require_classes
from pa_difc.util.errors import UserError


class ModelOutput(OrderedDict):
    """Like Hugging Face's: a dictionary whose entries are attributes, too."""

    logits = property(lambda self: self["logits"])


WRONG = {
    "a tuple": (lambda z, y: ((z, z), y), TypeError, "logits: got tuple of 2, must be a tensor"),
    "a list": (lambda z, y: ([z], y), TypeError, "logits: got list of 1, must be a tensor"),
    "an output": (lambda z, y: (ModelOutput(logits=z), y), TypeError, "got ModelOutput, .*: its .logits"),
    "an object": (lambda z, y: (SimpleNamespace(logits=z), y), TypeError, "got SimpleNamespace, .*: its .logits"),
    "nothing": (lambda z, y: (None, y), TypeError, "logits: got NoneType"),
    "whole logits": (lambda z, y: (z.long(), y), TypeError, r"logits of torch.int64: must be of a floating"),
    "pixels": (lambda z, y: (z[:, :, None], y), ValueError, rf"logits of shape \({N}, {K}, 1\): must be \(N, "),
    "float labels": (lambda z, y: (z, y.float()), TypeError, "labels of torch.float32: must be whole numbers"),
    "shares": (lambda z, y: (z, z.softmax(1)), TypeError, "labels of torch.float64: must be whole numbers"),
    "a column": (lambda z, y: (z, y[:, None]), ValueError, rf"labels of shape \({N}, 1\): must be \({N},\)"),
    "too few": (lambda z, y: (z, y[:3]), ValueError, rf"labels of shape \(3,\): must be \({N},\)"),
    "one": (lambda z, y: (z, y[0]), ValueError, rf"labels of shape \(\): must be \({N},\)"),
    "a list of labels": (lambda z, y: (z, y.tolist()), TypeError, f"labels: got list of {N}"),
    "beyond": (
        lambda z, y: (z, y + 3),
        ValueError,
        r"label 5 with 5 classes: must be in 0 … 4, or be ignore_index=-100",
    ),
    "negative": (lambda z, y: (z, y - 2), ValueError, r"label -2 with 5 classes"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", LOSSES)
def test_what_no_loss_takes_is_named_in_a_line(name, wrong):
    spoil, kind, message = WRONG[wrong]
    with pytest.raises(kind, match=message) as error:
        made(name)(*spoil(*random_batch()))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8])
@pytest.mark.parametrize("name", LOSSES)
def test_labels_of_any_whole_type_mean_the_same(name, dtype):
    logits, labels = random_batch()
    loss = made(name)
    assert loss(logits, labels.to(dtype)).equal(loss(logits, labels))
    if dtype != torch.uint8:
        some = labels.masked_fill(labels == 1, -100)
        assert loss(logits, some.to(dtype)).equal(loss(logits, some))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_a_finite_scalar_and_a_mean(name, dtype):
    logits, labels = random_batch()
    loss = made(name)
    value = loss(logits.to(dtype), labels)
    assert value.shape == () and value.isfinite() and value.dtype == torch.promote_types(dtype, torch.float32)
    twice = loss(torch.cat([logits, logits]).to(dtype), torch.cat([labels, labels]))
    torch.testing.assert_close(twice, value)


@pytest.mark.parametrize("name", [n for n in LOSSES if n not in ("focal", "ce")])
def test_logits_of_another_number_of_classes(name):
    with pytest.raises(ValueError, match=rf"logits of shape \({N}, 6\): must be \(N, {K}\)"):
        made(name)(torch.zeros(N, 6), torch.zeros(N, dtype=torch.long))


@pytest.mark.parametrize("confusion_epoch", [1, 9])
@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        (ModelOutput(logits=torch.zeros(4, K)), TypeError, "target_logits: got ModelOutput, .*: its .logits"),
        ([torch.zeros(4, K), None], TypeError, "target_logits: got NoneType"),
        ([], TypeError, "target_logits: got list of 0"),
        ("logits", TypeError, "target_logits: got str"),
        (torch.zeros(4, K, dtype=torch.long), TypeError, "target_logits of torch.int64"),
        (torch.zeros(4, K + 1), ValueError, rf"target_logits of shape \(4, {K + 1}\): must be \(N, {K}\)"),
        ((torch.zeros(4, K), torch.zeros(4)), ValueError, r"target_logits of shape \(4,\)"),
    ],
)
def test_target_logits_that_are_none(target, kind, message, confusion_epoch):
    """At once, not in the epoch that first reads them; and the step does not count."""
    loss = DIFCLoss(COUNTS, Schedule(steps_per_epoch=2, confusion_epoch=confusion_epoch))
    with pytest.raises(kind, match=message) as error:
        loss.update(target)
    assert "\n" not in str(error.value) and loss.step == 0 and not loss.gap_counts.any()


def test_a_count_that_no_tensor_holds_is_the_one_that_is_named():
    with pytest.raises(ValueError, match=rf"^class_counts\[1\]={2**70}"):
        DIFCLoss([200, 2**70], Schedule(3))


@pytest.mark.parametrize(("classes", "said"), [(None, r"0 …, or"), (3, r"with 3 classes: must be in 0 … 2, or")])
def test_a_label_that_is_no_class(classes, said):
    with pytest.raises(ValueError, match=rf"^label -3.*{said} be ignore_index=-100$"):
        require_classes(torch.tensor([0, 2, -3]), classes, -100)
    require_classes(torch.tensor([0, 2]), classes, -100)


def test_probabilities_that_are_none():
    loss = DIFCLoss(COUNTS, Schedule(steps_per_epoch=2, confusion_epoch=0), confusion_from="evaluation")
    with pytest.raises(TypeError, match="probs: got list of 1"):
        loss.update_from_evaluation([torch.zeros(4, K)])
    with pytest.raises(ValueError, match=r"probs of shape \(4, 3\)"):
        loss.update_from_evaluation(torch.zeros(4, 3))


@pytest.mark.parametrize("pair", [list, tuple])
def test_two_classifiers_come_in_a_list_or_a_tuple(pair):
    losses = [DIFCLoss(COUNTS, Schedule(steps_per_epoch=1, confusion_epoch=1)) for _ in range(2)]
    first, second = random_batch()[0], random_batch()[0].roll(1, 1)
    losses[0].update(pair([first, second]))
    probs = (first.softmax(1) + second.softmax(1)) / 2
    losses[1].update(probs.log())
    torch.testing.assert_close(losses[0].confusion, losses[1].confusion)


@pytest.mark.parametrize("name", LOSSES)
def test_counts_that_are_no_row_of_numbers(name):
    for counts, said in (
        (Counter([0, 0, 1]), "class_counts is a Counter: must be"),
        ("123", "class_counts is a str: must be"),
        ([[3, 4, 5]], r"class_counts of shape \(1, 3\)"),
        ([3, Decimal(4), 5], r"class_counts\[1\] is a Decimal: must be"),
        ((3, 4, "5"), r"class_counts\[2\] is a str: must be"),
        ([3, 2**63, 5], r"class_counts\[1\]=9223372036854775808: must be"),
        (np.ma.masked_array([3, 4, 5], mask=[0, 1, 0]), "masked array: give the number of samples of every class"),
        (torch.tensor([3, 4, 5]).to_sparse(), "torch.sparse_coo: must be a dense tensor with values"),
        (torch.empty(3, device="meta"), "class_counts on meta, .*: must be a dense tensor with values"),
    ):
        with pytest.raises(UserError, match=said) as error:
            make_loss(name, counts, Schedule(3))
        assert "\n" not in str(error.value)


FRACTIONS = [([40, 12.5, 3], r"class_counts\[1\]=12.5: must be a whole number of samples, at least 0$")]
FRACTIONS += [
    (torch.tensor([3.0, 40.0, 7.25]), r"class_counts\[2\]=7.25: must be a whole number of samples, at least 0$")
]
FRACTIONS += [(np.array([0.5, 0.3, 0.2]), r"these look like proportions; give the samples per class$")]


@pytest.mark.parametrize("counts", [[True, True, False, True], np.array([5, 0, 2, 7]) > 1])
@pytest.mark.parametrize("name", LOSSES)
def test_a_mask_is_no_count(name, counts):
    with pytest.raises(UserError, match=rf"^loss '{name}': .*\[True, .*not True or False"):
        make_loss(name, counts, Schedule(3))


@pytest.mark.parametrize(("counts", "said"), FRACTIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_no_class_has_half_a_sample(name, counts, said):
    with pytest.raises(UserError, match=rf"^loss '{name}': .*{said}"):
        make_loss(name, counts, Schedule(3))
    for direct in (DIFCLoss, lambda counts, _: LogitAdjustedLoss(counts)):
        with pytest.raises(ValueError, match=rf"^class_counts.*{said.removeprefix('class_counts')}"):
            direct(counts, Schedule(3))


@pytest.mark.parametrize(
    "counts", [[40, -3, 3], [40, -60, 3], torch.tensor([40.0, float("nan"), 3.0]), [40, float("inf"), 3]]
)
@pytest.mark.parametrize("name", LOSSES)
def test_a_count_is_a_number_of_samples(name, counts):
    with pytest.raises(
        UserError, match=rf"^loss '{name}': class_counts\[1\]=.*: must be a whole number of samples, at least 0$"
    ):
        make_loss(name, counts, Schedule(3))


class Series(np.ndarray):
    """A stand-in for one of pandas: values with an index, and a method that is called as a masked array's mask."""

    def mask(self, condition):
        return self


def series(values, index):
    made = np.array(values).view(Series)
    made.index = index
    return made


@pytest.mark.parametrize("name", LOSSES)
def test_counts_in_the_order_of_their_frequency_are_refused(name):
    """As pandas' value_counts() gives them: the rarest class would have the smallest margin."""
    logits, labels = torch.randn(8, 3), torch.arange(8) % 3
    right = make_loss(name, [5, 10, 100], Schedule(3))
    for counts in (series([5, 10, 100], [0, 1, 2]), series([5, 10, 100], range(3))):
        torch.testing.assert_close(make_loss(name, counts, Schedule(3))(logits, labels), right(logits, labels))
    for index in ([2, 1, 0], ["happy", "sad", "fear"]):
        with pytest.raises(
            UserError, match=rf"^loss '{name}': class_counts has the index .*{index[0]}.*in the order of"
        ):
            make_loss(name, series([100, 10, 5], index), Schedule(3))


@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64"])
@pytest.mark.parametrize("name", LOSSES)
def test_counts_of_pandas(name, dtype):
    pandas = pytest.importorskip("pandas")
    logits, labels = torch.randn(8, 3), torch.arange(8) % 3
    counted = pandas.Series([0] * 5 + [1] * 10 + [2] * 100).value_counts().astype(dtype)
    right = make_loss(name, [5, 10, 100], Schedule(3))
    made = make_loss(name, counted.sort_index(), Schedule(3))
    torch.testing.assert_close(made(logits, labels), right(logits, labels))
    with pytest.raises(UserError, match=rf"^loss '{name}': class_counts has the index \[2, 1, 0\]: must be in"):
        make_loss(name, counted, Schedule(3))


def test_weights_in_the_order_of_the_frequency_are_refused():
    with pytest.raises(ValueError, match=r"^class_weights has the index \[2, 0, 1\]: must be in the order of the clas"):
        DIFCLoss([9, 3, 20], Schedule(3), class_weights=series([1.0, 2.0, 4.0], [2, 0, 1]))
    loss = DIFCLoss([9, 3, 20], Schedule(3), class_weights=series([2.0, 4.0, 1.0], [0, 1, 2]))
    assert loss.class_weights.tolist() == [2.0, 4.0, 1.0]


@pytest.mark.parametrize("name", LOSSES)
def test_complex_counts(name):
    with pytest.raises(UserError, match=r"class_counts of torch\.complex.*: must be real numbers"):
        make_loss(name, [100, 10, 3j], Schedule(3))


@pytest.mark.parametrize("name", LOSSES)
def test_counts_of_another_number_of_classes_than_the_logits(name):
    loss = make_loss(name, [40, 12, 3], Schedule(3))
    with pytest.raises(
        UserError, match=r"^logits of shape \(8, 4\): must be \(N, 3\): .* by class_counts or num_classes$"
    ):
        loss(torch.zeros(8, 4), torch.arange(8) % 3)


def test_proportions_are_refused_beside_weights_too():
    with pytest.raises(ValueError, match="these look like proportions"):
        DIFCLoss([0.5, 0.3, 0.2], Schedule(3), class_weights=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("name", LOSSES)
def test_whole_counts_may_be_floats(name):
    logits, labels = random_batch()
    whole = [float(count) for count in COUNTS]
    for counts in (whole, np.array(whole), torch.tensor(whole, dtype=torch.float64)):
        torch.testing.assert_close(made(name, counts)(logits, labels), made(name)(logits, labels))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_none(name, scale):
    with pytest.raises(UserError, match=r"^scale=.*: must be a finite number above 0"):
        make_loss(name, COUNTS, Schedule(3), scale=scale)


def test_counts_of_other_classes():
    with pytest.raises(UserError, match=f"num_classes=2 with {len(COUNTS)} class_counts: must be the same number"):
        make_loss("difc", COUNTS, Schedule(3), num_classes=2)


@pytest.mark.parametrize("field", ["steps_per_epoch", "warmup_epochs", "confusion_epoch", "reweight_epoch"])
def test_epochs_are_whole(field):
    with pytest.raises(ValueError, match=rf"^{field}=2.5: must be a whole number"):
        Schedule(**{"steps_per_epoch": 3, field: 2.5})
    assert Schedule(**{"steps_per_epoch": 3, field: torch.tensor(2).numpy()[()]})
