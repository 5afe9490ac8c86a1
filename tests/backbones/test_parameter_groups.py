"""New layers apart from pretrained ones."""

import pytest
import torch
from torch import nn

from pa_difc.backbones import make_backbone, parameter_groups
from pa_difc.backbones.groups import trunk_layers


def test_the_benchmarks_option():
    model = make_backbone("mobilefacenet")
    old, new = parameter_groups(model, 0.001, 5e-4, new_lr_multiplier=10, new_decay_multiplier=2)
    assert (old["lr"], old["weight_decay"]) == (0.001, 5e-4)
    assert (new["lr"], new["weight_decay"]) == (0.01, 0.001)
    assert [id(p) for p in old["params"]] == [id(p) for p in model.trunk.parameters()]
    assert [id(p) for p in new["params"]] == [id(p) for p in model.head.parameters()]


def test_all_alike_by_default_and_none_lost():
    model = make_backbone("mobilefacenet")
    groups = parameter_groups(model, 0.1, 0.01)
    assert {(g["lr"], g["weight_decay"]) for g in groups} == {(0.1, 0.01)}
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(model.parameters()))


def test_what_was_not_loaded_is_new():
    model = make_backbone("mobilefacenet", feature_head="global_only")
    loaded = [name for name, _ in model.named_parameters() if "conv2" not in name]
    old, new = parameter_groups(model, 1.0, 0.0, new_lr_multiplier=10, loaded=loaded)
    assert [id(p) for p in new["params"]] == [id(p) for p in model.trunk.conv2.parameters()]
    assert len(old["params"]) == len(loaded)
    (only,) = parameter_groups(model, 1.0, 0.0, new_lr_multiplier=10, loaded=())
    assert only["lr"] == 10


def test_a_classifier_is_new_as_a_whole():
    (group,) = parameter_groups(nn.Linear(4, 3), 0.1, 0.01, new_lr_multiplier=10)
    assert group["lr"] == 1.0


class Tower(nn.Module):
    """A trunk of a layer, three in a row with one that learns nothing among them, and a block of two; and a head."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Module()
        self.trunk.stem = nn.Linear(2, 2)
        self.trunk.relu = nn.ReLU()
        self.trunk.body = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
        self.head = nn.Linear(2, 2)


def rates(model, **kwargs):
    """The learning rate of every parameter, by name."""
    groups = parameter_groups(model, 0.1, 0.01, **kwargs)
    by_id = {id(p): g["lr"] for g in groups for p in g["params"]}
    found = {name: by_id[id(p)] for name, p in model.named_parameters()}
    assert sum(len(g["params"]) for g in groups) == len(found)  # none lost, none twice
    return found


def test_lower_layers_learn_more_slowly():
    found = rates(Tower(), layer_decay=0.5, new_lr_multiplier=10)
    assert found == {
        **dict.fromkeys(("trunk.stem.weight", "trunk.stem.bias"), 0.1 * 0.25),
        **dict.fromkeys(("trunk.body.0.weight", "trunk.body.0.bias"), 0.1 * 0.5),
        **{f"trunk.body.2.{i}.{p}": 0.1 for i in (0, 1) for p in ("weight", "bias")},
        **dict.fromkeys(("head.weight", "head.bias"), 1.0),
    }


def test_the_layers_of_a_deep_backbone():
    model = make_backbone("ir50", feature_head="global_only")
    layers = trunk_layers(model)
    assert layers == [*(f"trunk.input_layer.{i}" for i in range(3)), *(f"trunk.body.{i}" for i in range(24))]
    found = rates(model, layer_decay=0.8)
    assert found["trunk.body.23.res_layer.1.weight"] == 0.1
    assert found["trunk.body.1.res_layer.1.weight"] == pytest.approx(0.1 * 0.8**22)
    assert found["trunk.input_layer.0.weight"] == pytest.approx(0.1 * 0.8**26)
    assert len({*found.values()}) == len(layers)


def test_what_is_new_in_a_trunk_is_not_decayed():
    model = Tower()
    loaded = [name for name, _ in model.named_parameters() if "body.0" not in name]
    found = rates(model, layer_decay=0.5, new_lr_multiplier=3, loaded=loaded)
    assert found["trunk.body.0.weight"] == pytest.approx(0.3)
    assert found["trunk.stem.weight"] == 0.1 * 0.25 and found["head.weight"] == 0.1


def test_without_decay_the_groups_are_the_same():
    model = make_backbone("mobilefacenet")
    plain, ones = parameter_groups(model, 0.1, 0.01, 10, 2), parameter_groups(model, 0.1, 0.01, 10, 2, layer_decay=1.0)
    assert [(g["lr"], g["weight_decay"], [id(p) for p in g["params"]]) for g in plain] == [
        (g["lr"], g["weight_decay"], [id(p) for p in g["params"]]) for g in ones
    ]
    (classifier,) = parameter_groups(nn.Linear(4, 3), 0.1, 0.01, layer_decay=0.5)
    assert classifier["lr"] == 0.1
    for wrong in (0.0, -0.5, 1.5, float("nan")):
        with pytest.raises(ValueError, match="layer_decay="):
            parameter_groups(model, 0.1, 0.01, layer_decay=wrong)
