"""Classifiers: where the scale sits, every part sees it."""

from functools import partial

import pytest
import torch
from made import random_faces

from pa_difc.data import Domain
from pa_difc.functional import class_margins, di_loss
from pa_difc.methods import METHODS
from pa_difc.methods.heads import classifier
from pa_difc.training.build import make_adapter, make_slot_loss
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings


def test_cosine_logits_are_cosines_times_the_scale():
    head, features = classifier(6, 3, "cosine", 30.0), torch.randn(5, 6)
    weight = head[0].weight
    for n in range(5):
        for k in range(3):
            cosine = torch.dot(features[n], weight[k]) / (features[n].norm() * weight[k].norm())
            assert head(features)[n, k].item() == pytest.approx(30 * cosine.item(), rel=1e-4)
    torch.testing.assert_close(head(7 * features), head(features))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_any_classifier(method):
    heads = METHODS[method].heads(384 if METHODS[method].needs_regions else 6, 3, partial(classifier, kind="cosine"))
    assert any("Cosine" in type(m).__name__ for m in heads["C"].modules())


def test_scaling_the_classifier_is_scaling_in_the_loss():
    """s·(z − Δ) of LDAM, with the scale in the classifier and margins given before it."""
    domain = Domain("d", random_faces(14, 0), random_faces(7, 1))
    config = resolve(Settings.of(method="source_only", loss="di", classifier="cosine", scale=30.0, max_margin=0.5))
    adapter = make_adapter(config, domain, 4)
    features, labels = torch.randn(9, 128), torch.arange(9) % 7
    cosines = adapter.models["C"][0](features)
    expected = di_loss(cosines, labels, class_margins([2] * 7, 0.5), scale=30.0)
    loss = make_slot_loss(config, domain, 4)
    torch.testing.assert_close(loss(adapter.models["C"](features), labels), expected)
