"""IR networks: shapes, key layout, and the unit against a formula."""

import pytest
import torch
import torch.nn.functional as F

from pa_difc.backbones.ir import ir18, ir50
from pa_difc.backbones.ir_unit import GroupedConv2d, IRUnit


@pytest.mark.parametrize("trunk", [ir18, ir50])
def test_maps_of_stages_two_three_and_four(trunk):
    with torch.no_grad():
        mid, late, last = trunk().eval()(torch.rand(1, 3, 112, 112))
    assert mid.shape == (1, 128, 28, 28)
    assert late.shape == (1, 256, 14, 14)
    assert last.shape == (1, 512, 7, 7)


@pytest.mark.parametrize(("trunk", "firsts"), [(ir18, (0, 2, 4, 6, 8)), (ir50, (0, 3, 7, 21, 24))])
def test_keys_are_those_of_face_evolve(trunk, firsts):
    shapes = {name: tuple(value.shape) for name, value in trunk().state_dict().items()}
    assert shapes["input_layer.0.weight"] == (64, 3, 3, 3)
    assert shapes["input_layer.1.running_var"] == shapes["input_layer.2.weight"] == (64,)
    assert {int(name.split(".")[1]) for name in shapes if name.startswith("body.")} == set(range(firsts[-1]))
    channels = 64
    for width, first, end in zip((64, 128, 256, 512), firsts, firsts[1:], strict=False):
        for unit in range(first, end):
            assert shapes[f"body.{unit}.res_layer.0.weight"] == (channels,)
            assert shapes[f"body.{unit}.res_layer.1.weight"] == (width, channels, 3, 3)
            assert shapes[f"body.{unit}.res_layer.2.weight"] == (width,)
            assert shapes[f"body.{unit}.res_layer.3.weight"] == (width, width, 3, 3)
            assert shapes[f"body.{unit}.res_layer.4.running_mean"] == (width,)
            projected = channels != width
            assert (f"body.{unit}.shortcut_layer.0.weight" in shapes) is projected
            assert (f"body.{unit}.shortcut_layer.1.weight" in shapes) is projected
            channels = width
    assert not [name for name in shapes if not name.startswith(("input_layer.", "body."))]


@pytest.mark.parametrize(("channels_out", "stride"), [(4, 1), (4, 2), (6, 2)])
def test_a_unit_is_its_formula(channels_out, stride):
    torch.manual_seed(0)
    unit = IRUnit(4, channels_out, stride)
    for parameter in unit.parameters():
        torch.nn.init.normal_(parameter)
    bn1, conv1, prelu, conv2, bn2 = unit.res_layer
    x = torch.randn(3, 4, 8, 8)

    def norm(values, bn):
        mean, var = values.mean((0, 2, 3), keepdim=True), values.var((0, 2, 3), correction=0, keepdim=True)
        return (values - mean) / (var + 1e-5).sqrt() * bn.weight[:, None, None] + bn.bias[:, None, None]

    residual = F.conv2d(norm(x, bn1), conv1.weight, padding=1)
    residual = torch.where(residual > 0, residual, prelu.weight[:, None, None] * residual)
    residual = norm(F.conv2d(residual, conv2.weight, padding=1, stride=stride), bn2)
    shortcut = x[:, :, ::stride, ::stride]
    if channels_out != 4:
        conv, bn = unit.shortcut_layer
        shortcut = norm(F.conv2d(shortcut, conv.weight), bn)
    torch.testing.assert_close(unit(x), shortcut + residual, rtol=1e-4, atol=1e-4)


def test_images_go_to_minus_one_to_one():
    trunk = ir18()
    torch.testing.assert_close(trunk.normalize(torch.ones(1, 3, 112, 112)), torch.ones(1, 3, 112, 112))
    torch.testing.assert_close(trunk.normalize(torch.zeros(1, 3, 112, 112)), -torch.ones(1, 3, 112, 112))


@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 2, 0)])
def test_groups_one_after_the_other_are_the_grouped_convolution(size, stride, padding):
    torch.manual_seed(0)
    conv = GroupedConv2d(10, 15, size, stride, padding, groups=5, bias=False)
    x = torch.randn(3, 10, 7, 7, requires_grad=True)
    results = []
    for y in (conv(x), F.conv2d(x, conv.weight, None, stride, padding, groups=5)):
        weights = torch.arange(y.numel(), dtype=y.dtype).view_as(y).sin()
        results.append([y, *torch.autograd.grad((y * weights).sum(), [x, conv.weight])])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected)
