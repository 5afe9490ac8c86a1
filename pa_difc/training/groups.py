"""The groups of settings: every option is declared once, with its default, unit, range and meaning.

A group that names an entry of a registry (a method, a loss, a backbone) also holds that entry's own options. Values of
None follow from others; :func:`.resolve.resolve` fills them in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ..backbones import BACKBONES
from ..backbones.spec import FEATURE_HEADS, HEAD_INITS, LANDMARK_BRANCHES, MAPS, POOLS, PRECISIONS
from ..data.protocol import NEAR_DUPLICATES
from ..data.sampling import sampler_names
from ..losses import LOSSES
from ..methods import METHODS
from ..util.errors import UserError
from ..util.options import Options, option

#: Values of eval.product besides a model's folder.
PRODUCTS = ("none", "start")

#: Larger faces are treated as a mistake: a batch of them would not fit in memory.
MAX_CROP_PX = 1024


def _words(module: str, name: str) -> Callable[[], Collection[str]]:
    """The valid values from a module of this package, imported when a value is checked."""
    return lambda: getattr(import_module(f"pa_difc.{module}"), name)


@dataclass(frozen=True)
class DataSettings(Options):
    """Which faces, under which labels, in which batches."""

    source: str = option("toy_studio", "the labelled dataset")
    target: str = option("toy_street", "the unlabelled dataset")
    root: str = option("data", "the folder that holds the datasets")
    labels: str = option("expressions", "the classes: expressions (seven), expressions8, valence, folders or FILE.toml")
    crop_px: int | None = option(
        None, "side of the faces; none: the backbone's own", unit="pixels", at_least=32, at_most=MAX_CROP_PX
    )
    batch_size: int = option(32, "samples per domain and step", at_least=2)
    flip: bool = option(True, "mirror training faces at random")
    zoom: float = option(
        0.0,
        "zoom into training faces at random by up to this share of a side; the CD-FER benchmark: 0.083",
        at_least=0,
        below=0.5,
    )
    sampler: str = option("shuffled", "how source samples are drawn", choices=lambda: sampler_names("source"))
    target_sampler: str = option("shuffled", "how target samples are drawn", choices=lambda: sampler_names("target"))
    target_shift: float | None = option(
        None, "α of an artificial label shift, q ~ Dirichlet(α·K·p); none: no shift", above=0
    )
    shift_draw: int = option(0, "which draw of these class proportions", at_least=0)
    deduplicate: bool = option(False, "leave out exact duplicates, also across splits")
    group_by: str | None = option(
        None,
        "samples that share this column, or what this regular expression finds in their names, stay in the same split",
    )
    near_duplicates: str | None = option(
        None, "find near duplicates, and keep, group or drop them", choices=NEAR_DUPLICATES
    )
    on_bad_image: str = option(
        "skip",
        "images that can't be read: skip (leave them out and count them) or error (stop)",
        choices=("skip", "error"),
    )


@dataclass(frozen=True)
class ModelSettings(Options):
    """The feature extractor and the classifier on it."""

    backbone: str = option("small", "the feature extractor", choices=lambda: BACKBONES)
    feature_head: str | None = option(
        None,
        "global_local (the paper's 384 features) or global_only; none: the backbone's own",
        choices=FEATURE_HEADS,
    )
    landmark_branch: str = option(
        "conv",
        "branch for each landmark: conv (the paper's text) or ir (the CD-FER benchmark's)",
        choices=LANDMARK_BRANCHES,
    )
    pool: str = option(
        "average",
        "average (of the last map) or grid (an average per cell of a grid on model.maps, which keeps positions)",
        choices=POOLS,
    )
    maps: str = option(
        "late", "feature maps under the grid, by depth: mid, late, last, or several joined by +", choices=MAPS
    )
    pretrained: str | None = option(None, "weights for the backbone: a file, or a model folder of pa-difc")
    pretrained_classes: tuple[str, ...] | None = option(
        None,
        "classes of a state dict's classifier, in order of its outputs; none: those of the backbone's public weights",
    )
    head_init: str | None = option(
        None,
        "how classifiers start: random, or pretrained (from the one in the weights); none: pretrained if the weights "
        "include one",
        choices=HEAD_INITS,
    )
    classifier: str | None = option(
        None, "linear or cosine; none: the loss's own", choices=_words("losses.spec", "CLASSIFIERS")
    )
    scale: float | None = option(
        None,
        "s, factor on the logits; margins and ε are in units before scaling; none: 1 for linear, 30 for cosine",
        above=0,
    )
    input_scale: float | None = option(
        None,
        "the network sees faces at this scale, about its centre: 0.9 is a looser crop, 1.1 a tighter one; none: "
        "1, or a model folder's own",
        at_least=0.5,
        at_most=2,
    )
    precision: str = option(
        "float32",
        "precision of the extractor in training: float32 or bf16 (autocast); all else is float32",
        choices=PRECISIONS,
    )
    channels_last: bool | None = option(
        None, "channels-last memory format; none: on a CPU only, where every backbone is faster with it"
    )
    compile: bool = option(False, "use torch.compile for the extractor; the first steps of each shape take minutes")
    options: Mapping[str, Any] = field(default_factory=dict)  #: the backbone's own


@dataclass(frozen=True)
class OptimiserSettings(Options):
    """The optimiser; the same for every method and loss, so that tables compare only these."""

    name: str = option("sgd", "sgd or adamw", choices=("sgd", "adamw"), kind="optimiser")
    lr: float | None = option(None, "learning rate; none: the backbone's own, for adamw a twentieth of it", above=0)
    momentum: float = option(0.9, "momentum of sgd", at_least=0)
    weight_decay: float = option(5e-4, "weight decay of sgd and adamw", at_least=0)
    schedule: str = option(
        "drop",
        "drop (once, at confusion_epoch), cosine (to 0 at the end) or constant",
        choices=("drop", "cosine", "constant"),
    )
    lr_drop: float = option(0.1, "factor on the learning rate from confusion_epoch on, with schedule=drop", above=0)
    warmup_steps: int = option(0, "steps over which the learning rate rises linearly", unit="steps", at_least=0)
    ema: float = option(
        0.0,
        "predict with weights averaged over the last steps, with this decay per step; 0: never",
        at_least=0,
        below=1,
    )
    start_share: float = option(
        0.0, "share of the initial weights in the averaged weights; needs ema", at_least=0, below=1
    )
    clip_norm: float | None = option(None, "largest norm of each model's gradient; none: no clipping", above=0)
    layer_decay: float = option(
        1.0, "factor on the learning rate from one layer of a trunk to the layer below", above=0, at_most=1
    )
    new_lr_multiplier: float = option(
        1.0, "factor on the learning rate of layers that pretraining did not fill; the CD-FER benchmark: 10", above=0
    )
    new_decay_multiplier: float = option(
        1.0, "factor on the weight decay of these layers; the CD-FER benchmark: 2", above=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start_share and not self.ema:
            raise UserError(f"start_share={self.start_share:g} has no effect with ema=0")


@dataclass(frozen=True)
class LossSettings(Options):
    """The classification loss and when its ingredients begin; epochs are counted from 0."""

    name: str = option("difc", "the classification loss", choices=lambda: LOSSES, kind="loss")
    warmup_epochs: int = option(0, "epochs of plain cross-entropy before the margins begin", unit="epochs", at_least=0)
    confusion_epoch: int | None = option(
        None, "T1, first epoch of the DIFC phase; none: half of run.epochs", unit="epochs", at_least=0
    )
    reweight_epoch: int | None = option(
        None, "first epoch with class weights; none: 5, or half of run.epochs", unit="epochs", at_least=0
    )
    reweight_with_confusion: bool = option(True, "class weights stay on in the DIFC phase")
    label_smoothing: float = option(0.0, "share of each label that is spread over all classes", at_least=0, below=1)
    options: Mapping[str, Any] = field(default_factory=dict)  #: the loss's own


@dataclass(frozen=True)
class MethodSettings(Options):
    """The adaptation method."""

    name: str = option("mcd", "the adaptation method", choices=lambda: METHODS, kind="method")
    options: Mapping[str, Any] = field(default_factory=dict)  #: the method's own


@dataclass(frozen=True)
class RunSettings(Options):
    """Epochs, seed, prior correction and device."""

    epochs: int = option(5, "passes over the larger domain; the paper trains 40", unit="epochs", at_least=1)
    seed: int = option(0, "seed of weights, batches and dropout", at_least=0)
    prior_correction: str = option(
        "none",
        "correct predictions for an estimated target class prior: none, bbse, rlls or mlls",
        choices=lambda: ("none", *_words("evaluation.prior", "ESTIMATORS")()),
    )
    device: str = option("cpu", "cpu, cuda or cuda:N")
    deterministic: bool = option(False, "deterministic algorithms only (slower on CUDA)")


@dataclass(frozen=True)
class EvalSettings(Options):
    """How faces are predicted after training; the same for every method and loss."""

    views: str | None = option(
        None,
        "views of a face whose probabilities are averaged: none, flip (its mirror image), flip+scales (smaller, too); "
        "by default a model folder's own",
        choices=_words("data.views", "VIEWS"),
    )
    product: str = option(
        "none",
        "model whose class probabilities multiply those of every cell: none, start (the pretrained classifier) or the "
        "folder of a run or model",
        choices=PRODUCTS,
        folders=True,
    )
    product_power: float = option(1.0, "a in p · q^a, with the probabilities q of eval.product", above=0)


#: Groups in the order of help texts, and the field of each that names an entry with options.
GROUPS: dict[str, type[Options]] = {
    "data": DataSettings,
    "model": ModelSettings,
    "optimiser": OptimiserSettings,
    "loss": LossSettings,
    "method": MethodSettings,
    "run": RunSettings,
    "eval": EvalSettings,
}
ENTRIES = {"model": "backbone", "loss": "name", "method": "name"}
