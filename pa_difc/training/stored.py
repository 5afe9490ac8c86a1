"""Reads a model's folder: its settings, and the weights of its networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor, nn

from ..backbones.classifiers import PretrainedClassifier
from ..backbones.places import EXPORTED, OF_RUN, is_model_folder, near, weights_clause
from ..data.labels import LabelSet
from ..methods import METHODS
from ..methods.heads import classifier
from ..util.errors import UserError
from ..util.files import file_digest, read_json
from ..util.names import address_clause, near_clause, written
from ..util.terminal import wrapped
from .checkpoint import read_state
from .model_settings import checked, model_settings
from .record import read_record
from .seals import SEALS


def settings_file(folder: Path) -> Path:
    """The file with a model's settings in a folder: an exported model's, or a run's record.

    Raises:
        UserError: there is none.
    """
    for name in (EXPORTED[0], OF_RUN[0]):
        if (folder / name).exists():
            return folder / name
    if clause := near(folder) or weights_clause(folder):
        raise UserError(f"{folder}: no model here{clause}")
    if clause := address_clause(folder):
        raise UserError(f"{written(folder)}: no such folder{clause}")
    if not folder.exists() and (clause := near_clause(folder)):
        raise UserError(f"{folder}: no such folder{clause}")
    raise UserError(f"{folder}: no model here (looked for {EXPORTED[0]}, and for {OF_RUN[0]} of a finished run)")


def read_settings(folder: Path) -> dict[str, Any]:
    """Reads the settings of a folder's model, in the form of :func:`.model_settings`.

    Raises:
        UserError: there is no model, its settings are damaged, or it is of heads on frozen features.
    """
    path = settings_file(folder)
    settings = read_json(path, others_add=True) if path.name == EXPORTED[0] else _settings_of_run(path)
    try:
        return checked(settings)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _settings_of_run(path: Path) -> dict[str, Any]:
    try:
        record = read_record(path)
        if record["data"]["target"].get("features_of"):
            raise UserError(
                f"{path}: a run on frozen features, whose heads can't be used on images: train it without "
                "--features frozen"
            )
        return model_settings(record)
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: the settings of its model are missing; train the run again") from None


def network_of(place: Path | str | None) -> dict[str, Any]:
    """The settings of a model folder's network by whole key, for runs that start from it; {} for other places.

    Raises:
        UserError: there is a model, but its settings are damaged.
    """
    if place is None or not is_model_folder(place):
        return {}
    stored = read_settings(Path(place))
    model = stored["settings"]["model"]
    kept = ("backbone", "feature_head", "pool", "maps")
    found = {f"model.{name}": model[name] for name in kept if name in model}
    return found | {"data.crop_px": stored["input"]["size_px"]}


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Reads the weights of a folder's model, by names such as "models.G.trunk.conv1.weight".

    Raises:
        UserError: the weights can't be read, don't match the settings, or are not finite.
    """
    path = folder / EXPORTED[1]
    if settings_file(folder).name == EXPORTED[0]:
        settings = read_json(folder / EXPORTED[0], others_add=True)
        again = (
            f"export it again: pa-difc export --model RUN --out {folder}, where RUN is the folder of run "
            f"{settings.get('run', 'of the model')}"
        )
        weights = _load(path, again)
        if "weights" not in settings and SEALS in settings:
            raise UserError(f"{folder / EXPORTED[0]}: weights is missing, the hash of {path.name}: {again}")
        if "weights" in settings and file_digest(path) != settings["weights"]:
            raise UserError(f"{path} does not belong to its {EXPORTED[0]}, or is damaged: {again}")
    else:
        path = folder / OF_RUN[1]
        if not path.exists():
            raise UserError(f"{path} is missing: remove record.json and train the run again")
        weights = _of_checkpoint(path, read_state(path), read_settings(folder))
    for name, values in weights.items():
        if not torch.isfinite(values).all():
            raise UserError(f"{path}: {name} has values that are not finite; use another model, or train it again")
    return weights


def _of_checkpoint(path: Path, state: dict[str, Any], settings: dict[str, Any]) -> dict[str, Tensor]:
    """The weights in a run's checkpoint that predict: averaged ones if there are any.

    Raises:
        UserError: the checkpoint has no weights of models, or they don't match the run's settings.
    """
    try:
        own = _tensors({f"models.{n}.{key}": x for n, part in state["models"].items() for key, x in part.items()})
        average, product = (dict(state["misc"].get(name, {})) for name in ("average", "product"))
        average = _tensors({key: value for key, value in average.items() if key.startswith("models.")})
        product = _tensors({f"product.{key}": value for key, value in product.items()})
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: it has no weights of models") from None
    if state["key"] != settings["run"]:
        raise UserError(f"{path} is of another run ({state['key']}, not {settings['run']}); train the run again")
    chosen, method = settings["settings"], METHODS.lookup(settings["settings"]["method"]["name"])
    averages = chosen.get("optimiser", {}).get("ema", 0.0) and method.trains
    names = tuple(f"models.{name}." for name in method.inference_models) if averages else ()
    expected = {key: tensor.shape for key, tensor in own.items() if names and key.startswith(names)}
    if {key: tensor.shape for key, tensor in average.items()} != expected:
        raise UserError(f"{path}: its averaged weights are not those of its models; remove it and train the run again")
    if bool(product) != ("product" in settings):
        raise UserError(f"{path}: the model that multiplies its predictions is missing; train the run again")
    return own | average | product


def _tensors(values: dict[str, Any]) -> dict[str, Tensor]:
    """Checks that all values are tensors.

    Raises:
        TypeError: one is not.
    """
    for name, value in values.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} is a {type(value).__name__}")
    return values


def of_network(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weights of one network, by its own parameter names."""
    prefix = f"models.{name}."
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def require_backbone(folder: Path, name: str, options: Mapping[str, Any]) -> None:
    """Refuses a folder whose model has another backbone or other backbone options.

    Raises:
        UserError: the backbones differ.
    """
    model = read_settings(folder)["settings"]["model"]
    if (model["backbone"], model.get("options", {})) != (name, options):
        own = ", ".join([model["backbone"], *(f"{key}={value}" for key, value in model.get("options", {}).items())])
        raise UserError(f"{folder} has the backbone {own}, not {name}: use the same, with the same options")


def stored_classifier(folder: Path) -> PretrainedClassifier:
    """The linear classifier of a folder's model; with several classifiers, the mean of their weights.

    It includes a corrected class prior: p^a · e^b · r is proportional to softmax(a·z + b + log r). It doesn't include a
    model that multiplies its predictions, nor a prior, which was then estimated from the product.

    Raises:
        UserError: the classifier is not linear in the features, or can't be read.
    """
    settings = read_settings(folder)
    if "product" in settings:
        also = ", and the prior that was estimated with it" if settings["adjustment"] is not None else ""
        print(wrapped(f"{folder}: the model that multiplies its predictions is left out{also}", indent=2), flush=True)
    labels, chosen = LabelSet.from_dict(settings["labels"]), settings["settings"]["model"]
    method = METHODS.lookup(settings["settings"]["method"]["name"])
    name = method.inference_models[-1]
    c = of_network(read_weights(folder), name)
    made: list[nn.Module] = []

    def make(num_features: int, num_classes: int) -> nn.Module:
        made.append(classifier(num_features, num_classes, chosen["classifier"], chosen["scale"]))
        return made[-1]

    widths = [tensor.shape[1] for tensor in c.values() if tensor.dim() == 2]
    if chosen["classifier"] != "linear" or method.inference_models != ("G", name) or not widths:
        raise UserError(f"{folder}: its classifier is not linear in the features of its network; use head_init=random")
    options = method.read_options(settings["settings"]["method"].get("options", {}))
    head = method.heads(widths[0], len(labels), make=make, options=options)[name]
    try:
        head.load_state_dict(c)
    except RuntimeError:
        raise UserError(f"{folder}: the weights of its classifier do not fit its settings") from None
    layers = [layer for part in made if part in set(head.modules()) for layer in part.modules()]
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not linear:
        raise UserError(f"{folder}: its method has a classifier of its own; use head_init=random")
    weight, bias = (torch.stack([getattr(x, n).detach() for x in linear]).mean(dim=0) for n in ("weight", "bias"))
    scale = chosen["scale"]
    if (prior := settings["adjustment"]) is not None and "product" not in settings:
        scale *= prior["scale"]
        bias = bias + (torch.tensor(prior["bias"]) + torch.tensor(prior["ratio"]).log()) / scale
    return PretrainedClassifier(weight * scale, bias * scale, labels.names, f"the classifier of {folder}")


def _load(path: Path, again: str) -> dict[str, Tensor]:
    """The tensors of a file; ``again`` says in errors how it is written again."""
    if not path.exists():
        raise UserError(f"{path} is missing: {again}")
    try:
        weights: dict[str, Tensor] = load(path.read_bytes())  # bytes, as safetensors takes no path that is not UTF-8
        return weights
    except Exception as error:  # the reader can raise anything on a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"cannot read {path}: {reason}; {again}") from None
