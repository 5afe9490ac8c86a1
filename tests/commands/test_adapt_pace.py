"""What ``pa-difc adapt`` measures before it plans."""

import time

import pytest
from made import random_faces

from pa_difc.commands import adapt_crop, measuring
from pa_difc.commands import budget as planning
from pa_difc.commands.measuring import Pace, measure
from pa_difc.data import Domain
from pa_difc.training import pace
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util import clock


def test_the_faster_precision_is_taken_and_the_crop_that_the_classifier_knows(monkeypatch):
    seconds = {"bf16": 2.0, "float32": 1.0}
    monkeypatch.setattr(pace, "step_seconds", lambda cell, *_: seconds[cell.model.precision])
    monkeypatch.setattr(pace, "prediction_seconds", lambda *_: 0.1)
    looked_at = []

    def choose_crop(cell, source, target, scales, number, until):
        looked_at.append((scales, number))
        return adapt_crop.Crop(0.9, "looser")

    monkeypatch.setattr(pace, "ends_seconds", lambda *_: (0.25, 3.0))
    monkeypatch.setattr(adapt_crop, "choose_crop", choose_crop)
    domain = Domain("s", random_faces(40, 0), random_faces(10, 1))
    cell = resolve(Settings.of(method="source_only", loss="ce", crop_px=32, batch_size=20))
    found = measure([cell], domain, domain, budget=2000, precisions=["bf16", "float32"], scales=[0.9, 1.0])
    assert looked_at == [([0.9, 1.0], 500)]  # a twentieth of 2,000 s, for two scales at 0.1 s a face
    assert found == Pace("float32", 0.9, {"source_only": 1.0}, 0.1, 0.0, 0.25, 3.0, "looser")
    plan = planning.Plan("k", 3, 10, 100, 100, found.precision, found.input_scale, [1.0])
    (settings,) = planning.planned([cell], plan)
    assert (settings.model.precision, settings.model.input_scale, settings.run.epochs) == ("float32", 0.9, 3)
    assert settings.loss.confusion_epoch == 1  # what follows from epochs follows


def test_steps_and_predictions_are_timed_and_nothing_is_said(capsys):
    domain = Domain("s", random_faces(40, 0), random_faces(10, 1))
    cell = resolve(Settings.of(method="mcc+mean_teacher", loss="difc", crop_px=32, batch_size=20))
    assert 0 < pace.step_seconds(cell, domain, domain) < 60 and 0 < pace.prediction_seconds(cell, domain, domain) < 60
    assert all(0 < seconds < 60 for seconds in pace.ends_seconds(cell, domain, domain))
    each = resolve(cell.but(**{"data.target_sampler": "pseudo_balanced"}))
    assert pace.predicts_each_epoch(each) and not pace.predicts_each_epoch(cell)
    assert capsys.readouterr().out == ""


def slow_clock(monkeypatch, step=30.0):
    """A machine on which every training step takes ``step`` seconds; returns the time, in a list."""
    now = [1000.0]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    make = pace.quiet_adapter

    def made(*args):
        adapter = make(*args)
        train = adapter.training_step
        monkeypatch.setattr(
            adapter, "training_step", lambda batch: (now.__setitem__(0, now[0] + step), train(batch))[1]
        )
        return adapter

    monkeypatch.setattr(pace, "quiet_adapter", made)
    return now


def cells_to_measure():
    domain = Domain("s", random_faces(40, 0), random_faces(10, 1))
    methods = ("source_only", "mcc", "dann", "mcd")
    return [resolve(Settings.of(method=m, loss="ce", crop_px=32, batch_size=20)) for m in methods], domain


@pytest.mark.parametrize("spent", [0.0, 300.0, 900.0])
def test_measuring_stops_at_its_share_of_the_budget_and_assumes_that_the_rest_is_slow(spent, monkeypatch, capsys):
    """Without the limit it would take 16 steps, 480 s. A step that has begun and the ends' single one are finished."""
    now = slow_clock(monkeypatch)
    cells, domain = cells_to_measure()
    found = measure(cells, domain, domain, budget=600, precisions=["float32", "bf16"], scales=[1.0], spent=spent)
    assert now[0] - 1000 <= measuring.MEASURING * max(0, 600 - spent) + 2 * 30
    assert found.step.keys() == {cell.method.name for cell in cells}
    assert found.step["source_only"] == 30 and found.step["mcd"] >= 5.5 * 30
    if spent > 600:
        assert found.epoch > 0 and found.end > 0  # of which nothing is known is not free
    assert "measuring the speed of this machine, for " in capsys.readouterr().out


def test_with_time_enough_every_cell_is_measured(monkeypatch):
    slow_clock(monkeypatch, step=1.0)
    cells, domain = cells_to_measure()
    found = measure(cells, domain, domain, budget=600, precisions=["float32"], scales=[1.0])
    assert found.step == {cell.method.name: 1.0 for cell in cells}
