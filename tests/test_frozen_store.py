"""The file of frozen features: one pass for features, views and a classifier's word, its size, its repair."""

import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch
from made import random_faces

from pa_difc.backbones import load_pretrained, make_backbone
from pa_difc.backbones.classifiers import PretrainedClassifier
from pa_difc.data import Domain
from pa_difc.data.faces import Face
from pa_difc.data.features import FeatureSet
from pa_difc.data.labels import LabelSet
from pa_difc.data.loaders import EvalLoader
from pa_difc.deploy.model import load_model
from pa_difc.training.build import make_adapter
from pa_difc.training.extraction import Part, extracted, require_space
from pa_difc.training.frozen import extract, freeze
from pa_difc.training.record import RunFolder
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
    """What a pretrained classifier of 128 features says."""
    return features @ WEIGHT.T + torch.arange(K)


WEIGHT = 8 * torch.randn(K, 128, generator=torch.Generator().manual_seed(7))
CLASSIFIER = PretrainedClassifier(WEIGHT, torch.arange(K).float(), CLASSES.names, "here")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A state dict of the small network with a classifier of its own, which has a class more, in another order."""
    torch.manual_seed(5)
    order = [3, 1, 4, 0, 2]
    rows = torch.cat([WEIGHT[order], torch.ones(1, 128)])
    bias = torch.tensor([*map(float, order), 9.0])
    file = tmp_path_factory.mktemp("weights") / "net.pt"
    torch.save({**make_backbone("small").state_dict(), "fc.weight": rows, "fc.bias": bias}, file)
    names = ",".join([*(f"class {k}" for k in order), "other"])
    return {"pretrained": str(file), "pretrained_classes": tuple(names.split(","))}


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
    arrays = extracted(adapter, Part(TARGET.train, "flip", CLASSIFIER), CPU)
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
    arrays = extracted(adapter, Part(SOURCE.test, classifier=CLASSIFIER), CPU)
    assert arrays[""].shape == (14, 128)
    log_probs = word(torch.from_numpy(arrays[""])).log_softmax(1)
    np.testing.assert_allclose(arrays["_log_probs"], log_probs, rtol=1e-4, atol=1e-5)


def test_what_is_kept_comes_back(weights, tmp_path):
    """Views of what is predicted in the end alone; log-probabilities of every face and view."""
    pretrained = make_backbone("small").eval()
    load_pretrained(pretrained, weights["pretrained"])
    for domain in extract(config(views="flip", **weights), SOURCE, TARGET, tmp_path):
        assert not domain.train.views and len(domain.test.views) == 1
        for part in (domain.train, domain.test, *domain.test.views):
            assert part.log_probs.shape == (len(part), K) and part.num_features == 576
        faces = SOURCE if domain.name == "s" else TARGET
        assert (domain.test.views[0].labels == faces.test.labels).all()
        assert domain.test.views[0].names == faces.test.names
        faces = faces_of(faces.test)
        for part, view in zip((domain.test, *domain.test.views), both_views(faces), strict=True):
            with torch.no_grad():
                average = pretrained(view)
            np.testing.assert_allclose(part.log_probs, word(average).log_softmax(1), rtol=1e-4, atol=1e-4)
    without = config(**weights | {"pretrained_classes": None})
    plain, _ = extract(without, SOURCE, TARGET, tmp_path / "other")
    assert plain.test.log_probs is None and plain.train.views == ()


def test_an_estimate_of_the_prior_predicts_the_target_s_training_faces_in_every_view(tmp_path):
    source, target = extract(config(prior_correction="bbse", views="flip"), SOURCE, TARGET, tmp_path)
    assert not source.train.views and len(target.train.views) == 1


def test_views_are_standardised_as_their_domain_is(weights, tmp_path):
    settings = config(views="flip", **weights)
    raw = extract(settings, SOURCE, TARGET, tmp_path)
    for before, after in zip(raw, freeze(settings, SOURCE, TARGET, tmp_path), strict=True):
        mean, std = before.train.features.mean(0), before.train.features.std(0)
        for a, b in zip((before.test, *before.test.views), (after.test, *after.test.views), strict=True):
            np.testing.assert_allclose(b.features * (std + 1e-6) + mean, a.features, rtol=1e-3, atol=1e-4)
            assert (a.log_probs == b.log_probs).all()


def test_the_size_is_said_before_and_is_that_of_the_file(weights, tmp_path, capsys):
    extract(config(views="flip", **weights), SOURCE, TARGET, tmp_path)
    file = next(tmp_path.rglob("features.npz"))
    numbers = (84 + 21) * (576 + K)  # 84 faces, 21 of them in two views
    said = capsys.readouterr().out
    assert "net.pt has classes that are left out: other\n" in said
    assert f"features: 105 × 576 numbers, {4 * numbers / 1000:.0f} kB → {file}\n" in said
    assert said.count("features:") == 1
    assert 0 < file.stat().st_size - 4 * numbers < 12 * 400  # names and shapes of 12 arrays


def test_large_sizes_are_in_megabytes(tmp_path, capsys):
    faces = random_faces(1000, 0)
    require_space([Part(faces)], 1152, 7, tmp_path / "features.npz")
    assert "features: 1,000 × 1,152 numbers, 5 MB → " in capsys.readouterr().out


def test_a_disk_with_too_little_room_is_told_before_anything_is_trained(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**6, 10**6 - 300_000, 300_000))
    with pytest.raises(
        UserError, match=r"^features: 84 × 576 numbers, 194 kB, and .*: .* has 300 kB free; give"
    ) as error:
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
    after = extract(config(views="flip"), SOURCE, TARGET, tmp_path)
    said = capsys.readouterr().out
    assert "features.npz has no source_test_view1: extracting again\n" in said
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
    with pytest.raises(UserError, match=r"features\.npz.*; remove it to (extract|have it written) again") as error:
        extract(config(), SOURCE, TARGET, tmp_path)
    assert "\n" not in str(error.value)


def test_a_split_that_is_both_is_gone_through_once(tmp_path, capsys):
    target = Domain("t", TARGET.train, TARGET.train, CLASSES, transductive=True)
    _, found = extract(config(views="flip"), SOURCE, target, tmp_path)
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


def test_a_run_on_features_averages_over_their_views(tmp_path):
    """Its probabilities are the mean of those of the faces and of their mirror images."""
    settings = config(method="source_only", loss="ce", views="flip")
    source, target = freeze(settings, SOURCE, TARGET, tmp_path)
    run_cell(settings, source, target, tmp_path, progress=False)
    folder = RunFolder.of(tmp_path, settings, source, target).path
    adapter = make_adapter(settings, source, 5)
    adapter.models.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["models"])
    adapter.models.eval()
    with torch.no_grad():
        views = [torch.from_numpy(part.features) for part in (target.test, *target.test.views)]
        probs = [adapter.models["C"](adapter.models["G"](view)).softmax(1) for view in views]
    assert len(probs) == 2 and (probs[0] - probs[1]).abs().max() > 1e-3
    np.testing.assert_allclose(np.load(folder / "outputs.npz")["target_probs"], sum(probs) / 2, atol=1e-5)


def test_classes_that_cannot_be_told_are_refused_unless_nobody_asks(weights, tmp_path):
    settings = config(**weights | {"pretrained_classes": tuple("abcdef")})
    with pytest.raises(UserError, match=r"has no class class 0, .*head_init=random") as error:
        extract(settings, SOURCE, TARGET, tmp_path)
    assert "\n" not in str(error.value)
    source, _ = extract(config(head_init="random", pretrained=weights["pretrained"]), SOURCE, TARGET, tmp_path)
    assert source.test.log_probs is None


def test_a_method_that_trains_nothing_has_averages_beside_grids(weights, tmp_path):
    """as_is in a table of grids: the published classifier on the averages that it was made for."""
    settings = config(method="as_is", loss="ce", **weights)
    assert settings.model.pool == "grid" and settings.model.head_init == "pretrained"
    record = run_cell(settings, SOURCE, TARGET, tmp_path, progress=False)
    trained = run_cell(config(method="source_only", loss="ce", **weights), SOURCE, TARGET, tmp_path, progress=False)
    assert record["common"] == trained["common"]
    folder = RunFolder.of(tmp_path, settings, SOURCE, TARGET).path
    pretrained = make_backbone("small").eval()
    load_pretrained(pretrained, weights["pretrained"])
    with torch.no_grad():
        probs = word(pretrained(faces_of(TARGET.test))).softmax(1)
    np.testing.assert_allclose(np.load(folder / "outputs.npz")["target_probs"], probs, atol=1e-5)
    faces = faces_of(TARGET.test)
    with torch.no_grad():
        np.testing.assert_allclose(load_model(folder)(faces.image, faces.landmarks), probs, atol=1e-5)


def test_a_classifier_that_came_along_unasked_and_does_not_fit_is_left_out_with_a_line(tmp_path, capsys):
    """Here that of a model folder with cosines, whose network goes into the features all the same."""
    trained = config(method="source_only", loss="cosface", pool="average")
    run_cell(trained, SOURCE, TARGET, tmp_path, progress=False)
    folder = RunFolder.of(tmp_path, trained, SOURCE, TARGET).path
    capsys.readouterr()
    source, _ = extract(config(pretrained=str(folder)), SOURCE, TARGET, tmp_path / "features")
    said = capsys.readouterr().out
    assert said.count("the pretrained classifier is not used: ") == 1 and "is not linear" in said
    assert source.test.log_probs is None and source.test.num_features == 576
