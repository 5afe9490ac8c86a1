"""The 384 features: five branches in one network equal five networks, in order."""

import pytest
import torch
from torch import nn

from pa_difc.backbones import make_backbone
from pa_difc.backbones.head import GlobalLocalHead, conv_branches, ir_branches
from pa_difc.backbones.ir_unit import IRUnit
from pa_difc.backbones.landmarks import landmark_windows
from pa_difc.backbones.trunk import Maps
from pa_difc.methods import METHODS


def one_branch(landmark_branch, channels):
    """A landmark's own network, without groups."""
    if landmark_branch == "conv":
        return nn.Sequential(nn.Conv2d(channels, 64, 3, padding=1), nn.ReLU())
    units = IRUnit(channels, 256, 2), IRUnit(256, 256, 1), IRUnit(256, 512, 2), IRUnit(512, 512, 1)
    return nn.Sequential(*units, nn.Conv2d(512, 64, 3, padding=1), nn.ReLU())


def cut(tensor, part):
    return tensor if tensor.dim() == 0 else tensor.chunk(5)[part]


def close(got, expected):
    """Equal but for the order of float32 sums, on the scale of the largest value.

    Some gradients are zero in truth: BatchNorm takes out what is added before it.
    """
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-4 * max(0.1, expected.abs().max().item()))


@pytest.mark.parametrize("landmark_branch", ["conv", "ir"])
def test_grouped_branches_equal_five_networks(landmark_branch):
    torch.manual_seed(0)
    grouped = {"conv": conv_branches, "ir": ir_branches}[landmark_branch](8, 5)
    for parameter in grouped.parameters():  # BatchNorm and PReLU begin alike in every branch: not here
        nn.init.uniform_(parameter, *((0.5, 1.5) if parameter.dim() == 1 else (-0.05, 0.05)))
    separate = [one_branch(landmark_branch, 8) for _ in range(5)]
    for part, net in enumerate(separate):
        net.load_state_dict({name: cut(value, part) for name, value in grouped.state_dict().items()})
    windows = torch.randn(3, 5, 8, 7, 7, requires_grad=True)

    together = grouped(windows.flatten(1, 2))
    apart = torch.cat([net(windows[:, part]) for part, net in enumerate(separate)], dim=1)
    close(together, apart)
    weights = torch.randn_like(together)
    (gradient,) = torch.autograd.grad((together * weights).sum(), windows, retain_graph=True)
    (expected,) = torch.autograd.grad((apart * weights).sum(), windows, retain_graph=True)
    close(gradient, expected)
    ((together + apart) * weights).sum().backward()
    parameters = dict(grouped.named_parameters())
    for part, net in enumerate(separate):
        for name, parameter in net.named_parameters():
            close(cut(parameters[name].grad, part), parameter.grad)
        for name, buffer in net.named_buffers():  # running statistics
            close(cut(grouped.get_buffer(name), part), buffer)


def test_features_are_global_then_landmarks_in_order_then_the_connecting_layer():
    torch.manual_seed(0)
    head = GlobalLocalHead(6, 10, "conv")
    mid, last, landmarks = torch.randn(2, 6, 28, 28), torch.randn(2, 10, 7, 7), torch.rand(2, 5, 2) * 112
    windows = landmark_windows(mid, landmarks, 112)
    conv = head.local_branches[0]
    parts = [head.global_branch(last).mean((2, 3))]
    for p in range(5):
        weight, bias = conv.weight[64 * p : 64 * (p + 1)], conv.bias[64 * p : 64 * (p + 1)]
        parts.append(torch.conv2d(windows[:, p], weight, bias, padding=1).relu().mean((2, 3)))
    joined = torch.cat(parts, dim=1)
    assert joined.shape == (2, 384)
    expected = (joined @ head.fusion.weight.T + head.fusion.bias).relu()
    torch.testing.assert_close(head(Maps(mid, None, last), landmarks, 112), expected)


def test_only_its_own_landmark_moves_a_branch():
    head = GlobalLocalHead(6, 10, "conv")
    head.fusion.weight.data = torch.eye(384)
    head.fusion.bias.data.zero_()
    mid, last = torch.randn(1, 6, 28, 28), torch.randn(1, 10, 7, 7)
    landmarks = torch.full((1, 5, 2), 56.0)
    moved = landmarks.clone()
    moved[0, 3] = 20.0  # the left mouth corner
    changed = (
        (head(Maps(mid, None, last), landmarks, 112) != head(Maps(mid, None, last), moved, 112))[0].view(6, 64).any(1)
    )
    assert changed.tolist() == [False, False, False, False, True, False]


def test_extra_weights_of_difc_with_mcd():
    """Linear(384, 384) and two Linear(384, 7), biases not counted (the paper: 152,832 against AGRA's 318,464)."""
    extractor = make_backbone("ir18")
    classifiers = METHODS["mcd"].heads(extractor.num_features, 7)["C"]
    extra = [extractor.head.fusion.weight, *(p for p in classifiers.parameters() if p.dim() == 2)]
    assert sum(p.numel() for p in extra) == 152_832
