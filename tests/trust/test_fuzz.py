"""Settings, counts and logits that hypothesis makes up: a value that means something, or a plain refusal."""

import math
import types
import typing
from itertools import pairwise

import pytest
import torch
from damage import command, refused
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from made import settings_given

from pa_difc.functional import class_margins, confusion_margins, confusion_scores, di_loss, drw_weights
from pa_difc.losses import DIFCLoss
from pa_difc.losses.difc import mean_probs
from pa_difc.losses.schedule import Schedule
from pa_difc.training.keys import fixed_keys
from pa_difc.util.errors import DivergedError, UserError

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

#: Every key with its type; those of the loss and the method that are given by default among them.
HINTS = {key: about.hint for key, about in fixed_keys().items()}
OPTIONS = ["max_margin", "loss.epsilon", "beta", "class_weights", "weight", "method.repeat", "seed", "head"]
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from(["1e400", "-0", "9" * 400, "9" * 5000, "1_0", "٣"]))
WORDS = st.sampled_from(
    ["none", "true", "False", "cpu", "meta", "cuda:99", "mcd", "difc", "linear", "0.1,0.2", "", "="]
)
VALUES = st.one_of(NUMBERS.map(str), WORDS, st.text(max_size=20))
SETTINGS = st.lists(
    st.builds("{}={}".format, st.sampled_from(sorted([*HINTS, *OPTIONS])), VALUES) | st.text(max_size=9), max_size=4
)


@QUICK
@given(SETTINGS)
@example([f"margin_unit={'9' * 5000}"])
@example([f"backbone={'9' * 5000}"])
def test_settings_are_of_their_types_or_refused(given):
    given = [word for word in given if not word.startswith("-")]  # a flag, which is argparse's affair
    try:
        found = settings_given("--set", *given).flat() if given else settings_given().flat()
    except UserError as error:
        assert len(str(error)) < 3000
        return
    for name, hint in HINTS.items():
        value = found[name]
        kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        if float in kinds and value is not None:
            assert math.isfinite(value)
        if kinds[0] is int and value is not None:
            assert isinstance(value, int) and 0 <= value < 2**32


@settings(QUICK, max_examples=100)
@given(SETTINGS.filter(bool))
def test_the_command_says_so_in_one_line(given):
    """The data do not exist, so that what can be a setting is refused for them."""
    given = [g for g in given if not g.startswith(("-", "source=", "target="))] or ["x"]
    code, _, err = command("train", "--source", "folder:none", "--set", *given)
    assert refused(code, err), err


@settings(QUICK, max_examples=100)
@given(
    st.dictionaries(
        st.sampled_from(sorted([*HINTS, *OPTIONS])), VALUES | NUMBERS | st.booleans() | st.lists(st.integers())
    )
)
def test_a_settings_file_is_read_or_refused(tmp_path, values):
    lines = [f"{k} = {v if isinstance(v, (int, float)) else repr(v)}".lower() for k, v in values.items()]
    lines = [line for line in lines if not line.startswith(("source", "target"))]
    try:
        (tmp_path / "x.toml").write_text("\n".join(lines))
    except UnicodeEncodeError:
        return
    code, _, err = command("train", "--config", tmp_path / "x.toml", "--source", "folder:none")
    assert refused(code, err), err


COUNT = st.one_of(st.integers(1, 10**9), st.floats(1e-6, 1e300), st.sampled_from([1, 2**62, 5e-324, 1e308]))


@QUICK
@given(st.lists(COUNT, min_size=1, max_size=9), st.floats(0, 1e30), st.floats(0, 1))
def test_margins_and_weights_of_any_counts(counts, cap, beta):
    margins = class_margins(torch.tensor(counts, dtype=torch.float64), cap)
    assert margins.isfinite().all() and margins.max().item() == pytest.approx(cap)
    order = sorted(range(len(counts)), key=lambda k: counts[k])
    assert all(margins[a] >= margins[b] for a, b in pairwise(order))
    if min(counts) >= 1:  # an effective number of less than one sample has no meaning
        weights = drw_weights(torch.tensor(counts, dtype=torch.float64), beta)
        assert (weights >= 0).all() and weights.sum().item() == pytest.approx(len(counts))


@QUICK
@given(st.lists(st.one_of(st.integers(-3, 3), st.sampled_from([math.nan, math.inf, -math.inf])), max_size=5))
def test_counts_that_are_none_are_refused(counts):
    if counts and all(0 < c < math.inf for c in counts):
        return
    with pytest.raises(ValueError):
        class_margins(counts)
    with pytest.raises(ValueError):
        drw_weights(counts)


DTYPES = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])
EDGE = st.sampled_from([0.0, -0.0, 1e-40, 5e-324, 1e-8, 1.0, 30.0, 6e4, -6e4, 1e30, -1e30, 3e38, 1e300])


def logits_of(rows, dtype):
    limit = torch.finfo(dtype).max
    return torch.tensor(rows, dtype=torch.float64).clamp(-limit, limit).to(dtype)


ROWS = st.integers(2, 7).flatmap(
    lambda k: st.lists(st.lists(st.floats(-50, 50) | EDGE, min_size=k, max_size=k), min_size=1, max_size=6)
)


@QUICK
@given(ROWS, DTYPES, st.floats(0, 3), st.data())
def test_the_loss_of_finite_logits(rows, dtype, margin, data):
    """Never NaN, never negative, and not less than cross-entropy: the margin only makes it harder."""
    logits = logits_of(rows, dtype)
    labels = torch.tensor(data.draw(st.lists(st.integers(0, len(rows[0]) - 1), min_size=len(rows), max_size=len(rows))))
    margins = torch.full((len(rows[0]),), margin)
    loss, plain = (di_loss(logits, labels, m) for m in (margins, torch.zeros_like(margins)))
    assert not loss.isnan() and loss >= 0 and loss.dtype == torch.promote_types(dtype, torch.float32)
    assert loss >= plain * (1 - 1e-4) - 1e-4


@QUICK
@given(ROWS, DTYPES)
def test_confusion_of_finite_logits(rows, dtype):
    """At least 1 for each predicted class, infinite for the others, and margins that stay finite."""
    probs = mean_probs(logits_of(rows, dtype))
    scores = confusion_scores(probs)
    predicted = set(probs.argmax(1).tolist())
    assert not scores.isnan().any() and (scores >= 1 - 0.02).all()
    assert {k for k, s in enumerate(scores.tolist()) if s < math.inf} <= predicted | set(range(len(scores)))
    margins = confusion_margins(torch.zeros(len(scores)), scores)
    assert margins.isfinite().all() and margins.argmax() == scores.argmax()
    assert margins.sum().item() == pytest.approx(0.02 * (2 - 0.5 ** (len(scores) - 1)))


@QUICK
@given(st.lists(st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf]), min_size=3, max_size=3), DTYPES)
def test_logits_that_are_not_finite_never_become_margins(row, dtype):
    """A diverging method's target logits are refused; margins stay finite, and the loss itself says NaN."""
    loss = DIFCLoss([5, 9, 2], Schedule(steps_per_epoch=2, confusion_epoch=0), epsilon=0.1)
    logits = torch.tensor([row, [3.0, 1.0, 0.0]], dtype=dtype)
    for _ in range(2):
        if logits.softmax(1).isfinite().all():  # a class may be ruled out by -inf
            loss.update(logits)
        else:
            with pytest.raises(DivergedError, match="target_logits must be finite"):
                loss.update(logits)
    assert loss.margins.isfinite().all() and not loss.gap_sums.isnan().any()
    value = di_loss(torch.tensor([row], dtype=dtype), torch.tensor([0]), loss.margins)
    assert not value.isfinite() or all(math.isfinite(x) for x in row[:1])
