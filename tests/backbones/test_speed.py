"""What makes an extractor faster changes neither its names nor, but for rounding, what it computes."""

import copy

import pytest
import torch

from pa_difc.backbones import for_speed, make_backbone
from pa_difc.data.faces import Face
from pa_difc.training.build import make_extractor
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings


def face(n=4, side=48):
    generator = torch.Generator().manual_seed(0)
    return Face(torch.rand(n, 3, side, side, generator=generator), torch.full((n, 5, 2), 20.0))


def pair(**options):
    torch.manual_seed(0)
    plain = make_backbone("small", feature_head="global_local")
    fast = copy.deepcopy(plain)
    for_speed(fast, **options)
    assert fast.state_dict().keys() == plain.state_dict().keys()
    return plain, fast


def test_bf16_trains_close_to_float32_and_predicts_in_it():
    plain, fast = pair(precision="bf16")
    a, b = plain(face()), fast(face())
    assert b.dtype == torch.float32 and not torch.equal(a, b)
    torch.testing.assert_close(a, b, rtol=0.1, atol=0.05)
    b.sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in fast.parameters())
    plain, fast = pair(precision="bf16")
    with torch.no_grad():
        assert torch.equal(plain.eval()(face()), fast.eval()(face()))


def test_a_copy_of_a_bf16_extractor_computes_with_its_own_weights():
    _, fast = pair(precision="bf16")
    other = copy.deepcopy(fast)
    with torch.no_grad():
        for p in fast.parameters():
            p.zero_()
    assert fast(face()).sum() == 0 and other(face()).sum() != 0


def test_channels_last_computes_the_same():
    plain, fast = pair(channels_last=True)
    assert fast.trunk.blocks[1][0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plain(face()), fast(face()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("asked", "expected"), [(None, True), (True, True), (False, False)])
def test_on_a_cpu_training_has_channels_last_unless_told_otherwise(asked, expected):
    settings = resolve(Settings.of(method="mcd", loss="ce", backbone="mobilenet_v2", channels_last=asked))
    weight = next(p for p in make_extractor(settings).parameters() if p.dim() == 4 and min(p.shape) > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last) is expected


@pytest.mark.slow
def test_compiled_computes_the_same():
    plain, fast = pair(compiled=True)
    torch.testing.assert_close(plain(face()), fast(face()), rtol=1e-4, atol=1e-5)
