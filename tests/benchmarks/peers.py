"""What a step costs by others: the host's own adapters on faces, and skada's deep methods on points and faces."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from contracts.test_adaptation import CLASSES, DIMENSIONS, points
from pytorch_adapt.containers import Models

from pa_difc import METHODS
from pa_difc.backbones import SmallNet
from pa_difc.data import PairLoader
from pa_difc.data.faces import Face
from pa_difc.data.features import FeatureSet
from pa_difc.training.engine import fit

from . import sides
from .measure import Figure, interleaved, ratio

EPOCHS, FEATURES = 38, 32
LR = 0.02

#: The host's AFN and our SAFN differ in the weight of the norm loss alone; ours is set to the host's.
SAME = {"safn": {"weight": 1.0}}


def host(device: str) -> list[Figure]:
    """Our methods with cross-entropy against the host's: a step on faces."""
    figures = []
    for method in sides.OF_THE_HOST:
        adapters = {"ours": sides.ours(method, device=device), "host": sides.hosts(method, device)}
        steps = {name: sides.step(adapter, sides.batches(device=device)) for name, adapter in adapters.items()}
        seconds = interleaved(steps, 40, device)
        name = f"{method}: our step with ce over pytorch-adapt's"
        figures.append(ratio("host", name, seconds["ours"], seconds["host"], ("≤", 1.05)))
    return figures


def skada(device: str) -> list[Figure]:
    """Training to the end, ours over skada's: seconds a step on points and on faces."""
    try:
        from skada import deep
    except ImportError:
        return [Figure("skada", "not installed: pip install 'pa_difc[bench]'", float("nan"), "")]
    figures = []
    for method, make in (("dann", deep.DANN), ("cdan", deep.CDAN), ("mdd", deep.MDD)):
        for data, tasks in (
            ("points", [Task.of_points(seed) for seed in range(5)]),
            ("faces of 48 px", [Task.of_faces()] * 3),
        ):
            queues = {name: iter(tasks) for name in ("ours", "skada")}
            runs = {
                "ours": lambda method=method, queue=queues["ours"]: probabilities_of_ours(method, next(queue)),
                "skada": lambda make=make, queue=queues["skada"]: probabilities_of_skada(make, next(queue)),
            }
            found = interleaved(runs, len(tasks), device, warmup=0)
            seconds = {name: [t / tasks[0].steps for t in times] for name, times in found.items()}
            name = f"{method}: a training step on {data} over skada's"
            figures.append(ratio("skada", name, seconds["ours"], seconds["skada"], ("≤", 1.0)))
    return figures


@dataclass(frozen=True)
class Task:
    """Source and target samples with the same labels, and a network for them."""

    source: np.ndarray
    target: np.ndarray
    labels: np.ndarray
    network: Callable[[], torch.nn.Module]
    num_features: int
    num_classes: int
    epochs: int
    seed: int = 0

    @classmethod
    def of_points(cls, seed: int) -> Task:
        source, target, labels = points(seed)
        rows = np.arange(256) % len(labels)  # whole batches: skada leaves out the rest
        data = (x.numpy()[rows] for x in (source, target, labels.long()))
        return cls(*data, _network, FEATURES, CLASSES, EPOCHS, seed)

    @classmethod
    def of_faces(cls) -> Task:
        source, target = (sides.random_faces(256, seed, 48) for seed in (1, 1))
        images = (faces.images.astype(np.float32) / 255 for faces in (source, target))
        return cls(*images, source.labels, Pixels, 128, 7, 2)

    @property
    def steps(self) -> int:
        return self.epochs * (len(self.labels) // 32)


class Pixels(torch.nn.Module):
    """The small network on plain images."""

    def __init__(self) -> None:
        super().__init__()
        self.net = SmallNet()

    def forward(self, image):
        return self.net(Face(image, None))


def _network() -> torch.nn.Sequential:
    layers = [torch.nn.Linear(DIMENSIONS, 64), torch.nn.ReLU(), torch.nn.Linear(64, FEATURES), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers)


def probabilities_of_ours(method: str, task: Task, **options) -> np.ndarray:
    """Trains a method of ours; what it says of the target, (N, K)."""
    cls = METHODS[method]
    torch.manual_seed(task.seed)
    models = Models({"G": task.network(), **cls.heads(task.num_features, task.num_classes)})
    adapter = cls(models, sides.optimizers(lr=LR), **cls.schedule_options(task.steps), **options)
    names = tuple(map(str, range(len(task.labels))))
    source, target = (FeatureSet(x, task.labels, names) for x in (task.source, task.target))
    fit(adapter, PairLoader(source, target, seed=task.seed), epochs=task.epochs, progress=False)
    adapter.models.eval()
    with torch.no_grad():
        logits = adapter.inference(torch.from_numpy(task.target), domain=1)["logits"]
    return logits.softmax(1).numpy()


class Whole(torch.nn.Module):
    """Extractor and classifier in one, as skada takes them; it hands on keyword arguments that nobody needs here."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.features, self.classifier = task.network(), torch.nn.Linear(task.num_features, task.num_classes)

    def forward(self, x, sample_weight=None):
        return self.classifier(self.features(x))


def probabilities_of_skada(make, task: Task, **more) -> np.ndarray:
    """Trains a method of skada's; what it says of the target, (N, K)."""
    torch.manual_seed(task.seed)
    n, name = len(task.labels), make.__name__
    options = {"num_features": task.num_features} | ({"n_classes": task.num_classes} if name != "DANN" else {})
    if name != "MDD":  # skada's own ends in a softmax over one output, which is 1 whatever it is given
        options["domain_classifier"] = _Discriminator(task.num_features * (task.num_classes if name == "CDAN" else 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = make(
            Whole(task),
            layer_name="features",
            **options,
            **more,
            batch_size=32,
            max_epochs=task.epochs,
            train_split=None,
            optimizer=torch.optim.SGD,
            optimizer__lr=LR,
            optimizer__momentum=0.9,
            optimizer__weight_decay=5e-4,
            verbose=0,
        )
        domain = np.repeat([1, -2], n)
        labels = np.concatenate([task.labels, np.full(n, -1)])
        net.fit(np.concatenate([task.source, task.target]), labels, sample_domain=domain)
        return np.asarray(net.predict_proba(task.target, sample_domain=domain[n:], allow_source=True))


class _Discriminator(torch.nn.Module):
    """Our discriminator as skada takes one: probabilities out, gradients reversed within."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        from pytorch_adapt.layers import GradientReversal

        from pa_difc.methods.heads import discriminator

        self.reverse, self.net = GradientReversal(), discriminator(num_features)

    def forward(self, x, sample_weight=None):
        return self.net(self.reverse(x)).sigmoid()
