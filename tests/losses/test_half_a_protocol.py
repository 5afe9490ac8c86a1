"""A loss with a part of a protocol would never be called, and is refused."""

import pytest

from pa_difc import LOSSES, Schedule, make_loss
from pa_difc.losses.protocols import require_whole_protocols
from pa_difc.losses.spec import LossSpec
from pa_difc.util.errors import UserError


class Empty:
    pass


def has(*names, **values):
    """A loss with methods of these names and attributes of these values."""
    loss = Empty()
    for name in names:
        setattr(loss, name, lambda *_: None)
    for name, value in values.items():
        setattr(loss, name, value)
    return loss


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (has("update"), "has update() but no needs_target_logits, so"),
        (has(needs_target_logits=True), "has needs_target_logits but no update(), so"),
        (has("end_epoch"), "has end_epoch() but no set_steps_per_epoch() and steps_per_epoch, so"),
        (
            has("set_steps_per_epoch", steps_per_epoch=3),
            "has set_steps_per_epoch() and steps_per_epoch but no end_epoch()",
        ),
        (has("update_from_evaluation"), "has update_from_evaluation() but no needs_evaluation, so"),
        (has(needs_target_logits=True, update=3), "has needs_target_logits but no update(), so"),  # no method
    ],
)
def test_what_it_lacks_is_named(loss, said):
    with pytest.raises(UserError) as error:
        require_whole_protocols(loss, "mine")
    assert str(error.value).startswith("loss 'mine' ") and said in str(error.value)


def test_make_loss_names_its_class_or_its_name():
    with pytest.raises(UserError, match=r"^loss 'Empty' has update\(\) but"):
        make_loss(has("update"))
    LOSSES["half"] = LossSpec("half of a protocol", lambda inputs: has("update"))
    with pytest.raises(UserError, match=r"^loss 'half' has update\(\) but"):
        make_loss("half", [3, 2], Schedule(4))


@pytest.mark.parametrize(
    "loss",
    [
        has(),
        has(steps_per_epoch=3),  # for itself
        has("update", needs_target_logits=False),
        has("set_steps_per_epoch", "end_epoch", steps_per_epoch=None),
        has("update_from_evaluation", needs_evaluation=False),
    ],
)
def test_whole_protocols_and_none(loss):
    require_whole_protocols(loss, "mine")
