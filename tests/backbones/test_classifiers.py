"""Which class of a pretrained classifier is which class of a label set."""

import pytest
import torch
from torchvision import models

from pa_difc.backbones.classifiers import PretrainedClassifier, find_classifier, is_of_classifier
from pa_difc.data.labels import EXPRESSIONS, EXPRESSIONS8, VALENCE, LabelSet
from pa_difc.util.errors import UserError


def pretrained(classes, features=5):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(len(classes), features, generator=generator)
    return PretrainedClassifier(weight, torch.randn(len(classes), generator=generator), tuple(classes), "w.pt")


def test_rows_go_by_name():
    own = pretrained(["Angry", "contempt", "HAPPINESS", "other"])
    chosen = own.for_labels(LabelSet(("happy", "anger")))
    assert torch.equal(chosen.weight, own.weight[[2, 0]]) and torch.equal(chosen.bias, own.bias[[2, 0]])
    assert chosen.classes == ("happy", "anger")
    assert own.left_out(LabelSet(("happy", "anger"))) == ("contempt", "other")


@pytest.mark.parametrize(("name", "is_its"), [("fc.weight", True), ("module.head.fc.bias", True), ("bn1.bias", False)])
def test_tensors_of_a_classifier_are_told_by_name(name, is_its):
    assert is_of_classifier(name) is is_its


def test_synonyms_of_a_label_set_count_and_excluded_words_are_left_out():
    own = pretrained(["grin", "cry", "contempt"])
    labels = LabelSet(("sad", "happy"), {"grin": "happy", "cry": "sad"}, ("contempt",))
    assert torch.equal(own.for_labels(labels).bias, own.bias[[1, 0]])
    assert own.left_out(labels) == ("contempt",)


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        (
            ["anger", "happy"],
            LabelSet(("sad", "happy", "joyful")),
            "w.pt has no class sad, joyful: it has anger, happy",
        ),
        (EXPRESSIONS.names, EXPRESSIONS8, "w.pt has no class contempt: it has surprise, fear"),
        (
            ["happy", "neutral", "sad", "fear"],
            VALENCE,
            "w.pt has 2 classes that are all 'negative' (sad, fear): there must be one",
        ),
        (["happy", "joy", "sad"], LabelSet(("sad", "happy")), "2 classes that are all 'happy' (happy, joy)"),
    ],
)
def test_classes_that_can_t_be_mapped_are_named(classes, labels, message):
    with pytest.raises(UserError) as caught:
        pretrained(classes).for_labels(labels)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_logits_are_those_of_the_linear_layer():
    own, f = pretrained(["a", "b", "c"]), torch.randn(4, 5)
    expected = [[sum(own.weight[k, d] * f[n, d] for d in range(5)) + own.bias[k] for k in range(3)] for n in range(4)]
    torch.testing.assert_close(own.logits(f), torch.tensor(expected))
    with pytest.raises(UserError, match=r"w.pt takes 5 features, and the method's classifier 6"):
        own.logits(torch.randn(4, 6))


@pytest.mark.parametrize(
    ("net", "name"),
    [
        (lambda: models.resnet18(num_classes=3), "fc"),
        (lambda: models.mobilenet_v2(num_classes=3), "classifier.1"),
        (lambda: models.swin_t(num_classes=3), "head"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_classifiers_of_torchvision(net, name, prefix):
    state = {prefix + key: value for key, value in net().state_dict().items()}
    found = find_classifier(state, ["a", "b", "c"], "net.pth")
    assert torch.equal(found.weight, state[f"{prefix}{name}.weight"])
    assert torch.equal(found.bias, state[f"{prefix}{name}.bias"])


@pytest.mark.parametrize("name", ["classifier", "head.fc", "fc", "head"])
def test_names_that_timm_gives(name):
    state = {"stem.weight": torch.ones(8, 8), f"{name}.weight": torch.rand(2, 8).half(), "norm.weight": torch.ones(8)}
    found = find_classifier(state, ["a", "b"], "net.pth")
    assert torch.equal(found.weight, state[f"{name}.weight"].float()) and torch.equal(found.bias, torch.zeros(2))


def test_no_classifier_or_another_number_of_classes():
    with pytest.raises(UserError, match=r"x.pth has no classifier \(looked for fc, classifier and head\)"):
        find_classifier({"conv.weight": torch.ones(3, 3), "fc.weight": torch.ones(3, 3, 1, 1)}, ["a"] * 3, "x.pth")
    with pytest.raises(UserError, match=r"x.pth: its classifier has 136 outputs, but there are 2 class names"):
        find_classifier({"fc.weight": torch.ones(136, 4), "fc.bias": torch.ones(136)}, ["a", "b"], "x.pth")
    with pytest.raises(UserError, match="has 2 outputs"):
        find_classifier({"fc.weight": torch.ones(2, 4), "fc.bias": torch.ones(3)}, ["a", "b"], "x.pth")
