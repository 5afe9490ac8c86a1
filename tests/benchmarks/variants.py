"""MCD with fewer passes, both domains in one pass, and what precision, memory format and compilation do."""

from __future__ import annotations

import statistics
import warnings

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from pa_difc.backbones import for_speed, make_backbone
from pa_difc.methods.hooks import JointFeaturesHook

from . import sides
from .measure import Figure, interleaved, ratio


def mcd(device: str) -> list[Figure]:
    """MCD's step with step B's features reused, and in one step, over its own; one pass of G for both domains."""
    adapters = {
        "mcd": sides.ours("mcd", device=device),
        "reuse_features": sides.ours("mcd", device=device, hook_kwargs={"reuse_features": True}),
        "mcd_onestep": sides.ours("mcd_onestep", device=device),
    }
    steps = {name: sides.step(adapter, sides.batches(device=device)) for name, adapter in adapters.items()}
    seconds = interleaved(steps, 25, device)
    figures = [
        ratio("mcd", f"mcd: a step {how} over six steps of it", seconds[name], seconds["mcd"])
        for name, how in (("reuse_features", "with features reused"), ("mcd_onestep", "as one (mcd_onestep)"))
    ]
    for method in ("dann", "safn", "detn"):
        joint = sides.ours(method, device=device, hook_kwargs={"pre": [JointFeaturesHook()]})
        adapters = {"joint": joint, "apart": sides.ours(method, device=device)}
        steps = {name: sides.step(adapter, sides.batches(device=device)) for name, adapter in adapters.items()}
        seconds = interleaved(steps, 25, device)
        name = f"{method}: a step with both domains in one pass of G over one with two"
        figures.append(ratio("mcd", name, seconds["joint"], seconds["apart"]))
    return figures


#: Backbone, side of the faces, rounds.
NETWORKS = (("small", 48, 20), ("mobilefacenet", 112, 5))

#: What is set on an extractor; the last, CUDA graphs, only on CUDA.
FLAGS = {
    "plain": {},
    "channels_last": {"channels_last": True},
    "bf16": {"precision": "bf16"},
    "compile": {"compiled": True},
    "bf16 + channels_last + compile": {"precision": "bf16", "channels_last": True, "compiled": True},
}


def flags(device: str) -> list[Figure]:
    """A training step of the extractor under each flag over one without, and what share of the device it uses."""
    figures = []
    best = {dtype: _matrix_flops(dtype, device) for dtype in (torch.float32, torch.bfloat16)}
    for backbone, side, rounds in NETWORKS:
        batch = next(iter(sides.loader(1, side, device).epoch(0)))
        steps = {name: _extractor_step(backbone, batch, device, speed) for name, speed in FLAGS.items()}
        if device.startswith("cuda"):
            steps["CUDA graphs"] = _extractor_step(backbone, batch, device, {}, mode="reduce-overhead")
        flops = _step_flops(backbone, batch, device)
        seconds = interleaved(steps, rounds, device, warmup=3)
        for name, times in seconds.items():
            rate = flops / statistics.median(times)
            share = rate / best[torch.bfloat16 if "bf16" in name else torch.float32]
            note = f"{32 / statistics.median(times):.0f} images/s, {share:.0%} of the device's matrix product"
            if name != "plain":
                what = f"{backbone}, {side} px: a step with {name} over one without"
                figures.append(ratio("flags", what, times, seconds["plain"], note=note))
            else:
                what = f"{backbone}, {side} px: images a second"
                figures.append(Figure("flags", what, 32 / statistics.median(times), "/s", rounds=rounds, note=note))
    return figures


def _extractor_step(backbone, batch, device, speed, mode=None):
    torch.manual_seed(0)
    extractor = make_backbone(backbone)
    classifier = torch.nn.Linear(extractor.num_features, 7).to(device)
    for_speed(extractor.to(device).train(), **speed)
    if mode:
        extractor.compile(mode=mode)
    optimizer = torch.optim.SGD([*extractor.parameters(), *classifier.parameters()], lr=0.001, momentum=0.9)

    def step():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.compile's own, at its first step
            loss = F.cross_entropy(classifier(extractor(batch["src_imgs"])), batch["src_labels"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return step


def _step_flops(backbone, batch, device) -> int:
    """Operations of a step: three forward passes' worth, for a backward pass makes two products for each of its one.

    Counted forward alone, as torch's counter takes a grouped convolution's backward pass for a full one.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        make_backbone(backbone).to(device).eval()(batch["src_imgs"])
    return 3 * counter.get_total_flops()


def _matrix_flops(dtype, device: str, rounds: int = 5) -> float:
    """Operations a second of a large matrix product: what the device can do at its best, measured."""
    n = 4096 if device.startswith("cuda") else 1024
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    seconds = interleaved({"product": lambda: a @ b}, rounds, device)["product"]
    return 2 * n**3 / min(seconds)
