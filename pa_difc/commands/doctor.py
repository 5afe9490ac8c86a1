"""``pa-difc doctor``: checks versions, device, datasets and a training step of every method, with advice."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.datasets import DATASETS, find_dataset
from ..methods import METHODS
from ..util.errors import UserError
from ..util.installed import installed_version
from ..util.process import quoted
from ..util.terminal import wrapped

if TYPE_CHECKING:
    from ..data.faces import FaceSet

EXAMPLES = """\
  pa-difc doctor
  pa-difc doctor --data-root data --device cuda"""

#: The versions that the tests last passed with.
TESTED = {
    "torch": "2.15.0",
    "torchvision": "0.29.2",
    "pytorch-adapt": "0.0.83",
    "pytorch-metric-learning": "1.6.3",
    "facenet-pytorch": "2.5.3",
    "torchmetrics": "0.9.3",
    "numpy": "2.4.6",
    "scipy": "1.17.1",
    "scikit-learn": "1.9.1",
    "optuna": "5.0.0",
    "pytorch-ignite": "0.5.5",
    "safetensors": "0.8.0",
    "pillow": "13.0.0",
    "matplotlib": "3.11.2",
}
#: These must have exactly the tested version.
_PINNED = ("pytorch-adapt", "facenet-pytorch")
_EXTRAS = {
    "onnx": ("onnxruntime", "export --format onnx"),
    "tensorboard": ("tensorboard", "--log tensorboard"),
    "postgres": ("psycopg2-binary", "studies on many machines"),
    "timm": ("timm", "--backbone timm:NAME"),
    "grpc": ("grpcio", "studies on many machines"),
    "heif": ("pillow-heif", "photographs of iPhones"),
    "parquet": ("pyarrow", "parquet:PATH"),
    "duplicates": ("imagehash", "--near-duplicates"),
    "cluster": ("distributed", "compare --cluster"),
    "video": ("av", "predict --video"),
    "web": ("starlette", "serve"),
    "mlflow": ("mlflow-skinny", "--log mlflow"),
    "wandb": ("wandb", "--log wandb"),
    "completion": ("shtab", "--print-completion"),
}


@dataclass(frozen=True)
class Finding:
    """A line of the report, with advice if something should be done."""

    text: str
    good: bool = True
    advice: str = ""

    def __str__(self) -> str:
        line = wrapped(f"  {'✓' if self.good else '✗' if self.advice else '·'} {self.text}", 4)
        return line + ("\n" + wrapped(f"      → {self.advice}", 8) if self.advice else "")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data-root", type=Path, default=Path("data"), metavar="DIR", help="folder of datasets (default: %(default)s)")
    add("--device", default="cpu", metavar="NAME", help="cpu, cuda or cuda:N (default: %(default)s)")


def run(parsed: argparse.Namespace) -> int:
    sections = {
        "versions (tested ones in brackets where they differ)": versions(),
        "optional parts": extras(),
        "pytorch-adapt": host(),
        "device": device(parsed.device),
        f"data in {parsed.data_root}": datasets(parsed.data_root),
        "a step of every method, with DIFC": steps(parsed.device),
    }
    problems = 0
    for title, findings in sections.items():
        print(title)
        for finding in findings:
            problems += bool(finding.advice)
            print(finding, flush=True)
    print(
        "everything works"
        if not problems
        else f"{problems} problem{'s' * (problems > 1)}, each with its remedy after →"
    )
    return 1 if problems else 0


def versions() -> Iterator[Finding]:
    """Installed versions beside the tested ones; a difference is a problem only for pinned packages."""
    for name, tested in TESTED.items():
        found = installed_version(name)
        if found is None:
            yield Finding(f"{name} is not installed", False, f"pip install {name}=={tested}")
        elif name in _PINNED and found != tested:
            yield Finding(f"{name} {found} does not work ({tested} does)", False, f"pip install {name}=={tested}")
        else:
            same = found.partition("+")[0] == tested
            yield Finding(f"{name} {found}" + ("" if same else f" [{tested}]"), same)


def extras() -> Iterator[Finding]:
    """Which optional packages are installed."""
    for extra, (package, use) in _EXTRAS.items():
        found = installed_version(package)
        text = f"{package} {found}" if found else f"{use}: pip install 'pa-difc[{extra}]'"
        yield Finding(text, found is not None)


def host() -> Iterator[Finding]:
    """Whether pytorch-adapt has the private names that pa_difc imports."""
    from ..methods import _host

    missing = [name for name in _host.__all__ if not hasattr(_host, name)]
    if missing:
        advice = f"pip install pytorch-adapt=={TESTED['pytorch-adapt']}"
        yield Finding(f"without {', '.join(missing)}", False, advice)
    else:
        yield Finding(f"its {len(_host.__all__)} names that pa_difc uses are all there")


def device(name: str) -> Iterator[Finding]:
    """Whether the device can be used, and what it is."""
    import torch

    from ..training.device import set_device

    try:
        chosen = set_device(name)
    except UserError as error:
        yield Finding(str(error), False, "use --device cpu, or a torch build for this machine's accelerator")
        return
    yield Finding(f"{chosen}; torch uses {torch.get_num_threads()} threads")
    if chosen.type == "cuda":
        properties = torch.cuda.get_device_properties(chosen)
        yield Finding(f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")


def datasets(root: Path) -> Iterator[Finding]:
    """The datasets found below a folder, with their training counts."""
    from ..data.store import is_store

    specs = DATASETS.loaded()
    stores = [p.name for p in sorted(root.glob("*")) if is_store(p)] if root.is_dir() else []
    forms: dict[str, list[str]] = {}  # one folder may hold several datasets, or one in several file formats
    for name in dict.fromkeys([*specs, *stores]):
        spec = specs.get(name)
        folder = (spec.folder or name) if spec else name
        if spec is None or (spec.reader is not None and (root / folder).is_dir()):
            forms.setdefault(folder, []).append(name if spec else f"store:{name}")
    for names in forms.values():
        found = [_dataset(name, root) for name in names]
        here = [finding for finding, absent in found if not absent]
        # If one form of a dataset is there, the other is not missed; a folder without any reports the first.
        yield from here or [found[0][0]]
    if not forms:
        yield Finding("none; toy_studio and toy_street need none (`pa-difc datasets` lists the others)", False)


def _dataset(name: str, root: Path) -> tuple[Finding, bool]:
    """The finding for a dataset, and whether none of its files exist."""
    from ..data.readers.listing import OUR_SPLIT, NotHere, missing_files
    from ..data.store import is_store, open_store

    counts: dict[str, dict[str, int]] = {}
    problems: list[str] = []
    ours: list[str] = []  # a note if pa_difc made the split
    nothing = False
    advice = f"pa-difc datasets {quoted(name)} --data-root {quoted(str(root))}"
    try:
        reader, path = find_dataset(name, root)
        if is_store(path):
            store = open_store(path)
            counts = store.counts
            ours = [note for note in store.manifest.get("notes", ()) if note == OUR_SPLIT]
            sizes = {split: len(faces) for split, faces in store.splits.items()}
        elif reader is not None:
            listing = reader(path)
            counts = listing.counts
            ours = [OUR_SPLIT] * listing.by_hash
            sizes = Counter(sample.split for sample in listing.samples)
            looked, absent = missing_files(listing.samples)
            if absent:
                problems.append(f"{len(absent):,} of {looked:,} files are missing")
                nothing = len(absent) == looked
    except UserError as error:
        return Finding(f"{name}: {error}", False, advice), isinstance(error, NotHere)
    problems += _warnings(counts)
    text = f"{name} ({'face store' if is_store(path) else 'images'}), {_counted(counts, sizes)}"
    return Finding("; ".join([text, *ours, *problems]), not problems, advice if problems else ""), nothing


def _warnings(counts: dict[str, dict[str, int]]) -> list[str]:
    """Warnings of empty splits, and of classes that only one split has."""
    from ..data.labelling import alone_line, empty_lines, one_sided
    from ..data.labels import EXPRESSIONS

    alone = one_sided(counts, EXPRESSIONS)
    return [*empty_lines(counts, EXPRESSIONS), *(alone_line(names, split) for split, names in alone.items())]


def _counted(counts: dict[str, dict[str, int]], sizes: Mapping[str, int]) -> str:
    """The counts of the training split, or of the first one there is, in a few words."""
    from ..data.domains import describe_counts

    split = "train" if "train" in sizes else next(iter(sizes))
    words = counts.get(split, {})
    return f"{split}: {describe_counts(list(words.values()), sizes[split], list(words))}"


def steps(device: str) -> Iterator[Finding]:
    """One training step of each method on noise."""
    from ..data.domains import Domain
    from ..training.build import make_adapter, make_loader
    from ..training.device import set_device
    from ..training.resolve import resolve
    from ..training.settings import Settings

    try:
        set_device(device)
    except UserError:
        return
    source, target = (Domain(name, _noise(seed), _noise(seed + 2)) for name, seed in (("a", 0), ("b", 1)))
    for name in (name for name, method in METHODS.loaded().items() if not method.needs_pretrained):
        try:
            changes = {"method": name, "epochs": 1, "batch_size": 16, "crop_px": 48, "device": device}
            settings = resolve(Settings.of(**changes))
            adapter = make_adapter(settings, source, steps_per_epoch=2)
            adapter.models.to(device)
            adapter.models.train()
            batches = list(make_loader(settings, source, target).epoch(0))
            adapter.training_step(batches[0])
            started = time.perf_counter()
            adapter.training_step(batches[1])
        except Exception as error:  # any failure is a finding
            reason = (str(error).splitlines() or [""])[0]
            advice = "compare the versions above with the tested ones; for a plugin's method, ask its authors"
            yield Finding(f"{name}: {type(error).__name__}: {reason}", False, advice)
        else:
            yield Finding(f"{name}: {1000 * (time.perf_counter() - started):.0f} ms")


def _noise(seed: int) -> FaceSet:
    import numpy as np

    from ..data.faces import FaceSet

    rng = np.random.default_rng(seed)
    n = 35
    images = rng.integers(0, 256, (n, 3, 48, 48), dtype=np.uint8)
    points = rng.uniform(8, 40, (n, 5, 2)).astype(np.float32)
    return FaceSet(images, points, np.arange(n) % 7, tuple(f"noise{i}" for i in range(n)))
