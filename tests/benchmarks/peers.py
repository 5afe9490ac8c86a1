"""The same work by others: the host's own adapters, and skada's deep methods, on turned and shifted points."""

from __future__ import annotations

import statistics
import warnings

import numpy as np
import torch
from contracts.test_adaptation import CLASSES, DIMENSIONS, points
from pytorch_adapt.containers import Models

from pa_difc import METHODS
from pa_difc.data import PairLoader
from pa_difc.data.features import FeatureSet
from pa_difc.engine import fit

from . import sides
from .measure import Figure, interleaved, ratio

EPOCHS, SEEDS, FEATURES = 38, 5, 32
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
        name = f"{method}: our step with ce over the host's"
        figures.append(ratio("host", name, seconds["ours"], seconds["host"], ("≤", 1.05)))
    return figures


def skada(device: str) -> list[Figure]:
    """Training to the end on points, ours over skada's: seconds a step, and target accuracy beside it."""
    try:
        from skada import deep
    except ImportError:
        return [Figure("skada", "not installed: pip install 'pa_difc[bench]'", float("nan"), "")]
    figures = []
    for method, theirs in (("dann", deep.DANN), ("cdan", deep.CDAN), ("mdd", deep.MDD)):
        scores: dict[str, list[float]] = {"ours": [], "skada": []}
        seeds = {name: iter(range(1000)) for name in scores}
        both = {
            "ours": lambda m=method, s=scores, n=seeds: s["ours"].append(_ours(m, next(n["ours"]) % SEEDS)),
            "skada": lambda t=theirs, s=scores, n=seeds: s["skada"].append(_skada(t, next(n["skada"]) % SEEDS)),
        }
        seconds = interleaved(both, SEEDS, device, warmup=0)
        steps = EPOCHS * 8
        per_step = {name: [t / steps for t in times] for name, times in seconds.items()}
        name = f"{method}: a training step over skada's"
        figures.append(ratio("skada", name, per_step["ours"], per_step["skada"], ("≤", 1.0)))
        mean = {name: 100 * statistics.mean(found) for name, found in scores.items()}
        note = f"{mean['ours']:.1f} against {mean['skada']:.1f} %, mean of {SEEDS} seeds after {steps} steps"
        name = f"{method}: target accuracy, ours less skada's, in points"
        figures.append(Figure("skada", name, mean["ours"] - mean["skada"], "", ("≥", 0), note=note))
    return figures


def _network() -> torch.nn.Sequential:
    layers = [torch.nn.Linear(DIMENSIONS, 64), torch.nn.ReLU(), torch.nn.Linear(64, FEATURES), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers)


def _data(seed: int):
    source, target, labels = points(seed)
    repeated = np.arange(256) % len(labels)  # whole batches: skada leaves out the rest
    return source.numpy()[repeated], target.numpy()[repeated], labels.long().numpy()[repeated]


def _ours(method: str, seed: int) -> float:
    source, target, labels = _data(seed)
    cls = METHODS[method]
    torch.manual_seed(seed)
    models = Models({"G": _network(), **cls.heads(FEATURES, CLASSES)})
    adapter = cls(models, sides.optimizers(lr=LR), **cls.schedule_options(EPOCHS * 8))
    names = tuple(map(str, range(len(labels))))
    loader = PairLoader(FeatureSet(source, labels, names), FeatureSet(target, labels, names), seed=seed)
    fit(adapter, loader, epochs=EPOCHS, progress=False)
    adapter.models.eval()
    with torch.no_grad():
        predicted = adapter.inference(torch.from_numpy(target), domain=1)["logits"].argmax(1).numpy()
    return float((predicted == labels).mean())


class Whole(torch.nn.Module):
    """Extractor and classifier in one, as skada takes them; it hands on keyword arguments that nobody needs here."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.classifier = _network(), torch.nn.Linear(FEATURES, CLASSES)

    def forward(self, x, sample_weight=None):
        return self.classifier(self.features(x))


def _skada(make, seed: int) -> float:
    source, target, labels = _data(seed)
    torch.manual_seed(seed)
    x = np.concatenate([source, target]).astype(np.float32)
    y = np.concatenate([labels, np.full(len(labels), -1)])
    domain = np.concatenate([np.ones(len(labels), dtype=int), np.full(len(labels), -2)])
    name = make.__name__
    options = {"num_features": FEATURES} | ({"n_classes": CLASSES} if name != "DANN" else {})
    if name != "MDD":  # skada's own ends in a softmax over one output, which is 1 whatever it is given
        options["domain_classifier"] = _Discriminator(FEATURES if name == "DANN" else FEATURES * CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = make(
            Whole(),
            layer_name="features",
            **options,
            batch_size=32,
            max_epochs=EPOCHS,
            train_split=None,
            optimizer=torch.optim.SGD,
            optimizer__lr=LR,
            optimizer__momentum=0.9,
            optimizer__weight_decay=5e-4,
            verbose=0,
        )
        net.fit(x, y, sample_domain=domain)
        predicted = net.predict(target.astype(np.float32), sample_domain=domain[len(labels) :], allow_source=True)
    return float((predicted == labels).mean())


class _Discriminator(torch.nn.Module):
    """Our discriminator as skada takes one: probabilities out, gradients reversed within."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        from pytorch_adapt.layers import GradientReversal

        from pa_difc.methods.heads import discriminator

        self.reverse, self.net = GradientReversal(), discriminator(num_features)

    def forward(self, x, sample_weight=None):
        return self.net(self.reverse(x)).sigmoid()
