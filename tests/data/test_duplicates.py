"""Exact duplicates: which stays, which goes, and what is said about it."""

import numpy as np
import pytest
from PIL import Image

from pa_difc.data import FaceSet, load_domain
from pa_difc.data.duplicates import content_digests, drop_duplicates
from pa_difc.data.labels import SEVEN
from pa_difc.data.readers import Sample


def sample(name, value, label="surprise", split="train", **kwargs):
    return Sample(name, label, split, pixels=np.full((4, 4), value, dtype=np.uint8), **kwargs)


def kept(samples):
    found, report = drop_duplicates(samples, content_digests(samples))
    return [s.name for s in found], report


def test_one_of_each_image_stays_and_the_test_split_s_comes_first():
    samples = [
        sample("a", 1),
        sample("a again", 1),
        sample("b", 2),
        sample("b in test", 2, split="test"),
        sample("c", 3, label="fear"),
        sample("c otherwise", 3, label="disgust"),
        sample("d", 4),
    ]
    names, report = kept(samples)
    assert names == ["a", "b in test", "d"]
    assert report.to_dict() == {"groups": 3, "across_splits": 1, "conflicting": 1, "dropped": 4}
    assert "3 groups" in str(report) and "4 samples left out" in str(report)


def test_two_words_for_one_expression_do_not_conflict():
    names, report = kept([sample("a", 1, label="Happiness"), sample("b", 1, label="happy")])
    assert names == ["a"] and report.conflicting == 0


def test_faces_of_one_photograph_are_no_duplicates():
    names, report = kept([sample("a#0", 1, box=(0, 0, 2, 2)), sample("a#1", 1, box=(2, 0, 4, 2))])
    assert names == ["a#0", "a#1"] and report.groups == 0


def test_unreadable_files_are_no_duplicates(tmp_path):
    names, _ = kept([Sample(n, "fear", "train", tmp_path / n) for n in ("no", "such")])
    assert names == ["no", "such"]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for k, name in enumerate(SEVEN):
            path = tmp_path / "mine" / split / name
            path.mkdir(parents=True)
            for i in range(3):
                Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(path / f"{split}{k}{i}.png")
    shared = (tmp_path / "mine" / "test" / "happy" / "test30.png").read_bytes()
    (tmp_path / "mine" / "train" / "happy" / "copy.png").write_bytes(shared)
    return tmp_path


def test_training_leaves_them_out_where_asked(folder):
    plain = load_domain("folder:mine", folder, size_px=32)
    clean = load_domain("folder:mine", folder, size_px=32, deduplicate=True)
    assert "train/happy/copy.png" in plain.train.names and plain.duplicates is None
    assert isinstance(clean.train, FaceSet) and "train/happy/copy.png" not in clean.train.names
    assert len(clean.test) == len(plain.test) == 21
    assert clean.summary()["duplicates"]["across_splits"] == 1
