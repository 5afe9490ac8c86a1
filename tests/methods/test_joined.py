"""Methods that are several in one, by name."""

import pytest
from taught import adapter, batch, said

from pa_difc import DANN, MCD, METHODS
from pa_difc.commands.parser import main
from pa_difc.methods.mcc import LessConfused
from pa_difc.methods.self_training import SelfTrained
from pa_difc.util.errors import UserError
from pa_difc.util.options import describe


def losses(made, seed=0):
    return {
        name: value for step in made.training_step(batch(seed, strong=True)).values() for name, value in step.items()
    }


def test_a_joined_method_is_each_of_its_parts():
    cls = METHODS["dann+mcc+adamatch"]
    assert issubclass(cls, DANN) and issubclass(cls, LessConfused) and issubclass(cls, SelfTrained)
    assert cls.__name__ == "dann+mcc+adamatch" and "with mcc and adamatch" in cls.about
    options = describe(cls.Options)
    assert {"weight", "mcc_weight", "mcc_temperature", "teacher", "threshold"} <= options.keys()
    assert (
        options["threshold"].default == 0.9 and describe(METHODS["mcd+mean_teacher"].Options)["threshold"].default == 0
    )
    assert METHODS["mcd+mean_teacher"].infer is MCD.infer and METHODS["mcd+mean_teacher"].classifiers == 2


@pytest.mark.parametrize("base", ["source_only", "mcd", "dann", "mdd", "star", "mcd_onestep", "safn"])
def test_what_is_added_takes_nothing_away(base):
    """The base's losses of the first step are what they are without."""
    alone, together = (losses(adapter(name, lr=0.0)) for name in (base, f"{base}+mcc+mean_teacher"))
    for name, value in alone.items():
        if name != "total" and base != "star":  # which draws another classifier in each pass
            assert together[name] == pytest.approx(value, rel=1e-5), name
    assert together.keys() - alone.keys() == {"class_confusion_loss", "self_training_loss"}
    assert min(together[name] for name in ("class_confusion_loss", "self_training_loss")) > 0


def test_the_order_of_additions_does_not_matter():
    first, second = (adapter(name, threshold=0.5) for name in ("dann+mcc+adamatch", "dann+adamatch+mcc"))
    for model in (*first.models.values(), *second.models.values()):
        model.eval()  # no dropout, which would be drawn in another order
    assert losses(first) == pytest.approx(losses(second), rel=1e-5)


def test_the_source_s_confidence_is_known_in_every_method():
    """Masks compare with it; a method whose logits were not found would leave out what it should not."""
    for base in ("source_only", "lpl", "mcd", "mcd_onestep", "dann", "cdan", "mdd", "safn", "jumbot", "etd", "swd"):
        made, seen = adapter(f"{base}+adamatch"), []
        guesses = made.teaching.guesses
        made.teaching.guesses = lambda probs, source, g=guesses, s=seen: (s.append(source), g(probs, source))[1]
        expected = said(made, batch()["src_imgs"])
        losses(made)
        assert (seen[0].double() - expected).abs().max() < 1e-5, base


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("as_is+adamatch", "method 'as_is\\+adamatch': as_is does no training, so nothing can be added to it"),
        (
            "mcd+adamatch+mean_teacher",
            "mean_teacher would be a second self-training or confusion loss; only one is possible",
        ),
        ("mean_teacher+adamatch", "adamatch would be a second self-training or confusion loss; only one is possible"),
        ("mcc+mcc", "mcc would be a second self-training or confusion loss; only one is possible"),
        (
            "source_free+mean_teacher",
            "mean_teacher would be a second self-training or confusion loss; only one is possible",
        ),
        ("mcd+dann", "unknown addition to a method 'dann'"),
        ("mcd+", "unknown addition to a method ''"),
        ("mcdd+mcc", "unknown method 'mcdd\\+mcc'"),
        ("+mcc", "unknown method '\\+mcc'"),
    ],
)
def test_what_can_not_be_joined_is_refused_in_a_line(name, message):
    with pytest.raises(UserError, match=message) as error:
        METHODS.lookup(name)
    assert "\n" not in str(error.value)


def test_names_are_one_class_each_and_not_listed():
    assert METHODS["mcd+mcc"] is METHODS["mcd+mcc"] and "mcd+mcc" in METHODS
    assert not [name for name in METHODS if "+" in name] and METHODS.digest("mcd+mcc") is None


def test_a_plugin_s_method_can_be_added_to_and_its_code_counts(tmp_path, monkeypatch):
    from pa_difc.util.registry import load_module

    text = "from pa_difc import METHODS, SourceOnly\nclass Mine(SourceOnly):\n    about = 'mine'\n"
    (tmp_path / "mine.py").write_text(text)
    mine = load_module(tmp_path / "mine.py").Mine
    monkeypatch.setitem(METHODS, "mine", mine)
    assert issubclass(METHODS["mine+mean_teacher"], mine)
    before = METHODS.digest("mine+mean_teacher")
    assert before is not None and before == METHODS.digest("mine")
    (tmp_path / "mine.py").write_text(text + "# edited\n")
    assert METHODS.digest("mine+mean_teacher") != before
    monkeypatch.setitem(METHODS, "mine", type("Mine", (mine,), {}))  # a cell of a notebook, run again
    assert METHODS["mine+mean_teacher"].__mro__[2] is METHODS["mine"]


def test_an_option_of_both_is_refused():
    import dataclasses

    from pa_difc.methods import SourceOnly
    from pa_difc.methods.joined import join
    from pa_difc.util.options import option

    @dataclasses.dataclass(frozen=True)
    class Options(SourceOnly.Options):
        threshold: float = option(0.1, "mine")

    with pytest.raises(UserError, match="mine and adamatch both have an option 'threshold'"):
        join("mine+adamatch", type("Mine", (SourceOnly,), {"Options": Options}))


def test_what_can_be_added_is_listed_with_its_options(capsys):
    assert main(["list", "methods"]) == 0
    said = capsys.readouterr().out
    assert "as in mcd+adamatch: +adamatch, +mean_teacher, +sentry, +mcc, +abc\n" in said
    _, _, tail = said.partition("\n+abc")
    assert "class-balanced classifier" in tail and "abc_threshold = 0.95, at least 0 and at most 1" in tail


@pytest.mark.parametrize(
    ("name", "number"),
    [("mean_teacher", 1), ("sentry", 3), ("source_only+sentry+mean_teacher", 3), ("source_only+mean_teacher+sentry", 3),
     ("source_only+sentry+abc", 3), ("source_only+abc+sentry", 3), ("source_only+abc", 1), ("dann+mcc", 0)],
)  # fmt: skip
def test_as_many_strong_views_as_the_addition_that_wants_most(name, number):
    assert adapter(name).reads_strong_views == number
    assert adapter(name).reads_draws == ("abc" in name)
