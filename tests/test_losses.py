"""The losses beside DIFC's family, against plain loops written from their papers."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from pa_difc import LOSSES, Schedule, make_loss
from pa_difc.losses.baselines import FocalLoss, LogitAdjustedLoss, WeightedLoss
from pa_difc.losses.cosine import ArcFaceOnCosines, CosFaceOnCosines, MarginHeadLoss
from pa_difc.losses.protocols import DescribedLoss, EvaluatedLoss, SteppedLoss
from pa_difc.util.errors import UserError
from pa_difc.util.options import describe

N, K = 12, 5
COUNTS = [40, 3, 17, 120, 9]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(N, K, generator=generator, dtype=torch.float64), torch.arange(N) % K


def probs(row):
    top = max(row)
    exp = [math.exp(z - top) for z in row]
    return [e / sum(exp) for e in exp]


def made(name, counts=COUNTS, **kwargs):
    return make_loss(name, counts, Schedule(steps_per_epoch=2, confusion_epoch=1, reweight_epoch=1), **kwargs)


def loop(batch, value):
    """Mean over samples of value(logits, label)."""
    rows = [value(row.tolist(), int(y)) for row, y in zip(*batch, strict=True)]
    return sum(rows) / len(rows)


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


def test_arcface_s_gradient_is_finite_at_the_ends():
    logits = torch.tensor([[30.0, -30.0, 0.0]], requires_grad=True)
    made("arcface", counts=[1, 1, 1], scale=30.0)(logits, torch.tensor([0])).backward()
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
    logits, labels = batch[0].float() / 10, batch[1]
    order = torch.tensor([3, 0, 4, 1, 2])
    scale = LOSSES[name].scale
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
    assert (LOSSES["ldam"].classifier, LOSSES["ldam"].scale) == ("cosine", 30.0)
    assert (LOSSES["difc"].classifier, LOSSES["difc"].scale) == ("linear", 1.0)
    assert LOSSES["ldam"].classifiers == ("linear", "cosine") and LOSSES["cosface"].classifiers == ("cosine",)


@pytest.mark.parametrize("name", ["weighted_inverse", "weighted_effective", "logit_adjusted", "difc", "ldam"])
def test_an_empty_class_is_named(name):
    counts = {"counts": [40, 0, 17, 0, 9], "class_names": ("surprise", "fear", "disgust", "happy", "sad")}
    with pytest.raises(UserError, match=f"loss '{name}': classes fear, happy have no source sample") as error:
        made(name, **counts)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="class 1 has no source sample"):
        made(name, counts=[4, 0, 5])


@pytest.mark.parametrize("name", ["ce", "focal", "cosface", "arcface"])
def test_losses_that_need_no_counts_take_an_empty_class_or_none(name, batch):
    logits, labels = batch[0].float() / 4, batch[1] % 3
    scale = LOSSES[name].scale
    counted = made(name, counts=[40, 3, 17, 0, 0], scale=scale)(logits, labels)
    assert counted.equal(make_loss(name, num_classes=K, scale=scale)(logits, labels))


def test_a_number_of_classes_that_counts_contradict():
    with pytest.raises(UserError, match="loss 'cosface': num_classes=4 with 5 class_counts"):
        made("cosface", num_classes=4)
    with pytest.raises(UserError, match="loss 'arcface': needs num_classes"):
        make_loss("arcface")


# Label smoothing: q = (1 − α)·onehot + α/K, α away from 0


ALPHA = 0.3


def smoothed(losses, y):
    """Σ_k q_k ℓ_k of one sample."""
    return sum(((1 - ALPHA) * (k == y) + ALPHA / len(losses)) * value for k, value in enumerate(losses))


def logs(z):
    return [-math.log(p) for p in probs(z)]


def lowered(z, y, margin, s=1.0):
    return [s * (v - margin * (k == y)) for k, v in enumerate(z)]


SHARES = [n / sum(COUNTS) for n in COUNTS]
MARGINS = [0.3 * (min(COUNTS) / n) ** 0.25 for n in COUNTS]
SMOOTHED = {
    "ce": lambda z, y: logs(z),
    "focal": lambda z, y: [(1 - p) ** 2 * -math.log(p) for p in probs(z)],
    "logit_adjusted": lambda z, y: logs([v + math.log(s) for v, s in zip(z, SHARES, strict=True)]),
    "balanced_softmax": lambda z, y: logs([v + math.log(s) for v, s in zip(z, SHARES, strict=True)]),
    "margin": lambda z, y: logs(lowered(z, y, MARGINS[y])),
    "difc": lambda z, y: logs(lowered(z, y, MARGINS[y])),
    "cosface": lambda z, y: logs(lowered(z, y, 0.35)),
    "arcface": lambda z, y: logs(
        [math.cos(math.acos(v) + math.radians(28.6)) if k == y else v for k, v in enumerate(z)]
    ),
}


@pytest.mark.parametrize("name", SMOOTHED)
def test_label_smoothing_against_loops(name, batch):
    logits = 1.6 * torch.rand(N, K, dtype=torch.float64) - 0.8 if name in ("cosface", "arcface") else batch[0]
    expected = loop((logits, batch[1]), lambda z, y: smoothed(SMOOTHED[name](z, y), y))
    found = made(name, label_smoothing=ALPHA)(logits, batch[1]).mean()
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert not found.isclose(made(name)(logits, batch[1]).mean())


@pytest.mark.parametrize("name", ["weighted_inverse", "weighted_effective", "drw", "di"])
def test_a_class_weight_multiplies_the_whole_smoothed_loss(name, batch):
    weights = [1 / n for n in COUNTS] if name == "weighted_inverse" else [1 / (1 - 0.9999**n) for n in COUNTS]
    margins = MARGINS if name == "di" else [0.0] * K
    loss = made(name, label_smoothing=ALPHA)
    for _ in range(2 if name in ("drw", "di") else 0):
        loss.update()  # to the epoch in which class weights join
    rows = [(z.tolist(), int(y)) for z, y in zip(*batch, strict=True)]
    total = sum(weights[y] * smoothed(logs(lowered(z, y, margins[y])), y) for z, y in rows)
    assert loss(*batch).item() == pytest.approx(total / sum(weights[y] for _, y in rows), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_no_smoothing_is_the_loss_itself_to_the_bit(name, batch):
    logits = batch[0] / 10
    assert made(name, label_smoothing=0.0)(logits, batch[1]).equal(made(name)(logits, batch[1]))
    with pytest.raises(UserError, match=r"label_smoothing=1.5: must lie in \[0, 1\]"):
        made(name, label_smoothing=1.5)


# Options: what each loss has, and what it makes of them


#: The options of each loss with a value away from the default, and what 0.1.0 had for them as constants or arguments.
OPTIONS = {
    "ce": {},
    "drw": {"beta": (0.9999, 0.9), "class_weights": (None, (1.0, 2.0, 3.0, 4.0, 5.0))},
    "margin": {"max_margin": (0.3, 0.7), "margin_unit": ("logit", "spread")},
    "weighted_inverse": {},
    "weighted_effective": {"beta": (0.9999, 0.9)},
    "focal": {"gamma": (2.0, 3.0)},
    "logit_adjusted": {"tau": (1.0, 0.5)},
    "balanced_softmax": {},
    "ldam": {"max_margin": (0.5, 0.2), "margin_unit": ("logit", "spread")},
    "cosface": {"margin": (0.35, 0.2)},
    "arcface": {"margin": (28.6, 10.0)},
}
OPTIONS["di"] = OPTIONS["margin"] | OPTIONS["drw"]
OPTIONS["ldam_drw"] = OPTIONS["ldam"] | OPTIONS["drw"]
OPTIONS["difc"] = OPTIONS["di"] | {
    "epsilon": (0.02, 0.5),
    "unseen": ("most", "least"),
    "refresh": ("epoch", "once"),
    "confusion_from": ("training", "evaluation"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_has_the_options_of_its_ingredients_and_no_other(name):
    assert {n: about.default for n, about in describe(LOSSES[name].options).items()} == {
        n: default for n, (default, _) in OPTIONS[name].items()
    }
    with pytest.raises(UserError, match=f"loss {name} has no option|unknown option of loss {name} 'max_margins'"):
        made(name, max_margins=1.0)


def trained_value(name, logits, labels, **options):
    """The loss in its third epoch, after target predictions none of which is of class 2."""
    loss = made(name, scale=2.0, **options)
    target = logits.roll(1, dims=1).index_fill(1, torch.tensor(2), -30.0).float()
    for step in range(4 if hasattr(loss, "update") else 0):
        if getattr(loss, "needs_evaluation", False):
            loss.update_from_evaluation(target.flip(1).softmax(1))
        loss.update(target * (1 + step))
    if getattr(loss, "needs_evaluation", False):
        loss.update_from_evaluation(target.flip(1).softmax(1))
    return loss(logits, labels).mean().item()


@pytest.mark.parametrize(("name", "option"), [(n, o) for n, options in OPTIONS.items() for o in options])
def test_every_option_of_a_loss_changes_it(name, option, batch):
    logits, labels = batch[0] / 6, batch[1]
    if option == "refresh":  # which only later epochs tell apart
        a, b = (made(name, refresh=value, epsilon=0.5) for value in OPTIONS[name]["refresh"])
        for step in range(6):
            a.update(logits.roll(step, dims=1).float()), b.update(logits.roll(step, dims=1).float())
        assert not a.margins.equal(b.margins)
        return
    default, other = OPTIONS[name][option]
    plain = trained_value(name, logits, labels)
    assert trained_value(name, logits, labels, **{option: default}) == plain
    assert trained_value(name, logits, labels, **{option: other}) != pytest.approx(plain, rel=1e-6)


def test_ldam_s_margin_can_be_set(batch):
    cosines, labels = batch[0] / 10, batch[1]
    margins = [0.2 * (min(COUNTS) / n) ** 0.25 for n in COUNTS]
    expected = loop((cosines, labels), lambda c, y: logs(lowered(c, y, margins[y], 30.0))[y])
    assert made("ldam", scale=30.0, max_margin=0.2)(30 * cosines, labels).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("difc", {"max_margn": 1}, "unknown option of loss difc 'max_margn': did you mean 'max_margin'"),
        ("drw", {"max_margin": 0.3}, "unknown option of loss drw 'max_margin'"),
        ("ce", {"gamma": 2.0}, "loss ce has no option 'gamma': it has none"),
        ("focal", {"gamma": -1.0}, "gamma=-1.0: must be a finite number at least 0"),
        ("arcface", {"margin": 100.0}, "margin=100.0: must be a finite number at least 0 and at most 90"),
        ("difc", {"unseen": "x"}, "unknown unseen 'x'"),
        ("difc", {"refresh": "step", "confusion_from": "evaluation"}, "refresh must be 'epoch' or 'once'"),
    ],
)
def test_options_that_do_not_fit(name, options, message):
    with pytest.raises(UserError, match=message) as error:
        made(name, **options)
    assert "\n" not in str(error.value)


def test_a_callable_is_returned_as_it_is_and_takes_no_options():
    assert make_loss(cross_entropy, COUNTS) is cross_entropy
    with pytest.raises(UserError, match="takes no options: gamma"):
        make_loss(cross_entropy, gamma=2.0)


@pytest.mark.parametrize("name", LOSSES)
def test_protocols_tell_losses_apart(name):
    has_state = name in ("drw", "margin", "di", "difc", "ldam", "ldam_drw")
    for protocol in (SteppedLoss, DescribedLoss, EvaluatedLoss):
        assert isinstance(made(name), protocol) is has_state
