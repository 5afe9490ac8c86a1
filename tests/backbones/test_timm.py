"""Networks of timm as backbones; most of it only where timm is installed."""

import sys
from importlib.util import find_spec

import pytest
import torch
from made import random_faces, settings_given

from pa_difc import BACKBONES
from pa_difc.backbones import load_pretrained, make_backbone
from pa_difc.commands.parser import main
from pa_difc.data import Domain
from pa_difc.data.faces import Face
from pa_difc.data.labels import LabelSet
from pa_difc.deploy.model import load_model as load
from pa_difc.training.build import make_adapter
from pa_difc.training.identity import identity
from pa_difc.training.run import run_cell
from pa_difc.util.errors import UserError

with_timm = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")
LABELS = LabelSet(("car", "dog", "tree"))


def face(n=2):
    points = torch.rand(n, 5, 2, generator=torch.Generator().manual_seed(1)) * 112
    return Face(torch.rand(n, 3, 112, 112, generator=torch.Generator().manual_seed(0)), points)


def cell(*words, method="source_only"):
    given = ("--backbone", "timm:resnet10t", "--method", method, "--loss", "ce", "--epochs", "1")
    return settings_given(*given, *words)


def pair():
    sets = [random_faces(4, seed, 112, num_classes=3) for seed in range(4)]
    return Domain("s", *sets[:2], LABELS), Domain("t", *sets[2:], LABELS)


def test_names_of_the_family_are_valid_and_not_listed(capsys):
    assert "timm:resnet18" in BACKBONES and "timm:" not in BACKBONES and "tim:resnet18" not in BACKBONES
    assert not any(name.startswith("timm") for name in BACKBONES)
    with pytest.raises(UserError, match=r"unknown backbone 'tim:resnet18'.*timm:NAME"):
        BACKBONES.lookup("tim:resnet18")
    with pytest.raises(UserError, match="is built in"):
        BACKBONES.register("timm:mine", BACKBONES["small"])
    assert main(["list"]) == 0 and ", timm:NAME\n" in capsys.readouterr().out
    assert main(["list", "backbones"]) == 0 and "\nand timm:NAME: " in capsys.readouterr().out


def test_without_timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"^backbone timm:resnet14t needs timm: pip install 'pa-difc\[timm\]'$"):
        make_backbone("timm:resnet14t")
    with pytest.raises(UserError, match="pretrained='hub': only for --backbone timm:NAME, not for small; give a file"):
        make_adapter(settings_given("--pretrained", "hub"), pair()[0], 1)


@with_timm
@pytest.mark.parametrize(
    ("name", "channels", "mid", "averages"),
    [
        ("resnet10t", 512, (64, 28), True),
        ("efficientnet_b0", 1280, (24, 28), True),
        ("mobilenetv3_small_050", 288, (8, 28), False),
        ("convnext_atto", 320, (40, 28), False),
    ],
)
def test_maps_and_features(name, channels, mid, averages):
    torch.manual_seed(0)
    model = make_backbone(f"timm:{name}")
    assert model.num_features == channels == model(face()).shape[1] and model.trunk.averages is averages
    assert model.trunk(face().image)[0].shape == (2, mid[0], mid[1], mid[1])
    model(face()).pow(2).sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert make_backbone(f"timm:{name}", feature_head="global_local")(face()).shape == (2, 384)
    assert model.training and not any(p.grad is not None for p in make_backbone(f"timm:{name}").parameters())


@with_timm
def test_features_and_classifier_are_timm_s(tmp_path):
    import timm

    torch.manual_seed(3)
    net = timm.create_model("resnet10t", num_classes=3)
    with torch.no_grad():
        for name, value in net.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                value.uniform_(0.5, 1.5)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    report = load_pretrained(make_backbone("timm:resnet10t"), tmp_path / "net.pth")
    assert set(report.dropped) == {"fc.weight", "fc.bias"} and not report.missing + report.reshaped
    words = "--pretrained", tmp_path / "net.pth", "--set", "pretrained_classes=tree,dog,car"
    run_cell(cell(*words, method="as_is"), *pair(), tmp_path, progress=False)
    (folder,) = (tmp_path / "runs").iterdir()
    image = face().image
    mean, std = (torch.tensor(net.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        expected = net.eval()((image - mean) / std).softmax(dim=1)[:, [2, 1, 0]]
    torch.testing.assert_close(load(folder)(*face()), expected, rtol=1e-4, atol=1e-5)


@with_timm
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet10", r"timm has no network 'resnet10': did you mean '"),
        ("vit_tiny_patch16_224", r"must be a convolutional network that takes 112 px"),
    ],
)
def test_networks_that_will_not_do(name, message):
    with pytest.raises(UserError, match=message) as caught:
        make_backbone(f"timm:{name}")
    assert "\n" not in str(caught.value)


@with_timm
def test_layers_before_the_classifier(tmp_path):
    import timm

    torch.save(timm.create_model("convnext_atto", num_classes=3).state_dict(), tmp_path / "net.pth")
    words = "--backbone", "timm:convnext_atto", "--pretrained", tmp_path / "net.pth"
    settings = settings_given(*words, "--set", "pretrained_classes=car,dog,tree")
    with pytest.raises(UserError, match="timm:convnext_atto has layers between its features and its classifier; use"):
        make_adapter(settings, pair()[0], 1)


@with_timm
def test_weights_of_the_hub(monkeypatch):
    import timm

    create = timm.create_model
    asked = []

    def from_hub(name, pretrained=False, **kwargs):
        if pretrained:
            asked.append(name)
            torch.manual_seed(9)
        return create(name, pretrained=False, **kwargs)

    monkeypatch.setattr(timm, "create_model", from_hub)
    settings = cell("--pretrained", "hub")
    adapter = make_adapter(settings, pair()[0], 1)
    torch.manual_seed(9)
    assert torch.equal(adapter.models["G"].trunk.net.conv1[0].weight, create("resnet10t").conv1[0].weight)
    assert asked == ["resnet10t"] and settings.model.head_init == "random"
    assert identity(settings, *pair())["weights"] == f"timm:resnet10t of timm {timm.__version__}"

    def unreachable(name, pretrained=False, **kwargs):
        if pretrained:
            raise OSError("no route to host\nat all")
        return create(name, **kwargs)

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(UserError) as caught:
        make_adapter(settings, pair()[0], 1)
    assert str(caught.value) == (
        "no weights of timm:resnet10t from timm's hub (no route to host): give --pretrained FILE"
    )
