"""Figures as JSON and as a Markdown table."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from pa_difc.util.installed import installed_version

from .measure import Figure


def setting(device: str) -> dict[str, Any]:
    """Where the figures were measured."""
    packages = ("torch", "pytorch-adapt", "skada", "numpy")
    return {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor(),
        "threads": torch.get_num_threads(),
        "clock": "wall, synchronised" if device.startswith("cuda") else "CPU time of the process",
        "python": platform.python_version(),
        "versions": {name: installed_version(name) for name in packages},
    }


def to_dict(figure: Figure) -> dict[str, Any]:
    return {**asdict(figure), "held": figure.held}


def markdown(known: dict[str, Any], figures: Sequence[Figure]) -> str:
    """A table for each section; misses are marked."""
    versions = ", ".join(f"{name} {version}" for name, version in known["versions"].items() if version)
    lines = [
        f"{known['device']}, {known['threads']} thread; {known['clock']}; Python {known['python']}, {versions}.",
        "Median of paired, interleaved rounds [quartiles]; what was counted has neither.",
    ]
    for section, members in groupby(figures, key=lambda f: f.section):
        lines += [
            "",
            f"### {section}",
            "",
            "| figure | value | rounds | bound | behind it |",
            "| --- | ---: | ---: | --- | --- |",
        ]
        lines += [_row(figure) for figure in members]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    value = f"{_number(figure.value)} {figure.unit}".strip()
    if figure.quartiles:
        value += " [{}, {}]".format(*map(_number, figure.quartiles))
    bound = ""
    if figure.bound:
        bound = f"{figure.bound[0]} {figure.bound[1]:g}" + ("" if figure.held else " **missed**")
    rounds = figure.rounds if figure.rounds > 1 else ""
    return f"| {figure.name} | {value} | {rounds} | {bound} | {figure.note} |"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
