"""What a plugin draws from or adds to: progress that no checkpoint holds is refused, and harmless objects are not."""

import array
import collections
import contextlib
import csv
import io
import itertools
import logging
import queue
import random
import re
import sys
import threading
from functools import partial
from operator import methodcaller

import numpy as np
import pytest
import torch
from made import random_faces
from sklearn.cluster import MiniBatchKMeans
from torch.nn import functional as F
from torch.utils.data import DataLoader

from pa_difc import LOSSES, METHODS, PenaltyMethod, SourceOnly
from pa_difc.data import Domain
from pa_difc.losses import LossSpec
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

PAIR = Domain("s", random_faces(28, 0), random_faces(14, 1)), Domain("t", random_faces(35, 2), random_faces(7, 3))


def train(out, **values):
    settings = Settings.of(**{"crop_px": 32, "epochs": 1, "batch_size": 8, "method": "source_only", **values})
    return run_cell(resolve(settings), *PAIR, out, progress=False)


class Drawing(SourceOnly):
    """Uses something of its own at each step."""

    make = staticmethod(lambda: None)
    use = staticmethod(lambda held: None)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.held = self.make()

    def training_step(self, batch, **kwargs):
        self.use(self.held)
        return super().training_step(batch, **kwargs)


def drawing(make, use=lambda held: None):
    return type("Of", (Drawing,), {"make": staticmethod(make), "use": staticmethod(use)})


def numbers():
    while True:
        yield from [1.0, 1.0, 0.5]


async def answers():
    yield 1


def started(generator):
    next(generator)
    return generator


def finished(generator):
    list(generator)
    return generator


def await_one(generator):
    with contextlib.suppress(StopIteration):
        generator.__anext__().send(None)


def optimiser():
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    return torch.optim.SGD([weight], 0.1, momentum=0.9)


def append(items):
    items.append(3)


@pytest.mark.parametrize(
    ("make", "use"),
    [
        (lambda: iter(list(range(99))), next),
        (lambda: iter(tuple(range(99))), next),
        (lambda: iter(dict.fromkeys(range(99), 1)), next),
        (lambda: iter(dict.fromkeys(range(99), 1).items()), next),
        (lambda: iter(set(range(99))), next),
        (lambda: iter("a" * 99), next),
        (lambda: reversed([1] * 99), next),
        (lambda: zip([1] * 99, [2] * 99, strict=True), next),
        (lambda: map(abs, [1] * 99), next),
        (lambda: filter(None, [1] * 99), next),
        (lambda: enumerate([1] * 99), next),
        (lambda: itertools.cycle([1, 2, 3]), next),
        (lambda: itertools.islice([1] * 99, 50), next),
        (lambda: {"a": [iter([1] * 99)]}, lambda held: next(held["a"][0])),
        (lambda: csv.reader(["a,b"] * 99), next),
        (lambda: csv.DictReader(["a,b"] * 99), next),
        (lambda: iter([1] * 99).__next__, lambda draw: draw()),
        (lambda: io.BytesIO(b"0" * 99), lambda file: file.read(1)),
        (lambda: np.random.default_rng(3).random, lambda draw: draw()),
        (lambda: random.Random(3).random, lambda draw: draw()),
        (lambda: random.Random(3).randint, lambda draw: draw(1, 2)),
        (lambda: np.random.PCG64(3), methodcaller("random_raw")),
        (lambda: np.random.SeedSequence(3), methodcaller("spawn", 1)),
        (lambda: partial(next, itertools.count()), lambda draw: draw()),
        (lambda: torch.quasirandom.SobolEngine(2), methodcaller("draw")),
        (lambda: DataLoader(range(5), shuffle=True, generator=torch.Generator()), list),
        (optimiser, methodcaller("step")),
        (lambda: MiniBatchKMeans(2, random_state=0), methodcaller("partial_fit", [[0.0], [1.0], [3.0]])),
        (lambda: bytearray(3), append),
        (lambda: array.array("i", [1]), append),
        (lambda: collections.UserList(), append),
        (lambda: collections.UserDict(a=[0]), lambda held: append(held["a"])),
        (lambda: collections.ChainMap({"a": [0]}), lambda held: append(held["a"])),
        (queue.Queue, methodcaller("put", 1)),
    ],
)
def test_what_a_method_draws_from_or_adds_to(make, use, monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "drawing", drawing(make, use))
    said = r"^(Of\.held|an argument of next\(\)|the object of \S+\(\)) changes in training and would be lost when"
    with pytest.raises(UserError, match=said):
        train(tmp_path, method="drawing", loss="ce")


@pytest.mark.parametrize(
    ("make", "use", "kind"),
    [
        (numbers, next, "generator"),
        (lambda: started(numbers()), lambda held: None, "generator"),
        (lambda: (x for x in [1.0] * 99), next, "generator"),
        (lambda: map(abs, numbers()), next, "generator"),
        (lambda: {"a": (numbers(),)}, lambda held: next(held["a"][0]), "generator"),
        (answers, await_one, "async_generator"),
        (lambda: iter(DataLoader(range(99))), next, "_SingleProcessDataLoaderIter"),
        (random.SystemRandom, lambda rng: rng.random(), "SystemRandom"),
    ],
)
def test_what_nobody_can_read_the_progress_of(make, use, kind, monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "drawing", drawing(make, use))
    said = rf"^Of\.held is a {kind}, which a resumed run would start from the beginning: keep its position in a persist"
    with pytest.raises(UserError, match=said) as error:
        train(tmp_path, method="drawing", loss="ce")
    assert "\n" not in str(error.value) and not list(tmp_path.glob("runs/*/checkpoint.pt"))


class Weighing(PenaltyMethod):
    """As a user wrote it."""

    about = "weights from a generator"
    loss_name = "weighed_loss"

    def method_state(self):
        self.gen = numbers()
        return {}

    def penalty(self, step):
        return next(self.gen) * (step.src_features.mean() - step.target_features.mean()).square()


class Generated(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gen = numbers()

    def forward(self, logits, labels):
        return next(self.gen) * F.cross_entropy(logits, labels)


WEIGHTS = None


def of_global(logits, labels):
    return next(WEIGHTS) * F.cross_entropy(logits, labels)


def closing_over(weights):
    return lambda logits, labels: next(weights) * F.cross_entropy(logits, labels)


def test_a_generator_in_a_penalty(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "weighing", Weighing)
    with pytest.raises(UserError, match=r"^Weighing\.gen is a generator, which a resumed run would start from"):
        train(tmp_path, method="weighing", loss="ce")


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda inputs: Generated(), r"Generated\.gen"),
        (lambda inputs: of_global, r"the global WEIGHTS of test_hidden_progress\.py"),
        (lambda inputs: closing_over(numbers()), r"closing_over\.<lambda>\.weights"),
    ],
)
def test_a_generator_in_a_loss(make, name, monkeypatch, tmp_path):
    monkeypatch.setitem(globals(), "WEIGHTS", numbers())
    monkeypatch.setitem(LOSSES, "mine", LossSpec("x", make))
    with pytest.raises(UserError, match=rf"^{name} is a generator, which a resumed run would start from the beginning"):
        train(tmp_path, loss="mine")


HARMLESS = {
    "not started": numbers(),
    "finished": finished(x for x in [1, 2]),
    "unread": io.StringIO("a table"),
    "rows": finished(csv.reader(["a,b", "1,2"])),
    "pairs": finished(zip([1], [2], strict=True)),
    "output": sys.stdout,
    "draw": [random.random, random.randint, np.random.rand, torch.default_generator],
    "tools": [threading.Lock(), logging.getLogger("x"), re.compile("x"), torch.float32, len, range(3), torch.optim.SGD],
    "loader": DataLoader(range(5), shuffle=True),
}


class Harmless(SourceOnly):
    """Has all of these, and uses those that leave nothing behind."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.held = HARMLESS
        self.optimizer, self.plan = self.optimizers["G"], self.lr_schedulers["G"]
        self.log = open(self.path, "w")  # noqa: SIM115

    def training_step(self, batch, **kwargs):
        self.log.write("a step\n")
        self.held["tools"][1].debug("a step")
        [draw() for draw in (random.random, np.random.rand)]
        list(self.held["loader"])
        return super().training_step(batch, **kwargs)

    def end_epoch(self):
        self.log.flush()


def test_what_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "harmless", type("Of", (Harmless,), {"path": str(tmp_path / "log.txt")}))
    train(tmp_path, method="harmless", loss="ce", epochs=2)
    assert len((tmp_path / "log.txt").read_text().splitlines()) > 2
