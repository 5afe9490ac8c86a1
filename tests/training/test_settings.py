"""Settings: groups, keys, what follows from what, and what makes runs comparable."""

from dataclasses import fields

import pytest

from pa_difc.training.groups import GROUPS
from pa_difc.training.keys import RENAMED, SHORT, SYNONYMS, find_key, fixed_keys, short_keys
from pa_difc.training.legacy import nested
from pa_difc.training.resolve import comparable, identity, resolve
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError
from pa_difc.util.names import unknown
from pa_difc.util.options import describe

NAMED = {"method": ["mdd", "mcd"], "loss": ["ce", "focal"], "model": ["small"]}


def test_every_setting_is_explained_with_its_default():
    for kind in GROUPS.values():
        known = describe(kind)
        assert {f.name for f in fields(kind)} - {"options"} == set(known)
        assert all(about.about for about in known.values())


@pytest.mark.parametrize(
    ("key", "whole"),
    [
        ("epochs", "run.epochs"),
        ("run.epochs", "run.epochs"),
        ("method", "method.name"),
        ("loss", "loss.name"),
        ("lr", "optimiser.lr"),
        ("method.gamma", "method.gamma"),
        ("loss.gamma", "loss.gamma"),
        ("weight", "method.weight"),
        ("repeat", "method.repeat"),
    ],
)
def test_a_key_may_be_short_where_it_is_the_only_one(key, whole):
    assert find_key(key, NAMED) == whole


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("gamma", "short for method.gamma and loss.gamma: give the whole key"),
        ("epocs", "unknown key 'epocs': did you mean 'epochs'"),
        ("max_margin", "'max_margin' is an option of losses margin, di, difc, ldam, ldam_drw, and none"),
        ("name", "unknown key 'name'"),
        ("head", "is called model.classifier since version 0.2"),
        ("adjust", "is called run.prior_correction since version 0.2"),
    ],
)
def test_a_key_that_is_none_says_what_would_be(key, words):
    with pytest.raises(UserError, match=words):
        find_key(key, NAMED)


def test_other_programs_words_suggest_the_key():
    known = {**short_keys(), "optimiser": None}
    assert set(SYNONYMS.values()) <= set(known) and not set(SYNONYMS) & set(short_keys())
    for key, meant in (("learning_rate", "lr"), ("optimiser.learning_rate", "lr"), ("Batch", "batch_size")):
        with pytest.raises(UserError, match=rf"unknown key '{key}': did you mean '{meant}'\?"):
            find_key(key, NAMED)


def test_several_suggestions_are_a_list_with_one_or():
    said = str(unknown("method", "dan", ["dann", "cdan", "safn", "mcd"]))
    assert "did you mean 'dann', 'cdan' or 'safn'? (" in said
    assert "did you mean 'mdd' or 'mcd'? (" in str(unknown("method", "mcdd", ["mcd", "mdd", "safn"]))


def test_renamed_keys_lead_somewhere():
    known = {**fixed_keys(), "loss.confusion_from": None}
    assert set(RENAMED.values()) <= set(known) and set(SHORT.values()) <= set(known)


def test_another_entry_leaves_the_options_of_the_one_before_behind():
    settings = Settings.of(method="mdd", gamma=3.0, loss="difc", epsilon=0.5)
    assert settings.method.options == {"gamma": 3.0} and settings.loss.options == {"epsilon": 0.5}
    assert settings.but(method="mcd").method.options == {}
    assert settings.but(loss="ce").method.options == {"gamma": 3.0}


def test_what_follows_from_the_others():
    settings = resolve(Settings.of(method="mdd", loss="ldam", epochs=7, gamma=2.5))
    assert (settings.loss.confusion_epoch, settings.loss.reweight_epoch) == (3, 3)
    assert resolve(Settings.of(epochs=40)).loss.reweight_epoch == 5
    assert resolve(Settings.of(epochs=1)).loss.confusion_epoch == 1  # no second phase
    assert (settings.model.classifier, settings.model.scale) == ("cosine", 30.0)
    assert settings.method.options["gamma"] == 2.5 and settings.method.options["weight"] == 0.1
    assert settings.optimiser.lr == 0.02 and resolve(Settings.of(backbone="ir18")).optimiser.lr == 0.001
    assert resolve(Settings.of(optimiser="adamw")).optimiser.lr == pytest.approx(0.001)
    assert resolve(settings) == settings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 0}, "epochs=0: must be a finite number at least 1"),
        ({"epochs": 1.5}, "epochs=1.5: must be a whole number"),
        ({"zoom": 0.5}, "zoom=0.5: must be a finite number at least 0 and below 0.5"),
        ({"lr": float("nan")}, "lr=nan: must be a number"),
        ({"seed": 10**5000}, "seed=a whole number of that many digits"),
        ({"flip": 1}, "flip=1: must be true or false"),
        ({"optimiser": "adma"}, "unknown optimiser 'adma': did you mean 'adamw'"),
        ({"method": "mdc"}, "unknown method 'mdc': did you mean"),
        ({"sampler": "pseudo_balanced"}, "unknown sampler 'pseudo_balanced'"),  # it needs predictions
        ({"target_sampler": "class_balanced"}, "unknown target sampler"),  # and this one labels
        ({"method": "mdd", "gamma": -1.0}, "gamma=-1.0"),
        ({"loss": "cosface", "classifier": "linear"}, "needs classifier=cosine, not linear"),
        ({"landmark_branch": "ir"}, "landmark_branch='ir' has no effect"),
        ({"maps": "mid"}, "maps='mid' has no effect with pool='average'"),
        ({"pool": "grid", "maps": "middle"}, r"unknown maps 'middle': .*mid\+late\+last"),
        (
            {"pool": "grid", "feature_head": "global_local"},
            "pool='grid' needs feature_head=global_only, not global_local",
        ),
        ({"pool": "grid", "method": "agra"}, "pool='grid' needs feature_head=global_only, not global_local"),
        ({"warmup_epochs": 4, "epochs": 5}, "lies inside the warm-up"),
        ({"backbone": "resnet18", "crop_px": 64}, "crop_px=64: backbone resnet18 takes 112"),
        ({"schedule": "cosine", "lr_drop": 0.5}, "lr_drop=0.5 has no effect with schedule='cosine'"),
        ({"optimiser": "adamw", "momentum": 0.5}, "momentum=0.5 has no effect with optimiser adamw"),
    ],
)
def test_bad_values_are_one_line(values, words):
    with pytest.raises(UserError, match=words) as error:
        resolve(Settings.of(**values))
    assert "\n" not in str(error.value)


def test_places_are_no_part_of_an_identity():
    here, there = (resolve(Settings.of(root=r)) for r in ("a", "b"))
    assert identity(here) == identity(there)
    assert identity(resolve(Settings.of(epochs=6))) != identity(here)
    assert identity(resolve(Settings.of(gamma=3.0, method="mdd"))) != identity(resolve(Settings.of(method="mdd")))
    assert identity(resolve(Settings.of(labels="valence"))) == identity(here)  # what it says has a hash of its own


def test_cells_of_a_grid_are_comparable_and_other_settings_are_not():
    def of(**values):
        return comparable(resolve(Settings.of(**values)))

    cells = [of(method=m, loss=k, seed=s) for m in ("mcd", "mdd") for k in ("ce", "difc", "ldam") for s in (0, 1)]
    assert all(cell == cells[0] for cell in cells)  # ldam's cosine classifier is its own
    asked = [of(loss=k, classifier="cosine", scale=30.0) for k in ("ce", "ldam", "cosface")]
    assert asked[0] == asked[1] == asked[2]  # whether it is the loss's own or not
    for other in ({"epochs": 6}, {"lr": 0.5}, {"classifier": "cosine", "loss": "ce"}, {"target_shift": 1.0}):
        assert of(**other) != cells[0], other


def test_the_flat_settings_of_version_0_1_find_their_places():
    config = {"method": "mcd", "loss": "difc", "seed": 3, "head": "cosine", "backbone_head": "global_only",
              "adjust": "rlls", "data_root": "d", "max_margin": 0.5, "weight": 2.0, "epochs": 4}  # fmt: skip
    found = nested(config)
    assert found["method"] == {"name": "mcd", "options": {"weight": 2.0}}
    assert (found["loss"]["name"], found["loss"]["options"]) == ("difc", {"max_margin": 0.5})
    assert (found["model"]["classifier"], found["model"]["feature_head"]) == ("cosine", "global_only")
    assert (found["run"]["seed"], found["run"]["prior_correction"], found["run"]["epochs"]) == (3, "rlls", 4)
    assert found["data"]["root"] == "d" and found["optimiser"]["schedule"] == "drop"  # 0.1 had no other
