"""The losses beside DIFC's family, against plain loops written from their papers."""

import math
import pickle
import warnings

import pytest
import torch
from loss_loops import COUNTS, K, N, loop, made, probs, random_batch
from torch.nn.functional import cross_entropy

from pa_difc import LOSSES, Schedule, make_loss
from pa_difc.losses import LossSpec
from pa_difc.losses.baselines import CrossEntropyLoss, FocalLoss, LogitAdjustedLoss, WeightedLoss
from pa_difc.losses.cosine import ArcFaceOnCosines, CosFaceOnCosines, MarginHeadLoss
from pa_difc.losses.make import loss_state
from pa_difc.losses.spec import CLASSIFIERS, LossInputs
from pa_difc.util.errors import UserError


@pytest.fixture
def batch():
    return random_batch()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal(batch, gamma):
    expected = loop(batch, lambda z, y: -((1 - probs(z)[y]) ** gamma) * math.log(probs(z)[y]))
    assert FocalLoss(gamma)(*batch).item() == pytest.approx(expected, rel=1e-9)
    assert made("focal")(*batch).item() == pytest.approx(FocalLoss(2.0)(*batch).item())


def test_focal_has_a_gradient_where_nothing_is_missed():
    logits = torch.tensor([[80.0, 0.0]], requires_grad=True)
    FocalLoss(0.5)(logits, torch.tensor([0])).backward()
    assert logits.grad.isfinite().all()
    with pytest.raises(ValueError, match="gamma=-1"):
        FocalLoss(-1)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_logit_adjustment(batch, tau):
    shares = [n / sum(COUNTS) for n in COUNTS]
    adjusted = lambda z: probs([v + tau * math.log(s) for v, s in zip(z, shares, strict=True)])  # noqa: E731
    expected = loop(batch, lambda z, y: -math.log(adjusted(z)[y]))
    assert LogitAdjustedLoss(COUNTS, tau)(*batch).item() == pytest.approx(expected, rel=1e-6)


def test_balanced_softmax_is_logit_adjustment_at_one(batch):
    """Ren et al.: n_y e^{z_y} / Σ_k n_k e^{z_k}."""

    def value(z, y):
        weighted = [n * math.exp(v) for n, v in zip(COUNTS, z, strict=True)]
        return -math.log(weighted[y] / sum(weighted))

    assert made("balanced_softmax")(*batch).item() == pytest.approx(loop(batch, value), rel=1e-6)
    assert made("logit_adjusted")(*batch).equal(made("balanced_softmax")(*batch))
    assert LOSSES["balanced_softmax"].same_as == "logit_adjusted"


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("weighted_inverse", [1 / n for n in COUNTS]),
        ("weighted_effective", [(1 - 0.9999) / (1 - 0.9999**n) for n in COUNTS]),
    ],
)
def test_class_weights_from_the_first_step(batch, name, weights):
    logits, labels = batch
    total = sum(weights[int(y)] * -math.log(probs(z.tolist())[int(y)]) for z, y in zip(logits, labels, strict=True))
    expected = total / sum(weights[int(y)] for y in labels)
    assert made(name)(*batch).item() == pytest.approx(expected, rel=1e-5)
    assert WeightedLoss(torch.ones(K))(*batch).item() == pytest.approx(cross_entropy(*batch).item())


def test_effective_number_follows_beta(batch):
    a, b = made("weighted_effective", beta=0.9), made("weighted_effective", beta=0.9999)
    assert not a(*batch).isclose(b(*batch))


@pytest.mark.parametrize(("s", "m"), [(30.0, 0.35), (10.0, 0.2)])
def test_cosface(s, m):
    cosines = torch.rand(N, K, dtype=torch.float64) * 1.8 - 0.9
    labels = torch.arange(N) % K
    loss = MarginHeadLoss(CosFaceOnCosines(K, scale=s, margin=m), s)
    expected = loop(
        (cosines, labels), lambda c, y: -math.log(probs([s * (v - m * (k == y)) for k, v in enumerate(c)])[y])
    )
    assert loss(s * cosines, labels).item() == pytest.approx(expected, rel=1e-6)
    assert not list(loss.parameters())


@pytest.mark.parametrize(("s", "degrees"), [(30.0, 28.6), (12.0, 10.0)])
def test_arcface(s, degrees):
    cosines = torch.rand(N, K, dtype=torch.float64) * 1.6 - 0.8
    labels = torch.arange(N) % K
    m = math.radians(degrees)

    def value(c, y):
        return -math.log(probs([s * (math.cos(math.acos(v) + m) if k == y else v) for k, v in enumerate(c)])[y])

    loss = MarginHeadLoss(ArcFaceOnCosines(K, scale=s, margin=degrees), s)
    assert loss(s * cosines, labels).item() == pytest.approx(loop((cosines, labels), value), rel=1e-6)


def test_arcface_never_rewards_a_feature_that_turns_away_from_its_class():
    """cos(θ + m) alone would, beyond θ = π − m: features that start behind their class would go to its opposite."""
    own = torch.linspace(-0.999, 0.999, 400, dtype=torch.float64, requires_grad=True)
    logits = 5.0 * torch.stack([own, torch.full_like(own, -1.0)], 1)
    loss = MarginHeadLoss(ArcFaceOnCosines(2, scale=5.0), 5.0)
    torch.stack([loss(row[None], torch.tensor([0])) for row in logits]).sum().backward()
    assert (own.grad < 0).all()


@pytest.mark.parametrize("label", [0, 1])
def test_arcface_s_gradient_is_finite_at_the_ends(label):
    logits = torch.tensor([[30.0, -30.0, 0.0]], requires_grad=True)
    made("arcface", counts=[1, 1, 1], scale=30.0)(logits, torch.tensor([label])).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("reweighted", [False, True])
def test_ldam(reweighted):
    """s·(cos θ_y − 0.5 (N_min / N_y)^¼), weights from the second epoch on with drw."""
    s, labels = 30.0, torch.arange(N) % K
    cosines = torch.rand(N, K) * 1.8 - 0.9
    margins = [0.5 * (min(COUNTS) / n) ** 0.25 for n in COUNTS]
    expected = loop(
        (cosines, labels),
        lambda c, y: -math.log(probs([s * (v - margins[y] * (k == y)) for k, v in enumerate(c)])[y]),
    )
    loss = made("ldam_drw" if reweighted else "ldam", scale=s)
    assert loss(s * cosines, labels).item() == pytest.approx(expected, rel=1e-4)
    for _ in range(4):
        loss.update()
    assert loss.reweighted == reweighted


@pytest.mark.parametrize("name", [n for n in LOSSES if n != "ce"])
def test_classes_are_interchangeable(name, batch):
    logits, labels = batch[0].float() / 20, batch[1]
    order = torch.tensor([3, 0, 4, 1, 2])
    scale = CLASSIFIERS[LOSSES[name].classifier]
    loss = made(name, scale=scale)(scale * logits, labels)
    permuted = made(name, counts=[COUNTS[k] for k in order], scale=scale)
    assert permuted(scale * logits[:, order], order.argsort()[labels]).item() == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.parametrize("name", ["weighted_inverse", "weighted_effective", "logit_adjusted", "focal"])
def test_a_constant_added_to_logits_changes_nothing(name, batch):
    loss = made(name)
    assert loss(batch[0] + 7, batch[1]).item() == pytest.approx(loss(*batch).item(), rel=1e-6)


@pytest.mark.parametrize("name", ["weighted_inverse", "weighted_effective", "logit_adjusted"])
def test_equal_counts_are_cross_entropy(name, batch):
    assert made(name, counts=[50] * K)(*batch).item() == pytest.approx(cross_entropy(*batch).item(), rel=1e-6)


@pytest.mark.parametrize("name", ["weighted_inverse", "logit_adjusted", "ldam"])
def test_a_class_without_a_sample_is_an_error(name):
    with pytest.raises(ValueError, match=f"loss '{name}': "):
        made(name, counts=[1, 0, 2])


def test_losses_bring_their_classifier():
    assert (LOSSES["ldam"].classifier, LOSSES["difc"].classifier) == ("cosine", "linear")
    assert LOSSES["ldam"].classifiers == ("linear", "cosine") and LOSSES["cosface"].classifiers == ("cosine",)


@pytest.mark.parametrize("name", ["weighted_inverse", "weighted_effective", "logit_adjusted", "difc", "ldam"])
def test_an_empty_class_is_named(name):
    counts = {"counts": [40, 0, 17, 0, 9], "class_names": ("surprise", "fear", "disgust", "happy", "sad")}
    with pytest.raises(UserError, match=f"loss '{name}': classes fear, happy have no source sample") as error:
        made(name, **counts)
    assert "\n" not in str(error.value)
    for names in ((), ("surprise",)):  # too few to name it
        with pytest.raises(UserError, match="class 1 has no source sample"):
            made(name, counts=[4, 0, 5], class_names=names)


@pytest.mark.parametrize("name", ["difc", "cosface", "arcface"])
def test_a_loss_goes_to_another_process_and_gives_the_same(name):
    loss, logits, labels = made(name), 0.3 * torch.randn(N, K), torch.arange(N) % K
    again = pickle.loads(pickle.dumps(loss))
    assert torch.equal(again(logits, labels), loss(logits, labels))


@pytest.mark.parametrize("name", ["ce", "focal", "cosface", "arcface"])
def test_losses_that_need_no_counts_take_an_empty_class_or_none(name, batch):
    logits, labels = batch[0].float() / 4, batch[1] % 3
    scale = CLASSIFIERS[LOSSES[name].classifier]
    counted = made(name, counts=[40, 3, 17, 0, 0], scale=scale)(logits, labels)
    assert counted.equal(make_loss(name, num_classes=K, scale=scale)(logits, labels))


def test_a_number_of_classes_that_counts_contradict():
    with pytest.raises(UserError, match="loss 'cosface': num_classes=4 with 5 class_counts"):
        made("cosface", num_classes=4)
    with pytest.raises(UserError, match="loss 'arcface': needs num_classes"):
        make_loss("arcface")


def test_a_loss_without_label_smoothing_refuses_it(monkeypatch):
    monkeypatch.setitem(LOSSES, "plain", LossSpec("no smoothing", lambda inputs: lambda z, y: z.sum()))
    make_loss("plain")
    with pytest.raises(UserError, match="loss 'plain' has no label smoothing"):
        make_loss("plain", label_smoothing=0.1)


@pytest.mark.parametrize("name", ["cosface", "arcface"])
def test_margins_of_angles_refuse_what_are_no_cosines(name):
    loss, labels = make_loss(name, num_classes=3), torch.tensor([0, 2])
    cosines = torch.tensor([[0.9, -1.0, 0.2], [1.0, 0.1, -0.3]])
    assert loss(30 * cosines, labels).isfinite()  # the scale of a cosine classifier, where none is given
    with pytest.raises(ValueError, match=r"^logits of up to 40 with scale=30: must be scale · cosines") as error:
        loss(40 * cosines, labels)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_trained_logits_warns_of_nothing(name):
    logits = (0.3 * torch.randn(N, K)).requires_grad_()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made(name)(logits, torch.arange(N) % K).backward()
    finally:
        torch.set_warn_always(False)


@pytest.mark.parametrize("name", LOSSES)
def test_only_a_loss_with_state_is_held_for_resuming(name):
    loss = made(name)
    assert loss_state(loss) == ({"difc": loss} if name in ("drw", "margin", "di", "difc", "ldam", "ldam_drw") else {})
    assert loss_state(cross_entropy) == {}


@pytest.mark.parametrize("name", [n for n in LOSSES if LOSSES[n].classifier == "linear"])
def test_inputs_are_those_of_a_plain_linear_classifier(name, batch):
    logits, labels = batch[0], batch[1].index_fill(0, torch.tensor([3]), -100)
    inputs = LossInputs(COUNTS, Schedule(3), LOSSES[name].options())
    expected = make_loss(name, COUNTS, Schedule(3))
    assert LOSSES[name].build(inputs)(logits, labels).equal(expected(logits, labels))


@pytest.mark.parametrize(
    "make",
    [
        CrossEntropyLoss,
        FocalLoss,
        lambda **more: WeightedLoss(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), **more),
        lambda **more: LogitAdjustedLoss(COUNTS, **more),
        lambda **more: MarginHeadLoss(CosFaceOnCosines(K), 10.0, **more),
    ],
)
def test_nothing_is_smoothed_and_pytorch_s_index_ignored_unless_told(make, batch):
    logits, labels = batch[0].clamp(-10, 10), batch[1].index_fill(0, torch.tensor([3]), -100)
    assert make()(logits, labels).equal(make(label_smoothing=0.0, ignore_index=-100)(logits, labels))


@pytest.mark.parametrize("name", ["weighted_inverse", "weighted_effective", "logit_adjusted"])
def test_what_a_loss_holds_goes_to_the_logits_device(name):
    value = made(name).value(torch.zeros(N, K, device="meta"), torch.zeros(N, dtype=torch.long, device="meta"))
    assert value.device.type == "meta"


@pytest.mark.parametrize(("unit", "s"), [("logit", 5.0), ("spread", 1.0)])
def test_margins_and_epsilon_are_in_units_before_the_scale(unit, s):
    """s·(cos − Δ) = s·cos − s·Δ; in units of the logits' spread, which holds s already, they are as they are."""
    loss = made("difc", scale=5.0, max_margin=0.7, epsilon=0.4, margin_unit=unit)
    for _ in range(2):
        loss.update(torch.diag(torch.tensor([3.0, 1.0, 5.0, 2.0, 4.0])))  # least sure of 1, then 3, 0, 4, 2
    margins = [s * (0.7 * (3 / n) ** 0.25 + 0.4 / 2**j) for n, j in zip(COUNTS, [2, 0, 4, 1, 3], strict=True)]
    assert loss.margins.tolist() == pytest.approx(margins, rel=1e-5)


@pytest.mark.parametrize("name", ["weighted_inverse", "logit_adjusted", "difc"])
def test_what_a_loss_holds_is_raised_to_float64_and_never_rounded(name):
    loss = made(name)
    before = {n: (b.dtype, b.clone()) for n, b in loss.named_buffers()}
    for rounded in (loss.half(), loss.bfloat16()):
        for n, b in rounded.named_buffers():
            assert b.dtype == before[n][0] and torch.equal(b.nan_to_num(-1), before[n][1].nan_to_num(-1))
    assert {b.dtype for b in loss.double().buffers()} == {torch.float64}


@pytest.mark.parametrize("name", LOSSES)
def test_smoothing_goes_from_none_to_all(name):
    for alpha in (0.0, 1.0):
        assert made(name, label_smoothing=alpha)(torch.zeros(N, K), torch.arange(N) % K).isfinite()
    for alpha in (-0.01, 1.01):
        with pytest.raises(UserError, match=rf"^label_smoothing={alpha}: must be in \[0, 1\]"):
            made(name, label_smoothing=alpha)


@pytest.mark.parametrize("name", ["cosface", "arcface"])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_cosine_that_rounding_took_beyond_one_counts_as_one(name, label):
    loss, ends = make_loss(name, num_classes=3), torch.tensor([[1.0, -1.0, 0.97]], dtype=torch.float64)
    beyond = torch.tensor([[1.015, -1.015, 0.97]], dtype=torch.float64)
    assert loss(30 * beyond, torch.tensor([label])).item() == pytest.approx(
        loss(30 * ends, torch.tensor([label])).item()
    )
    both = torch.tensor([[-1.0, -1.0, -1.0]], dtype=torch.float64)
    assert loss(30 * 1.015 * both, torch.tensor([0])).item() == pytest.approx(loss(30 * both, torch.tensor([0])).item())
    lower = both.index_fill(1, torch.tensor([label]), -1.015)
    assert loss(30 * lower, torch.tensor([0])).item() == pytest.approx(loss(30 * both, torch.tensor([0])).item())
