"""Balanced epochs: every class equally often, by label or by prediction, and the same ones for the same seed."""

import subprocess
import sys
import time

import numpy as np
import pytest
from made import ROOT, random_faces

from pa_difc.data import PairLoader
from pa_difc.data.sampling import SAMPLERS, Sampler, class_balanced, sampler_names
from pa_difc.util.errors import UserError

CLASSES = np.repeat([0, 2, 5], [50, 8, 2])


def test_every_class_occurs_once_in_each_run():
    order = class_balanced(60, 100, 3, [0, 1], CLASSES)
    drawn = CLASSES[order]
    assert len(order) == 100
    assert all(set(drawn[i : i + 3]) == {0, 2, 5} for i in range(0, 99, 3))
    assert len(set(order[drawn == 0])) > 20  # and not the same samples again and again


def test_orders_of_classes_and_samples_of_a_class_are_equally_likely():
    order = class_balanced(60, 30_000, 5, [2, 1], CLASSES)
    places = np.stack([np.bincount(CLASSES[order][k::3], minlength=6)[[0, 2, 5]] for k in range(3)])
    assert abs(places / 10_000 - 1 / 3).max() < 0.02  # each class comes first, second and third equally often
    samples = np.bincount(order, minlength=60)
    assert abs(samples[50:58] / 1250 - 1).max() < 0.15 and abs(samples[58:] / 5000 - 1).max() < 0.05
    after = order[CLASSES[order] == 5]
    assert abs((after[1:] == after[:-1]).mean() - 0.5) < 0.03  # a draw does not depend on the one before


def test_a_large_domain_takes_time_in_proportion_to_its_size():
    def seconds(n):
        classes, took = np.arange(n) % 7, []
        for _ in range(5):
            began = time.process_time()
            class_balanced(n, n, 0, [0, 1], classes)
            took.append(time.process_time() - began)
        return min(took)

    assert seconds(200_000) < 25 * seconds(20_000)  # in the square of its size: 100


def test_a_seed_gives_the_same_epoch_and_leaves_other_random_numbers_alone():
    state = np.random.get_state()[1].copy()
    a, b = (class_balanced(60, 60, 2, [4, 0], CLASSES) for _ in range(2))
    assert np.array_equal(a, b) and np.array_equal(state, np.random.get_state()[1])
    for other in (class_balanced(60, 60, 3, [4, 0], CLASSES), class_balanced(60, 60, 2, [5, 0], CLASSES)):
        assert not np.array_equal(a, other)


def test_the_source_is_drawn_by_label_and_the_target_by_prediction():
    source, target = random_faces(45, 0), random_faces(61, 1)
    loader = PairLoader(source, target, batch_size=8, sampler="class_balanced", target_sampler="pseudo_balanced")
    labels = np.concatenate([b["src_labels"].numpy() for b in loader.epoch(0)])
    assert np.ptp(np.bincount(labels)) <= 1 and len(labels) == 61
    assert not loader.needs_predictions(0) and loader.needs_predictions(1)
    predicted = np.where(np.arange(61) < 55, 3, 6)
    drawn = np.concatenate([b["target_sample_idx"].numpy() for b in loader.epoch(1, predicted)])
    assert abs((predicted[drawn] == 6).mean() - 0.5) < 0.02


def test_each_side_has_its_samplers():
    assert sampler_names("source") == ["shuffled", "class_balanced"]
    assert sampler_names("target") == ["shuffled", "pseudo_balanced"]


@pytest.mark.parametrize(
    ("side", "name", "words"),
    [
        ({"sampler": "pseudo_balanced"}, "pseudo_balanced", "unknown sampler of the source 'pseudo_balanced'"),
        ({"target_sampler": "class_balanced"}, "class_balanced", "unknown sampler of the target 'class_balanced'"),
        ({"sampler": "balanced"}, "balanced", "unknown sampler 'balanced': did you mean 'class_balanced'"),
    ],
)
def test_a_sampler_of_the_other_side_is_refused(side, name, words):
    with pytest.raises(UserError, match=words):
        PairLoader(random_faces(9, 0), random_faces(9, 1), batch_size=4, **side)


def backwards(length, per_epoch, epoch, key, classes=None):
    return (length - 1 - np.arange(per_epoch)) % length


@pytest.fixture
def registered():
    SAMPLERS.register("backwards", Sampler("from the last to the first", backwards))
    yield
    del SAMPLERS["backwards"]


def test_a_registered_sampler_draws_either_side(registered):
    faces = random_faces(9, 0)
    loader = PairLoader(faces, faces, batch_size=9, sampler="backwards", target_sampler="backwards")
    (batch,) = loader.epoch(0)
    assert batch["src_sample_idx"].tolist() == batch["target_sample_idx"].tolist() == list(range(8, -1, -1))
    assert "backwards" in sampler_names("source") and "backwards" in sampler_names("target")
    assert SAMPLERS.digest("backwards") is not None and SAMPLERS.digest("class_balanced") is None


def test_registries_are_listed_without_numpy():
    code = (
        "import sys, types\n"
        "package = types.ModuleType('pa_difc'); package.__path__ = [sys.argv[1]]; sys.modules['pa_difc'] = package\n"
        "import pa_difc.data as data\n"
        "from pa_difc.data.datasets import dataset_names\n"
        "from pa_difc.data.sampling import sampler_names\n"
        "assert 'raf_db' in data.DATASETS and 'folder:PATH' in dataset_names() and len(data.EXPRESSIONS) == 7\n"
        "from pa_difc.data.prepare import PrepareSettings\n"
        "assert PrepareSettings().crop == 'cdfer'\n"
        "assert sampler_names('source') and data.SAMPLERS['pseudo_balanced'].about\n"
        "print([name for name in ('numpy', 'PIL', 'torch') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ROOT / "pa_difc")], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def once_more(length, per_epoch, epoch, key, classes=None):
    return np.random.default_rng().integers(length, size=per_epoch)


KEPT = np.arange(12) % 9


def in_place(length, per_epoch, epoch, key, classes=None):
    np.random.default_rng().shuffle(KEPT)
    return KEPT


def of(found):
    """A sampler that always returns the same."""
    return lambda length, per_epoch, epoch, key, classes=None: found


@pytest.mark.parametrize("by", [None, "predictions"])
@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (once_more, "returns other indices when it is called again with the same values"),
        (in_place, "returns other indices when it is called again with the same values"),
        (of(np.arange(5)), r"returns 5 indices for an epoch: must be 12 \(per_epoch\)"),
        (of(np.zeros((12, 1), dtype=int)), r"returns an array of shape \(12, 1\) for an epoch"),
        (of(np.zeros(12)), r"returns float64 values: must be whole numbers"),
        (of(np.zeros(12, dtype=bool)), r"returns bool values: must be whole numbers"),
        (of([*range(8), 9, 0, 0, 0]), r"returns index 9: must be from 0 to 8 \(length - 1\)"),
        (of([0] * 11 + [-1]), r"returns index -1: must be from 0 to 8"),
    ],
)
def test_a_sampler_whose_epochs_cannot_be_used_or_repeated_is_refused_at_the_start(draw, words, by, monkeypatch):
    monkeypatch.setitem(SAMPLERS._loaded, "odd", Sampler("odd", draw, by=by))
    with pytest.raises(UserError, match=f"^sampler 'odd' {words}") as refused:
        PairLoader(random_faces(12, 0), random_faces(9, 1), batch_size=4, target_sampler="odd")
    assert "\n" not in str(refused.value)


def test_a_sampler_of_the_source_is_checked_with_its_labels_and_without_a_source_not_at_all(monkeypatch):
    source, target = random_faces(12, 0), random_faces(9, 1)
    seen = []

    def draw(length, per_epoch, epoch, key, classes=None):
        seen.append(classes)
        return np.random.default_rng().integers(length, size=per_epoch)

    monkeypatch.setitem(SAMPLERS._loaded, "odd", Sampler("odd", draw, by="labels"))
    assert len(PairLoader(None, target, batch_size=4, sampler="odd")) == 2 and not seen
    with pytest.raises(UserError, match="sampler 'odd' returns other indices"):
        PairLoader(source, target, batch_size=4, sampler="odd")
    assert all(np.array_equal(classes, source.labels) for classes in seen)


def test_later_epochs_are_checked_too(monkeypatch):
    def draw(length, per_epoch, epoch, key, classes=None):
        return np.arange(per_epoch if epoch < 2 else 7)

    monkeypatch.setitem(SAMPLERS._loaded, "odd", Sampler("odd", draw))
    loader = PairLoader(random_faces(9, 0), random_faces(9, 1), batch_size=4, sampler="odd")
    assert len(list(loader.epoch(1))) == 2
    with pytest.raises(UserError, match="sampler 'odd' returns 7 indices for an epoch: must be 9"):
        next(loader.epoch(2))


def some(number):
    return lambda length, per_epoch, epoch, key, classes=None: np.arange(per_epoch) % number


def without_class_3(length, per_epoch, epoch, key, classes=None):
    return np.resize(np.flatnonzero(classes != 3), per_epoch)


@pytest.mark.parametrize(
    ("draw", "by", "side", "said"),
    [
        (some(1), None, "sampler", "only 1 different of 140 samples"),
        (some(13), None, "target_sampler", "only 13 different of 150 samples"),
        (some(13), "predictions", "target_sampler", "only 13 different of 150 samples"),
        (without_class_3, "labels", "sampler", "no sample of class 3"),
        (some(140), "labels", "sampler", None),
        (some(20), None, "target_sampler", None),
    ],
)
def test_a_line_about_a_sampler_that_draws_very_little(draw, by, side, said, monkeypatch, capsys):
    monkeypatch.setitem(SAMPLERS._loaded, "odd", Sampler("odd", draw, by=by))
    for _ in range(2):
        PairLoader(random_faces(140, 0), random_faces(150, 1), batch_size=4, **{side: "odd"})
    line = f"sampler 'odd' draws {said} in the first epoch: check it if you don't mean that"
    assert " ".join(capsys.readouterr().out.split()) == (line if said else "")
