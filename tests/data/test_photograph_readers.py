"""The sets of photographs, on files made here in the layouts in which they are given out."""

import numpy as np
import pytest
from PIL import Image

from pa_difc.data import DATASETS, load_domain
from pa_difc.data.labels import EXPRESSIONS8, SEVEN
from pa_difc.data.readers import (
    read_ck48,
    read_ck_plus,
    read_expw,
    read_jaffe,
    read_kdef,
    read_raf_db,
    read_raf_db_original,
    read_sfew,
)
from pa_difc.util.errors import UserError

CLASSES = ("Surprise", "Fear", "Disgust", "Happy", "Sad", "Angry", "Neutral")


def picture(path, value=100, size=(24, 24), **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0]), value, dtype=np.uint8)).save(path, **kwargs)


def words(listing):
    return {s.name: s.label for s in listing.samples}


def refused(reader, root):
    with pytest.raises(UserError) as error:
        reader(root)
    assert "\n" not in str(error.value)
    return str(error.value)


# JAFFE


def test_jaffe_codes_and_the_mislabelled_one(tmp_path):
    names = ["KA.SU1.36", "KA.FE1.45", "KA.DI1.42", "KA.HA1.29", "KA.SA1.33", "KA.AN1.39", "KA.NE1.26", "KR.SA3.79"]
    for name in names:
        picture(tmp_path / f"{name}.tiff")
    (tmp_path / "data.csv").write_text("filename,facial_expression\nKR.SA3.79.tiff,happiness\n")  # as published, wrong
    listing = read_jaffe(tmp_path)
    found = words(listing)
    assert [found[f"{n}.tiff"] for n in names] == [*SEVEN, "sad"]
    assert {s.split for s in listing.samples} == {"both"}


def test_jaffe_is_adapted_to_and_scored_on_the_same_faces(tmp_path):
    for code in ("SU", "FE", "DI", "HA", "SA", "AN", "NE"):
        picture(tmp_path / "jaffe" / f"KA.{code}1.39.tiff")
    domain = load_domain("jaffe", tmp_path, size_px=32)
    assert domain.transductive and domain.summary()["transductive"]
    assert domain.train is domain.test and len(domain.train) == 7


def test_palette_tiffs_are_read_by_their_palette(tmp_path):
    """Some of JAFFE's files are palette images: their bytes are no gray values."""
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.fromarray(255 - gray, mode="P")
    image.putpalette([v for i in range(256) for v in (255 - i,) * 3])
    (tmp_path / "jaffe").mkdir()
    image.save(tmp_path / "jaffe" / "KA.HA1.29.tiff")
    assert Image.open(tmp_path / "jaffe" / "KA.HA1.29.tiff").mode == "P"
    images = load_domain("jaffe", tmp_path, size_px=16).train.images
    assert (images[0] == gray).all()


@pytest.mark.parametrize("name", ["KA.XX1.39.tiff", "face1.tiff"])
def test_strange_jaffe_names(tmp_path, name):
    picture(tmp_path / name)
    assert "KA.AN1.39.tiff" in refused(read_jaffe, tmp_path)
    picture(tmp_path / "KA.HA1.29.tiff")
    listing = read_jaffe(tmp_path)
    assert words(listing) == {"KA.HA1.29.tiff": "happy"}
    assert listing.left_out["images of other names than JAFFE's"] == 1


def test_an_empty_jaffe_folder(tmp_path):
    assert "no JAFFE here" in refused(read_jaffe, tmp_path)


# SFEW, CK+48, AFE


@pytest.mark.parametrize("inner", ["", "Aligned_Faces"])
def test_sfew(tmp_path, inner):
    for split in ("Train", "Val"):
        for name in CLASSES:
            picture(tmp_path / split / inner / name / f"{split}_film_000.png")
    picture(tmp_path / "Test" / "film_001.png")  # without labels
    listing = read_sfew(tmp_path)
    assert listing.counts == {split: dict.fromkeys(sorted(CLASSES), 1) for split in ("train", "test")}
    assert "no SFEW" in refused(read_sfew, tmp_path / "Train")


def test_ck48_has_no_neutral_and_people_stay_together(tmp_path):
    folders = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    for folder in folders:
        for person in range(40):
            picture(tmp_path / "ck48" / "CK+48" / folder / f"S{person:03d}_001_000000{person % 9}7.png", size=(48, 48))
    listing = read_ck48(tmp_path / "ck48")
    assert set(words(listing).values()) == set(folders) and all(s.whole for s in listing.samples)
    splits = {}
    for s in listing.samples:
        splits.setdefault(s.name.rpartition("/")[2][:4], set()).add(s.split)
    assert all(len(found) == 1 for found in splits.values()) and {"train", "test"} == set.union(*splits.values())
    domain = load_domain("ck48", tmp_path, size_px=48)
    assert domain.excluded == {"contempt": 40} and domain.missing("train") == domain.missing("test") == ["neutral"]
    assert load_domain("ck48", tmp_path, size_px=48, labels=EXPRESSIONS8).excluded == {}


def test_afe_is_a_tree_of_class_folders(tmp_path):
    for split in ("train", "test"):
        for name in CLASSES:
            picture(tmp_path / "afe" / split / name / "1.jpg")
    assert load_domain("afe", tmp_path, size_px=32).test_counts == [1] * 7


# CK+


def ck_plus(root, person, sequence, code, frames=6):
    for i in range(1, frames + 1):
        picture(root / "cohn-kanade-images" / person / sequence / f"{person}_{sequence}_{i:08d}.png")
    label = root / "Emotion" / person / sequence / f"{person}_{sequence}_{frames:08d}_emotion.txt"
    label.parent.mkdir(parents=True, exist_ok=True)
    if code is not None:
        label.write_text(f"   {code:.7e}\n")


def test_ck_plus_takes_the_peak_and_the_first_frame(tmp_path):
    for person, code in enumerate([1, 3, 4, 5, 6, 7]):
        ck_plus(tmp_path, f"S{person:03d}", "001", code)
    ck_plus(tmp_path, "S100", "002", 2)  # contempt
    ck_plus(tmp_path, "S101", "001", None)  # unlabelled, as most sequences are
    listing = read_ck_plus(tmp_path)
    found = words(listing)
    of = lambda person: [found.get(f"cohn-kanade-images/{person}/001/{person}_001_{i:08d}.png") for i in range(1, 7)]  # noqa: E731
    assert of("S000") == ["neutral", None, None, "anger", "anger", "anger"]
    assert [of(f"S{p:03d}")[-1] for p in range(6)] == ["anger", "disgust", "fear", "happy", "sad", "surprise"]
    assert sorted(v for n, v in found.items() if "S100" in n) == ["contempt"] * 3 + ["neutral"]
    assert not any("S101" in name for name in found) and len(listing.samples) == 7 * 4


def test_ck_plus_short_sequences_and_strange_codes(tmp_path):
    ck_plus(tmp_path / "short", "S000", "001", 5, frames=2)
    assert sorted(words(read_ck_plus(tmp_path / "short")).values()) == ["happy", "neutral"]
    ck_plus(tmp_path / "bad", "S000", "001", 9)
    assert "must be a code of 0..7" in refused(read_ck_plus, tmp_path / "bad")
    (tmp_path / "none" / "cohn-kanade-images").mkdir(parents=True)
    assert "no labels of CK+" in refused(read_ck_plus, tmp_path / "none")


# ExpW


def expw(root, lines, images=("a.jpg", "b.jpg")):
    (root / "label").mkdir(parents=True, exist_ok=True)
    (root / "label" / "label.lst").write_text("\n".join(lines) + "\n")
    for name in images:
        picture(root / "image" / "origin" / name, size=(60, 40))


def test_expw_s_box_order_and_several_faces_of_an_image(tmp_path):
    expw(tmp_path, ["a.jpg 0 5 10 30 25 98.5 3", "a.jpg 1 6 32 52 26 50.1 5", "b.jpg 0 1 2 20 19 12.0 6"])
    first, second, third = read_expw(tmp_path).samples
    assert first.box == (10, 5, 30, 25) and second.box == (32, 6, 52, 26)  # left, top, right, bottom
    assert [s.label for s in (first, second, third)] == ["happy", "surprise", "neutral"]
    assert first.name == "a.jpg#0" and first.path == second.path and first.split == second.split


def test_expw_faces_are_cut_out_of_their_image(tmp_path):
    pixels = np.zeros((40, 60), dtype=np.uint8)
    pixels[:, 30:] = 200
    lines = [f"{'ab'[i % 2]}{i}.png 0 4 2 28 30 99 3" for i in range(20)]
    lines += [f"{'ab'[i % 2]}{i}.png 1 4 34 58 30 99 4" for i in range(20)]
    expw(tmp_path / "expw", lines, ())
    for i in range(20):
        path = tmp_path / "expw" / "image" / "origin" / f"{'ab'[i % 2]}{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    faces = load_domain("expw", tmp_path, size_px=32).train
    brightness = faces.images.mean(axis=(1, 2, 3))
    assert (brightness[faces.labels == 3] < 30).all() and (brightness[faces.labels == 4] > 190).all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg 0 5 10 30 25 98.5", "must be image, id, top"),
        ("a.jpg 0 5 10 30 25 98.5 7", "label 0..6"),
        ("a.jpg 0 5 x 30 25 98.5 3", "must be image"),
        ("a.jpg 0 25 10 30 5 98.5 3", "is not a box"),
        ("../a.jpg 0 5 10 30 25 98.5 3", "below origin/"),
        ("/etc/a.jpg 0 5 10 30 25 98.5 3", "below origin/"),
        ("b.jpg 0 1 2 20 19 12.0 6", "listed twice"),
    ],
)
def test_bad_expw_lines(tmp_path, line, message):
    expw(tmp_path, ["b.jpg 0 1 2 20 19 12.0 6", line])
    assert message in refused(read_expw, tmp_path)


def test_no_expw(tmp_path):
    assert "no ExpW here" in refused(read_expw, tmp_path)


# KDEF


def test_kdef_codes_views_and_people(tmp_path):
    for person in range(1, 31):
        for session in "AB":
            for code in ("AF", "AN", "DI", "HA", "NE", "SA", "SU"):
                for view in ("S", "HL"):
                    folder = f"{session}F{person:02d}"
                    picture(tmp_path / "KDEF" / folder / f"{folder}{code}{view}.JPG", format="JPEG")
    listing = read_kdef(tmp_path)
    assert len(listing.samples) == 30 * 2 * 7 and all(s.name.endswith("S.JPG") for s in listing.samples)
    found = words(listing)
    expected = ["fear", "anger", "disgust", "happy", "neutral", "sad", "surprise"]
    codes = ("AF", "AN", "DI", "HA", "NE", "SA", "SU")
    assert [found[f"KDEF/AF01/AF01{c}S.JPG"] for c in codes] == expected
    splits = {}
    for s in listing.samples:
        splits.setdefault(s.name.split("/")[1][1:], set()).add(s.split)
    assert all(len(found) == 1 for found in splits.values()) and {"train", "test"} == set.union(*splits.values())


def test_kdef_in_class_folders_and_strange_names(tmp_path):
    picture(tmp_path / "folders" / "afraid" / "1.jpg")
    assert words(read_kdef(tmp_path / "folders")) == {"afraid/1.jpg": "afraid"}
    picture(tmp_path / "mixed" / "AF01" / "AF01ANS.JPG", format="JPEG")
    picture(tmp_path / "mixed" / "AF01" / "other.jpg")
    listing = read_kdef(tmp_path / "mixed")
    assert words(listing) == {"AF01/AF01ANS.JPG": "anger"}
    assert listing.left_out["images of other names than KDEF's"] == 1


# RAF-DB, original


def raf_db_original(root, points=None, box="10.5 8 40 38"):
    basic = root / "basic"
    (basic / "EmoLabel").mkdir(parents=True)
    lines = [f"{split}_{i:05d}.jpg {i}" for split in ("train", "test") for i in range(1, 8)]
    (basic / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(lines) + "\n")
    for folder in ("boundingbox", "auto"):
        (basic / "Annotation" / folder).mkdir(parents=True)
    for line in lines:
        stem = line.split(".")[0]
        picture(basic / "Image" / "original" / f"{stem}.jpg", size=(60, 50))
        (basic / "Annotation" / "boundingbox" / f"{stem}_boundingbox.txt").write_text(f"{box}\n")
        if points:
            (basic / "Annotation" / "auto" / f"{stem}_auto_attri.txt").write_text(points)


def test_raf_db_s_original_photographs_come_with_boxes_and_points(tmp_path):
    raf_db_original(tmp_path / "raf_db", "15\t20\n30\t20.5\n22\t26\n17\t33\n29\t33\n1\n0\n2\n")
    listing = read_raf_db_original(tmp_path / "raf_db")
    sample = listing.samples[0]
    assert sample.box == (10.5, 8, 40, 38) and not sample.whole
    assert sample.landmarks.tolist() == [[15, 20], [30, 20.5], [22, 26], [17, 33], [29, 33]]
    domain = load_domain("raf_db_original", tmp_path, size_px=32)  # in the folder of raf_db
    assert domain.train_counts == [1] * 7


def test_raf_db_s_other_point_files_are_left_to_the_detector(tmp_path):
    raf_db_original(tmp_path, "\n".join(f"{i} {i}" for i in range(37)))
    assert read_raf_db_original(tmp_path).samples[0].landmarks is None


@pytest.mark.parametrize("box", ["1 2 3", "40 8 10 38", "a b c d"])
def test_bad_raf_db_boxes(tmp_path, box):
    raf_db_original(tmp_path, box=box)
    assert "train_00001_boundingbox.txt" in refused(read_raf_db_original, tmp_path)


def test_raf_db_s_aligned_faces_are_crops_already(tmp_path):
    raf_db_original(tmp_path)
    sample = read_raf_db(tmp_path).samples[0]
    assert sample.whole and sample.path.name == "train_00001_aligned.jpg"


# all of them


def test_every_dataset_says_where_it_comes_from_and_what_is_looked_for():
    for name, spec in DATASETS.items():
        assert spec.about
        assert spec.reader is None or (spec.obtain and spec.layout and spec.split), name


def test_a_listing_s_fingerprint_tells_any_change(tmp_path):
    expw(tmp_path, ["a.jpg 0 5 10 30 25 98.5 3", "b.jpg 0 1 2 20 19 12.0 6"])
    before = read_expw(tmp_path)
    expw(tmp_path, ["a.jpg 0 5 10 30 25 98.5 3", "b.jpg 0 1 2 20 19 12.0 5"])
    after = read_expw(tmp_path)
    assert before.fingerprint != after.fingerprint
    assert sum(sum(row.values()) for row in before.counts.values()) == 2
