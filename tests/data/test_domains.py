"""From class folders and stores to domains, through label sets of any size."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from made import random_faces
from PIL import Image

from pa_difc.data import (
    EXPRESSIONS,
    EXPRESSIONS8,
    VALENCE,
    Domain,
    EvalLoader,
    FaceDataset,
    FaceSet,
    LabelSet,
    find_label_set,
    load_domain,
)
from pa_difc.data.datasets import find_dataset
from pa_difc.data.domains import describe_counts, require_source
from pa_difc.data.labels import SEVEN
from pa_difc.data.prepare import PrepareSettings, prepare_store
from pa_difc.data.store import open_store
from pa_difc.util.errors import UserError
from pa_difc.util.files import file_digest, read_json, write_sealed

#: Training faces by word; test folders hold one of each.
WORDS = {"Angry": 1, "contempt": 2, "fear": 1, "happy": 3, "neutral": 1, "sad": 2, "surprise": 2}


def class_folders(root, counts, seed=0, side=24):
    """Faces of noise in class folders: some of each word to train on, one to be scored on."""
    rng = np.random.default_rng(seed)
    for word, n in counts.items():
        for split, number in (("train", n), ("test", 1)):
            (root / split / word).mkdir(parents=True)
            for i in range(number):
                pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / word / f"{i}.png")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Class folders with contempt, and one store that was made of them."""
    root = tmp_path_factory.mktemp("labels")
    class_folders(root / "faces", WORDS)
    reader, path = find_dataset("folder:faces", root)
    settings = PrepareSettings(crop="none", crop_px=24, detect_px=64, on_missing="whole")
    prepare_store("folder:faces", reader(path), root / "store", settings)
    text = 'names = ["cross", "other"]\nexclude = ["contempt", "surprise"]\n[synonyms]\nangry = "cross"\n'
    (root / "mine.toml").write_text(text + "".join(f'{w} = "other"\n' for w in ("fear", "happy", "neutral", "sad")))
    return root


SETS = {
    "expressions": (EXPRESSIONS, [2, 1, 0, 3, 2, 1, 1], {"contempt": 3}),
    "expressions8": (EXPRESSIONS8, [2, 1, 0, 3, 2, 1, 1, 2], {}),
    "valence": (VALENCE, [6, 1, 3], {"surprise": 3}),
    "folders": (None, [1, 2, 1, 3, 1, 2, 2], {}),
    "file": ("mine.toml", [1, 7], {"contempt": 3, "surprise": 3}),
}


def read(root, name, labels, size_px=24):
    labels = find_label_set(str(root / labels)) if isinstance(labels, str) else labels
    return load_domain(name, root, size_px=size_px, labels=labels)


@pytest.mark.parametrize("name", ["folder:faces", "store:store"])
@pytest.mark.parametrize("labels", SETS)
def test_one_store_or_tree_of_folders_is_read_with_any_label_set(root, name, labels):
    given, counts, excluded = SETS[labels]
    domain = read(root, name, given)
    assert domain.train_counts == counts and domain.excluded == domain.summary()["excluded"] == excluded
    assert len(domain.train) == sum(counts) and domain.labelled
    for faces in (domain.train, domain.test):
        for name, label in zip(faces.names, faces.labels, strict=True):
            assert domain.label_set.index(name.split("/")[1]) == label
    if labels == "folders":
        assert domain.label_set.names == tuple(WORDS)


def test_a_store_says_its_words_and_keeps_all_of_them(root):
    store = open_store(root / "store")
    assert store.words == tuple(store.manifest["words"]) == tuple(sorted(WORDS))
    assert store.counts == store.manifest["counts"] == {"test": dict.fromkeys(WORDS, 1), "train": WORDS}
    assert store.manifest["format"] == 2 and store.excluded == {}


@pytest.mark.parametrize("labels", SETS)
def test_images_that_are_left_out_of_a_store_stay_on_the_disk(root, labels):
    for faces in (read(root, "store:store", SETS[labels][0]).train, read(root, "store:store", SETS[labels][0]).test):
        assert isinstance(faces.images.base, np.memmap)
        folder = root / "faces"
        for i, name in enumerate(faces.names):
            with Image.open(folder / name) as image:
                assert (faces.image(i) == np.asarray(image).transpose(2, 0, 1)).all()


def test_a_store_s_fingerprint_tells_how_it_is_labelled(root):
    sets = {name: read(root, "store:store", given) for name, (given, *_) in SETS.items()}
    sets["default"] = load_domain("store:store", root, size_px=24)
    sets["same"] = read(root, "store:store", LabelSet((*SEVEN, "boredom"), excluded=("contempt", "calm")))
    for split in ("train", "test"):
        prints = {name: getattr(domain, split).fingerprint for name, domain in sets.items()}
        assert prints["default"] == prints["expressions"] == prints["same"]
        assert len(set(prints.values())) == 5


def test_an_old_store_of_classes_is_one_of_the_seven_expressions(root, tmp_path):
    old = shutil.copytree(root / "store", tmp_path / "old")
    manifest, words = read_json(old / "manifest.json"), sorted(WORDS)
    labels = np.load(old / "labels.npy")
    np.save(old / "labels.npy", np.array([EXPRESSIONS8.index(words[i]) % 7 for i in labels]))  # contempt as surprise
    manifest["files"]["labels.npy"] = {
        "bytes": (old / "labels.npy").stat().st_size,
        "blake2b": file_digest(old / "labels.npy"),
    }
    del manifest["words"]
    write_sealed(old / "manifest.json", manifest | {"format": 1, "excluded": 5, "counts": {}})
    domain = load_domain("store:old", tmp_path, size_px=24)
    assert domain.train_counts == [4, 1, 0, 3, 2, 1, 1] and domain.excluded == {"contempt": 5}
    plain = domain.train.fingerprint
    assert "-" not in plain.removesuffix("-train")
    for labels in (VALENCE, EXPRESSIONS8, None):  # they have a class for what was left out then
        with pytest.raises(UserError, match="left out 5 faces of contempt; prepare it again"):
            load_domain("store:old", tmp_path, size_px=24, labels=labels)
    synonyms = {word: name for word, name in VALENCE.synonyms.items() if word != "contempt"}
    three = LabelSet(VALENCE.names, synonyms, (*VALENCE.excluded, "contempt"))
    domain = load_domain("store:old", tmp_path, size_px=24, labels=three)
    assert domain.train_counts == [4, 1, 3] and domain.excluded == {"contempt": 5, "surprise": 4 + 2}
    assert domain.train.fingerprint != plain
    with pytest.raises(UserError, match="older version"):
        reader, path = find_dataset("folder:faces", root)
        prepare_store("folder:faces", reader(path), old, PrepareSettings(crop="none", crop_px=24))


def test_a_word_that_is_no_class_of_a_store_is_named(root):
    with pytest.raises(UserError, match=r"dataset store:store: 'Angry' \(2 samples\) is no class of cats, dogs"):
        read(root, "store:store", LabelSet(("cats", "dogs")))
    with pytest.raises(UserError, match="no face in the train split"):
        read(root, "store:store", LabelSet(("cats", "dogs"), excluded=tuple(WORDS)))


# Rows: a part of a set whose images stay where they are


def part(faces, rows):
    rows = np.array(rows)
    names = tuple(faces.names[i] for i in rows)
    return FaceSet(faces.images, faces.landmarks[rows], faces.labels[rows], names, rows=rows)


def test_a_part_of_a_set_is_as_good_as_a_copy_of_it():
    whole = random_faces(20, 0)
    rows = [3, 17, 4, 4]
    by_rows, copy = part(whole, rows), whole.take(np.array(rows))
    assert len(by_rows) == 4 and by_rows.fingerprint == copy.fingerprint
    assert by_rows.without_labels().fingerprint == copy.without_labels().fingerprint
    assert by_rows.take(np.array([2, 0])).fingerprint == copy.take(np.array([2, 0])).fingerprint
    for a, b in zip(EvalLoader(by_rows, batch_size=3), EvalLoader(copy, batch_size=3), strict=True):
        assert torch.equal(a.image, b.image) and torch.equal(a.landmarks, b.landmarks)
    for (a, label), (b, other) in zip(FaceDataset(by_rows), FaceDataset(copy), strict=False):
        assert torch.equal(a.image, b.image) and label == other
    assert all((by_rows.image(i) == copy.images[i]).all() for i in range(4))


def test_a_part_of_a_store_is_resized_as_its_copy_is(root):
    small = read(root, "store:store", VALENCE, size_px=12).train
    whole = read(root, "store:store", EXPRESSIONS8, size_px=12).train
    same = [whole.names.index(name) for name in small.names]
    assert small.rows is None and len(same) == 10
    assert (small.images == whole.images[same]).all() and (small.landmarks == whole.landmarks[same]).all()


# Any number of classes


@pytest.mark.parametrize("k", [2, 3, 8, 31])
def test_any_number_of_classes(tmp_path, k):
    words = [f"thing {i:02d}" for i in range(k)]
    class_folders(tmp_path / "source", {word: i % 3 + 1 for i, word in enumerate(words)})
    class_folders(tmp_path / "target", dict.fromkeys(words[1:], 2))
    source = load_domain("folder:source", tmp_path, size_px=16, labels=None)
    assert source.label_set.names == tuple(words)
    assert source.train_counts == [i % 3 + 1 for i in range(k)] and source.missing("train") == []
    require_source(source)
    target = load_domain("folder:target", tmp_path, size_px=16, labels=source.label_set)
    assert target.train_counts == [0] + [2] * (k - 1) and target.test_counts == [0] + [1] * (k - 1)
    assert target.missing("train") == target.missing("test") == [words[0]]


def test_a_source_needs_labels_and_two_classes(tmp_path):
    class_folders(tmp_path / "one", {"happy": 3})
    with pytest.raises(UserError, match="source folder:one: all training samples are 'happy'"):
        require_source(load_domain("folder:one", tmp_path, size_px=16))
    with pytest.raises(UserError, match="at least two"):
        load_domain("folder:one", tmp_path, size_px=16, labels=None)
    bare = load_domain("images:one/train", tmp_path, size_px=16, labels=VALENCE)
    assert not bare.labelled and bare.missing("train") == [] and bare.train_counts == [0, 0, 0]
    with pytest.raises(UserError, match="has no labels"):
        require_source(bare)
    with pytest.raises(UserError, match="no labels to make classes of"):
        load_domain("images:one/train", tmp_path, size_px=16, labels=None)


def test_labels_belong_to_the_label_set():
    with pytest.raises(ValueError, match="label 6, with 3 classes"):
        Domain("x", random_faces(14, 0), random_faces(14, 1), VALENCE)


def test_drawn_faces_have_words_too():
    domain = load_domain("toy_studio", Path("."), size_px=8, labels=VALENCE)
    assert domain.train_counts == [1202, 823, 1555] and domain.excluded == {"surprise": 420 + 105}
    plain = load_domain("toy_studio", Path("."), size_px=8)
    where = [plain.train.names.index(name) for name in domain.train.names]
    assert (plain.train.images[where] == domain.train.images).all()
    assert plain.excluded == {} and plain.train.fingerprint != domain.train.fingerprint


def test_counts_are_described_by_name():
    assert describe_counts([3, 1, 12], 16, ("a", "b", "c")) == "16 faces, imbalance 12.0:1 (c 12 … b 1)"
    assert describe_counts([3, 0], 3, ("a", "b")) == "3 faces (a 3 … b 0)"
    assert describe_counts([0, 0], 5, ("a", "b")) == "5 faces without labels"
