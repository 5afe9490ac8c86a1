"""Defaults as the papers have them, and values at the borders of conditions."""

import math

import pytest
import torch
from loss_loops import COUNTS, K, random_batch

from pa_difc import LOSSES, DIFCLoss, FocalLoss, LogitAdjustedLoss, Schedule, WeightedLoss, losses, make_loss
from pa_difc.functional import di_loss, gap_sums, mean_probs
from pa_difc.losses import LossSpec
from pa_difc.util.errors import UserError


def test_defaults_are_the_papers():
    loss = DIFCLoss([1, 16, 10_000], Schedule(1, confusion_epoch=1, reweight_epoch=None))
    assert loss.base_margins.tolist() == pytest.approx([0.3, 0.15, 0.03])
    loss.update(torch.tensor([[4.0, 3.0, 0.0], [0.0, 9.0, 0.0]]))  # the first class is confused, the third not seen
    assert (loss.margins - loss.base_margins).tolist() == pytest.approx([0.01, 0.005, 0.02], abs=1e-6)
    weights = [(1 - 0.9999) / (1 - 0.9999**n) for n in (1, 16, 10_000)]
    assert loss.class_weights.tolist() == pytest.approx([3 * w / sum(weights) for w in weights], rel=1e-5)
    logits, labels = torch.tensor([[1.0, 2.0]]), torch.tensor([0])
    p = 1 / (1 + math.e)
    assert FocalLoss()(logits, labels).item() == pytest.approx(-((1 - p) ** 2) * math.log(p))
    assert make_loss("margin", [1, 1], Schedule(1)).base_margins.tolist() == pytest.approx([0.3, 0.3])  # scale 1


def test_di_never_comes_to_the_difc_phase():
    for name, phase in (("di", "di"), ("difc", "difc")):
        loss = make_loss(name, COUNTS, Schedule(1, confusion_epoch=1))
        loss.update(torch.randn(9, K))
        assert loss.phase.value == phase and loss.uses_target is (name == "difc")
    assert not DIFCLoss(COUNTS, Schedule(1), epsilon=0.0).uses_target
    assert not DIFCLoss(COUNTS, Schedule(1, confusion_epoch=None)).uses_target


def test_one_classifier_in_a_list_and_two_of_another_scale():
    logits = torch.randn(20, K, generator=torch.Generator().manual_seed(1))
    sums = []
    for given in (logits, [logits], [logits, logits]):
        loss = DIFCLoss(COUNTS, Schedule(5, confusion_epoch=1), scale=3.0)
        loss.update(given)
        sums.append(loss.gap_sums)
    top = (3 * logits.double()).softmax(1).sort(descending=True)
    expected = torch.zeros(K, dtype=torch.float64)
    expected.index_add_(0, top.indices[:, 0], top.values[:, 0] - top.values[:, 1])
    for found in sums:
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(mean_probs([logits, logits], 2.0), (2 * logits).softmax(1))


def test_a_class_that_was_predicted_once_is_seen():
    loss = DIFCLoss([5, 5, 5], Schedule(1, confusion_epoch=1, reweight_epoch=None), unseen="least", max_margin=0.0)
    loss.update(torch.tensor([[9.0, 0.0, 0.0], [0.0, 0.5, 0.0]]))
    assert loss.margins.tolist() == pytest.approx([0.01, 0.02, 0.005], abs=1e-6)


def test_all_weight_on_the_other_classes():
    """With smoothing 1 a sample's loss is the mean over all classes, and its weight still its own class's."""
    logits, labels = random_batch()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])[:K]
    losses = -logits.log_softmax(1).mean(1)
    expected = (weights[labels] * losses).sum() / weights[labels].sum()
    assert WeightedLoss(weights, label_smoothing=1.0)(logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_class_without_a_sample_has_no_logarithm():
    with pytest.raises(ValueError, match="every class needs a sample"):
        LogitAdjustedLoss([0, 3])


@pytest.mark.parametrize("name", ["cosface", "arcface"])
def test_cosines_far_below_minus_one_are_none(name):
    with pytest.raises(ValueError, match="logits of up to 40"):
        make_loss(name, num_classes=2)(torch.tensor([[-40.0, 1.0]]), torch.tensor([0]))


def test_an_epoch_of_one_step_is_learnt():
    loss = DIFCLoss(COUNTS, Schedule(None, confusion_epoch=1))
    loss.update(torch.randn(9, K))
    loss.end_epoch()
    assert loss.steps_per_epoch == 1 and loss.phase.value == "difc"


def test_an_end_that_does_not_fit_changes_nothing():
    loss = DIFCLoss(COUNTS, Schedule(5, confusion_epoch=1))
    for _ in range(3):
        loss.update(torch.randn(9, K))
    sums, margins = loss.gap_sums.clone(), loss.margins.clone()
    with pytest.warns(UserWarning, match="had 3 steps"):
        loss.end_epoch()
    assert loss.gap_sums.equal(sums) and sums.any() and loss.margins.equal(margins)


def test_labels_at_the_border():
    logits, labels = random_batch()
    for wrong in (K, -1):
        with pytest.raises(ValueError, match=f"label {wrong} with {K} classes"):
            make_loss("ce")(logits, torch.full_like(labels, wrong))
    kept = labels != 0
    ignoring = make_loss("ce", ignore_index=0)(logits, labels)
    assert ignoring.item() == pytest.approx(make_loss("ce")(logits[kept], labels[kept]).item())
    with pytest.raises(ValueError, match=rf"\(N, {K + 1}\)"):
        make_loss("ce", num_classes=K + 1)(logits, labels)
    with pytest.raises(TypeError, match=r": one of these$"):
        make_loss("ce")([logits, logits], labels)
    with pytest.raises(TypeError, match=r"must be a tensor \(N, K\)$"):
        make_loss("ce")(3, labels)
    with pytest.raises(ValueError, match=f"label {K} with {K} classes"):
        make_loss("ce")(logits[:1], torch.tensor([K]))


def test_a_sample_that_diverged_tells_nothing():
    probs = torch.tensor([[0.7, 0.2, 0.1], [float("nan"), 0.5, 0.5], [0.1, 0.6, 0.3]])
    sums, sizes = gap_sums(probs)
    assert sums.tolist() == pytest.approx([0.5, 0.3, 0.0], abs=1e-6) and sizes.tolist() == [1, 1, 0]


def test_one_evaluation_is_due_where_margins_are_refreshed_once():
    options = {"refresh": "once", "confusion_from": "evaluation"}
    loss = DIFCLoss(COUNTS, Schedule(1, confusion_epoch=1), **options)
    due = []
    for _ in range(4):
        due.append(loss.needs_evaluation)
        if due[-1]:
            loss.update_from_evaluation(torch.full((2, K), 1 / K))
        loss.update()
    assert due == [False, True, False, False]


def test_beyond_pi_minus_m_the_true_cosine_is_lowered_by_m_sin_m():
    """The authors' continuation: cos θ − m sin m where θ + m > π."""
    m = math.radians(40.0)
    cosine = -0.95  # θ = 161.8°
    loss = make_loss("arcface", num_classes=2, margin=40.0, scale=1.0)
    found = loss(torch.tensor([[cosine, 0.0]], dtype=torch.float64), torch.tensor([0])).item()
    assert found == pytest.approx(math.log(1 + math.exp(-(cosine - m * math.sin(m)))), rel=1e-5)


def test_a_loss_is_as_precise_as_its_logits():
    logits, labels = random_batch()
    margins = torch.full((K,), 0.3, dtype=torch.float64)
    for given, expected in (
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.half, torch.float32),
    ):
        assert di_loss(logits.to(given), labels, margins).dtype == expected
        assert di_loss(logits.to(given), labels, margins, 2 * margins).dtype == expected


def test_losses_of_others_say_whether_they_smooth(monkeypatch):
    monkeypatch.setitem(LOSSES, "plain", LossSpec("no such thing", lambda inputs: lambda z, y: z.sum()))
    with pytest.raises(UserError, match="loss 'plain' has no label smoothing"):
        make_loss("plain", label_smoothing=0.1)


def test_logits_are_raised_by_the_log_of_the_classes_shares():
    assert LogitAdjustedLoss([1, 3]).offsets.tolist() == pytest.approx([math.log(0.25), math.log(0.75)])


def test_a_truth_value_is_no_number_of_epochs():
    with pytest.raises(ValueError, match="steps_per_epoch=True: must be a whole number"):
        Schedule(True)


def test_all_names_are_listed():
    assert {"LOSSES", "make_loss", "DIFCLoss", "EpochedLoss"} <= set(losses.__all__)
