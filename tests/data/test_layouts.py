"""The layouts in which people have datasets on their disks, made here; each with codes whose mixing up would show."""

import csv
import io
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pa_difc.data import load_domain
from pa_difc.data.labels import EXPRESSIONS8, SEVEN
from pa_difc.data.readers import (
    NotHere,
    read_affectnet,
    read_ck_plus,
    read_class_folders,
    read_expw,
    read_fer2013,
    read_fer_plus,
    read_legend_csv,
    read_oulu_casia,
    read_raf_db,
    read_raf_db_original,
    read_sfew,
)
from pa_difc.util.errors import UserError

RAF = dict(zip("1234567", SEVEN, strict=True))
AFFECT = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")


def picture(path, seed=0, size=(24, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0]), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def counts(listing):
    """Samples by split and word."""
    return {split: Counter(row) for split, row in listing.counts.items()}


# RAF-DB, uploaded again


def raf_again(root, listed=True):
    """k images of class k in train, one in test."""
    for split in ("train", "test"):
        rows = [("image", "label")]
        for code in RAF:
            for i in range(int(code) if split == "train" else 1):
                name = f"{split}_{code}{i:04d}_aligned.jpg"
                picture(root / "DATASET" / split / code / name)
                rows.append((name, code))
        if listed:
            table(root / f"{split}_labels.csv", rows)


@pytest.mark.parametrize("listed", [True, False])
def test_raf_db_uploaded_again_has_raf_db_s_codes(tmp_path, listed):
    raf_again(tmp_path, listed)
    listing = read_raf_db(tmp_path)
    assert counts(listing) == {"train": {RAF[c]: int(c) for c in RAF}, "test": dict.fromkeys(SEVEN, 1)}
    assert all(sample.whole for sample in listing.samples) and listing.notes == ("read in DATASET/",)


def test_raf_db_s_folders_and_lists_must_agree(tmp_path):
    raf_again(tmp_path)
    rows = [("image", "label"), ("train_30000_aligned.jpg", 4)]
    table(tmp_path / "train_labels.csv", rows)
    with pytest.raises(
        UserError, match=r"train_labels.csv:2: train_30000_aligned.jpg has label 4 \(happy\),.* disgust"
    ):
        read_raf_db(tmp_path)


def test_a_number_that_is_no_code_is_refused(tmp_path):
    raf_again(tmp_path, listed=False)
    picture(tmp_path / "DATASET" / "train" / "8" / "x.jpg")
    with pytest.raises(UserError, match="class '8' must be one of 1, 2, 3, 4, 5, 6, 7"):
        read_raf_db(tmp_path)


def test_numbered_folders_of_nobody_s_are_never_guessed(tmp_path):
    raf_again(tmp_path / "mine", listed=False)
    with pytest.raises(UserError, match=r"'1' .* is no class of .*numbers mean other classes in every set"):
        load_domain("folder:mine", tmp_path, size_px=32)


@pytest.mark.parametrize(
    ("reader", "codes"), [(read_raf_db, RAF), (read_affectnet, dict(zip("01234567", AFFECT, strict=True)))]
)
def test_words_for_numbers_and_folders_without_splits(tmp_path, reader, codes):
    for i, (code, word) in enumerate(codes.items()):
        picture(tmp_path / "worded" / "train" / word / f"{i}.jpg")
        picture(tmp_path / "worded" / "valid" / word.capitalize() / f"{i}.jpg")
        for n in range(i + 2):
            picture(tmp_path / "whole" / code / f"{n}.jpg")
    worded = reader(tmp_path / "worded")
    assert {s.split for s in worded.samples} == {"train", "test"}
    assert {s.label.lower() for s in worded.samples} == set(codes.values())
    whole = Counter(s.label for s in reader(tmp_path / "whole").samples)
    assert whole == {word: i + 2 for i, word in enumerate(codes.values())}


# FERPlus


VOTED = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")


def fer_plus(root, votes):
    """Votes on images whose FER2013 label is always anger."""
    usages = ("Training", "PublicTest", "PrivateTest")
    pixels = [" ".join(map(str, np.random.default_rng(i).integers(0, 255, 2304))) for i in range(len(votes))]
    rows = [(0, px, usages[i % 3]) for i, px in enumerate(pixels)]
    table(root / "fer2013.csv", [("emotion", "pixels", "Usage"), *rows])
    rows = [("Training", f"fer{i:07d}.png", *(v.get(name, 0) for name in VOTED)) for i, v in enumerate(votes)]
    table(root / "fer2013new.csv", [("Usage", "Image name", *VOTED), *rows])


@pytest.mark.parametrize(
    ("votes", "word"),
    [
        ({"happiness": 10}, "happy"),
        ({"sadness": 6, "anger": 4}, "sad"),
        ({"neutral": 5, "sadness": 4, "fear": 1}, "neutral"),  # 5 of 9: single votes are taken off
        ({"contempt": 7, "neutral": 3}, "contempt"),
        ({"sadness": 5, "anger": 5}, None),
        ({"sadness": 4, "anger": 3, "fear": 3}, None),
        ({"sadness": 5, "anger": 3, "fear": 2}, None),
        (dict.fromkeys(VOTED, 1), None),
        ({"unknown": 8, "happiness": 2}, None),
        ({"NF": 10}, None),
    ],
)
def test_fer_plus_takes_the_majority_of_ten_votes(tmp_path, votes, word):
    fer_plus(tmp_path, [votes, {"fear": 10}])
    listing = read_fer_plus(tmp_path)
    assert [s.label for s in listing.samples] == ([word, "fear"] if word else ["fear"])
    assert sum(listing.left_out.values()) == (word is None)


def test_fer_plus_counts_what_it_leaves_out_and_keeps_fer2013_s_split(tmp_path):
    votes = [{"surprise": 9}, {"NF": 10}, {"unknown": 9}, {"anger": 5, "fear": 5}, {"disgust": 8}, {"contempt": 10}]
    fer_plus(tmp_path / "fer2013", votes)
    listing = read_fer_plus(tmp_path / "fer2013")
    assert [(s.label, s.split) for s in listing.samples] == [
        ("surprise", "train"), ("disgust", "val"), ("contempt", "test")
    ]  # fmt: skip
    assert listing.left_out == {
        "images voted no face": 1, "images voted unknown": 1, "images without a majority of votes": 1
    }  # fmt: skip
    assert {s.label for s in read_fer2013(tmp_path / "fer2013").samples} == {"anger"}  # FER2013 keeps its own labels
    assert "ferplus" in read_fer2013(tmp_path / "fer2013").notes[0]


def test_fer_plus_needs_a_row_of_votes_for_each_image(tmp_path):
    fer_plus(tmp_path, [{"fear": 10}] * 3)
    lines = (tmp_path / "fer2013new.csv").read_text().splitlines()
    (tmp_path / "fer2013new.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(UserError, match=r"2 rows of votes, and fer2013.csv has 3 images"):
        read_fer_plus(tmp_path)
    (tmp_path / "fer2013new.csv").write_text("\n".join([*lines[:-1], lines[-1].replace("10", "x")]) + "\n")
    with pytest.raises(UserError, match="votes must be whole numbers"):
        read_fer_plus(tmp_path)
    (tmp_path / "fer2013.csv").unlink()
    with pytest.raises(NotHere, match="no FERPlus here"):
        read_fer_plus(tmp_path)


# AffectNet

AFFECT_COUNTS = {
    "train": {name: k + 1 for k, name in enumerate(AFFECT)},
    "test": dict.fromkeys(AFFECT, 1),
}
NO_CLASS = {"images labelled none": 3, "images labelled uncertain": 2, "images labelled no face": 1}


def affect_rows():
    """Split, code and number of each image: k + 1 of code k in train, one in val, and some of no class."""
    for split in ("train", "val"):
        for code in range(8):
            for i in range(code + 1 if split == "train" else 1):
                yield split, code, i
    for code, n in ((8, 3), (9, 2), (10, 1)):
        for i in range(n):
            yield "train", code, i


def affect_folders(root):
    for split, code, i in affect_rows():
        picture(root / split / str(code) / f"{i}.jpg")


def affect_annotations(root):
    for split, code, i in affect_rows():
        folder = root / f"{split}_set"
        picture(folder / "images" / f"{100 * code + i}.jpg")
        (folder / "annotations").mkdir(exist_ok=True)
        np.save(folder / "annotations" / f"{100 * code + i}_exp.npy", np.array(str(code)))
        np.save(folder / "annotations" / f"{100 * code + i}_val.npy", np.array("-0.3"))


def affect_lists(root):
    head = ["subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "expression", "valence"]
    rows = {"train": [head], "val": [head]}
    for split, code, i in affect_rows():
        name = f"{code}/{split}{i}.jpg"
        picture(root / "Manually_Annotated_Images" / name, size=(40, 30))
        rows[split].append([name, 4, 6, 20, 10, code, -0.5])
    table(root / "training.csv", rows["train"])
    table(root / "validation.csv", rows["val"])


@pytest.mark.parametrize("make", [affect_folders, affect_annotations, affect_lists])
def test_affectnet_s_codes_are_its_own_in_every_form(tmp_path, make):
    make(tmp_path / "affectnet" / "AffectNet")
    listing = read_affectnet(tmp_path / "affectnet")
    assert counts(listing) == AFFECT_COUNTS and listing.notes == ("read in AffectNet/",)
    assert {reason: n for reason, n in listing.left_out.items() if "labelled" in reason} == NO_CLASS
    domain = load_domain("affectnet", tmp_path, size_px=32, labels=EXPRESSIONS8)
    assert dict(zip(EXPRESSIONS8.names, domain.train_counts, strict=True)) == AFFECT_COUNTS["train"]
    assert not domain.bad_images and load_domain("affectnet", tmp_path, size_px=32).excluded == {"contempt": 9}


def test_affectnet_s_boxes_are_left_top_width_height(tmp_path):
    affect_lists(tmp_path)
    assert {s.box for s in read_affectnet(tmp_path).samples} == {(4, 6, 24, 16)}


def test_affectnet_lists_that_are_not_as_they_should_be(tmp_path):
    affect_lists(tmp_path)
    path = tmp_path / "training.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n")
    assert read_affectnet(tmp_path).left_out["rows of images that are listed already"] == 1
    for wrong, words in (
        ("0/a.jpg,4,6,20,10,11,0", "expression '11' must be 0..10"),
        ("0/a.jpg,4,6,0,10,1,0", "no box of a face"),
        ("../a.jpg,4,6,20,10,1,0", "below Manually_Annotated_Images/"),
    ):
        path.write_text("\n".join([lines[0], wrong]) + "\n")
        with pytest.raises(UserError, match=words):
            read_affectnet(tmp_path)


def test_an_annotation_that_is_no_number(tmp_path):
    affect_annotations(tmp_path)
    (tmp_path / "train_set" / "annotations" / "0_exp.npy").write_bytes(b"\x93NUMPY broken")
    with pytest.raises(UserError, match="not a number in an array"):
        read_affectnet(tmp_path)


# Oulu-CASIA


def oulu(root, form="OriginalImg", lights=("VL/Strong",), people=12):
    for light in lights:
        for person in range(1, people + 1):
            for word in ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"):
                for i in range(6):
                    picture(root / form / light / f"P{person:03d}" / word / f"{i:03d}.jpeg", seed=i)


def test_oulu_casia_takes_peaks_in_visible_strong_light_and_keeps_people_together(tmp_path):
    lights = ("VL/Strong", "VL/Weak", "VL/Dark", "NI/Strong")
    oulu(tmp_path, lights=lights, people=10)
    listing = read_oulu_casia(tmp_path)
    assert len(listing.samples) == 10 * 6 * 4
    taken = Counter(s.name.rpartition("/")[2] for s in listing.samples if s.label == "Anger")
    assert taken == {"003.jpeg": 10, "004.jpeg": 10, "005.jpeg": 10}
    assert {s.name.rpartition("/")[2] for s in listing.samples if s.label == "neutral"} == {"000.jpeg"}
    assert all("VL/Strong" in s.name for s in listing.samples)
    assert listing.left_out["frames in infrared, weak or dark light"] == 3 * 10 * 6 * 6
    assert listing.left_out["frames between the first and the last three"] == 10 * 6 * 2
    splits = {}
    for s in listing.samples:
        splits.setdefault(s.name.split("/")[3], set()).add(s.split)
    assert all(len(found) == 1 for found in splits.values()) and set.union(*splits.values()) == {"train", "test"}


def test_oulu_casia_s_cropped_form_is_taken_where_there_is_no_other(tmp_path):
    oulu(tmp_path / "one", "PreProcess Img", ("VL_Acropped/Strong", "NI_Acropped/Strong"), people=2)
    assert len(read_oulu_casia(tmp_path / "one").samples) == 2 * 6 * 4
    oulu(tmp_path / "both", "PreProcess Img", ("VL_Acropped/Strong",), people=2)
    oulu(tmp_path / "both", "OriginalImg", people=2)
    listing = read_oulu_casia(tmp_path / "both")
    assert len(listing.samples) == 2 * 6 * 4 and all(s.name.startswith("OriginalImg") for s in listing.samples)
    assert listing.left_out["frames that are there as photographs too"] == 2 * 6 * 6
    oulu(tmp_path / "bare", ".", (".",), people=2)
    assert len(read_oulu_casia(tmp_path / "bare").samples) == 2 * 6 * 4
    with pytest.raises(NotHere, match="no Oulu-CASIA here"):
        read_oulu_casia(tmp_path / "one" / "PreProcess Img" / "VL_Acropped" / "Strong" / "P001" / "Anger")


# SFEW, with its aligned faces


@pytest.mark.parametrize("where", ["Train/Train_Aligned_Faces", "Train_Aligned_Faces"])
def test_sfew_s_aligned_faces_beside_the_stills_are_left_out_and_named(tmp_path, where):
    for split in ("Train", "Val"):
        for word in SEVEN:
            picture(tmp_path / split / word / "a.png")
            picture(tmp_path / where.replace("Train", split) / word / "a.png")
    picture(tmp_path / "Test" / "x.png")
    listing = read_sfew(tmp_path)
    assert counts(listing) == {split: dict.fromkeys(SEVEN, 1) for split in ("train", "test")}
    assert listing.left_out == {"in Test/": 1, f"in {where}/": 7, f"in {where.replace('Train', 'Val')}/": 7}


# Wrapper folders


def test_sets_are_found_in_the_folders_that_archives_put_around_them(tmp_path):
    inner = tmp_path / "Downloads" / "archive"
    for split in ("train", "validation"):
        picture(inner / "fer" / "images" / split / "happy" / "1.jpg")
        picture(inner / "classes" / "images" / split / "happy" / "1.jpg")
    (inner / "raf" / "basic" / "EmoLabel").mkdir(parents=True)
    (inner / "raf" / "basic" / "EmoLabel" / "list_patition_label.txt").write_text("train_1.jpg 4\ntest_1.jpg 1\n")
    (inner / "legend" / "images").mkdir(parents=True)
    (inner / "legend" / "legend.csv").write_text("image,emotion\na.jpg,fear\n")
    (inner / "expw" / "label").mkdir(parents=True)
    (inner / "expw" / "image" / "origin").mkdir(parents=True)
    (inner / "expw" / "label" / "label.lst").write_text("a.jpg 0 5 10 30 25 98.5 3\n")
    picture(inner / "ck" / "cohn-kanade-images" / "S005" / "001" / "S005_001_1.png")
    (inner / "ck" / "Emotion" / "S005" / "001").mkdir(parents=True)
    (inner / "ck" / "Emotion" / "S005" / "001" / "S005_001_1_emotion.txt").write_text("3.0")
    for reader, name, where in (
        (read_fer2013, "fer", "images"),
        (read_class_folders, "classes", "images"),
        (read_raf_db, "raf", None),
        (read_legend_csv, "legend", None),
        (read_expw, "expw", None),
        (read_ck_plus, "ck", None),
    ):
        direct = reader(inner / name)
        (tmp_path / name).mkdir()
        (inner / name).rename(tmp_path / name / "archive")
        listing = reader(tmp_path / name)
        assert [s.label for s in listing.samples] == [s.label for s in direct.samples] and listing.samples
        assert listing.notes == (f"read in archive{f'/{where}' if where else ''}/",)


def test_a_set_that_lies_there_twice_is_not_chosen(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "legend.csv").write_text("image,emotion\na.jpg,fear\n")
    with pytest.raises(UserError, match=r"lies here 2 times \(a and b\)"):
        read_legend_csv(tmp_path)


def test_what_a_mac_leaves_in_an_archive_is_no_part_of_a_set(tmp_path):
    picture(tmp_path / "cohn-kanade-images" / "S005" / "001" / "S005_001_1.png")
    for name in ("S005_001_1_emotion.txt", "._S005_001_1_emotion.txt"):
        path = tmp_path / "Emotion" / "S005" / "001" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"3.0" if name[0] == "S" else b"\0\5\x16\7Mac OS X")
    (tmp_path / "__MACOSX" / "cohn-kanade-images").mkdir(parents=True)
    assert [s.label for s in read_ck_plus(tmp_path).samples] == ["neutral"]


def test_raf_db_original_in_a_folder_of_the_aligned_faces_is_simply_not_there(tmp_path):
    raf_again(tmp_path)
    with pytest.raises(NotHere, match="no boxes of RAF-DB here"):
        read_raf_db_original(tmp_path)


# Parquet


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
    with pytest.raises(UserError, match="numbers mean other classes"):
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
