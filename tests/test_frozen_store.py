"""The file of frozen features: one pass for features, views and a classifier's word, its size, its repair."""

import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch
from made import random_faces

from pa_difc.data import Domain
from pa_difc.data.faces import Face
from pa_difc.data.features import FeatureSet
from pa_difc.data.labels import LabelSet
from pa_difc.data.loaders import EvalLoader
from pa_difc.training.build import make_adapter
from pa_difc.training.extraction import Part, extracted, require_space
from pa_difc.training.frozen import extract, freeze
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

K = 5
CPU = torch.device("cpu")
CLASSES = LabelSet(tuple(f"class {k}" for k in range(K)))
SOURCE = Domain("s", *(random_faces(n, n, num_classes=K) for n in (28, 14)), CLASSES)
TARGET = Domain("t", *(random_faces(n, n, num_classes=K) for n in (35, 7)), CLASSES)


def config(**values):
    return resolve(Settings.of(**{"crop_px": 32, "epochs": 1, "batch_size": 8, "pool": "grid", **values}))


def both_views(faces):
    """The faces and their mirror images."""
    return [faces, Face(faces.image.flip(-1), faces.landmarks)]


def word(features):
    """A pretrained classifier of 128 features."""
    generator = torch.Generator().manual_seed(7)
    return features @ (8 * torch.randn(128, K, generator=generator)) + torch.arange(K)


def faces_of(part):
    return part.batch(np.arange(len(part)), CPU)


@pytest.fixture
def network():
    """The network of the features, as it starts."""
    return make_adapter(config(method="source_only", loss="ce"), SOURCE, 5).models["G"].eval()


@torch.no_grad()
def expected(network, faces, *, grid=True):
    """Features and log-probabilities, from the maps."""
    maps = network.trunk(faces.image)
    average = maps.last.flatten(2).mean(2)
    features = network.head(maps, faces.landmarks, 32) if grid else average
    return features.numpy(), word(average).log_softmax(1).numpy()


def test_a_pass_gives_features_of_every_view_and_the_classifier_s_word(network):
    adapter = make_adapter(config(method="source_only", loss="ce"), SOURCE, 5)
    passes = []
    hook = adapter.models["G"].trunk.register_forward_hook(lambda *_: passes.append(1))
    arrays = extracted(adapter, Part(TARGET.train, both_views, word), CPU)
    hook.remove()
    assert list(arrays) == ["", "_view1", "_log_probs", "_view1_log_probs"]
    assert len(passes) == 2  # 35 faces are one batch, with two views
    for which, view in zip(("", "_view1"), both_views(faces_of(TARGET.train)), strict=True):
        features, log_probs = expected(network, view)
        assert arrays[which].shape == (35, 576) and arrays[which].dtype == np.float32
        np.testing.assert_allclose(arrays[which], features, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(arrays[f"{which}_log_probs"], log_probs, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(np.exp(arrays[f"{which}_log_probs"]).sum(1), 1, rtol=1e-5)
    assert np.abs(arrays[""] - arrays["_view1"]).max() > 1e-3
    assert not adapter.models["G"].trunk._forward_hooks and adapter.models["G"].training


def test_without_a_grid_the_classifier_reads_the_features():
    settings = config(method="source_only", loss="ce", pool="average")
    adapter = make_adapter(settings, SOURCE, 5)
    arrays = extracted(adapter, Part(SOURCE.test, classifier=word), CPU)
    assert arrays[""].shape == (14, 128)
    log_probs = word(torch.from_numpy(arrays[""])).log_softmax(1)
    np.testing.assert_allclose(arrays["_log_probs"], log_probs, rtol=1e-4, atol=1e-5)


def test_what_is_kept_comes_back(tmp_path):
    """Views of what is predicted in the end alone; log-probabilities of every face and view."""
    for domain in extract(config(), SOURCE, TARGET, tmp_path, views=both_views, classifier=word):
        assert not domain.train.views and len(domain.test.views) == 1
        for part in (domain.train, domain.test, *domain.test.views):
            assert part.log_probs.shape == (len(part), K) and part.num_features == 576
        faces = SOURCE if domain.name == "s" else TARGET
        assert (domain.test.views[0].labels == faces.test.labels).all()
        assert domain.test.views[0].names == faces.test.names
    plain, _ = extract(config(), SOURCE, TARGET, tmp_path / "other")
    assert plain.test.log_probs is None and plain.train.views == ()


def test_an_estimate_of_the_prior_predicts_the_target_s_training_faces_in_every_view(tmp_path):
    source, target = extract(config(prior_correction="bbse"), SOURCE, TARGET, tmp_path, views=both_views)
    assert not source.train.views and len(target.train.views) == 1


def test_views_are_standardised_as_their_domain_is(tmp_path):
    further = {"views": both_views, "classifier": word}
    raw = extract(config(), SOURCE, TARGET, tmp_path, **further)
    for before, after in zip(raw, freeze(config(), SOURCE, TARGET, tmp_path, **further), strict=True):
        mean, std = before.train.features.mean(0), before.train.features.std(0)
        for a, b in zip((before.test, *before.test.views), (after.test, *after.test.views), strict=True):
            np.testing.assert_allclose(b.features * (std + 1e-6) + mean, a.features, rtol=1e-3, atol=1e-4)
            assert (a.log_probs == b.log_probs).all()


def test_the_size_is_said_before_and_is_that_of_the_file(tmp_path, capsys):
    extract(config(), SOURCE, TARGET, tmp_path, views=both_views, classifier=word)
    file = next(tmp_path.rglob("features.npz"))
    numbers = (84 + 21) * (576 + K)  # 84 faces, 21 of them in two views
    said = capsys.readouterr().out
    assert f"features: 105 × 576 numbers, {4 * numbers / 1000:.0f} kB → {file}\n" in said
    assert said.count("features:") == 1
    assert 0 < file.stat().st_size - 4 * numbers < 12 * 400  # names and shapes of 12 arrays


def test_large_sizes_are_in_megabytes(tmp_path, capsys):
    faces = random_faces(1000, 0)
    require_space([Part(faces)], 1152, 7, tmp_path / "features.npz")
    assert "features: 1,000 × 1,152 numbers, 5 MB → " in capsys.readouterr().out


def test_a_disk_with_too_little_room_is_told_before_anything_is_trained(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**6, 10**6 - 100_000, 100_000))
    with pytest.raises(UserError, match=r"^features: 84 × 576 numbers, 194 kB: .* has 100 kB free; give") as error:
        extract(config(), SOURCE, TARGET, tmp_path / "new" / "out")
    assert "\n" not in str(error.value) and not list(tmp_path.rglob("*.pt"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**6, 0, 10**6))
    extract(config(), SOURCE, TARGET, tmp_path / "new" / "out")


def test_a_second_time_reads_the_file(tmp_path, capsys):
    first = extract(config(), SOURCE, TARGET, tmp_path)
    file = next(tmp_path.rglob("features.npz"))
    before = file.stat().st_mtime_ns
    capsys.readouterr()
    second = extract(config(method="dann", loss="difc"), SOURCE, TARGET, tmp_path)
    assert file.stat().st_mtime_ns == before and capsys.readouterr().out == ""
    for a, b in zip(first, second, strict=True):
        assert a.train.fingerprint == b.train.fingerprint and a.test.fingerprint == b.test.fingerprint


def test_a_file_without_views_is_made_anew_and_says_so(tmp_path, capsys):
    before = extract(config(), SOURCE, TARGET, tmp_path)
    capsys.readouterr()
    after = extract(config(), SOURCE, TARGET, tmp_path, views=both_views)
    said = capsys.readouterr().out
    assert "features.npz has no source_test_view1: it is made anew\n" in said
    assert len(list(tmp_path.rglob("features.npz"))) == 1
    for a, b in zip(before, after, strict=True):
        assert (a.test.features == b.test.features).all() and len(b.test.views) == 1
    again = extract(config(), SOURCE, TARGET, tmp_path)  # who asks for less reads what is there
    assert again[0].test.views == () and again[0].test.fingerprint == before[0].test.fingerprint


@pytest.mark.parametrize("damage", ["cut", "other shape", "other type"])
def test_a_damaged_file_is_refused_in_a_line(damage, tmp_path):
    extract(config(), SOURCE, TARGET, tmp_path)
    file = next(tmp_path.rglob("features.npz"))
    arrays = dict(np.load(file))
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-2000])
    else:
        whole = arrays["source_test"]
        arrays["source_test"] = whole[1:] if damage == "other shape" else whole.astype(int)
        np.savez(file, **arrays)
    with pytest.raises(UserError, match=r"features\.npz.*; remove it to have it made") as error:
        extract(config(), SOURCE, TARGET, tmp_path)
    assert "\n" not in str(error.value)


def test_a_split_that_is_both_is_gone_through_once(tmp_path, capsys):
    target = Domain("t", TARGET.train, TARGET.train, CLASSES, transductive=True)
    _, found = extract(config(), SOURCE, target, tmp_path, views=both_views)
    assert "features: 126 × 576" in capsys.readouterr().out  # 28 + 2·14 of the source, 2·35 of the target
    assert (found.train.features == found.test.features).all() and len(found.train.views) == 1


def test_heads_train_on_a_grid(tmp_path):
    source, target = freeze(config(), SOURCE, TARGET, tmp_path)
    record = run_cell(config(method="mcd"), source, target, tmp_path, progress=False)
    assert record["model"]["parameters"]["G"] == 576 * 256 + 256


def feature_set(n=6):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(n, d)).astype(np.float32) for d in (3, K, 3, K)]
    labels, names = np.arange(n) % K, tuple(map(str, range(n)))
    view = FeatureSet(arrays[2], labels, names, arrays[3])
    return FeatureSet(arrays[0], labels, names, arrays[1], (view,))


def test_some_of_a_set_are_the_same_faces_in_every_view():
    whole, order = feature_set(), np.array([4, 1, 1])
    some = whole.take(order)
    assert some.names == ("4", "1", "1") == some.views[0].names
    for a, b in ((some, whole), (some.views[0], whole.views[0])):
        assert (a.features == b.features[order]).all() and (a.log_probs == b.log_probs[order]).all()
    first, second = whole.batch_views(order, CPU)
    assert (first.numpy() == some.features).all() and (second.numpy() == some.views[0].features).all()
    assert len(list(EvalLoader(whole, batch_size=4))) == 2


def test_everything_in_a_set_is_in_its_fingerprint():
    def arrays(found):
        return [array for part in (found, *found.views) for array in (part.features, part.log_probs)]

    base = feature_set()
    prints = {base.fingerprint}
    for i in range(len(arrays(base))):
        other = feature_set()
        arrays(other)[i][2, 1] += 1
        prints.add(other.fingerprint)
    prints.add(FeatureSet(base.features, base.labels, base.names, base.log_probs).fingerprint)
    prints.add(FeatureSet(base.features, base.labels, base.names).fingerprint)
    assert len(prints) == 1 + 4 + 2
