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
    best = {dtype: ceiling(dtype, device) for dtype in (torch.float32, torch.bfloat16)}
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
            note = f"{32 / statistics.median(times):.0f} images/s, {share:.0%} of the device at its best"
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


def ceiling(dtype, device: str, rounds: int = 7) -> float:
    """Operations a second of the device at its best, measured: the fastest of matrix products and convolutions.

    Of both, for on some processors the one library is far behind the other: a convolution of oneDNN's has been a fifth
    faster than any product of MKL's on a Zen CPU, where MKL leaves half of the vector units unused.
    """
    large = device.startswith("cuda")
    runs, operations = {}, {}
    for n in (4096, 8192) if large else (512, 1024, 2048):
        a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
        runs[f"product of {n}"], operations[f"product of {n}"] = (lambda a=a, b=b: a @ b), 2 * n**3
    for channels, side, faces in ((64, 28, 256 if large else 32), (256, 14, 512 if large else 32)):
        x = torch.randn(faces, channels, side, side, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        w = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        name = f"convolution of {channels}"
        runs[name] = lambda x=x, w=w: F.conv2d(x, w, padding=1)
        operations[name] = 2 * 9 * channels**2 * faces * side**2
    with torch.no_grad():
        seconds = interleaved(runs, rounds, device)
    return max(operations[name] / min(times) for name, times in seconds.items())
