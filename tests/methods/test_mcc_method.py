"""Minimum class confusion against plain loops, alone and beside two classifiers."""

import math

import pytest
import torch
from taught import K, adapter, batch, softmax

from pa_difc.methods.mcc import MCC, MCCHook


def confusion(logits, temperature):
    """(Σ C − tr C) / K of Jin et al. 2020."""
    rows = [softmax([z / temperature for z in row]) for row in logits]
    weights = [1 + math.exp(sum(p * math.log(p) for p in row)) for row in rows]
    weights = [len(rows) * w / sum(weights) for w in weights]
    table = [[sum(w * r[i] * r[j] for w, r in zip(weights, rows, strict=True)) for j in range(K)] for i in range(K)]
    table = [[v / sum(row) for v in row] for row in table]
    return sum(table[i][j] for i in range(K) for j in range(K) if i != j) / K


@pytest.mark.parametrize(("base", "name"), [("mcc", "total_loss"), ("mcd+mcc", "x_loss"), ("dann+mcc", "total_loss")])
def test_against_the_formula(base, name):
    made, data = adapter(base, mcc_weight=0.6, mcc_temperature=1.7), batch()
    made.models.eval()
    with torch.no_grad():
        logits = made.models["C"](made.models["G"](data["target_imgs"]))
    each = [confusion(z.tolist(), 1.7) for z in (logits if isinstance(logits, list) else [logits])]
    parts = made.training_step(data)[name]
    assert parts["class_confusion_loss"] == pytest.approx(0.6 * sum(each) / len(each), rel=1e-4)
    if base == "mcc":
        assert parts["total"] == pytest.approx(parts["src_c_loss"] + parts["class_confusion_loss"], rel=1e-5)


def test_weights_of_certain_samples_are_constants():
    """The gradient is that of ΣC with W as numbers."""
    logits = batch()["target_imgs"][:, :K].clone().requires_grad_()
    p = (logits / 2.5).softmax(1)
    w = 1 + (p.detach() * p.detach().log()).sum(1).exp()
    c = (p * (len(w) * w / w.sum())[:, None]).T @ p
    c = c / c.sum(1, keepdim=True)
    ((c.sum() - c.trace()) / K).backward()
    expected, logits.grad = logits.grad, None
    MCCHook(1.0, 2.5).confusion(logits).backward()
    torch.testing.assert_close(logits.grad, expected)


def test_it_makes_target_predictions_overlap_less():
    found = []
    for weight in (0.0, 3.0):
        made = adapter("mcc", mcc_weight=weight)
        for _ in range(40):
            made.training_step(batch())
        with torch.no_grad():
            found.append(confusion(made.models["C"](made.models["G"](batch()["target_imgs"])).tolist(), 2.5))
    assert found[1] < 0.8 * found[0]


def test_its_defaults_are_the_paper_s():
    assert (MCC.Options().mcc_weight, MCC.Options().mcc_temperature) == (1.0, 2.5)
