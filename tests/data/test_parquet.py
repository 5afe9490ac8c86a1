"""Parquet files that hold the images themselves."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from pa_difc.data import load_domain
from pa_difc.data.labels import SEVEN
from pa_difc.data.readers import NotHere, read_class_folders
from pa_difc.util.errors import UserError


def encoded(seed):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (20, 20), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def parquet(path, labels, names=None, images=None, **columns):
    """A file as Hugging Face writes it, in row groups of three."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    images = images or [{"bytes": encoded(i), "path": f"{i}.png"} for i in range(len(labels))]
    made = pa.table({"image": images, "label": labels, **columns})
    if names is not None:
        about = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        made = made.replace_schema_metadata({"huggingface": json.dumps(about)})
    pq.write_table(made, path, row_group_size=3)


ORDER = ["anger", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def test_parquet_files_hold_images_words_and_splits(tmp_path):
    data = tmp_path / "mine" / "data"
    parquet(data / "train-00000-of-00002.parquet", [0, 1, 2, 3], ORDER)
    parquet(data / "train-00001-of-00002.parquet", [4, 5, 6], ORDER)
    parquet(data / "validation-00000-of-00001.parquet", list(range(7)), ORDER)
    domain = load_domain("parquet:mine", tmp_path, size_px=20)
    assert domain.train_counts == domain.test_counts == [1] * 7
    assert domain.train.labels.tolist() == [SEVEN.index(word) for word in ORDER]
    with Image.open(io.BytesIO(encoded(3))) as image:
        assert (domain.train.images[3] == np.asarray(image)).all()
    assert domain.train.names[4] == "data/train-00001-of-00002.parquet#0"


def test_numbers_without_words_are_not_guessed(tmp_path):
    parquet(tmp_path / "train.parquet", [0, 3], None)
    parquet(tmp_path / "test.parquet", [0, 3], None)
    with pytest.raises(UserError, match="numbers mean different classes"):
        load_domain(f"parquet:{tmp_path}", tmp_path, size_px=20)
    parquet(tmp_path / "train.parquet", [0, 7], ORDER)
    with pytest.raises(UserError, match=r"train.parquet#1: label 7 must be 0..6"):
        load_domain(f"parquet:{tmp_path}", tmp_path, size_px=20)


def test_a_parquet_file_alone_may_say_its_splits_and_groups(tmp_path):
    people = [f"p{i // 2}" for i in range(60)]
    parquet(tmp_path / "faces.parquet", ["happy", "sad"] * 30, split=["train", "test", "test"] * 20)
    domain = load_domain("parquet:faces.parquet", tmp_path, size_px=20)
    assert (len(domain.train), len(domain.test)) == (20, 40)
    parquet(tmp_path / "faces.parquet", ["happy", "sad"] * 30, person=people)
    domain = load_domain("parquet:faces.parquet", tmp_path, size_px=20, group_by="person")
    rows = [{int(name.rpartition("#")[2]) // 2 for name in part.names} for part in (domain.train, domain.test)]
    assert rows[0] and rows[1] and not rows[0] & rows[1]


def test_class_folders_are_not_looked_for_in_parquet_files(tmp_path):
    parquet(tmp_path / "data" / "train.parquet", [0, 1], ORDER)
    with pytest.raises(NotHere, match=r"no images in class folders .*parquet:PATH reads"):
        read_class_folders(tmp_path)


def test_parquet_that_can_t_be_read_says_why(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "train.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(UserError, match="not a readable parquet file"):
        load_domain(f"parquet:{tmp_path}", tmp_path, size_px=20)
    images = [{"bytes": encoded(0), "path": "a"}, {"bytes": b"no image", "path": "b"}, {"bytes": None, "path": "c"}]
    for split in ("train", "test"):
        parquet(tmp_path / f"{split}.parquet", ["happy", "sad", "fear"], images=images)
    domain = load_domain(f"parquet:{tmp_path}", tmp_path, size_px=20)
    assert [b.name for b in domain.bad_images] == [f"{s}.parquet#{i}" for s in ("train", "test") for i in (1, 2)]
    (tmp_path / "none").mkdir()
    with pytest.raises(NotHere, match=r"no \*.parquet here"):
        load_domain("parquet:none", tmp_path, size_px=20)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r"pip install 'pa-difc\[parquet\]'"):
        load_domain(f"parquet:{tmp_path}", tmp_path, size_px=20)
