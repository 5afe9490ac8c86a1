"""The same methods by four libraries, on the same features, networks and steps: seconds a step, and target accuracy.

Each side searches its method's weight over the same values, and takes the run whose target predictions have the largest
mutual information with the classes (Shi & Sha 2012, arXiv:1206.6438): no side sees a label of the target before its
choice. Reversal, ramps and further defaults are each library's own, and so are losses; the discriminator is the same
network.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from pytorch_adapt import adapters as host_adapters
from pytorch_adapt.containers import Misc, Models
from pytorch_adapt.hooks import AFNHook
from pytorch_adapt.layers import RandomizedDotProduct
from pytorch_adapt.weighters import MeanWeighter
from torch import nn
from torch.nn import functional as F

from pa_difc import METHODS
from pa_difc.methods.heads import discriminator
from pa_difc.util.errors import DivergedError

from . import sides
from .measure import Figure, interleaved, ratio
from .peers import LR, Task, probabilities_of_ours, probabilities_of_skada

WEIGHTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
SEEDS = 3
COMPARED = ("dann", "cdan", "mcd", "mdd", "safn")

Train = Callable[[float, Task], np.ndarray]  #: a method at a weight → its probabilities for the target, (N, K)


def libraries(device: str) -> list[Figure]:
    """Every method and library: a step over ours, and target accuracy after each side's own search."""
    tasks = [Task.of_points(seed) for seed in range(SEEDS)]
    figures = []
    for method in COMPARED:
        found = {name: make(method) for name, make in LIBRARIES.items()}
        runs = {name: Search(train, tasks) for name, train in found.items() if train is not None}
        trained = interleaved(dict(runs), SEEDS * len(WEIGHTS), device, warmup=0)
        seconds = {name: [t / tasks[0].steps for t in times] for name, times in trained.items()}
        ours = runs.pop("ours")
        for name, other in runs.items():
            step = f"{method}: a training step over {name}'s"
            figures.append(ratio("libraries", step, seconds["ours"], seconds[name]))
            gap = f"{method}: target accuracy after the same search, ours less {name}'s, in points"
            note = f"{ours.said} against {other.said}, means of {SEEDS} seeds"
            figures.append(Figure("libraries", gap, 100 * (ours.accuracy - other.accuracy), "", note=note))
    return figures or [Figure("libraries", "none is installed", float("nan"), "")]


class Search:
    """A side's runs, one at a call: all weights for a task, then the next task."""

    def __init__(self, train: Train, tasks: list[Task]) -> None:
        self._train, self._todo = train, [(task, weight) for task in tasks for weight in WEIGHTS]
        self._found: dict[int, list[tuple[float, float, float]]] = {}

    def __call__(self) -> None:
        task, weight = self._todo.pop(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            probs = self._train(weight, task)
        right = float((probs.argmax(1) == task.labels).mean())
        self._found.setdefault(task.seed, []).append((information(probs), right, weight))

    @property
    def chosen(self) -> list[tuple[float, float, float]]:
        return [max(runs) for runs in self._found.values()]

    @property
    def accuracy(self) -> float:
        return statistics.mean(right for _, right, _ in self.chosen)

    @property
    def said(self) -> str:
        weights = ", ".join(f"{weight:g}" for *_, weight in self.chosen)
        return f"{100 * self.accuracy:.1f} % (weight {weights})"


def information(probs: np.ndarray) -> float:
    """Entropy of the mean prediction less the mean entropy of predictions, in nats; −∞ where a run has diverged."""
    if not np.isfinite(probs).all():
        return -np.inf
    entropy = lambda p: -(p * np.log(np.clip(p, 1e-12, 1))).sum(-1)  # noqa: E731
    return float(entropy(probs.mean(0)) - entropy(probs).mean())


def ours(method: str) -> Train:
    def train(weight: float, task: Task) -> np.ndarray:
        try:
            return probabilities_of_ours(method, task, weight=weight)
        except DivergedError:  # which others go on from, with NaN
            return np.full((len(task.labels), task.num_classes), np.nan)

    return train


def host(method: str) -> Train | None:
    """The host's adapters with their defaults, but for the weight."""

    def hook_kwargs(weight: float) -> dict:
        by = lambda *names: MeanWeighter(weights=dict.fromkeys(names, weight))  # noqa: E731
        return {
            "dann": {"gradient_reversal_weight": weight},
            "cdan": {"g_weighter": by("g_src_domain_loss", "g_target_domain_loss")},
            "mcd": {"y_weighter": by("discrepancy_loss"), "z_weighter": by("discrepancy_loss")},
            "safn": {"post": [AFNHook()], "weighter": by("afn_loss")},
        }[method]

    names = {"dann": "DANN", "cdan": "CDAN", "mcd": "MCD", "safn": "Classifier"}
    if method not in names:
        return None

    def train(weight: float, task: Task) -> np.ndarray:
        torch.manual_seed(task.seed)
        models, size = Models({"G": task.network(), **_heads(method, task)}), task.num_features * task.num_classes
        combiner = RandomizedDotProduct([task.num_features, task.num_classes], size)
        misc = Misc({"feature_combiner": combiner}) if method == "cdan" else None
        make = getattr(host_adapters, names[method])
        adapter = make(models, sides.optimizers(lr=LR), misc=misc, hook_kwargs=hook_kwargs(weight))
        adapter.models.train()
        for x, y, target in batches(task):
            adapter.training_step(
                {
                    "src_imgs": x,
                    "src_labels": y,
                    "src_domain": torch.zeros(len(x)),
                    "target_imgs": target,
                    "target_domain": torch.ones(len(target)),
                }
            )
        return mean_probabilities(models["G"], models["C"], task)

    return train


def skada(method: str) -> Train | None:
    try:
        from skada import deep
    except ImportError:
        return None
    makers = {"dann": "DANN", "cdan": "CDAN", "mdd": "MDD", "mcd": "MCD"}
    make = getattr(deep, makers.get(method, ""), None)
    return make and (lambda weight, task: probabilities_of_skada(make, task, reg=weight))


def tllib(method: str) -> Train | None:
    """Transfer-Learning-Library's losses in the loops of its examples, on our networks."""
    if not hasattr(np, "float"):
        np.float = float  # type: ignore[attr-defined]  # which NumPy dropped in 1.24, and its gradient reversal takes
    try:
        from tllib.alignment import cdan, dann, mcd, mdd
        from tllib.normalization import afn
    except ImportError:
        return None
    losses = {"dann": dann, "cdan": cdan, "mcd": mcd, "mdd": mdd, "safn": afn}
    return partial(_LOOPS.get(method, _of_losses), method, losses[method])


def _of_losses(method: str, module, weight: float, task: Task) -> np.ndarray:
    """One loss added to cross-entropy, and one optimiser for all: the examples dann.py, cdan.py, mdd.py and afn.py."""
    torch.manual_seed(task.seed)
    extractor, heads = task.network(), _heads(method, task)
    classifier = heads["C"]
    domains = nn.Sequential(heads.get("D", nn.Identity()), nn.Sigmoid(), nn.Unflatten(0, (-1, 1)))
    if method == "dann":
        adversary = module.DomainAdversarialLoss(domains)
        loss = lambda fs, zs, ft, zt: adversary(fs, ft)  # noqa: E731
    elif method == "cdan":
        adversary = module.ConditionalDomainAdversarialLoss(domains, entropy_conditioning=True)
        loss = lambda fs, zs, ft, zt: adversary(zs, fs, zt, ft)  # noqa: E731
    elif method == "mdd":
        adversary = module.ClassificationMarginDisparityDiscrepancy(4.0)
        reverse = module.WarmStartGradientReverseLayer(alpha=1.0, lo=0.0, hi=0.1, max_iters=1000, auto_step=False)
        other = heads["C_adv"]

        def loss(fs, zs, ft, zt):
            both = other(reverse(torch.cat([fs, ft])))
            reverse.step()
            return -adversary(zs, both[: len(fs)], zt, both[len(fs) :])
    else:
        norms = module.AdaptiveFeatureNorm(1.0)
        adversary, loss = norms, lambda fs, zs, ft, zt: norms(fs) + norms(ft)
    modules = nn.ModuleList([extractor, classifier, adversary, *([other] if method == "mdd" else [])]).train()
    optimizer = _sgd(modules)
    for x, y, target in batches(task):
        features = extractor(torch.cat([x, target]))
        logits = classifier(features)
        fs, ft, zs, zt = *features.split(len(x)), *logits.split(len(x))
        total = F.cross_entropy(zs, y) + weight * loss(fs, zs, ft, zt)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return mean_probabilities(extractor, classifier, task)


def _heads(method: str, task: Task) -> dict[str, nn.Module]:
    """Ours, but for CDAN's discriminator, which others show the product of features and probabilities."""
    heads = METHODS[method].heads(task.num_features, task.num_classes)
    return heads | ({"D": discriminator(task.num_features * task.num_classes)} if method == "cdan" else {})


def _mcd(method: str, module, weight: float, task: Task) -> np.ndarray:
    """Its three steps with their optimisers: the example mcd.py with its defaults (the entropy's weight is 0.01)."""
    torch.manual_seed(task.seed)
    extractor, classifiers = task.network(), METHODS["mcd"].heads(task.num_features, task.num_classes)["C"]
    extractor.train(), classifiers.train()
    of_g, of_c = _sgd(extractor, momentum=0.0), _sgd(classifiers)

    def halves(x, target):
        both = [z.split(len(x)) for z in classifiers(extractor(torch.cat([x, target])))]
        return [zs for zs, _ in both], [zt.softmax(1) for _, zt in both]

    for x, y, target in batches(task):
        for adversarial in (False, True):
            of_g.zero_grad(), of_c.zero_grad()
            logits, probs = halves(x, target)
            loss = sum(F.cross_entropy(z, y) for z in logits) + 0.01 * sum(module.entropy(p) for p in probs)
            (loss - adversarial * weight * module.classifier_discrepancy(*probs)).backward()
            of_c.step()
            if not adversarial:
                of_g.step()
        for _ in range(4):
            of_g.zero_grad()
            (weight * module.classifier_discrepancy(*halves(x, target)[1])).backward()
            of_g.step()
    return mean_probabilities(extractor, classifiers, task)


_LOOPS = {"mcd": _mcd}
LIBRARIES = {"ours": ours, "pytorch-adapt": host, "skada": skada, "tllib": tllib}


def batches(task: Task) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Whole batches of 32 source samples, their labels and 32 target samples, in an order of the task's seed."""
    rng = np.random.default_rng(task.seed)
    source, target, labels = (torch.from_numpy(x) for x in (task.source, task.target, task.labels))
    for _ in range(task.epochs):
        rows = (rng.permutation(len(labels)).reshape(-1, 32) for _ in range(2))
        for i, j in zip(*rows, strict=True):
            yield source[i], labels[i], target[j]


@torch.no_grad()
def mean_probabilities(extractor, classifier, task: Task) -> np.ndarray:
    """The target's, by one classifier or the mean of two."""
    extractor.eval(), classifier.eval()
    found = classifier(extractor(torch.from_numpy(task.target)))
    found = found if isinstance(found, (list, tuple)) else [found]
    return torch.stack([z.softmax(1) for z in found]).mean(0).numpy()


def _sgd(module, momentum=0.9):
    return torch.optim.SGD(module.parameters(), lr=LR, momentum=momentum, weight_decay=5e-4)
