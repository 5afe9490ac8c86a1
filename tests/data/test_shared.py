"""Data that several processes map: the same numbers, one copy, a store's images where they lie."""

from dataclasses import replace

import numpy as np
from made import random_faces

from pa_difc.data import Domain
from pa_difc.data.features import FeatureSet
from pa_difc.data.shared import share, shared


def test_arrays_come_back_as_they_were_and_are_mapped(tmp_path):
    faces = random_faces(200, 0)
    assert faces.images.nbytes > 1 << 16
    given = Domain("s", faces, random_faces(14, 1))
    said = given.summary()
    found = shared(share(given, tmp_path / "new"))
    assert isinstance(found.train.images, np.memmap) and not found.train.images.flags.writeable
    for split in ("train", "test"):
        before, after = getattr(given, split), getattr(found, split)
        assert (before.images == after.images).all() and (before.landmarks == after.landmarks).all()
        assert (before.labels == after.labels).all() and before.names == after.names
    assert found.summary() == said
    assert replace(found, train=replace(found.train)).train.fingerprint == given.train.fingerprint


def test_a_mapped_array_is_not_written_again_wherever_it_begins(tmp_path):
    """A store's splits are parts of one file, behind its header; parts of any offset."""
    whole = np.random.default_rng(0).integers(0, 256, (900, 3, 32, 32), dtype=np.uint8)
    np.save(tmp_path / "images.npy", whole)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    late = np.memmap(tmp_path / "images.npy", dtype=np.uint8, mode="r", offset=9001, shape=(100_000,))
    parts = [mapped, mapped[:300], mapped[300:], mapped[301:][7:400], late[33:]]
    found = shared(share(parts, tmp_path / "new"))
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["value.pickle"]
    assert (tmp_path / "new" / "value.pickle").stat().st_size < 2000
    for before, after in zip(parts, found, strict=True):
        assert before.shape == after.shape and (before == after).all()


def test_views_with_gaps_and_other_types(tmp_path):
    base = np.random.default_rng(0).normal(size=(300, 300))
    np.save(tmp_path / "a.npy", base)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    parts = [base[::2], base.T, mapped[::2], mapped.T, base.astype(">f4"), base > 0, np.array([{}] * 9000, object)]
    found = shared(share(parts, tmp_path / "new"))
    for before, after in zip(parts, found, strict=True):
        assert before.dtype == after.dtype and before.shape == after.shape and (before == after).all()


def test_an_array_of_two_owners_is_written_once(tmp_path):
    features = np.random.default_rng(0).normal(size=(1000, 64)).astype(np.float32)
    labels = np.arange(1000) % 7
    names = tuple(map(str, range(1000)))
    one = FeatureSet(features, labels, names)
    first, second = shared(share((one, FeatureSet(features, labels, names)), tmp_path / "new"))
    assert len(list((tmp_path / "new").glob("*.raw"))) == 1
    assert (first.features == features).all() and (second.features == features).all()
    assert first.take(np.array([3, 1])).features.flags.writeable
