"""What holds where nothing is said: the paper's values, and no smoothing that a loss does not know of."""

import pytest
import torch

from pa_difc import LOSSES, Schedule, make_loss
from pa_difc.losses.spec import CLASSIFIERS, LossInputs, LossSpec
from pa_difc.util.errors import UserError

COUNTS = [81, 16, 1]


def test_margins_and_increments_are_those_of_the_paper():
    """The cap 0.3 and ε = 0.02 of section 5.2: Δ = 0.3 (N_min / N)^(1/4), and the most confused class has 0.02 more."""
    loss = make_loss("difc", COUNTS, Schedule(1, confusion_epoch=1))
    assert loss.margins.tolist() == pytest.approx([0.1, 0.15, 0.3])
    loss.update(torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.5, 0.0, 0.6]]))
    assert loss.margins.tolist()[2] == pytest.approx(0.32)


def test_class_weights_are_those_of_cui():
    """β = 0.9999: w ∝ (1 − β) / (1 − β^N)."""
    wanted = torch.tensor([(1 - 0.9999) / (1 - 0.9999**n) for n in COUNTS])
    loss = make_loss("drw", COUNTS, Schedule(1, reweight_epoch=0))
    torch.testing.assert_close(loss.class_weights, 3 * wanted / wanted.sum(), rtol=1e-4, atol=0)


def test_a_linear_classifier_s_logits_have_no_factor_and_cosines_have_30():
    assert CLASSIFIERS == {"linear": 1.0, "cosine": 30.0}
    assert LossInputs(COUNTS, None, None).scale == 1.0
    logits, labels = torch.tensor([[0.4, 0.1, -0.2]]), torch.tensor([0])
    plain = make_loss("margin", COUNTS, Schedule(1))(logits, labels)
    lowered = logits - torch.tensor([[0.1, 0.0, 0.0]])
    torch.testing.assert_close(plain, torch.nn.functional.cross_entropy(lowered, labels))


def test_a_loss_that_says_nothing_of_smoothing_is_not_smoothed():
    spec = LossSpec("half of it", lambda inputs: lambda z, y: 0.5 * torch.nn.functional.cross_entropy(z, y))
    LOSSES["half"] = spec
    try:
        with pytest.raises(UserError, match="loss 'half' has no label smoothing"):
            make_loss("half", label_smoothing=0.1)
    finally:
        del LOSSES["half"]
