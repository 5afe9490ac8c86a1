"""Classifiers: where the scale sits, every part sees it."""

import math
from functools import partial

import pytest
import torch
from made import TRAINED, random_faces

from pa_difc import LOSSES
from pa_difc.data import Domain
from pa_difc.functional import class_margins, di_loss
from pa_difc.methods import METHODS
from pa_difc.methods.heads import classifier
from pa_difc.training.build import make_adapter, make_slot_loss
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings


def test_cosine_logits_are_cosines_times_the_scale():
    head, features = classifier(6, 3, "cosine", 12.0), torch.randn(5, 6)
    weight = head[0].weight
    for n in range(5):
        for k in range(3):
            cosine = torch.dot(features[n], weight[k]) / (features[n].norm() * weight[k].norm())
            assert head(features)[n, k].item() == pytest.approx(12 * cosine.item(), rel=1e-4)
    torch.testing.assert_close(head(7 * features), head(features))


@pytest.mark.parametrize("method", TRAINED)
def test_every_method_takes_any_classifier(method):
    heads = METHODS[method].heads(384 if METHODS[method].needs_regions else 6, 3, partial(classifier, kind="cosine"))
    assert any("Cosine" in type(m).__name__ for m in heads["C"].modules())


def best_probability(head, of_class=2):
    """The largest softmax of a class: its weights where the feature points, all others the other way."""
    layer = head[0] if isinstance(head, torch.nn.Sequential) else head
    with torch.no_grad():
        layer.weight.fill_(-1.0)[of_class] = 1.0
    return head(torch.ones(1, layer.in_features)).softmax(1)[0, of_class].item()


def test_a_cosine_classifier_can_be_certain():
    assert best_probability(classifier(6, 7, "cosine", 1.0)) == pytest.approx(math.e / (math.e + 6 / math.e), rel=1e-5)
    assert best_probability(classifier(6, 7, "cosine")) > 0.9999
    assert best_probability(classifier(6, 7, kind="cosine", scale=4.0)) == pytest.approx(
        math.exp(4) / (math.exp(4) + 6 * math.exp(-4)), rel=1e-5
    )
    assert type(classifier(6, 7)) is torch.nn.Linear  # a linear classifier's weights grow by themselves


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_with_a_cosine_classifier_has_its_scale_with_every_loss(loss):
    domain = Domain("d", random_faces(14, 0), random_faces(7, 1))
    config = resolve(Settings.of(method="source_only", loss=loss, classifier="cosine"))
    assert config.model.scale == 30.0
    assert best_probability(make_adapter(config, domain, 4).models["C"]) > 0.9999
    one = resolve(Settings.of(method="source_only", loss=loss, classifier="cosine", scale=1.0))
    assert best_probability(make_adapter(one, domain, 4).models["C"]) == pytest.approx(0.552, abs=1e-3)
    own = resolve(Settings.of(loss=loss)).model
    assert (own.classifier, own.scale) in (("linear", 1.0), ("cosine", 30.0))
    if "linear" in LOSSES[loss].classifiers:
        assert resolve(Settings.of(loss=loss, classifier="linear")).model.scale == 1.0


@pytest.mark.parametrize("loss", ["margin", "di", "difc", "ldam", "ldam_drw"])
def test_margins_of_a_cosine_classifier_are_cosines(loss):
    """A margin Δ is s·Δ in logits: with one sample far from the others' classes the loss grows by just that."""
    domain = Domain("d", random_faces(14, 0), random_faces(7, 1))  # two of each class: all margins are max_margin
    logits, labels = torch.tensor([[-20.0, 20.0, -25.0, -25.0, -25.0, -25.0, -25.0]]), torch.tensor([0])

    def value(margin, **options):
        config = resolve(Settings.of(loss=loss, classifier="cosine", max_margin=margin, **options))
        return make_slot_loss(config, domain, 4)(logits, labels).item()

    assert value(0.25) - value(0.05) == pytest.approx(30 * 0.2, rel=1e-4)
    assert value(0.25, scale=8.0) - value(0.05, scale=8.0) == pytest.approx(8 * 0.2, rel=1e-4)


def test_confusion_raises_margins_of_a_cosine_classifier_by_cosines():
    domain = Domain("d", random_faces(14, 0), random_faces(7, 1))
    config = resolve(
        Settings.of(loss="difc", classifier="cosine", max_margin=0.1, epsilon=0.04, epochs=2, confusion_epoch=1)
    )
    loss = make_slot_loss(config, domain, 1)
    loss.update(torch.randn(50, 7, generator=torch.Generator().manual_seed(0)))
    raised = loss.margins - 30 * 0.1
    assert raised.max().item() == pytest.approx(30 * 0.04, rel=1e-4)
    assert raised.min().item() >= 0


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
