"""A study sees no target label, keeps its identity, and chooses as it says."""

from dataclasses import dataclass

import numpy as np
import optuna
import pytest
from studies import SPACE, config, ready

from pa_difc import METHODS, SourceOnly, option
from pa_difc.data import EvalLoader
from pa_difc.evaluation import CRITERIA, predict
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.tuning import Dimension
from pa_difc.tuning.objective import blind, pack, show, source_recall, thin, train, unpack
from pa_difc.tuning.plugin_space import own_dimensions, without_clashes
from pa_difc.tuning.space import candidate, defaults, not_of, searched, suggest
from pa_difc.tuning.study import choose, open_study
from pa_difc.tuning.trials import run_trials
from pa_difc.util.errors import UserError

optuna.logging.set_verbosity(optuna.logging.ERROR)


def study_of(source, target, out, trials=3, tune=(), select="consensus", **config_kwargs):
    study, objective, first = ready(source, target, out, config(**config_kwargs), select=select, tune=tune)
    run_trials(study, objective, first, trials)
    return study, objective.task


def test_trial_0_is_the_defaults_and_the_ranges_span_decades(source, target, tmp_path):
    every = ("lr", "classifier", "reweight", "confusion_epoch", "beta", "scale", "weight", "reweight_epoch")
    study, task = study_of(source, target, tmp_path, tune=every)
    first = study.trials[0]
    assert first.user_attrs["origin"] == "defaults"
    assert (first.params["max_margin"], first.params["epsilon"]) == (0.3, 0.02)
    assert first.params["lr"] == task.settings.optimiser.lr and first.params["reweight"] is True
    space = searched(SPACE, config())
    assert list(space) == ["max_margin", "epsilon"]
    assert (space["max_margin"].low, space["max_margin"].high, space["max_margin"].log) == (0.05, 3.0, True)
    assert (space["epsilon"].low, space["epsilon"].high, space["epsilon"].log) == (0.005, 1.0, True)


def test_permuted_target_labels_give_a_bit_identical_study(source, target, tmp_path):
    study, _ = study_of(source, target, tmp_path / "a")
    rng = np.random.default_rng(0)
    for faces in (target.train, target.test):
        faces.labels[:] = rng.permutation(faces.labels)
    permuted, _ = study_of(source, target, tmp_path / "b")
    for a, b in zip(study.trials, permuted.trials, strict=True):
        assert (a.params, a.value) == (b.params, b.value)
        assert {k: v for k, v in a.user_attrs.items() if k != "seconds"} == {
            k: v for k, v in b.user_attrs.items() if k != "seconds"
        }
    assert choose(study, "consensus").chosen.number == choose(permuted, "consensus").chosen.number


def test_a_blind_target_has_no_labels(target):
    hidden = blind(target)
    assert (hidden.train.labels == -1).all() and (hidden.test.labels == -1).all()
    assert (target.train.labels >= 0).all()
    assert np.array_equal(hidden.train.images, target.train.images)


def test_the_objective_and_its_constraint(source, target, tmp_path):
    study, task = study_of(source, target, tmp_path)
    trial = study.trials[0]
    adapter, _ = train(candidate(task.settings, trial.params), task, "")
    evidence = show(adapter, task, "cpu")
    assert trial.value == pytest.approx(CRITERIA["im"].score(evidence))
    assert trial.constraints["source"] == pytest.approx(task.source_floor - source_recall(evidence))
    assert unpack(trial.user_attrs["target_probs"]).shape == (61, 7)
    assert unpack(trial.user_attrs["test_predictions"]).shape == (21,)


def test_candidates_are_judged_by_the_views_that_they_will_predict_with(source, target, tmp_path):
    study, task = study_of(source, target, tmp_path, trials=1, **{"eval.views": "flip"})
    settings = candidate(task.settings, study.trials[0].params)
    adapter, _ = train(settings, task, "")
    evidence, probs = show(adapter, task, "cpu"), unpack(study.trials[0].user_attrs["target_probs"])
    for name, part, domain in (("target", target.train, 1), ("source", source.test, 0)):
        found = getattr(evidence, f"{name}_probs")
        flipped, plain = (predict(adapter, EvalLoader(part), domain, views).probs for views in ("flip", "none"))
        np.testing.assert_allclose(found, flipped, atol=1e-6)
        assert np.abs(found - plain.numpy()).max() > 1e-4
    np.testing.assert_allclose(probs, evidence.target_probs, atol=1e-3)
    test = unpack(study.trials[0].user_attrs["test_predictions"])
    assert (test == predict(adapter, EvalLoader(target.test), views="flip").probs.argmax(dim=1).numpy()).all()


def test_switching_reweighting_off_leaves_it_off():
    assert candidate(config(), {"reweight": False}).loss.reweight_epoch == 2
    assert candidate(config(), {"reweight": True}).loss.reweight_epoch == config().loss.reweight_epoch


def fake_study(rows):
    """Trials with given criteria, feasibility and predictions."""
    study = optuna.create_study(direction="maximize")
    for im, class_ami, slack, probs in rows:
        criteria = dict.fromkeys(CRITERIA, im) | {"class_ami": class_ami}
        attrs = {"criteria": criteria, "target_probs": pack(probs.astype(np.float16))}
        study.add_trial(
            optuna.trial.create_trial(values=[im], user_attrs=attrs, system_attrs={"constraints:source": slack})
        )
    return study


def test_the_choice_keeps_the_source_and_follows_the_consensus():
    rng = np.random.default_rng(0)
    good = rng.dirichlet(np.ones(7) * 0.3, 50)
    odd = np.roll(good, 1, axis=1)
    study = fake_study([(1.0, 0.5, -0.1, good), (0.9, 0.6, -0.1, good), (2.0, 0.9, 0.2, odd)])
    choice = choose(study, "im")
    assert choice.feasible == [True, True, False] and choice.chosen.number == 0
    assert choose(study, "class_ami").chosen.number == 1
    assert choose(study, "oracle", [0.1, 0.2, 0.9]).chosen.number == 2
    assert choice.scores["ensv"][0] > choice.scores["ensv"][2]


def test_nothing_to_choose_from():
    with pytest.raises(UserError, match="nothing to choose from"):
        choose(optuna.create_study(), "im")


def test_a_study_of_other_settings_is_refused():
    storage = optuna.storages.InMemoryStorage()
    make = lambda **kw: open_study(  # noqa: E731
        storage, "s", {"select": "im", **kw}, sampler="tpe", pruner="none", seed=0, must_exist=False
    )
    make()
    make()
    with pytest.raises(UserError, match="select was im, is oracle"):
        make(select="oracle")
    with pytest.raises(UserError, match="there is no study 'x'"):
        open_study(storage, "x", {}, sampler="gp", pruner="median", seed=0, must_exist=True)


def test_pruned_trials_count_and_are_not_chosen(source, target, tmp_path):
    study, objective, first = ready(
        source, target, tmp_path, config(), select="im", prune=True, sampler="gp", pruner="median"
    )
    study.pruner = optuna.pruners.ThresholdPruner(upper=-1.0)  # everything is too good: all but the last epoch prunes
    run_trials(study, objective, first, 2)
    assert [t.state.name for t in study.trials] == ["PRUNED", "PRUNED"]
    assert all(t.intermediate_values for t in study.trials)
    with pytest.raises(UserError, match="nothing to choose from"):
        choose(study, "im")


def test_packing_is_lossless_and_thinning_even():
    array = np.arange(12, dtype=np.float16).reshape(4, 3)
    assert np.array_equal(unpack(pack(array)), array) and unpack(pack(array)).dtype == np.float16
    assert len(thin(np.zeros((5000, 7)))) == 2000 and len(thin(np.zeros((50, 7)))) == 50


def test_unknown_keys_to_tune():
    with pytest.raises(UserError, match="unknown key to tune 'epsilom': did you mean 'epsilon'"):
        searched(SPACE, config(), ["epsilom"])


def of(method, loss):
    return resolve(Settings.of(method=method, loss=loss, epochs=3))


def test_what_a_loss_or_method_lacks_is_not_searched():
    assert list(searched(SPACE, of("mdd", "di"))) == ["max_margin"]
    assert list(searched(SPACE, of("dann", "focal"), ["scale", "lr"])) == ["scale", "lr"]
    assert not_of(SPACE, of("source_only", "drw")) == ["max_margin", "epsilon", "weight"]


def test_with_nothing_left_the_keys_that_exist_are_named():
    with pytest.raises(UserError, match="dann with loss focal has none of max_margin, epsilon: give --tune") as found:
        searched(SPACE, of("dann", "focal"))
    assert all(word in str(found.value) for word in ("scale classifier", "--space FILE.py", "gamma"))
    assert "beta" not in str(found.value).replace("beta1", "") and "\n" not in str(found.value)
    with pytest.raises(UserError, match=r"key 'beta' is an option of losses .*drw.*none of these is used here"):
        searched(SPACE, of("dann", "focal"), ["beta"])


def test_keys_that_nobody_has_are_refused_before_anything_is_trained():
    space = {"gama": Dimension("γ", low=1, high=3, always=True)}
    with pytest.raises(UserError, match="unknown key 'gama': did you mean 'gamma'"):
        searched(space, of("dann", "focal"))


def test_whole_keys_are_searched_too():
    space = searched({"loss.gamma": Dimension("γ", low=1, high=3, always=True)}, of("dann", "focal"))
    made = candidate(
        of("dann", "focal"), suggest(optuna.trial.FixedTrial({"loss.gamma": 1.5}), space, of("dann", "focal"))
    )
    assert made.loss.options["gamma"] == 1.5


def test_suggestions_are_config_values():
    space = searched(SPACE, config(), ["classifier", "beta"])
    trial = optuna.trial.FixedTrial({"max_margin": 1.0, "epsilon": 0.1, "classifier": "cosine", "beta": 0.99})
    made = candidate(config(), suggest(trial, space, config()))
    assert (made.loss.options["max_margin"], made.model.classifier, made.loss.options["beta"]) == (1.0, "cosine", 0.99)


def test_another_study_s_error_names_only_what_differs():
    storage = optuna.storages.InMemoryStorage()
    how = {"sampler": "tpe", "pruner": "none", "seed": 0, "must_exist": False}
    long = {f"key{i}": "a" * 50 for i in range(20)}
    then = {"settings": {"run": {"epochs": 2, **long}, "lr": 0.1}, "select": "im"}
    open_study(storage, "s", then, **how)
    now = {"settings": {"run": {"epochs": 13, **long}, "lr": 0.1, "beta": 7}, "select": "im"}
    with pytest.raises(UserError) as error:
        open_study(storage, "s", now, **how)
    assert str(error.value) == (
        "study 's' was made under other settings (settings.beta was not set, is 7; settings.run.epochs was 2, is 13): "
        "give this one a name of its own, --study NAME"
    )
    with pytest.raises(UserError, match=r"settings\.run\.key15 was a+, is b; 12 more\): give this one"):
        open_study(
            storage,
            "s",
            {"settings": {"run": {"epochs": 2} | dict.fromkeys(long, "b"), "lr": 0.1}, "select": "im"},
            **how,
        )


class Mine(SourceOnly):
    @dataclass(frozen=True)
    class Options(SourceOnly.Options):
        power: float = option(2.0, "p", unit="none", above=0)
        share: float = option(0.5, "q", at_least=0, below=1)
        temperature: float = option(3.0, "T", at_least=1)
        gamma: float = option(0.1, "a name of an option of the loss", above=0)
        free: float = option(0.1, "without a range")
        rounds: int = option(3, "whole numbers", at_least=1)


def test_a_plugins_options_with_a_range_are_searched_if_nothing_else_is(monkeypatch):
    monkeypatch.setitem(METHODS, "mine", Mine)
    settings = of("mine", "focal").but(power=4.0)
    own = own_dimensions(settings)
    ranges = {key: (*d.bounds(None, 3), d.log) for key, d in own.items()}
    assert ranges == {
        "power": (0.4, 40, True), "share": (0, 0.99, False), "temperature": (1.2, 21, True),
        "method.gamma": (0.01, 1, True),
    }  # fmt: skip
    assert searched(SPACE, settings, own=own) == own
    assert list(searched(SPACE, settings, ["share"], own)) == ["share"]
    assert list(searched(SPACE, settings, ["lr", "method.gamma"], own)) == ["lr", "method.gamma"]
    assert list(searched(SPACE, of("mine", "difc"), own=own)) == ["max_margin", "epsilon"]
    for key, value in (("power", 7.0), ("method.gamma", 0.2)):
        assert candidate(settings, {key: value}).method.options[key.rpartition(".")[2]] == value
    assert own_dimensions(of("dann", "focal")) == {}


class Clashing(SourceOnly):
    """Options with the names of a setting, of a loss's option, and of the switch of re-weighting."""

    @dataclass(frozen=True)
    class Options(SourceOnly.Options):
        lr: float = option(0.5, "not the optimiser's", at_least=0, at_most=1)
        epsilon: float = option(50.0, "not DIFC's", at_least=0, at_most=100)
        reweight: float = option(0.25, "no switch", at_least=0, at_most=1)


class Weighted(METHODS["detn"]):
    @dataclass(frozen=True)
    class Options(METHODS["detn"].Options):
        weight: float = option(0.125, "the factor that the class inherits", at_least=0)


@pytest.fixture
def clashing(monkeypatch):
    monkeypatch.setitem(METHODS, "clashing", Clashing)
    monkeypatch.setitem(METHODS, "weighted", Weighted)


def clashes(method, loss, tune=()):
    settings = of(method, loss)
    return settings, searched(without_clashes(SPACE, settings), settings, tune, own_dimensions(settings))


@pytest.mark.parametrize("tune", ["optimiser.lr", "method.lr", "method.epsilon", "method.reweight", "reweight"])
def test_a_plugin_s_option_and_a_setting_of_the_same_name_are_two_dimensions(tune, clashing):
    settings, space = clashes("clashing", "difc", [tune])
    assert list(space) == ["max_margin", "loss.epsilon", tune]
    assert space["loss.epsilon"] == SPACE["epsilon"]
    own = {"optimiser.lr": settings.optimiser.lr, "method.lr": 0.5, "method.epsilon": 50.0, "method.reweight": 0.25}
    assert defaults(settings, space)[tune] == own.get(tune, True)
    value = {"reweight": False}.get(tune, 0.375)
    before, after = (candidate(settings, values).flat() for values in ({}, {"loss.epsilon": 0.7, tune: value}))
    whole = "loss.reweight_epoch" if tune == "reweight" else tune
    assert {key for key in after if after[key] != before[key]} == {"loss.epsilon", whole}


@pytest.mark.parametrize("key", ["lr", "epsilon"])
def test_a_key_of_two_dimensions_is_refused(key, clashing):
    with pytest.raises(
        UserError, match=rf"^key '{key}' is short for \w+\.{key} and method\.{key}: give the whole key$"
    ):
        clashes("clashing", "difc", [key])


def test_an_option_that_only_a_plugin_has_keeps_its_own_range(clashing):
    """DIFC's ε goes to 1."""
    _, space = clashes("clashing", "focal", ["epsilon"])
    assert (space["epsilon"].about, space["epsilon"].high) == ("not DIFC's", 100)


def test_an_option_that_a_plugin_inherits_has_our_range(clashing):
    _, space = clashes("weighted", "difc", ["weight"])
    assert space["weight"] == SPACE["weight"] and list(space) == ["max_margin", "epsilon", "weight"]


def test_one_setting_under_two_names_is_refused():
    space = {key: Dimension("", low=0.1, high=1, always=True) for key in ("optimiser.lr", "lr")}
    with pytest.raises(UserError, match=r"^optimiser\.lr and lr are the same setting: search one of them$"):
        searched(space, of("dann", "difc"))
