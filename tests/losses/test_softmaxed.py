"""Probabilities in the place of logits train a flat loss: a warning, once."""

import warnings
from pathlib import Path

import pytest
import torch
from loss_loops import K, made, random_batch

from pa_difc import LOSSES, DIFCLoss, Schedule
from pa_difc.util.errors import ModelWarning

ON_LOGITS = [name for name in LOSSES if name not in ("cosface", "arcface")]


def warned(calls):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for call in calls:
            call()
    return [str(one.message) for one in caught if issubclass(one.category, ModelWarning)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ON_LOGITS)
def test_a_softmax_before_the_loss_is_named_once(name, dtype):
    logits, labels = random_batch()
    loss = made(name)
    (said,) = warned([lambda: loss(logits.to(dtype).softmax(1), labels)] * 3)
    assert said.startswith("logits look like probabilities") and "without a softmax" in said and "\n" not in said


def test_certain_probabilities_are_probabilities():
    """Zeros among them."""
    _, labels = random_batch()
    loss = made("ce")
    assert len(warned([lambda: loss(torch.eye(K)[labels], labels)])) == 1


@pytest.mark.parametrize("name", ON_LOGITS)
def test_logits_give_no_warning(name):
    logits, labels = random_batch()
    for given in (logits, logits.log_softmax(1), torch.zeros_like(logits), logits.sigmoid(), logits[:0]):
        loss = made(name)
        assert warned([lambda given=given, loss=loss: loss(given, labels[: len(given)])]) == []


@pytest.mark.parametrize("two", [False, True])
def test_a_softmax_before_update_is_named_once(two):
    logits, labels = random_batch()
    loss = DIFCLoss([3] * K, Schedule(2, confusion_epoch=1))
    probs = logits.softmax(1)
    loss(logits, labels)
    (said,) = warned([lambda: loss.update([probs, probs] if two else probs)] * 2)
    assert said.startswith("target_logits look like probabilities")
    fine = DIFCLoss([3] * K, Schedule(2, confusion_epoch=1))
    assert warned([lambda: fine.update([logits, logits] if two else logits)]) == []


def test_the_warning_is_of_the_call_and_not_of_a_file_of_the_package():
    logits, labels = random_batch()
    with pytest.warns(ModelWarning) as caught:
        made("ce")(logits.softmax(1), labels)
    assert "pa_difc" not in Path(caught[0].filename).parts
