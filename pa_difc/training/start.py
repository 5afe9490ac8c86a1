"""What a run starts from: the classifier that pretrained weights bring along, as the first state of its own."""

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
from .keys import other_models
from .resolve import brings_classifier
from .settings import Settings
from .stored import of_network, read_weights, require_backbone, stored_classifier

#: The standard deviation of the noise on the second of several classifiers, as a share of the weights' own.
NOISE = 0.1


def make_classifier(settings: Settings, source: Domain) -> partial[nn.Module] | PretrainedStart:
    """What makes classifiers of resolved settings, from the numbers of features and classes.

    Args:
        settings: resolved.
        source: the data that they are for; on frozen features there is a layer between these and a classifier, so that
            none can start as the pretrained one.

    Raises:
        UserError: they start from a pretrained one, and there is none that fits.
    """
    assert settings.model.classifier is not None and settings.model.scale is not None
    if isinstance(source.train, FeatureSet) and not METHODS.lookup(settings.method.name).trains:
        return partial(unchanged)  # of what the pretrained classifier has said already
    make = partial(classifier, kind=settings.model.classifier, scale=settings.model.scale)
    if for_samples(settings, source).model.head_init != "pretrained":
        return make
    start = pretrained_classifier(settings, source.label_set)
    return PretrainedStart(start, make, settings.model.scale, settings.run.seed)


class Said(nn.Sequential):
    """The extractor of predictions that were made before: ``(N, K)`` come out as they go in.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(unchanged(num_classes, num_classes))
        self.num_features = num_classes


def unchanged(num_features: int, num_classes: int) -> nn.Module:
    """A layer that gives back what it gets, ``(N, K)``."""
    layer = nn.Linear(num_features, num_classes)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(num_classes, num_features))
        layer.bias.zero_()
    return layer


def for_samples(settings: Settings, source: Domain) -> Settings:
    """Settings of a run on faces or on frozen features, on which classifiers start random.

    Raises:
        UserError: they were asked to start otherwise, or what the method starts from is not there.
    """
    method, known = METHODS.lookup(settings.method.name), settings.model.head_init == "pretrained"
    if isinstance(source.train, FeatureSet):
        if not method.uses_source:
            raise UserError(f"method {settings.method.name} trains the network itself: train it on faces")
        known = source.train.log_probs is not None
    teacher = settings.method.options.get("teacher", "")
    for key, folder in other_models(settings).items() if isinstance(source.train, FeatureSet) else ():
        raise UserError(f"{key}={folder}: that model looks at faces, and these are frozen features; train on faces")
    if settings.eval.product == "start" and isinstance(source.train, FeatureSet) and not known:
        raise UserError("product=start: these features come with no pretrained classifier's predictions")
    if teacher == "start" and not known:
        raise UserError("teacher=start: there is no pretrained classifier to teach; use teacher=average")
    if not isinstance(source.train, FeatureSet) or settings.model.head_init != "pretrained":
        return settings
    if "model.head_init" not in settings.follows:
        raise UserError("head_init=pretrained: on frozen features a layer comes before the classifier; train on faces")
    return replace(settings, model=replace(settings.model, head_init="random"))


def pretrained_classifier(settings: Settings, labels: LabelSet) -> PretrainedClassifier:
    """The classifier that comes with the pretrained weights of resolved settings, for the classes of a label set.

    Raises:
        UserError: there are no weights, they have no classifier, or its classes are others.
    """
    model = settings.model
    if model.pretrained is None:
        raise UserError("head_init='pretrained' needs --pretrained: the weights that include a classifier")
    if is_model_folder(model.pretrained):
        if model.pretrained_classes:
            raise UserError(f"pretrained_classes has no effect with {model.pretrained}: the model says its own")
        found = stored_classifier(Path(model.pretrained))
    else:
        found = _of_file(settings, Path(model.pretrained))
    chosen = found.for_labels(labels)
    if left_out := found.left_out(labels):
        say_once(f"{found.origin} has classes that are left out: {', '.join(left_out)}")
    return chosen


def classifier_of_features(settings: Settings, labels: LabelSet) -> PretrainedClassifier | None:
    """The classifier whose word is kept beside frozen features.

    None if there is none, or with ``head_init=random``; and, after a line that says so, if one came along unasked that
    can't be read as classes of the label set.

    Raises:
        UserError: its classes were named, and it can't.
    """
    refused = settings.model.head_init == "random" and "model.head_init" not in settings.follows
    if refused or not brings_classifier(settings):
        return None
    try:
        return pretrained_classifier(settings, labels)
    except UserError as error:
        if settings.model.pretrained_classes is not None:
            raise
        print(f"nothing of the pretrained classifier is kept: {error}", flush=True)
        return None


def fill_backbone(backbone: nn.Module, settings: Settings) -> PretrainedReport:
    """Fills a backbone from the place of its pretrained weights: a file, or the folder of a model with the same.

    Raises:
        UserError: they can't be read, or do not fit.
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
            f"head_init='pretrained': the classes of {file} are not known: name them in their order, "
            "--set pretrained_classes=anger,happy,…"
        )
    return find_classifier(hub_weights(backbone) if from_hub else read_state_dict(file), classes, file)


class PretrainedStart:
    """Makes linear classifiers that start as a pretrained one.

    The second and later ones of a method start with noise on their weights, of a tenth of the weights' standard
    deviation: two classifiers that are equal never disagree, and methods that let them (MCD, Saito et al. 2018,
    arXiv:1712.02560) would have no gradient to begin with.

    Args:
        start: the pretrained classifier, for the classes of the task.
        make: makes a classifier from the numbers of features and classes.
        scale: s, by which what ``make`` makes multiplies its logits; weights are divided by it.
        seed: of the noise.
    """

    def __init__(self, start: PretrainedClassifier, make: partial[nn.Module], scale: float, seed: int) -> None:
        self.start, self.make, self.scale = start, make, scale
        self.noise = torch.Generator().manual_seed(seed)
        self.made = 0

    def __call__(self, num_features: int, num_classes: int) -> nn.Module:
        """A classifier.

        Raises:
            UserError: it reads another number of features than the pretrained one.
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
