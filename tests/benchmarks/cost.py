"""What DIFC costs in the host's methods, and what each method costs."""

from __future__ import annotations

import statistics

import torch

from pa_difc import METHODS

from . import sides
from .measure import Figure, interleaved, ratio

TRAINED = [name for name, method in METHODS.items() if method.trains and method.uses_source]
BOUNDS = {"mcd": 1.03, "dann": 1.05, "safn": 1.05}


def difc(device: str) -> list[Figure]:
    """A step with DIFC while it estimates confusion, over a step of the host's adapter with cross-entropy."""
    figures = []
    for method, bound in BOUNDS.items():
        adapters = {"ours": sides.ours(method, sides.confusing(), device=device), "host": sides.hosts(method, device)}
        steps = {name: sides.step(adapter, sides.batches(device=device)) for name, adapter in adapters.items()}
        seconds = interleaved(steps, 60, device)
        name = f"{method}: a step with difc over pytorch-adapt's with ce"
        figures.append(ratio("difc", name, seconds["ours"], seconds["host"], ("≤", bound)))
        peaks = {name: peak_bytes(run, device) for name, run in steps.items()}
        name = f"{method}: a step's peak memory, difc over pytorch-adapt's with ce"
        note = f"{peaks['ours'] / 2**20:.2f} against {peaks['host'] / 2**20:.2f} MiB above what stays between steps"
        figures.append(Figure("difc", name, peaks["ours"] / peaks["host"], "×", ("≤", 1.01), note=note))
    return figures


def methods(device: str) -> list[Figure]:
    """Each method's step with cross-entropy over source-only's, and with DIFC over the same method's."""
    steps = {}
    for method in TRAINED:
        for loss in ("ce", "difc"):
            made = "ce" if loss == "ce" else sides.confusing()
            adapter = sides.ours(method, made, device=device, **METHODS[method].schedule_options(1000))
            steps[f"{method} {loss}"] = sides.step(adapter, sides.batches(device=device))
    seconds = interleaved(steps, 25, device)
    floor = seconds["source_only ce"]
    figures = [ratio("methods", f"{m}: a step with ce over source_only's", seconds[f"{m} ce"], floor) for m in TRAINED]
    return figures + [
        ratio("methods", f"{m}: a step with difc over one with ce", seconds[f"{m} difc"], seconds[f"{m} ce"])
        for m in TRAINED
    ]


def peak_bytes(run, device: str, times: int = 3) -> float:
    """The most that one call holds at a time, in bytes over what is held before it; median of some calls."""
    run()
    return statistics.median(_peak(run, device) for _ in range(times))


def _peak(run, device: str) -> int:
    if torch.device(device).type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    held = peak = 0
    for event in profile.profiler.kineto_results.events():  # in the order of time
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak
