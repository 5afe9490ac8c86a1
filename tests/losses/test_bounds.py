"""Which values the losses' options take: a contract over the registry."""

import pytest
from loss_loops import made

from pa_difc import LOSSES, DIFCLoss, FocalLoss, LogitAdjustedLoss, Schedule, make_loss
from pa_difc.util.errors import UserError
from pa_difc.util.options import describe

#: The least and the largest value of each option that is a number.
RANGES = {
    "max_margin": (0, None),
    "epsilon": (0, None),
    "beta": (0, 1),
    "gamma": (0, None),
    "tau": (0, None),
    "cosface margin": (0, 2),  # two cosines differ by no more
    "arcface margin": (0, 90),
}
CHOICES = {
    "margin_unit": ("logit", "spread"),
    "unseen": ("most", "least", "last"),
    "refresh": ("epoch", "once", "step"),
    "confusion_from": ("training", "evaluation"),
}
EACH = [(name, option) for name in LOSSES for option in describe(LOSSES[name].options) if option != "class_weights"]
NUMBERS = [(n, o) for n, o in EACH if o not in CHOICES]
WORDS = [(n, o) for n, o in EACH if o in CHOICES]


@pytest.mark.parametrize(("name", "option"), NUMBERS)
def test_a_number_goes_to_its_bounds_and_no_further(name, option):
    least, largest = RANGES[f"{name} margin" if option == "margin" else option]
    for inside in (least, 1000 if largest is None else largest):
        made(name, **{option: float(inside)})
    for outside in [least - 1e-3] + ([] if largest is None else [largest + 1e-3]):
        with pytest.raises(UserError, match=rf"^{option}={outside:g}: must be a finite number"):
            made(name, **{option: outside})


@pytest.mark.parametrize(("name", "option"), WORDS)
def test_a_word_is_one_of_its_choices(name, option):
    for word in CHOICES[option]:
        made(name, **{option: word})
    with pytest.raises(UserError, match=rf"^unknown {option.replace('_', ' ')} 'x'"):
        made(name, **{option: "x"})


@pytest.mark.parametrize("value", ["2", None, [2.0]])
def test_what_is_no_number_is_named(value):
    with pytest.raises(ValueError, match=r"^gamma=.*: must be a number$"):
        FocalLoss(value)
    with pytest.raises(ValueError, match=r"^tau=.*: must be a number$"):
        LogitAdjustedLoss([3, 2], value)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_is_finite_and_above_0(scale):
    with pytest.raises(ValueError, match=r"^scale=.*: must be a finite number above 0$"):
        DIFCLoss([3, 2], Schedule(4), scale=scale)


def test_a_schedule_that_is_none_is_shown():
    with pytest.raises(UserError, match=r"needs a schedule, not 4: such as Schedule"):
        make_loss("difc", [3, 2], 4)
    with pytest.raises(UserError, match=r"needs a schedule: such as Schedule"):
        make_loss("difc", [3, 2])
