"""``pa-difc export``: writes a trained model as a folder, in formats that other programs read."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..util.terminal import wrapped

FORMATS = ("safetensors", "onnx", "pt2")

EXAMPLES = """\
  pa-difc export --model runs/demo/runs/mcd-difc-seed0-… --out my_model
  pa-difc export --model my_model --out my_model --format onnx pt2
  pa-difc export --model runs/demo/runs/mcd-difc-seed0-… \\
      --out my_model --calibrate"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="DIR", help="a finished run's folder, or an exported model")
    add("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    add(
        "--format",
        nargs="+",
        default=["safetensors"],
        choices=FORMATS,
        metavar="NAME",
        help=f"{', '.join(FORMATS)} (torch.export); safetensors is always written (default: safetensors)",
    )
    add(
        "--calibrate",
        action="store_true",
        help="fit a temperature on the source's held-out faces, so that confidence matches accuracy there",
    )


def run(parsed: argparse.Namespace) -> int:
    from ..deploy.export import copy_card, export_model, run_record
    from ..deploy.model import load_model

    model = load_model(parsed.model)
    if parsed.calibrate:
        from ..deploy.temperature import calibrate

        print(wrapped(f"{parsed.model}: {calibrate(model, parsed.model)}", 2))
    record = run_record(parsed.model)
    for line in export_model(model, parsed.out, tuple(parsed.format), record):
        print(line)
    if record is None:
        copy_card(parsed.model, parsed.out)
    return 0
