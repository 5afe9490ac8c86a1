"""What a run is made from: one frozen set of values, each declared once with its default, unit and meaning."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..backbones import PRECISIONS
from ..data.sampling import SAMPLERS, TARGET_SAMPLERS
from ..evaluation.prior import ESTIMATORS
from ..losses import LOSSES
from ..methods import METHODS
from ..methods.heads import HEADS
from ..util.errors import UserError
from ..util.files import file_digest
from ..util.names import lookup, unknown
from ..util.shapes import NUMBER

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


#: Faces of a larger side are taken for a mistake: a batch of them would not fit any memory.
MAX_CROP_PX = 1024

#: Whole numbers beyond this (seeds, epochs) would leave 64 bits when they are multiplied.
MAX_WHOLE = 2**32 - 1


def _value(default: Any, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True)
class Config:
    """A run's settings; None means "follows from the others", see :func:`pa_difc.build.resolve`.

    Raises:
        UserError: a value is out of range, or a method or loss is unknown.
    """

    source: str = _value("toy_studio", "the labelled dataset")
    target: str = _value("toy_street", "the unlabelled dataset")
    method: str = _value("mcd", "the adaptation method")
    loss: str = _value("difc", "the classification loss")
    seed: int = _value(0, "of weights, batches and dropout")
    epochs: int = _value(5, "passes over the longer domain; the paper trains 40")
    backbone: str = _value("small", "the feature extractor")
    backbone_head: str | None = _value(None, "global_local (the paper's 384 features) or global_only; None: its own")
    local_head: str = _value("conv", "branch of a landmark: conv (the paper's text) or ir (the benchmark's)")
    pretrained: str | None = _value(None, "file of weights for the backbone")
    new_lr_multiplier: float = _value(1.0, "learning rate of layers that pretraining did not fill; the benchmark: 10")
    new_decay_multiplier: float = _value(1.0, "weight decay of these layers; the benchmark: 2")
    crop_px: int | None = _value(None, "side of the faces, in pixels; None: the backbone's own")
    batch_size: int = _value(32, "samples per domain and step")
    lr: float | None = _value(None, "learning rate until the switch; None: the backbone's own")
    lr_drop: float = _value(0.1, "factor on the learning rate from confusion_epoch on, for every loss alike")
    momentum: float = _value(0.9, "of SGD")
    weight_decay: float = _value(5e-4, "of SGD")
    flip: bool = _value(True, "mirror training faces at random")
    zoom: float = _value(0.0, "zoom into training faces at random by up to this share of a side; the benchmark: 0.083")
    sampler: str = _value("shuffled", "how the source is drawn: shuffled or class_balanced")
    target_sampler: str = _value("shuffled", "and the target: shuffled, or pseudo_balanced by predicted class")
    adjust: str = _value("none", "predictions for an estimated target class prior: none, bbse, rlls or mlls")
    target_shift: float | None = _value(None, "α of a label shift made on purpose: q ~ Dirichlet(α·K·p); None: none")
    shift_draw: int = _value(0, "which draw of these class proportions")
    weight: float | None = _value(None, "of the method's own loss; None: the method's default")
    max_margin: float = _value(0.3, "the largest class margin; γ follows from it")
    epsilon: float = _value(0.02, "ε, the largest increment for confusion")
    margin_unit: str = _value("logit", "of both: logit, or spread for multiples of the logits' standard deviation")
    confusion_epoch: int | None = _value(None, "T1, first epoch of the DIFC phase; None: half of epochs")
    reweight_epoch: int | None = _value(None, "first epoch with class weights; None: 5, or half of epochs")
    reweight_with_confusion: bool = _value(True, "class weights stay on in the DIFC phase")
    warmup_epochs: int = _value(0, "epochs of plain cross-entropy before the margins begin")
    beta: float = _value(0.9999, "β of the class weights, in [0, 1]")
    class_weights: tuple[float, ...] | None = _value(None, "class weights by hand, seven numbers; None: from β")
    head: str | None = _value(None, "the classifier: linear or cosine; None: the loss's own")
    scale: float | None = _value(None, "s, factor on its logits; margins and ε are in units before it; None: likewise")
    unseen: str = _value("most", "rank of a class never predicted: most, least or last")
    refresh: str = _value("epoch", "when margins follow confusion: epoch, once or step")
    estimate: str = _value("training", "what confusion is estimated from: training or evaluation")
    deterministic: bool = _value(False, "deterministic algorithms only (slower on CUDA)")
    precision: str = _value("float32", "of the extractor in training: float32 or bf16 (autocast); all else is float32")
    channels_last: bool = _value(False, "images with their channels last in memory")
    compile: bool = _value(False, "the extractor through torch.compile; the first steps of each shape take minutes")
    device: str = _value("cpu", "cpu, cuda or cuda:N")
    data_root: str = _value("data", "the folder that holds datasets")
    deduplicate: bool = _value(False, "leave out exact duplicates, also across splits")
    on_bad_image: str = _value("skip", "skip leaves out images that can't be read, error stops")

    def __post_init__(self) -> None:
        for name, hint in _hints().items():
            if not _is_of(getattr(self, name), hint):
                raise UserError(f"{name}={_shown(getattr(self, name))}: must be {_wanted(hint)}")
        lookup("method", self.method, METHODS)
        lookup("loss", self.loss, LOSSES)
        for name in ("seed", "shift_draw", "warmup_epochs", "confusion_epoch", "reweight_epoch"):
            self._check(name, at_least=0)
        for name in ("epsilon", "max_margin", "momentum", "weight_decay", "weight"):
            self._check(name, at_least=0)
        self._check("epochs", at_least=1)
        self._check("batch_size", at_least=2)
        self._check("crop_px", at_least=32)
        if self.crop_px is not None and self.crop_px > MAX_CROP_PX:
            raise UserError(f"crop_px={self.crop_px}: must be at most {MAX_CROP_PX}")
        for name in ("lr", "lr_drop", "scale", "target_shift", "new_lr_multiplier", "new_decay_multiplier"):
            self._check(name, above=0)
        choices = {
            "sampler": SAMPLERS,
            "target_sampler": TARGET_SAMPLERS,
            "adjust": ("none", *ESTIMATORS),
            "precision": PRECISIONS,
        }
        for name, valid in choices.items():
            if getattr(self, name) not in valid:
                raise unknown(name.replace("_", "-"), getattr(self, name), valid)
        if not 0 <= self.zoom < 0.5:
            raise UserError(f"zoom={self.zoom}: must lie in [0, 0.5)")
        if self.head is not None and self.head not in HEADS:
            raise unknown("head", self.head, HEADS)
        if not 0 <= self.beta <= 1:
            raise UserError(f"beta={self.beta}: must lie in [0, 1]")

    def _check(self, name: str, at_least: float | None = None, above: float | None = None) -> None:
        value = getattr(self, name)
        if value is None:
            return
        bound = f"at least {at_least}" if at_least is not None else f"above {above}"
        inside = value >= at_least if at_least is not None else value > above
        if not (NUMBER.fits(value) and inside):
            raise UserError(f"{name}={_shown(value)}: must be a finite number {bound}")

    def to_dict(self) -> dict[str, Any]:
        """All values as plain ones, as they are written into records."""
        return asdict(self)

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same: everything but where files lie; hashes of their contents stand for them."""
        values = {k: v for k, v in self.to_dict().items() if k not in ("data_root", "on_bad_image")}
        return values | {"pretrained": self.pretrained and file_digest(Path(self.pretrained))}


def apply_settings(config: Config, settings: Sequence[str]) -> Config:
    """The config with ``key=value`` settings applied.

    Raises:
        UserError: a key is unknown, or a value is not of its type.
    """
    hints = _hints()
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UserError(f"--set {setting!r}: must be key=value")
        if key not in hints:
            raise unknown("key", key, hints)
        changes[key] = _parse(key, text.strip(), hints[key])
    return replace(config, **changes)


def read_settings(path: Path) -> list[str]:
    """The ``key=value`` settings of a TOML file, such as the best.toml of a study.

    Raises:
        UserError: the file can't be read or is no flat TOML table.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are kinds of the first
        raise UserError(f"{path}: not TOML ({str(error).splitlines()[0][:200]})") from None
    nested = [key for key, value in table.items() if isinstance(value, (dict, list))]
    if nested:
        raise UserError(f"{path}: {nested[0]} must be a single value")
    return [f"{key}={value}" for key, value in table.items()]


def describe_keys() -> str:
    """A line for each key, for help texts."""
    return "\n".join(f"  {f.name}={f.default}: {f.metadata['about']}" for f in fields(Config))


@cache
def _hints() -> dict[str, Any]:
    return typing.get_type_hints(Config)


def _kinds(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value is of a field's type; a whole number is a number, true is none."""
    kind = _kinds(hint)[0]
    if value is None:
        return type(None) in _kinds(hint)
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(NUMBER.fits(v) for v in value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is int:
        return isinstance(value, int) and abs(value) <= MAX_WHOLE
    return isinstance(value, (int, float) if kind is float else kind)


def _wanted(hint: Any) -> str:
    kind = _kinds(hint)[0]
    names = {bool: "true or false", int: f"a whole number of at most {MAX_WHOLE:,}", float: "a number", str: "text"}
    return names.get(kind, "finite numbers with commas")


def _shown(value: Any) -> str:
    """A value as an error quotes it; Python refuses to print whole numbers of thousands of digits."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a whole number of that many digits"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _parse(key: str, text: str, hint: Any) -> Any:
    kinds = _kinds(hint)
    if text.lower() == "none" and type(None) in kinds:
        return None
    kind = kinds[0]
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if typing.get_origin(kind) is tuple:
            return tuple(float(part) for part in text.split(","))
        return kind(text)
    except (ValueError, KeyError):
        raise UserError(f"--set {key}={_shown(text)}: must be {_wanted(hint)}") from None
