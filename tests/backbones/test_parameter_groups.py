"""New layers apart from pretrained ones."""

import torch
from torch import nn

from pa_difc.backbones import make_backbone, parameter_groups


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
    model = make_backbone("mobilefacenet", head="global_only")
    loaded = [name for name, _ in model.named_parameters() if "conv2" not in name]
    old, new = parameter_groups(model, 1.0, 0.0, new_lr_multiplier=10, loaded=loaded)
    assert [id(p) for p in new["params"]] == [id(p) for p in model.trunk.conv2.parameters()]
    assert len(old["params"]) == len(loaded)
    (only,) = parameter_groups(model, 1.0, 0.0, new_lr_multiplier=10, loaded=())
    assert only["lr"] == 10


def test_a_classifier_is_new_as_a_whole():
    (group,) = parameter_groups(nn.Linear(4, 3), 0.1, 0.01, new_lr_multiplier=10)
    assert group["lr"] == 1.0
