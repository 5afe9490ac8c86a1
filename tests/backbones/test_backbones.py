"""Every backbone of the registry keeps the contract of G."""

from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import save_file

from pa_difc.backbones import BACKBONES, load_pretrained, make_backbone
from pa_difc.backbones.head import BRANCHES
from pa_difc.backbones.spec import FEATURE_HEADS, LANDMARK_BRANCHES, BackboneSpec
from pa_difc.data.faces import Face
from pa_difc.util.errors import UserError
from pa_difc.util.options import Options, option

GLOBAL_ONLY = {"small", "inception_resnet_v1", "expression"}


def faces(n, input_px, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(n, 3, input_px, input_px, generator=generator)
    return Face(image, torch.rand(n, 5, 2, generator=generator) * input_px)


def build(name):
    return make_backbone(name, feature_head="global_only") if name == "inception_resnet_v1" else make_backbone(name)


@pytest.mark.parametrize("name", BACKBONES)
def test_features_are_finite_and_gradients_reach_all_weights(name):
    torch.manual_seed(0)
    model = build(name)
    assert model.input_px == BACKBONES[name].input_px
    assert model.num_features == 384 or name in GLOBAL_ONLY
    features = model(faces(2, model.input_px))
    assert features.shape == (2, model.num_features)
    assert features.isfinite().all()
    features.sum().backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    reached = [n for n, p in model.named_parameters() if p.grad.any()]
    assert len(reached) > 0.9 * len(list(model.parameters())), set(dict(model.named_parameters())) - set(reached)


@pytest.mark.parametrize(
    ("name", "mid", "late", "last"),
    [
        ("mobilefacenet", (64, 28, 28), (128, 14, 14), (512, 7, 7)),
        ("mobilenet_v2", (24, 28, 28), (32, 14, 14), (1280, 4, 4)),
        ("resnet18", (64, 28, 28), (128, 14, 14), (512, 4, 4)),
        ("resnet50", (256, 28, 28), (512, 14, 14), (2048, 4, 4)),
        ("inception_resnet_v1", None, (256, 17, 17), (1792, 3, 3)),
    ],
)
def test_maps_and_global_features(name, mid, late, last):
    model = make_backbone(name, feature_head="global_only").eval()
    face = faces(1, model.input_px)
    with torch.no_grad():
        mid_map, late_map, last_map = model.trunk(face.image)
        features = model(face)
    assert late_map.shape == (1, *late)
    assert last_map.shape == (1, *last)
    assert mid_map is None if mid is None else mid_map.shape == (1, *mid)
    assert model.num_features == last[0]
    torch.testing.assert_close(features, last_map.flatten(2).mean(2))


def test_facenet_statistics():
    model = make_backbone("inception_resnet_v1", feature_head="global_only")
    image = torch.rand(1, 3, 160, 160)
    torch.testing.assert_close(model.trunk.normalize(image), (image * 255 - 127.5) / 128)


@pytest.mark.parametrize("name", ["small", "mobilefacenet", "ir18"])
def test_state_survives_safetensors(name, tmp_path):
    torch.manual_seed(0)
    model, fresh = build(name), build(name)
    face = faces(2, model.input_px)
    model(face)  # moves the running statistics
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    report = load_pretrained(fresh, tmp_path / "model.safetensors")
    assert set(report.matched) == set(model.state_dict())
    assert not report.missing + report.dropped + report.reshaped
    with torch.no_grad():
        assert torch.equal(model.eval()(face), fresh.eval()(face))


@pytest.mark.parametrize("landmark_branch", ["conv", "ir"])
def test_local_heads_of_a_backbone(landmark_branch):
    model = make_backbone("mobilefacenet", landmark_branch=landmark_branch)
    face = faces(2, 112)
    features = model(face)
    assert features.shape == (2, 384)
    moved = face._replace(landmarks=112 - face.landmarks)
    assert not torch.equal(features, model(moved))


def test_global_only_does_not_look_at_landmarks():
    model = make_backbone("mobilefacenet", feature_head="global_only").eval()
    face = faces(2, 112)
    unknown = face._replace(landmarks=torch.full((2, 5, 2), torch.nan))
    assert torch.equal(model(face), model(unknown))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ir5", {}, r"unknown backbone 'ir5': did you mean 'ir50'"),
        ("ir18", {"feature_head": "global"}, r"unknown feature head 'global': did you mean .*'global_only'"),
        ("ir18", {"landmark_branch": "irr"}, r"unknown landmark branch 'irr': did you mean 'ir'"),
        (
            "ir18",
            {"feature_head": "global_only", "landmark_branch": "ir"},
            r"landmark_branch='ir' has no effect with feature_head='global_only'",
        ),
        ("small", {"landmark_branch": "ir"}, r"landmark_branch='ir' has no effect with feature_head='global_only'"),
        (
            "inception_resnet_v1",
            {"feature_head": "global_local"},
            r"no map for landmarks; use feature_head='global_only'",
        ),
        ("ir18", {"pool": "grids"}, r"unknown pool 'grids': did you mean 'grid'"),
        ("ir18", {"pool": "grid", "maps": "last+late"}, r"unknown maps 'last\+late': .*late\+last"),
        ("ir18", {"pool": "grid", "feature_head": "global_local"}, r"pool='grid' needs feature_head='global_only'"),
        ("inception_resnet_v1", {"pool": "grid", "maps": "mid+late"}, r"maps='mid\+late': .* has no map 'mid'"),
    ],
)
def test_options_that_make_no_sense(name, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_backbone(name, **options)
    assert "\n" not in str(caught.value)


def test_images_of_another_size():
    with pytest.raises(ValueError, match=r"^images of shape \(2, 3, 48, 48\): must be \(N, 3, 112, 112\)"):
        make_backbone("mobilefacenet")(faces(2, 48))


@dataclass(frozen=True)
class WidthOptions(Options):
    width: int = option(4, "channels of the only map", unit="channels", at_least=1)


def test_options_of_a_backbone_reach_what_builds_it(monkeypatch):
    built = []
    spec = BackboneSpec(lambda **kwargs: built.append(kwargs) or torch.nn.Identity(), 48, 0.1, "", options=WidthOptions)
    monkeypatch.setitem(BACKBONES, "wide", spec)
    make_backbone("wide")
    make_backbone("wide", feature_head="global_only", landmark_branch="ir", width=9)
    assert built == [
        {"feature_head": "global_local", "landmark_branch": "conv", "width": 4},
        {"feature_head": "global_only", "landmark_branch": "ir", "width": 9},
    ]
    with pytest.raises(UserError, match="unknown option of backbone wide 'widht': did you mean 'width'"):
        make_backbone("wide", widht=3)
    with pytest.raises(UserError, match="backbone ir18 has no option 'width': it has none"):
        make_backbone("ir18", width=3)


def test_the_words_are_those_that_have_a_network():
    assert tuple(BRANCHES) == LANDMARK_BRANCHES
    for name in BACKBONES:
        assert BACKBONES[name].feature_head in FEATURE_HEADS
