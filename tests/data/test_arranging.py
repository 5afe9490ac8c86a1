"""Groups and duplicates on the way into stores and into training: asked for once, and done or refused."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from made import store_manifest
from photographs import photographs
from PIL import Image

from pa_difc.data import load_domain, toy
from pa_difc.data.datasets import find_dataset
from pa_difc.data.labels import SEVEN
from pa_difc.data.prepare import PrepareSettings, prepare_store
from pa_difc.data.prepare.plan import make_plan
from pa_difc.data.readers import read_class_folders
from pa_difc.data.store import ARRAYS, FILES, open_store, read_manifest
from pa_difc.training.build import load_pair
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError
from pa_difc.util.files import file_digest, write_sealed


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Thirty people, each with every expression; the tenth person's files are there twice."""
    root = tmp_path_factory.mktemp("people")
    for person in range(30):
        for i, word in enumerate(SEVEN):
            path = root / "mine" / word / f"id{person:02d}_{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(10 * person + i).integers(0, 255, (24, 24), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
            if person == 9:
                path.with_name(f"again_{i}.png").write_bytes(path.read_bytes())
    return root


def plan(people, **settings):
    return make_plan("folder:mine", read_class_folders(people / "mine"), PrepareSettings(**settings))


def persons(samples):
    found = {}
    for sample in samples:
        found.setdefault(sample.name.split("/")[1][:4], set()).add(sample.split)
    return found


def test_a_store_s_people_are_on_one_side(people):
    plain, grouped = plan(people), plan(people, group_by=r"id\d+")
    assert any(len(split) == 2 for split in persons(plain.samples).values())
    assert all(len(split) == 1 for name, split in persons(grouped.samples).items() if name.startswith("id"))
    assert grouped.identity != plain.identity and len(grouped.samples) == len(plain.samples) == 217
    with pytest.raises(UserError, match=r"--group-by 'P\\\\d': fits no name of folder:mine"):
        plan(people, group_by=r"P\d")


def test_a_store_says_how_many_copies_it_holds(people):
    assert plan(people).copies.groups == 7 and plan(people).duplicates is None
    clean = plan(people, deduplicate=True)
    assert clean.copies is None and clean.duplicates.dropped == 7 and len(clean.samples) == 210


def test_near_duplicates_of_a_store(people):
    pytest.importorskip("imagehash")
    found = {how: plan(people, near_duplicates=how) for how in ("keep", "group", "drop")}
    assert {how: len(p.samples) for how, p in found.items()} == {"keep": 217, "group": 217, "drop": 210}
    assert all(p.near_duplicates["groups"] == 7 and p.near_duplicates["treated"] == how for how, p in found.items())
    splits = {s.name.rpartition("/")[2]: s.split for s in found["group"].samples}
    assert all(splits[f"again_{i}.png"] == splits[f"id09_{i}.png"] for i in range(7))


def test_what_was_not_asked_for_does_not_change_a_store(people):
    assert PrepareSettings().to_dict().keys() == {
        "crop", "crop_px", "on_missing", "on_bad_image", "face", "detect_px", "deduplicate"
    }  # fmt: skip
    assert set(PrepareSettings(group_by="a").to_dict()) - set(PrepareSettings().to_dict()) == {"group_by"}


def pair(root, source="folder:mine", target="folder:mine", **values):
    options = {"source": source, "target": target, "root": str(root), "crop_px": 32}
    return load_pair(resolve(Settings.of(**options, **values)))


def test_training_keeps_people_on_one_side(people, monkeypatch):
    few = replace(toy.TOY_DOMAINS["toy_street"], train_count=40, test_count=20)
    monkeypatch.setitem(toy.TOY_DOMAINS, "toy_street", few)
    for domain in pair(people, group_by=r"id\d+"):
        sides = [{name.split("/")[1][:4] for name in part.names} for part in (domain.train, domain.test)]
        assert {name for name in sides[0] & sides[1] if name.startswith("id")} == set()
    source, target = pair(people, target="toy_street", group_by=r"id\d+")  # which has no people
    assert source.fits == 210 and target.fits == 0
    with pytest.raises(UserError, match=r"--group-by 'nobody': fits no name of folder:mine or toy_street"):
        pair(people, target="toy_street", group_by="nobody")


@pytest.fixture
def store(tmp_path):
    """A store of seven faces a split, as version 0.3 wrote it."""

    def make(**parameters):
        path = tmp_path / "store"
        path.mkdir(exist_ok=True)
        shapes = {"P": 32}
        for name, (dtype, shape) in ARRAYS.items():
            full = (14, *(shapes.get(side, side) for side in shape))
            array = np.arange(14) % 7 if name == "labels" else np.zeros(full)
            np.save(path / f"{name}.npy", array.astype(dtype))
        (path / "names.json").write_text(json.dumps([f"{i}.png" for i in range(14)]))
        (path / "contact_sheet.png").write_bytes(b"")
        files = {f: {"bytes": (path / f).stat().st_size, "blake2b": file_digest(path / f)} for f in FILES}
        manifest = store_manifest(32, {"train": [0, 7], "test": [7, 14]}, files)
        manifest["parameters"] |= parameters
        write_sealed(path / "manifest.json", manifest)
        return path

    return make


def test_older_stores_load_and_refuse_what_they_were_not_made_with(store):
    path = store()
    assert "copies" not in read_manifest(path)
    domain = load_domain(f"store:{path}", path.parent, size_px=32)
    assert domain.copies is domain.near_duplicates is None and domain.left_out == {}
    assert Counter(domain.train.labels.tolist()) == dict.fromkeys(range(7), 1)
    with pytest.raises(UserError, match="prepared without --near-duplicates drop; prepare it again"):
        load_domain(f"store:{path}", path.parent, size_px=32, near_duplicates="drop")
    assert load_domain(f"store:{path}", path.parent, size_px=32, group_by="x").fits == 0


def test_stores_that_were_made_as_asked_load(store):
    path = store(group_by="x", near_duplicates="drop")
    domain = load_domain(f"store:{path}", path.parent, size_px=32, near_duplicates="drop", group_by="x")
    assert domain.fits == 14
    with pytest.raises(UserError, match="prepared without --near-duplicates group"):
        load_domain(f"store:{path}", path.parent, size_px=32, near_duplicates="group")


def test_a_store_of_a_parquet_file_is_that_of_its_images(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    photographs(tmp_path / "faces", n=9)
    paths = sorted((tmp_path / "faces").rglob("*.png"))
    words = [path.parent.name for path in paths]
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    table = pa.table({"image": images, "label": words, "split": [path.parts[-3] for path in paths]})
    pq.write_table(table, tmp_path / "faces.parquet", row_group_size=2)
    for name, out in (("folder:faces", "one"), ("parquet:faces.parquet", "other")):
        reader, root = find_dataset(name, tmp_path)
        prepare_store(name, reader(root), tmp_path / out, PrepareSettings(), processes=2)
    one, other = (open_store(tmp_path / out) for out in ("one", "other"))
    assert one.words == other.words and one.counts == other.counts
    for split, faces in one.splits.items():
        assert (faces.images == other.splits[split].images).all() and len(faces)
