"""What several tests make or look up. Not in conftest.py: there are two of those, and only one can be imported."""

import argparse
import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pa_difc.backbones import make_backbone
from pa_difc.commands.flags import add_cell_flags, add_training_flags
from pa_difc.commands.given_cells import settings_of_cell
from pa_difc.data.domains import Domain
from pa_difc.data.faces import FaceSet
from pa_difc.data.labels import SEVEN
from pa_difc.data.store import FORMAT
from pa_difc.methods import METHODS

ROOT = Path(__file__).parent.parent

#: Of the oldest supported versions: it can't write ONNX, and annotates less.
OLD_TORCH = torch.torch_version.TorchVersion(torch.__version__) < (2, 6)


#: Under it, older versions of Ignite load any pickled object, as PyTorch's own default was.
TRUSTING = pytest.mark.skipif(OLD_TORCH, reason="torch.load and Ignite restrict nothing before torch 2.6")

#: The methods that learn from a labelled source, which is what most contracts are about.
TRAINED = [name for name, method in METHODS.items() if method.trains and method.uses_source]

#: Some that are several in one.
JOINED = ["mcd+mean_teacher", "dann+mcc+adamatch", "mcd+abc", "source_only+mean_teacher+abc"]


def picture(path, seed=0, size=(24, 24)):
    """A gray picture of noise, another one for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0]), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def table(path, rows):
    """A CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def counts(listing):
    """Samples of a listing by split and word."""
    return {split: Counter(row) for split, row in listing.counts.items()}


def random_faces(n, seed, size_px=32, prefix="face", num_classes=7):
    """Faces of noise whose brightness tells the class, all of them present."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % num_classes
    rng.shuffle(labels)
    images = rng.integers(0, 120, (n, 3, size_px, size_px)) + 126 // num_classes * labels[:, None, None, None]
    landmarks = rng.uniform(4, size_px - 4, (n, 5, 2)).astype(np.float32)
    return FaceSet(images.astype(np.uint8), landmarks, labels, tuple(f"{prefix}{i}" for i in range(n)))


def few_faces():
    """A source and a target for many short runs: batches of 8 make two steps an epoch, the last one smaller."""
    source = Domain("bright", random_faces(11, 1), random_faces(14, 2))
    return source, Domain("dim", random_faces(13, 3), random_faces(21, 4))


def classifier_weights(path, bias=True):
    """A file with the weights of a "small" network and of a classifier of three classes on it."""
    torch.manual_seed(1)
    state = make_backbone("small").state_dict() | {"fc.weight": torch.randn(3, 128) / 8}
    save_file(state | {"fc.bias": torch.randn(3) if bias else torch.zeros(3)}, path)
    return path


def store_manifest(size_px, splits, files):
    """The manifest of a face store that is written by hand.

    ``splits`` are ranges of faces, ``files`` their sizes and hashes, as a store's manifest has them.
    """
    return {
        "format": FORMAT,
        "dataset": "x",
        "identity": "0",
        "parameters": {"crop": "cdfer", "crop_px": size_px, "deduplicate": False, "on_missing": "drop"},
        "faces": max(stop for _, stop in splits.values()),
        "splits": splits,
        "words": list(SEVEN),
        "counts": {},
        "listed": max(stop for _, stop in splits.values()),
        "duplicates": None,
        "without_face": [],
        "unreadable": [{"name": "a.jpg", "reason": "no such file"}],
        "files": files,
        "versions": {},
    }


def class_folders(root, classes, seed, per_class, size_px=32):
    """Class folders of gray noise whose brightness tells the class; a quarter of each for testing."""
    rng = np.random.default_rng(seed)
    for k, name in enumerate(classes):
        for i in range(per_class):
            folder = root / ("test" if i % 4 == 3 else "train") / name
            folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 60, (size_px, size_px)) + (190 * k) // len(classes)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")


def settings_given(*words):
    """The resolved settings of one run, from a command line's words."""
    parser = argparse.ArgumentParser(epilog="")
    add_training_flags(parser)
    add_cell_flags(parser)
    return settings_of_cell(parser.parse_args([str(word) for word in words]))


def settings_of_adapt(*words):
    """The resolved settings of adapt's cells that start from weights, from a command line's words."""
    from pa_difc.commands.adapt import FROM_CLASSIFIER, arguments
    from pa_difc.commands.given_cells import settings_of_rows

    parser = argparse.ArgumentParser()
    arguments(parser)
    given = parser.parse_args(["--pretrained", "w.json", *words])
    return settings_of_rows(given, FROM_CLASSIFIER, {"model.backbone": "expression"})
