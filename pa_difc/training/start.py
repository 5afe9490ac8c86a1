"""Initialises a run's classifiers from the one that comes with pretrained weights."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..backbones import BACKBONES
from ..backbones.classifiers import PretrainedClassifier, find_classifier
from ..backbones.places import is_model_folder, weights_file
from ..backbones.pretrained import PretrainedReport, fill, load_pretrained, mark_filled, read_state_dict
from ..backbones.spec import HUB
from ..backbones.timm_nets import hub_weights
from ..data.domains import Domain
from ..data.features import FeatureSet
from ..data.labels import LabelSet
from ..methods import METHODS
from ..methods.heads import classifier
from ..util.errors import UserError
from ..util.process import say_once
from ..util.terminal import wrapped
from .keys import other_models
from .resolve import brings_classifier
from .settings import Settings
from .stored import of_network, read_weights, require_backbone, stored_classifier

#: Standard deviation of the noise on further classifiers, relative to that of the weights.
NOISE = 0.1


def make_classifier(settings: Settings, source: Domain) -> partial[nn.Module] | PretrainedStart:
    """A function that makes classifiers from the numbers of features and classes.

    Args:
        settings: resolved.
        source: the data; on frozen features a layer precedes the classifier, which then can't start as the pretrained
            one.

    Raises:
        UserError: classifiers should start as a pretrained one, and none fits.
    """
    assert settings.model.classifier is not None and settings.model.scale is not None
    if isinstance(source.train, FeatureSet) and not METHODS.lookup(settings.method.name).trains:
        return partial(unchanged)  # the inputs are the pretrained classifier's predictions
    make = partial(classifier, kind=settings.model.classifier, scale=settings.model.scale)
    if for_samples(settings, source).model.head_init != "pretrained":
        return make
    start = pretrained_classifier(settings, source.label_set)
    return PretrainedStart(start, make, settings.model.scale, settings.run.seed)


class Said(nn.Sequential):
    """An identity extractor for predictions ``(N, K)`` made beforehand.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(unchanged(num_classes, num_classes))
        self.num_features = num_classes


def unchanged(num_features: int, num_classes: int) -> nn.Module:
    """A linear layer that is the identity on ``(N, K)``."""
    layer = nn.Linear(num_features, num_classes)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(num_classes, num_features))
        layer.bias.zero_()
    return layer


def for_samples(settings: Settings, source: Domain) -> Settings:
    """Adapts settings to faces or frozen features; on the latter, classifiers start at random.

    Raises:
        UserError: another start was asked for, or what the method starts from is missing.
    """
    method, known = METHODS.lookup(settings.method.name), settings.model.head_init == "pretrained"
    if isinstance(source.train, FeatureSet):
        if not method.uses_source:
            raise UserError(f"method {settings.method.name} trains the network itself: train it on faces")
        known = source.train.log_probs is not None
    teacher = settings.method.options.get("teacher", "")
    for key, folder in other_models(settings).items() if isinstance(source.train, FeatureSet) else ():
        raise UserError(f"{key}={folder}: that model needs faces, and these are frozen features; train on faces")
    if settings.eval.product == "start" and isinstance(source.train, FeatureSet) and not known:
        raise UserError("product=start: these features come with no pretrained classifier's predictions")
    if teacher == "start" and not known:
        raise UserError("teacher=start: there is no pretrained classifier to teach; use teacher=average")
    if not isinstance(source.train, FeatureSet) or settings.model.head_init != "pretrained":
        return settings
    if "model.head_init" not in settings.follows:
        raise UserError("head_init=pretrained: on frozen features a new layer precedes the classifier; train on faces")
    return replace(settings, model=replace(settings.model, head_init="random"))


def pretrained_classifier(settings: Settings, labels: LabelSet) -> PretrainedClassifier:
    """Reads the classifier in the pretrained weights, for the classes of a label set.

    Raises:
        UserError: there are no weights, they have no classifier, or its classes don't match.
    """
    model = settings.model
    if model.pretrained is None:
        raise UserError("head_init='pretrained' needs --pretrained: the weights that include a classifier")
    if is_model_folder(model.pretrained):
        if model.pretrained_classes:
            raise UserError(f"pretrained_classes has no effect with {model.pretrained}: the model has its own")
        found = stored_classifier(Path(model.pretrained))
    else:
        found = _of_file(settings, Path(model.pretrained))
    chosen = found.for_labels(labels)
    if left_out := found.left_out(labels):
        say_once(f"{found.origin} has classes that are left out: {', '.join(left_out)}")
    return chosen


def classifier_of_features(settings: Settings, labels: LabelSet) -> PretrainedClassifier | None:
    """The classifier whose predictions are stored with frozen features.

    None if there is none, or with ``head_init=random``; also, after a printed line, if its classes don't match the
    label set and were not given by the user.

    Raises:
        UserError: the user gave its classes, and they don't match.
    """
    refused = settings.model.head_init == "random" and "model.head_init" not in settings.follows
    if refused or not brings_classifier(settings):
        return None
    try:
        return pretrained_classifier(settings, labels)
    except UserError as error:
        if settings.model.pretrained_classes is not None:
            raise
        print(wrapped(f"the pretrained classifier is not used: {error}", indent=2), flush=True)
        return None


def fill_backbone(backbone: nn.Module, settings: Settings) -> PretrainedReport:
    """Fills a backbone from its pretrained weights: a file, timm's hub, or a folder with a model of the same backbone.

    Raises:
        UserError: the weights can't be read, or do not fit.
    """
    model = settings.model
    assert model.pretrained is not None
    if model.pretrained == HUB:
        return fill(backbone, hub_weights(model.backbone), "timm's hub", whole_trunk=True)
    if not is_model_folder(model.pretrained):
        return load_pretrained(backbone, model.pretrained)
    folder = Path(model.pretrained)
    require_backbone(folder, model.backbone, model.options)
    return fill(backbone, of_network(read_weights(folder), "G"), folder, whole_trunk=True)


def _of_file(settings: Settings, place: Path) -> PretrainedClassifier:
    backbone, from_hub = settings.model.backbone, settings.model.pretrained == HUB
    file = place if from_hub else weights_file(place)
    classes = settings.model.pretrained_classes or BACKBONES.lookup(backbone).classes
    if not classes:
        raise UserError(
            f"head_init='pretrained': the classes of {file} are not known: name them in order, "
            "--set pretrained_classes=anger,happy,…"
        )
    return find_classifier(hub_weights(backbone) if from_hub else read_state_dict(file), classes, file)


class PretrainedStart:
    """Makes linear classifiers that start as a pretrained one.

    A method's second and later ones start with noise on the weights, of a tenth of their standard deviation: equal
    classifiers never disagree, so that methods based on disagreement (MCD, Saito et al. 2018, arXiv:1712.02560) would
    start without gradient.

    Args:
        start: the pretrained classifier, for the classes of the task.
        make: makes a classifier from the numbers of features and classes.
        scale: s, the factor on the logits of classifiers from ``make``; weights are divided by it.
        seed: seed of the noise.
    """

    def __init__(self, start: PretrainedClassifier, make: partial[nn.Module], scale: float, seed: int) -> None:
        self.start, self.make, self.scale = start, make, scale
        self.noise = torch.Generator().manual_seed(seed)
        self.made = 0

    def __call__(self, num_features: int, num_classes: int) -> nn.Module:
        """Makes a classifier.

        Raises:
            UserError: the pretrained classifier takes another number of features.
        """
        self.start.require_features(num_features)
        made = self.make(num_features, num_classes)
        layer = next(module for module in made.modules() if isinstance(module, nn.Linear))
        weight = self.start.weight.to(layer.weight)
        if self.made > 0:
            noise = torch.randn(weight.shape, generator=self.noise, dtype=torch.float64).to(weight)
            weight = weight + NOISE * weight.std() * noise
        with torch.no_grad():
            layer.weight.copy_(weight / self.scale)
            layer.bias.copy_(self.start.bias.to(layer.bias) / self.scale)
        mark_filled(layer, ("weight", "bias"))
        self.made += 1
        return made
