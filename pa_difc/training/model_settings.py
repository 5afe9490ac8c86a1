"""The settings in a model's folder: its classes, its input, and what it is built from."""

from __future__ import annotations

from typing import Any

from ..backbones.spec import MAPS, POOLS
from ..data.labels import EXPRESSIONS, LabelSet
from ..data.views import VIEWS
from ..util.errors import UserError
from ..util.options import is_path
from ..util.shapes import COUNT, FLAG, NOTHING, NUMBER, TEXT, Leaf, either, mismatch, one_of
from . import old_format
from .origins import SHAPE, named
from .seals import SEALS, changed
from .used_code import used_code

#: Format 3 marks models with which older versions would make wrong predictions instead of refusing them.
FORMAT, NEWEST = 2, 3
#: What a model saw whose training images were used as they are.
CENTRE_SQUARE = "centre square"
#: Settings of a run that don't describe its model, or are stored elsewhere.
_LEFT_OUT = {
    "data": ("root",),
    "model": ("pretrained", "pretrained_classes", "head_init"),
    "run": ("device",),
    "eval": ("product", "product_power"),
}

#: Further keys in a folder's file.
_WITH_SEALS = ("id2label", "label2id", "face_crop")  #: versions that write them write digests too
_OF_THE_FOLDER = ("weights", SEALS, *_WITH_SEALS)

_POSITIVE = Leaf("a finite number above 0", lambda v: NUMBER.fits(v) and v > 0)
_INPUT_SCALE = Leaf("a number from 0.5 to 2", lambda v: NUMBER.fits(v) and 0.5 <= v <= 2)
_SIDE = Leaf("a whole number from 32 to 1024", lambda v: COUNT.fits(v) and 32 <= v <= 1024)
_CALIBRATION: dict[str, Any] = {"temperature": _POSITIVE, "faces": COUNT, "nll": (NUMBER, 2)}
_SHAPE: dict[str, Any] = {
    "labels": {"names": [TEXT], "synonyms": {}, "excluded": [TEXT]},
    "input": {
        **{"size_px": _SIDE, "crop": one_of("cdfer", "arcface", "none"), "prepared": FLAG, "landmarks": FLAG},
        "stored_px?": Leaf("a whole number from 16 to 1024", lambda v: COUNT.fits(v) and 16 <= v <= 1024),
    },
    "settings": {
        "data": {"source": TEXT, "target": TEXT, "crop_px": COUNT},
        "model": {
            "backbone": TEXT,
            "feature_head": either(TEXT, NOTHING),
            "landmark_branch": TEXT,
            "pool?": one_of(*POOLS),
            "maps?": one_of(*MAPS),
            "classifier": one_of("linear", "cosine"),
            "scale": _POSITIVE,
            "input_scale?": _INPUT_SCALE,
            "options?": {},
        },
        "loss": {"name": TEXT},
        "method": {"name": TEXT, "options?": {}},
        "run": {"seed": COUNT, "epochs": COUNT},
        "eval?": {"views": one_of(*VIEWS)},
    },
    "run": TEXT,
    "code?": {},
    "calibration?": _CALIBRATION,
    "origins?": SHAPE,
    f"{SEALS}?": {},
}


def model_settings(record: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run's model, from its record."""
    store = record["data"]["target"].get("store") or {}
    correction, settings = record["model"]["adjustment"], record["settings"]
    pool = {"pool": record["model"]["pool"]} if "pool" in record["model"] else {}
    method = settings["method"]
    options = dict(method.get("options", {}))
    if is_path(options.get("teacher")):  # a path on the training machine, not needed any more
        del options["teacher"]
    adjustment = None
    if correction and not correction["refused"]:
        adjustment = {"ratio": correction["ratio"], **correction["calibration"]}
    product = record["model"].get("product")
    made_from = record["model"].get("origins")  # version 0.3 and older recorded no hashes
    made_from = named(settings) if made_from is None else made_from
    code, size_px = used_code(record), settings["data"]["crop_px"]
    shown = settings["model"].get("input_scale", 1.0) != 1 or settings.get("eval", {}).get("views", "none") != "none"
    return {
        "format": NEWEST if product or shown else FORMAT,
        "labels": record["labels"],
        "input": {
            "size_px": size_px,
            "crop": store.get("crop", "cdfer"),
            "prepared": bool(store),
            "landmarks": settings["model"]["feature_head"] == "global_local",
            **({"stored_px": store["crop_px"]} if store.get("crop_px", size_px) != size_px else {}),
        },
        "settings": {
            group: {key: value for key, value in values.items() if key not in _LEFT_OUT.get(group, ())}
            for group, values in (
                settings | {"model": settings["model"] | pool, "method": method | {"options": options}}
            ).items()
        },
        "adjustment": adjustment,
        **({"product": product} if product else {}),
        **({"origins": made_from} if made_from else {}),
        **({"code": code} if code else {}),
        "run": record["key"],
        "versions": record["versions"],
    }


def checked(settings: Any) -> dict[str, Any]:
    """Checks settings from a file; converts format 1 to 2.

    Raises:
        UserError: the settings have another format, or are incomplete.
    """
    found = settings.get("format") if isinstance(settings, dict) else None
    if type(found) is not int or found not in (1, FORMAT, NEWEST):
        if found is None:
            raise UserError(
                "not the settings of a model, which have a format: export the run again; other programs' models can't "
                "be read, and `pa-difc weights` lists networks that can"
            )
        raise UserError(
            f"a model of format {found!r:.40}: this version reads formats 1 to {NEWEST}; update pa-difc, or export the "
            "run again"
        )
    if found == 1:
        settings = _from_format_1(settings)
    problem = mismatch(settings, _SHAPE)
    if problem is None and settings["settings"]["data"]["crop_px"] != settings["input"]["size_px"]:
        problem = "input.size_px is not settings.data.crop_px"
    if problem is None and settings.get("adjustment") is not None:
        k = len(settings["labels"]["names"])
        shape: dict[str, Any] = {"scale": NUMBER, "bias": (NUMBER, k), "ratio": (_POSITIVE, k)}
        problem = mismatch(settings["adjustment"], shape, "adjustment")
    if problem is None and "product" in settings:
        problem = mismatch(settings["product"], {"power": _POSITIVE, "model": {}}, "product")
    if problem := problem or _of_labels(settings):
        raise UserError(f"not the settings of a model of format {found} ({problem}); export the run again")
    if "product" in settings:
        settings = settings | {"product": settings["product"] | {"model": checked(settings["product"]["model"])}}
    if SEALS not in settings and any(key in settings for key in _WITH_SEALS):
        raise UserError(
            f"{SEALS} is missing, by which changes since the export are noticed: put it back, or export the run again"
        )
    if names := changed(settings, settings.get(SEALS, {})):
        raise UserError(
            f"{' and '.join(names)} changed since the export, and so would predictions: export the model again, or, if "
            f'it is on purpose, delete {" and ".join(map(repr, names))} from "{SEALS}" there'
        )
    if settings.get("face_crop", face_crop(settings)) != face_crop(settings):
        raise UserError(
            f"face_crop is not {face_crop(settings)!r}, which input says by prepared and crop: change it back"
        )
    return {"adjustment": None, **{key: value for key, value in settings.items() if key not in _OF_THE_FOLDER}}


def face_crop(settings: dict[str, Any]) -> str:
    """How the faces that a model was trained on were cropped: as its store's, or as the centre square of each image."""
    given = settings["input"]
    return str(given["crop"]) if given["prepared"] else CENTRE_SQUARE


def names_by_id(labels: LabelSet) -> dict[str, dict[str, Any]]:
    """The classes as in the Hugging Face hub's ``config.json``: names by index, and indices by name."""
    by_id = {str(index): name for index, name in enumerate(labels.names)}
    return {"id2label": by_id, "label2id": {name: int(index) for index, name in by_id.items()}}


def _of_labels(settings: dict[str, Any]) -> str | None:
    """What is wrong with the classes of settings of the right shape; None if nothing is."""
    try:
        labels = LabelSet.from_dict(settings["labels"])
    except UserError as error:
        return f"labels: {error}"
    except AttributeError:  # a synonym that is not a string
        return "labels.synonyms must be words"
    for key, value in names_by_id(labels).items():
        if settings.get(key, value) != value:
            return f"{key} does not name the classes of labels.names in their order"
    return None


def of_expressions(labels: LabelSet) -> bool:
    """Whether every class is a facial expression or, as with valence, a group of them."""
    from ..data.labels import CONTEMPT, SEVEN, plain

    words = {*SEVEN, CONTEMPT}
    gathered = {plain(name) for word, name in labels.synonyms.items() if plain(word) in words}
    return all(plain(name) in words | gathered for name in labels.names)


def product_line(settings: dict[str, Any]) -> str:
    """A line on the model whose predictions multiply this one's; empty if there is none."""
    if (product := settings.get("product")) is None:
        return ""
    other = product["model"]["settings"]
    what = f"{other['method']['name']}, {other['model']['backbone']}"
    return f"probabilities are p · q^{product['power']:g}, with q of a second model that is part of this one ({what})"


def _from_format_1(settings: dict[str, Any]) -> dict[str, Any]:
    problem = mismatch(settings, old_format.SHAPE)
    if problem is None and settings["classes"] != list(EXPRESSIONS.names):
        problem = "classes are not the seven expressions in their order"
    if problem:
        raise UserError(f"not the settings of a model of format 1 ({problem}); export the run again")
    return old_format.translated(settings)
