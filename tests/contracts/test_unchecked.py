"""Steps without the host's checks of keys: the same numbers, and what the checks are for is found at the next epoch."""

from contextlib import nullcontext
from functools import cache

import pytest
from contracts.test_resume import assert_same, config, state
from made import JOINED, TRAINED, few_faces
from pytorch_adapt.hooks.base import BaseHook

import pa_difc.training.engine as engine
from pa_difc.methods.unchecked import unchecked
from pa_difc.training.build import make_adapter, make_loader
from pa_difc.training.engine import fit


@pytest.fixture
def source():
    return few_faces()[0]


@pytest.fixture
def target():
    return few_faces()[1]


def trained(method, source, target):
    settings = config(method, "difc")
    loader = make_loader(settings, source, target)
    adapter = make_adapter(settings, source, len(loader))
    history = fit(adapter, loader, epochs=2, progress=False)
    return state(adapter) | {"losses": [epoch["losses"] for epoch in history]}


@pytest.mark.parametrize("method", [*TRAINED, *JOINED])
def test_training_is_the_same_to_the_bit_as_with_every_check(method, source, target, monkeypatch):
    quick = trained(method, source, target)
    monkeypatch.setattr(engine, "unchecked", lambda hook: nullcontext())
    assert_same(quick, trained(method, source, target))


@cache
def calls_of(hook):
    """Numbers of calls, where they are not refused as state that a resumed run would lose."""
    return []


class Odd(BaseHook):
    """Gives an output that it doesn't declare, from some step on."""

    def __init__(self, first):
        super().__init__()
        self.first = first

    def call(self, inputs, losses):
        calls = calls_of(self)
        calls.append(len(calls) + 1)
        return ({"undeclared": 1} if calls[-1] >= self.first else {}), {}

    def _loss_keys(self):
        return []

    def _out_keys(self):
        return []


@pytest.mark.parametrize("first", [1, 2])
def test_a_hook_that_gives_what_it_does_not_declare_is_refused_in_the_next_checked_step(first, source, target):
    settings = config("dann", "ce")
    loader = make_loader(settings, source, target)
    adapter = make_adapter(settings, source, len(loader))
    odd = Odd(first)
    root = adapter.hook
    root.hooks = (root.hooks[0], odd, *root.hooks[1:])
    root.conditions, root.alts = [root.conditions[0], *root.conditions], [root.alts[0], *root.alts]
    with pytest.raises(KeyError, match="undeclared"):
        fit(adapter, loader, epochs=2, progress=False)
    assert calls_of(odd)[-1] == (1 if first == 1 else len(loader) + 1)


def test_afterwards_the_hooks_are_as_they_were():
    odd = Odd(1)
    with pytest.raises(KeyError, match="undeclared"):
        odd({}, {})
    with pytest.raises(ZeroDivisionError), unchecked(odd):
        assert odd({}, {}) == ({"undeclared": 1}, {})
        raise ZeroDivisionError
    assert "check_losses_and_outputs" not in vars(odd) and type(odd) is Odd and odd.logger("x") is None
    with pytest.raises(KeyError, match="undeclared"):
        odd({}, {})


def test_a_check_of_the_object_s_own_is_left_to_it():
    odd, seen = Odd(1), []
    odd.check_losses_and_outputs = lambda *given: seen.append(given)
    with unchecked(odd):
        odd({}, {})
    assert len(seen) == 1


def test_a_hook_that_renames_its_keys_still_does():
    odd = Odd(1)
    odd.out_suffix, odd.loss_prefix = "_new", "my_"
    with unchecked(odd):
        assert odd({}, {"a": 2}) == ({"undeclared_new": 1}, {})


def test_what_a_hook_adds_to_its_inputs_is_not_seen_outside_it():
    odd, inputs = Odd(1), {"a": 1}
    odd.call = lambda given, losses: (given.pop("a") and {}, losses)
    with unchecked(odd):
        assert odd(inputs) == ({}, {}) and inputs == {"a": 1}
