"""The common part of recipes that compose one method by hand: flags, data, training, scores and record."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pytorch_adapt.containers import LRSchedulers, Models, Optimizers
from torch import nn

from ..data.domains import Domain
from ..data.loaders import PairLoader
from ..losses.spec import ClassificationLoss
from ..methods.slot import LossSlot
from ..training.build import load_pair, make_adapter, make_extractor, make_loader, make_slot_loss
from ..training.checkpoint import seed_everything
from ..training.engine import fit
from ..training.optimiser import make_containers
from ..training.record import RunFolder
from ..training.run import finish
from ..training.settings import Settings
from ..training.start import make_classifier
from ..util.registry import load_plugin
from .command_parser import EXAMPLES_HEAD, CommandParser
from .console import exit_with
from .flags import add_cell_flags, add_training_flags
from .given_cells import settings_of_cell
from .parser import add_plugin_flag, parse, refuse_mistakes
from .scores import announce, print_scores


@dataclass(frozen=True)
class Ingredients:
    """The parts that a method is composed from, built from the settings.

    Attributes:
        settings: resolved.
        source, target: labelled and unlabelled data.
        batches: pairs of source and target batches; an epoch is one pass over the larger domain.
    """

    settings: Settings
    source: Domain
    target: Domain
    batches: PairLoader

    def extractor(self) -> Any:
        """A feature extractor G, a module with ``num_features``, the length of its feature vectors."""
        return make_extractor(self.settings)

    def classifier(self, num_features: int) -> nn.Module:
        """A classifier C from features ``(N, num_features)`` to logits ``(N, K)``."""
        return self._make_classifier(num_features, len(self.source.label_set))

    @cached_property
    def _make_classifier(self) -> Callable[[int, int], nn.Module]:
        """Shared by all classifiers: a second one that starts from pretrained weights must know of the first."""
        return make_classifier(self.settings, self.source)

    def containers(self, models: Models) -> tuple[Optimizers, LRSchedulers]:
        """Optimisers and learning-rate schedules, in pytorch-adapt's containers."""
        return make_containers(self.settings, models, len(self.batches))

    def loss(self) -> ClassificationLoss:
        """The classification loss; DIFC's margins come from the source's class counts, raised for confused classes."""
        return make_slot_loss(self.settings, self.source, len(self.batches))

    @property
    def total_steps(self) -> int:
        """Optimisation steps of the whole training."""
        return self.settings.run.epochs * len(self.batches)


def run_recipe(about: str, method: str, compose: Callable[[Ingredients], LossSlot] | None = None) -> None:
    """Runs a script that trains one method, and exits: parses flags, trains, scores, and writes the run's record.

    Args:
        about: the description in ``--help``.
        method: a registered method's name.
        compose: builds the method; None builds it as ``pa-difc compare`` does.
    """

    def run() -> None:
        refuse_mistakes(sys.argv[1:])
        _run(_parse(about, method), method, compose)

    exit_with(run)


def _parse(about: str, method: str) -> argparse.Namespace:
    script = f"python {sys.argv[0]}"
    examples = f"{EXAMPLES_HEAD}  {script} --loss difc\n  {script} --loss ce --epochs 2"
    parser = CommandParser(description=about, epilog=examples)
    add_training_flags(parser)
    add_cell_flags(parser, method=None)
    add_plugin_flag(parser)
    parser.set_defaults(method=method)
    return parse(parser, sys.argv[1:])


def _run(parsed: argparse.Namespace, method: str, compose: Callable[[Ingredients], LossSlot] | None) -> None:
    for path in parsed.plugin:
        load_plugin(path)
    settings = settings_of_cell(parsed, method=method)
    source, target = load_pair(settings)
    announce(source, target)
    batches = make_loader(settings, source, target)
    seed_everything(settings.run.seed)
    if compose is None:
        adapter, script = make_adapter(settings, source, len(batches)), None
    else:
        adapter, script = compose(Ingredients(settings, source, target, batches)), Path(sys.argv[0])
    folder = RunFolder.of(parsed.out, settings, source, target, recipe=script)
    title = f"{method} · {settings.loss.name}"
    epochs = settings.run.epochs
    folder.write_settings()
    history = fit(adapter, batches, epochs=epochs, folder=folder.path, key=folder.key, title=title)
    print_scores(finish(adapter, source, target, folder, history), folder.path)
