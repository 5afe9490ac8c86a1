"""Weights from files as they are in the wild, made here."""

import os
import pickle
from collections import OrderedDict

import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from safetensors.torch import save_file
from torchvision import models

from pa_difc.backbones import load_pretrained, make_backbone
from pa_difc.backbones.ir import ir18


def evolve_checkpoint(prefix=""):
    state = OrderedDict((prefix + name, value) for name, value in ir18().state_dict().items())
    state[prefix + "output_layer.0.weight"] = torch.ones(512)
    state[prefix + "output_layer.3.weight"] = torch.ones(4, 8)
    return state


@pytest.mark.parametrize("prefix", ["", "module."])
def test_face_evolve(prefix, tmp_path):
    state = evolve_checkpoint(prefix)
    torch.save(state, tmp_path / "backbone_ir18.pth")
    model = make_backbone("ir18")
    report = load_pretrained(model, tmp_path / "backbone_ir18.pth")
    trunk = model.trunk.state_dict()
    assert set(report.matched) == {f"trunk.{name}" for name in trunk}
    assert set(report.dropped) == {prefix + "output_layer.0.weight", prefix + "output_layer.3.weight"}
    assert set(report.missing) == {name for name in model.state_dict() if name.startswith("head.")}
    assert report.reshaped == ()
    assert all(torch.equal(value, state[prefix + name]) for name, value in trunk.items())


def test_mobilefacenet_without_its_embedding(tmp_path):
    state = make_backbone("mobilefacenet").trunk.state_dict()
    assert len(state) == 294
    state |= {
        "gdconv.depthwise.weight": torch.ones(512, 1, 7, 7),
        "conv3.bias": torch.ones(128),
        "bn.bias": torch.ones(128),
    }
    torch.save(state, tmp_path / "mobilefacenet.pt")
    report = load_pretrained(make_backbone("mobilefacenet"), tmp_path / "mobilefacenet.pt")
    assert str(report) == "294 matched; 6 missing (6 head); 3 dropped (1 bn, 1 conv3, 1 gdconv); 0 of another shape"


@pytest.mark.parametrize(
    ("name", "net", "dropped"),
    [
        ("mobilenet_v2", lambda: models.mobilenet_v2(weights=None), {"classifier"}),
        ("resnet18", lambda: models.resnet18(weights=None), {"fc"}),
        ("inception_resnet_v1", InceptionResnetV1, {"last_linear", "last_bn"}),
    ],
)
def test_other_packages_state_dicts(name, net, dropped, tmp_path):
    torch.manual_seed(1)
    state = net().state_dict()
    torch.save(state, tmp_path / "net.pth")
    model = make_backbone(name, feature_head="global_only")
    report = load_pretrained(model, tmp_path / "net.pth")
    assert report.missing == report.reshaped == ()
    assert set(report.matched) == set(model.state_dict())
    assert {key.split(".")[0] for key in report.dropped} == dropped
    assert all(torch.equal(value, state[key.removeprefix("trunk.")]) for key, value in model.state_dict().items())


def test_half_precision_safetensors_of_a_trunk(tmp_path):
    state = {name: value.half() for name, value in ir18().state_dict().items() if value.is_floating_point()}
    save_file(state, tmp_path / "ir18.safetensors")
    model = make_backbone("ir18", feature_head="global_only")
    report = load_pretrained(model, tmp_path / "ir18.safetensors")
    assert len(report.matched) == len(state)
    assert all(name.endswith("num_batches_tracked") for name in report.missing)
    weight = model.trunk.input_layer[0].weight
    assert torch.equal(weight, state["input_layer.0.weight"].float())


def test_another_shape_is_reported_and_left_alone(tmp_path):
    state = evolve_checkpoint()
    state["input_layer.0.weight"] = torch.ones(64, 3, 7, 7)
    torch.save(state, tmp_path / "w.pth")
    model = make_backbone("ir18")
    before = model.trunk.input_layer[0].weight.clone()
    report = load_pretrained(model, tmp_path / "w.pth")
    assert report.reshaped == ("trunk.input_layer.0.weight",)
    assert report.reshaped[0] not in report.matched + report.missing
    assert torch.equal(model.trunk.input_layer[0].weight, before)


def one_line_error(model, file):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError) as caught:
        load_pretrained(model, file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return str(caught.value)


def test_nothing_matches(tmp_path):
    model = make_backbone("mobilefacenet")
    torch.save({"a.weight": torch.ones(3)}, tmp_path / "other.pth")
    assert one_line_error(model, tmp_path / "other.pth").startswith("nothing in ")
    # Another network with the same names in part: step counters fit anywhere, and are not a match.
    torch.save(models.mobilenet_v2(weights=None).state_dict(), tmp_path / "mobilenet_v2.pth")
    assert one_line_error(model, tmp_path / "mobilenet_v2.pth").startswith("nothing in ")


class Malicious:
    """What a pickle can do where it is allowed to."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("bare", [False, True])
def test_a_malicious_file_is_not_executed(bare, tmp_path):
    content = {"trunk.weight": torch.ones(3), "x": Malicious(tmp_path / "owned")}
    file = tmp_path / "weights.pth"
    if bare:
        file.write_bytes(pickle.dumps(content["x"], protocol=2))
    else:
        torch.save(content, file)
    assert one_line_error(make_backbone("small"), file).startswith("cannot read weights")
    assert not (tmp_path / "owned").exists()
    torch.load(file, weights_only=False) if not bare else pickle.loads(file.read_bytes())
    assert (tmp_path / "owned").exists()  # it would have been


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors", "empty.pth", "none.pth", "list.pth", "nested.pth"])
def test_files_that_are_no_weights(name, tmp_path):
    file = tmp_path / name
    if name == "cut.pth":
        torch.save({"a": torch.ones(999)}, file)
        file.write_bytes(file.read_bytes()[:700])
    elif name == "cut.safetensors":
        save_file({"a": torch.ones(999)}, file)
        file.write_bytes(file.read_bytes()[:700])
    elif name == "empty.pth":
        file.write_bytes(b"")
    elif name == "list.pth":
        torch.save([torch.ones(3)], file)
    elif name == "nested.pth":
        torch.save({"epoch": 3, "model": {"a": torch.ones(3)}}, file)
    message = one_line_error(make_backbone("small"), file)
    assert message.startswith(("cannot read weights", f"{file} is not a state dict"))
    assert ("no such file" in message) is (name == "none.pth")
