"""Landmark windows and branches against the plain way, and prepare against the bare detector."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image

from pa_difc.backbones.head import BRANCHES
from pa_difc.backbones.landmarks import landmark_windows
from pa_difc.data.datasets import find_dataset
from pa_difc.data.labels import SEVEN
from pa_difc.data.prepare import PrepareSettings
from pa_difc.data.prepare.assemble import assemble
from pa_difc.data.prepare.plan import make_plan
from pa_difc.data.prepare.sheet import draw_sheet
from pa_difc.data.prepare.work import make_chunk, start_worker

from .measure import Figure, interleaved, now, ratio

IMAGES = 128
LAYOUTS = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}


def landmarks(device: str) -> list[Figure]:
    """Windows for all faces in one gather, and the five branches as one grouped network; forward and backward."""
    return [*(_windows(kind, device) for kind in LAYOUTS), *(_branches(kind, device) for kind in BRANCHES)]


def loop_of_slices(feature_map, landmarks, width_px):
    """The plain way. Each slice is of the whole batch, so its backward pass fills a zero map of the whole batch."""
    windows = []
    for face in range(len(feature_map)):
        for x, y in landmarks[face].tolist():
            column = min(max(int(x * 28 / width_px), 3), 24)
            row = min(max(int(y * 28 / width_px), 3), 24)
            windows.append(feature_map[face, :, row - 3 : row + 4, column - 3 : column + 4])
    return torch.stack(windows).view(len(feature_map), 5, -1, 7, 7)


def _windows(layout: str, device: str) -> Figure:
    torch.manual_seed(0)
    maps = torch.randn(32, 128, 28, 28, device=device).to(memory_format=LAYOUTS[layout]).requires_grad_()
    points, gradient = torch.rand(32, 5, 2, device=device) * 112, torch.randn(32, 5, 128, 7, 7, device=device)
    assert torch.equal(landmark_windows(maps, points, 112), loop_of_slices(maps, points, 112))

    def run(windows):
        maps.grad = None
        windows(maps, points, 112).backward(gradient)

    both = {"loop": lambda: run(loop_of_slices), "gather": lambda: run(landmark_windows)}
    seconds = interleaved(both, 9, device)
    name = f"windows of 32 faces, {layout}: a loop of slices over one gather"
    return ratio("landmarks", name, seconds["loop"], seconds["gather"], ("≥", 50))


def _branches(kind: str, device: str) -> Figure:
    torch.manual_seed(0)
    grouped = BRANCHES[kind](128, 5).to(device)
    apart = [BRANCHES[kind](128, 1).to(device) for _ in range(5)]
    windows = torch.randn(32, 5, 128, 7, 7, device=device)

    def five():
        torch.cat([branch(windows[:, i]) for i, branch in enumerate(apart)], dim=1).sum().backward()

    both = {"five": five, "grouped": lambda: grouped(windows.flatten(1, 2)).sum().backward()}
    seconds = interleaved(both, 15 if kind == "conv" else 7, device)
    name = f"landmark_branch={kind}: five networks over one grouped network"
    return ratio("landmarks", name, seconds["five"], seconds["grouped"], ("≥", 2))


def prepare(device: str) -> list[Figure]:
    """Faces a second of prepare, with reading, cutting out and writing, over the detector alone on the same pixels.

    Without the contact sheet, a picture of at most 80 tiles whatever the store's size: its time is given beside.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _photographs(root / "faces")
        reader, path = find_dataset("folder:faces", root)
        settings = PrepareSettings()
        handler = signal.getsignal(signal.SIGINT)
        start_worker(device, settings.detect_px)
        signal.signal(signal.SIGINT, handler)  # a worker leaves Ctrl-C to its parent; here there is none
        count = iter(range(1000))

        def whole():
            out = root / f"store{next(count)}"
            out.mkdir()
            plan = make_plan("folder:faces", reader(path), settings)
            parts = [out / f"{i}.npz" for i in range(len(plan.chunks))]
            for part, samples in zip(parts, plan.chunks, strict=True):
                make_chunk(part, samples, settings)
            assemble(plan, out, out, parts)

        sheets = TimedSheet()
        with patch("pa_difc.data.prepare.assemble.draw_sheet", sheets):
            both = {"bare": _bare(root / "faces", settings, device), "whole": whole}
            seconds = interleaved(both, 7, device, warmup=1)
    seconds["whole"] = [
        all_of_it - sheet for all_of_it, sheet in zip(seconds["whole"], sheets.seconds[1:], strict=True)
    ]
    rate, sheet = IMAGES / np.median(seconds["whole"]), np.median(sheets.seconds)
    note = f"{rate:.1f} faces a second and core; the contact sheet, once for a store, {sheet:.2f} s"
    return [ratio("prepare", "the detector alone over prepare", seconds["bare"], seconds["whole"], ("≥", 0.95), note)]


class TimedSheet:
    """Draws the contact sheet and keeps how long it took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, *arguments) -> None:
        start = now()
        draw_sheet(*arguments)
        self.seconds.append(now() - start)


def _photographs(root: Path) -> None:
    """A face at FER2013's size, turned and lit at random, in class folders."""
    from skimage.data import astronaut

    rng, face = np.random.default_rng(0), Image.fromarray(astronaut()[20:230, 130:320])
    for i in range(IMAGES):
        turned = face.rotate(rng.uniform(-15, 15), fillcolor=(90, 90, 90)).resize((48, 48), Image.Resampling.BOX)
        pixels = np.clip(np.asarray(turned) * rng.uniform(0.6, 1.3), 0, 255).astype(np.uint8)
        path = root / ("train" if i % 4 else "test") / SEVEN[i % 7] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def _bare(root: Path, settings: PrepareSettings, device: str):
    """facenet-pytorch's MTCNN on the same images, decoded and in memory, in batches of the same size.

    It enlarges them as prepare does: at 48 px it would hardly find a face.
    """
    images = [Image.open(file).convert("RGB") for file in sorted(root.rglob("*.*"))]
    side = min(settings.detect_px, 4 * images[0].width)
    margin = round(0.15 * side)
    detector = MTCNN(keep_all=True, select_largest=False, device=torch.device(device))
    detector.min_face_size = int(0.33 * side)

    def canvas(image):
        made = Image.new("RGB", (side + 2 * margin,) * 2, (128,) * 3)
        made.paste(image.resize((side, side), Image.Resampling.BILINEAR), (margin, margin))
        return made

    def run():
        for start in range(0, len(images), 32):
            detector.detect([canvas(image) for image in images[start : start + 32]], landmarks=True)

    return run
