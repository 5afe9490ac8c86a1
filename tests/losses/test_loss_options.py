"""Options of losses: their defaults, what each of them changes, and what is refused."""

import pytest
import torch
from loss_loops import COUNTS, logs, loop, lowered, made, random_batch
from torch.nn.functional import cross_entropy

from pa_difc import LOSSES, Schedule, make_loss
from pa_difc.losses.protocols import DescribedLoss, EvaluatedLoss, SteppedLoss
from pa_difc.util.errors import UserError
from pa_difc.util.options import describe

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


@pytest.fixture
def batch():
    return random_batch()


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
    assert make_loss(cross_entropy) is cross_entropy
    ignored = {"class_counts": COUNTS, "schedule": Schedule(3), "scale": 2.0, "gamma": 2.0, "label_smoothing": 0.1}
    for name, value in ignored.items():
        with pytest.raises(UserError, match=f"takes no options: {name}"):
            make_loss(cross_entropy, **{name: value})


@pytest.mark.parametrize("name", LOSSES)
def test_protocols_tell_losses_apart(name):
    has_state = name in ("drw", "margin", "di", "difc", "ldam", "ldam_drw")
    for protocol in (SteppedLoss, DescribedLoss, EvaluatedLoss):
        assert isinstance(made(name), protocol) is has_state
