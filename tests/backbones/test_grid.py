"""A grid of averages over chosen maps: values, sizes, gradients, and what standardises them."""

from functools import partial
from math import ceil, floor

import pytest
import torch
from torch import nn

from pa_difc.backbones import BACKBONES, make_backbone
from pa_difc.backbones.extractor import extractor_on
from pa_difc.backbones.head import GridHead
from pa_difc.backbones.spec import MAPS, BackboneSpec
from pa_difc.backbones.trunk import Maps, Trunk
from pa_difc.data.faces import Face
from pa_difc.util.errors import UserError

#: Channels of mid, late and last: 28, 14 and 7 cells at 112 px, or what comes nearest.
CHANNELS = {
    "small": (16, 64, 128),
    "ir18": (128, 256, 512),
    "ir50": (128, 256, 512),
    "mobilefacenet": (64, 128, 512),
    "mobilenet_v2": (24, 32, 1280),
    "resnet18": (64, 128, 512),
    "resnet50": (256, 512, 2048),
    "inception_resnet_v1": (None, 256, 1792),
    "expression": (64, 128, 256),
}
NAMES = ("mid", "late", "last")
HAVE = [(name, maps) for name in CHANNELS for maps in MAPS if not (CHANNELS[name][0] is None and "mid" in maps)]
QUICK = [(name, maps) for name, maps in HAVE if name == "small" or maps in ("late", "mid+late+last")]


def noise(n, px, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Face(torch.rand(n, 3, px, px, generator=generator), torch.full((n, 5, 2), torch.nan))


def cells(feature_map, g):
    """The averages over a grid of one map, (C, S, S) to C·g² numbers, cell by cell in plain Python."""
    values = feature_map.tolist()
    size = len(values[0])
    found = []
    for channel in values:
        for i in range(g):
            for j in range(g):
                rows = range(floor(i * size / g), ceil((i + 1) * size / g))
                columns = range(floor(j * size / g), ceil((j + 1) * size / g))
                inside = [channel[r][c] for r in rows for c in columns]
                found.append(sum(inside) / len(inside))
    return found


def test_every_backbone_has_a_grid():
    assert set(CHANNELS) <= set(BACKBONES)
    assert all(BACKBONES[name].grid for name in CHANNELS)


def test_features_are_averages_over_cells_by_map_channel_row_and_column():
    torch.manual_seed(0)
    maps = Maps(torch.randn(2, 3, 28, 28), torch.randn(2, 5, 14, 14), torch.randn(2, 4, 7, 7))
    head = GridHead({"mid": 3, "late": 5, "last": 4}).eval()
    features = head(maps, torch.zeros(2, 5, 2), 112)
    assert head.num_features == 3 * 16 + 5 * 9 + 4 * 4
    for n in range(2):
        expected = cells(maps.mid[n], 4) + cells(maps.late[n], 3) + cells(maps.last[n], 2)
        unseen = torch.tensor(expected) / (1 + 1e-5) ** 0.5  # before training: mean 0, variance 1, BatchNorm's ε
        torch.testing.assert_close(features[n], unseen)
    only = GridHead({"late": 5}).eval()(maps, torch.zeros(2, 5, 2), 112)
    torch.testing.assert_close(only, features[:, 48:93])


def test_a_feature_keeps_its_place():
    """A face that looks different at the lower left alone has other features there alone."""
    head = GridHead({"late": 2}).eval()
    late = torch.rand(1, 2, 14, 14)
    changed = late.clone()
    changed[0, 1, 11, 2] += 1.0
    before, after = (head(Maps(None, x, late), torch.zeros(1, 5, 2), 112) for x in (late, changed))
    assert (before != after)[0].nonzero().flatten().tolist() == [9 + 6]  # channel 1, row 2, column 0


@pytest.mark.parametrize(("name", "maps"), QUICK)
def test_size_and_gradients_of_every_backbone(name, maps):
    torch.manual_seed(0)
    model = make_backbone(name, pool="grid", maps=maps)
    chosen = maps.split("+")
    sizes = zip(NAMES, CHANNELS[name], (4, 3, 2), strict=True)
    expected = sum(count * side**2 for which, count, side in sizes if which in chosen)
    assert model.num_features == expected
    features = model(noise(3, model.input_px))
    assert features.shape == (3, expected) and features.isfinite().all()
    (features * torch.randn(expected)).sum().backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert {n for n, p in model.named_parameters() if p.requires_grad} == set(gradients)  # as several processes need
    assert len(gradients) == len(list(model.parameters())) or "last" not in chosen
    reached = [n for n, gradient in gradients.items() if gradient.isfinite().all() and gradient.any()]
    assert len(reached) > 0.9 * len(gradients)
    assert next(n for n, p in model.named_parameters() if p.dim() == 4) in reached


def test_training_batches_are_standardised_each_by_itself_and_tests_by_all_of_them():
    """Two domains of other brightness have equal means while training; afterwards they differ."""
    torch.manual_seed(0)
    head = GridHead({"last": 3})
    bright, dark = (Maps(None, None, scale * torch.rand(64, 3, 7, 7) + scale) for scale in (5.0, 0.5))
    points = torch.zeros(64, 5, 2)
    for _ in range(200):
        for domain in (bright, dark):
            features = head(domain, points, 112)
            torch.testing.assert_close(features.mean(0), torch.zeros(12), atol=1e-4, rtol=0)
            torch.testing.assert_close(features.std(0, unbiased=False), torch.ones(12), atol=2e-2, rtol=0)
    head.eval()
    difference = head(bright, points, 112).mean(0) - head(dark, points, 112).mean(0)
    assert (difference > 1).all()


def test_grids_of_images_of_another_size():
    """The small network takes any side from 32 px on; its grid has as many features."""
    model = make_backbone("small", pool="grid", maps="mid+late+last")
    assert {model(noise(2, px)).shape for px in (32, 48, 100)} == {(2, 16 * 16 + 64 * 9 + 128 * 4)}


class TwoMaps(Trunk):
    """A trunk as plugins wrote them for version 0.3."""

    def __init__(self):
        super().__init__(((0.5,) * 3, (0.5,) * 3), input_px=48, mid_channels=4, last_channels=6)
        self.first, self.second = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 6, 3, stride=2)

    def forward(self, image):
        mid = self.first(self.normalize(image))
        return self.result(mid, self.second(mid))

    def result(self, mid, last):
        return mid, last


class ThreeMaps(TwoMaps):
    def result(self, mid, last):
        return Maps(mid, None, last)


def test_trunks_of_plugins():
    with pytest.raises(UserError, match=r"^TwoMaps.forward must return Maps\(mid, late, last\), not tuple$"):
        extractor_on(TwoMaps)(noise(2, 48))
    with pytest.raises(UserError, match=r"^maps='late': ThreeMaps has no map 'late'"):
        extractor_on(ThreeMaps, feature_head="global_only", pool="grid")
    grid = extractor_on(ThreeMaps, feature_head="global_only", pool="grid", maps="mid+last")
    assert grid(noise(2, 48)).shape == (2, 4 * 16 + 6 * 4)


def test_backbones_that_know_no_grid_are_built_as_before(monkeypatch):
    monkeypatch.setitem(BACKBONES, "plain", BackboneSpec(partial(extractor_on, ThreeMaps), 48, 0.1, ""))
    make_backbone("plain")  # gets no pool
    with pytest.raises(UserError, match=r"^pool='grid': backbone plain does not support it"):
        make_backbone("plain", pool="grid", maps="mid")


def test_layers_behind_the_deepest_map_are_not_trained_and_keep_their_weights():
    model = make_backbone("mobilefacenet", pool="grid", maps="mid+late")
    still = {n.partition(".")[2] for n, p in model.named_parameters() if not p.requires_grad}
    blocks = {int(n.split(".")[1]) for n in still if n.startswith("features.")}
    assert blocks == {12, 13, 14} and {n for n in still if not n.startswith("features.")} >= {"conv2.0.weight"}
    assert model.training and model.trunk.training
    assert not model.trunk.conv2[1].num_batches_tracked  # looking for them left no trace
