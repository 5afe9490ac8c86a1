"""The range of every option of every method: the outermost values are taken, the next ones are refused."""

import pytest

from pa_difc import METHODS
from pa_difc.util.errors import UserError
from pa_difc.util.options import describe

TINY = 1e-9
NOT_NEGATIVE = ([0.0], [-TINY])
POSITIVE = ([TINY], [0.0])
SHARE = ([0.0, 1 - TINY], [-TINY, 1.0])
AT_LEAST_ONE = ([1], [0])
ANYTHING = ([-100.0, 100.0], [])

#: By name, as it means the same in each method: values at the ends of its range, and values just beyond them.
RANGES = {
    "abc_threshold": ([0.0, 1.0], [-TINY, 1 + TINY]),
    "abc_weight": NOT_NEGATIVE,
    "align": (["equal", "none"], ["even"]),
    "align_power": ([TINY, 1.0], [0.0, 1 + TINY]),
    "alpha": NOT_NEGATIVE,
    "conditional_weight": NOT_NEGATIVE,
    "directions": AT_LEAST_ONE,
    "dropout": SHARE,
    "entropy_weight": NOT_NEGATIVE,
    "epsilon": POSITIVE,
    "gamma": POSITIVE,
    "information": NOT_NEGATIVE,
    "initial_spread": ANYTHING,
    "kernel_scales": ([(TINY,), (1.0, TINY)], [(), (0.0,), (1.0, -TINY)]),
    "label_cost": NOT_NEGATIVE,
    "largest_plan": POSITIVE,
    "largest_product": ([0], [-1]),
    "largest_ratio": ([1.0], [1 - TINY]),
    "links_across": ([(0.0, 0.0, 0.0)], [(-TINY, 0.0, 0.0), (0.0, 0.0), (0.0,) * 4]),
    "links_within": ([(0.0, 0.0)], [(0.0, -TINY), (0.0,), (0.0,) * 3]),
    "max_reversal": NOT_NEGATIVE,
    "mcc_temperature": POSITIVE,
    "mcc_weight": NOT_NEGATIVE,
    "sentry_weight": NOT_NEGATIVE,
    "balance": NOT_NEGATIVE,
    "momentum": SHARE,
    "neighbours": AT_LEAST_ONE,
    "random_features": AT_LEAST_ONE,
    "repeat": AT_LEAST_ONE,
    "reuse_features": ([False, True], [2]),
    "step_size": POSITIVE,
    "strong_views": ([False, True], [2]),
    "target_epsilon": NOT_NEGATIVE,
    "target_loss": (["ce", "drw", "margin", "di", "difc"], ["focal"]),
    "target_margin": NOT_NEGATIVE,
    "target_power": ([0.0, 1.0], [-TINY, 1 + TINY]),
    "target_weight": NOT_NEGATIVE,
    "tau": POSITIVE,
    "teacher": (["student", "average", "start", "./model", "runs/a"], ["pupil"]),
    "teacher_decay": ([TINY, 1 - TINY], [0.0, 1.0]),
    "temperature": ([0.0, 1.0], [-TINY, 1 + TINY]),
    "threshold": ([0.0, 1.0], [-TINY, 1 + TINY]),
    "weight": NOT_NEGATIVE,
}
#: Options without which one has no effect.
WITH = {
    "align_power": {"align": "equal"},
    "target_epsilon": {"target_loss": "difc"},
    "target_margin": {"target_loss": "di"},
    "target_power": {"target_loss": "di"},
    "teacher_decay": {"teacher": "average"},
    "temperature": {"align": "equal"},
}
HAVING = [(method, name) for method in (*METHODS, "source_only+abc") for name in describe(METHODS[method].Options)]


@pytest.mark.parametrize(("method", "name"), HAVING)
def test_the_ends_of_a_range_are_in_it_and_what_lies_beyond_is_not(method, name):
    within, beyond = RANGES[name]
    for value in within:
        assert getattr(METHODS[method].Options(**WITH.get(name, {}), **{name: value}), name) == value
    for value in beyond:
        with pytest.raises(UserError, match=name.replace("_", "[_ ]")):
            METHODS[method].Options(**WITH.get(name, {}), **{name: value})
