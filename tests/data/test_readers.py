"""Readers on files made here, in the layouts in which the sets are given out; bad input gets one line."""

import re

import numpy as np
import pytest
from PIL import Image

from pa_difc.commands.parser import main
from pa_difc.data import EXPRESSIONS, load_domain
from pa_difc.data.labels import SEVEN
from pa_difc.data.readers import (
    Listing,
    Sample,
    read_class_folders,
    read_fer2013,
    read_images,
    read_legend_csv,
    read_muxspace,
    read_raf_db,
)
from pa_difc.util.errors import UserError

KAGGLE = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def picture(path, value=100, size=(20, 20), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.full((size[1], size[0]), value, dtype=np.uint8))
    image.convert(mode).save(path)


def fer_csv(path, header="emotion,pixels,Usage", rows=None):
    usages = ["Training", "PublicTest", "PrivateTest"]
    rows = rows or [f"{code},{' '.join([str(code)] * 2304)},{usage}" for usage in usages for code in range(7)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.mark.parametrize(
    ("name", "header"), [("fer2013.csv", "emotion,pixels,Usage"), ("icml_face_data.csv", "emotion, pixels, Usage")]
)
def test_fer2013_csvs(tmp_path, name, header):
    if name == "icml_face_data.csv":
        header = "emotion, Usage, pixels"
        rows = [f"{c}, {u},{' '.join([str(c)] * 2304)}" for u in ("Training", "PrivateTest") for c in range(7)]
        fer_csv(tmp_path / name, header, rows)
    else:
        fer_csv(tmp_path / name, header)
    listing = read_fer2013(tmp_path)
    train = [s for s in listing.samples if s.split == "train"]
    assert [s.label for s in train] == ["anger", *KAGGLE[1:]]
    assert all(s.pixels.shape == (48, 48) and (s.pixels == code).all() for code, s in enumerate(train))
    assert {s.split for s in listing.samples} >= {"train", "test"}
    assert len({s.name for s in listing.samples}) == len(listing.samples)


def test_fer2013_folders(tmp_path):
    for split in ("train", "test"):
        for name in KAGGLE:
            picture(tmp_path / "fer2013" / split / name / "1.jpg")
    domain = load_domain("fer2013", tmp_path, size_px=48)
    assert domain.train_counts == domain.test_counts == [1] * 7
    assert domain.train.names[0] == "train/angry/1.jpg" and domain.train.labels[0] == SEVEN.index("anger")
    assert domain.train.images.shape == (7, 3, 48, 48)


def legend(root, rows, header="image,emotion"):
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "legend.csv").write_text("\n".join([header, *rows]) + "\n")


def test_muxspace_keeps_people_apart_and_every_word(tmp_path):
    words = ["surprise", "fear", "disgust", "HAPPINESS", "sadness", "anger", "neutral", "contempt"]
    rows = [f"Some_Body{p}_{i:04d}.jpg,{words[i]}" for p in range(60) for i in range(8)]
    legend(tmp_path, rows)
    listing = read_muxspace(tmp_path)
    assert sum(row["contempt"] for row in listing.counts.values()) == 60 and len(listing.samples) == 480
    assert {s.label for s in listing.samples} == set(words)
    splits = {}
    for s in listing.samples:
        splits.setdefault(s.name.rpartition("_")[0], set()).add(s.split)
    assert all(len(split) == 1 for split in splits.values())
    share = sum(s == {"test"} for s in splits.values()) / 60
    assert 0.05 < share < 0.4


def test_a_sample_s_split_does_not_depend_on_its_neighbours(tmp_path):
    legend(tmp_path / "a", [f"x{i}.jpg,fear" for i in range(50)])
    legend(tmp_path / "b", [f"x{i}.jpg,fear" for i in range(0, 50, 7)])
    splits = {s.name: s.split for s in read_legend_csv(tmp_path / "a").samples}
    assert all(splits[s.name] == s.split for s in read_legend_csv(tmp_path / "b").samples)
    assert set(splits.values()) == {"train", "test"}


def test_class_folders_with_and_without_splits(tmp_path):
    for i in range(40):
        picture(tmp_path / "plain" / "Happiness" / f"{i}.png")
    picture(tmp_path / "plain" / "contempt" / "1.png")
    listing = read_class_folders(tmp_path / "plain")
    words = [s.label for s in listing.samples]
    assert words.count("Happiness") == 40 and words.count("contempt") == 1 and len(words) == 41
    assert {s.split for s in listing.samples} == {"train", "test"}
    picture(tmp_path / "split" / "train" / "Angry" / "1.png")
    picture(tmp_path / "split" / "test" / "SAD" / "1.png")
    assert [(s.split, s.label) for s in read_class_folders(tmp_path / "split").samples] == [
        ("train", "Angry"),
        ("test", "SAD"),
    ]


@pytest.mark.parametrize("lone", ["happy", "Happiness", "contempt"])
def test_a_lone_folder_of_an_expression_is_a_class_and_another_one_around_class_folders_is_not(tmp_path, lone):
    for person in ("S1", "S2"):
        picture(tmp_path / "class" / lone / person / "1.png")
        picture(tmp_path / "wrapped" / "archive" / lone / person / "1.png")
        picture(tmp_path / "wrapped" / "archive" / "sad" / person / "1.png")
    assert {s.label for s in read_class_folders(tmp_path / "class").samples} == {lone}
    assert {s.label for s in read_class_folders(tmp_path / "wrapped").samples} == {lone, "sad"}


def test_a_lone_folder_with_images_of_its_own_is_a_class(tmp_path):
    picture(tmp_path / "cats" / "1.png")
    picture(tmp_path / "cats" / "more" / "2.png")
    assert [s.label for s in read_class_folders(tmp_path).samples] == ["cats", "cats"]


def test_split_folders_within_a_wrapper_are_splits_and_no_classes(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / "archive" / split / "cats" / "1.png")
    assert {(s.split, s.label) for s in read_class_folders(tmp_path).samples} == {("train", "cats"), ("test", "cats")}


@pytest.mark.parametrize("word", ["Angry", "anger", " HAPPINESS ", "Surprised", "sadness", "Fearful", "disgusted"])
def test_synonyms(word):
    assert EXPRESSIONS.index(word) in range(7)


def test_own_folders_by_path(tmp_path):
    for split in ("train", "test"):
        for name in SEVEN:
            picture(tmp_path / "mine" / split / name / "1.png", size=(30, 40))
    for name in ("folder:mine", f"folder:{tmp_path / 'mine'}"):
        domain = load_domain(name, tmp_path, size_px=32)
        assert len(domain.train) == 7 and domain.train.images.shape[-2:] == (32, 32)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "RGBA"])
def test_image_modes(tmp_path, mode):
    for split in ("train", "test"):
        picture(tmp_path / "mine" / split / "happy" / "1.png", value=255, mode=mode)
    assert (load_domain("folder:mine", tmp_path, size_px=32).train.images == 255).all()


def bad_images(root):
    for split in ("train", "test"):
        for name in SEVEN:
            picture(root / split / name / "1.png")
    (root / "train" / "happy" / "zero.jpg").write_bytes(b"")
    (root / "train" / "happy" / "text.jpg").write_text("no image")
    whole = (root / "train" / "sad" / "1.png").read_bytes()
    (root / "train" / "sad" / "cut.png").write_bytes(whole[: len(whole) // 2])


def test_corrupt_images_are_named_and_counted(tmp_path):
    bad_images(tmp_path / "mine")
    domain = load_domain("folder:mine", tmp_path, size_px=32)
    expected = ["train/happy/text.jpg", "train/happy/zero.jpg", "train/sad/cut.png"]
    assert sorted(b.name for b in domain.bad_images) == expected
    assert len(domain.summary()["bad_images"]) == 3 and len(domain.train) == 7


def test_corrupt_images_stop_where_asked(tmp_path):
    bad_images(tmp_path / "mine")
    with pytest.raises(UserError, match=r"train/happy/(text|zero)\.jpg: "):
        load_domain("folder:mine", tmp_path, size_px=32, on_bad_image="error")


def test_a_decompression_bomb_is_not_opened(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / "mine" / split / "happy" / "1.png")
    Image.new("1", (8000, 8000)).save(tmp_path / "mine" / "train" / "happy" / "bomb.png")
    bad = load_domain("folder:mine", tmp_path, size_px=32).bad_images
    assert [b.name for b in bad] == ["train/happy/bomb.png"] and "pixels" in bad[0].reason


ROW = " ".join(["1"] * 2304)


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("emotion,Usage", "1,Training", "no column 'pixels'"),
        ("emotion,pixels,Usage", f"1,{ROW} 1,Training", "2305"),
        ("emotion,pixels,Usage", "1,1 2 3,Training", "2304 numbers"),
        ("emotion,pixels,Usage", f"1,{ROW[:-1]}x,Training", "numbers"),
        ("emotion,pixels,Usage", f"1,{ROW[:-1]}256,Training", "0..255"),
        ("emotion,pixels,Usage", f"7,{ROW},Training", "emotion '7' must be 0..6"),
        ("emotion,pixels,Usage", f"-1,{ROW},Training", "emotion '-1'"),
        ("emotion,pixels,Usage", f"1,{ROW},Test", "Usage 'Test'"),
        ("emotion,pixels,Usage", "1", "cut short"),
    ],
)
def test_bad_fer2013_rows(tmp_path, header, row, words):
    fer_csv(tmp_path / "fer2013.csv", header, [row])
    with pytest.raises(UserError) as error:
        read_fer2013(tmp_path)
    assert words in str(error.value) and "\n" not in str(error.value) and "fer2013.csv" in str(error.value)


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (["a.jpg,fear"], "file,emotion", "no column 'image'"),
        (["a.jpg,"], "image,emotion", "legend.csv:2: the emotion of a.jpg is empty"),
        (["../a.jpg,fear"], "image,emotion", "below images/"),
        (["/etc/a.jpg,fear"], "image,emotion", "below images/"),
        (["a.jpg,fear", "a.jpg,sad"], "image,emotion", "listed twice"),
        ([], "image,emotion", "empty"),
        (["a.jpg"], "image,emotion", "cut short"),
    ],
)
def test_bad_legends(tmp_path, rows, header, words):
    legend(tmp_path, rows, header)
    with pytest.raises(UserError) as error:
        read_legend_csv(tmp_path)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fer2014", "did you mean 'fer2013'"),
        ("fer2013", "toy_street needs none"),
        ("folder:nowhere", "no folder"),
    ],
)
def test_missing_data(tmp_path, name, words):
    with pytest.raises(UserError) as error:
        load_domain(name, tmp_path, size_px=32)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_an_empty_folder_and_a_strange_one(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no images"):
        read_class_folders(tmp_path / "empty")
    for name in ("bored", "happy"):
        picture(tmp_path / "strange" / "train" / name / "1.png")
        picture(tmp_path / "strange" / "test" / name / "1.png")
    with pytest.raises(UserError, match=r"folder:strange: 'bored' \(2 samples\) is no class of surprise, fear"):
        load_domain("folder:strange", tmp_path, size_px=32)
    with pytest.raises(UserError, match=r"no FER2013 here"):
        read_fer2013(tmp_path / "empty")


@pytest.mark.parametrize(
    ("folder", "meant"),
    [
        ("hapy", "happy"), ("Neutrall", "neutral"), ("hapiness", "happiness"), ("contemt", "contempt"),
        ("unhappy", None), ("bored", None), ("1", None),
    ],
)  # fmt: skip
def test_a_misspelled_class_folder_is_told_what_it_probably_means(folder, meant, tmp_path, capsys):
    for name in (folder, "happy", "neutral", "fear"):
        for split in ("train", "test"):
            picture(tmp_path / "mine" / split / name / "1.png")
    with pytest.raises(UserError) as refused:
        load_domain("folder:mine", tmp_path, size_px=32)
    assert (f"did you mean {meant!r}? (rename it); or a label file" in str(refused.value)) is bool(meant)
    assert "did you mean" not in str(refused.value) or meant
    main(["datasets", "folder:mine", "--data-root", str(tmp_path)])
    shown = capsys.readouterr().out
    assert f"no class of --labels expressions: {folder}" in shown
    assert (f"{folder} (did you mean {meant}?)" in shown) is bool(meant)


def test_images_without_labels_at_any_depth(tmp_path):
    for name in ("b.png", "camera1/happy/a.jpg", ".trash/c.png", "deep/er/and/d.webp"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    listing = read_images(tmp_path)
    assert [s.name for s in listing.samples] == ["b.png", "camera1/happy/a.jpg", "deep/er/and/d.webp"]
    assert {s.label for s in listing.samples} == {None} and listing.counts == {"both": {}}
    domain = load_domain(f"images:{tmp_path}", tmp_path, size_px=32)
    assert domain.transductive and not domain.labelled and len(domain.test) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no images"):
        read_images(tmp_path / "empty")


def test_all_of_a_dataset_is_labelled_or_none_of_it():
    samples = [Sample("a", "happy", "both"), Sample("b", None, "both")]
    with pytest.raises(UserError, match="b has no label and others have"):
        Listing(samples)


def raf_db(root, lines):
    (root / "basic" / "EmoLabel").mkdir(parents=True, exist_ok=True)
    (root / "basic" / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(lines) + "\n")


def test_raf_db(tmp_path):
    root = tmp_path / "raf_db"
    raf_db(root, [f"{split}_{i:05d}.jpg {i}" for split in ("train", "test") for i in range(1, 8)])
    for split in ("train", "test"):
        for i in range(1, 8):
            picture(root / "basic" / "Image" / "aligned" / f"{split}_{i:05d}_aligned.jpg", size=(100, 100))
    domain = load_domain("raf_db", tmp_path, size_px=48)
    assert domain.train.labels.tolist() == domain.test.labels.tolist() == list(range(7))  # label − 1, in our order
    assert domain.train.names[0] == "train_00001.jpg" and not domain.bad_images


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train_00001.jpg", "must be like"),
        ("valid_00001.jpg 3", "must be like"),
        ("train_../../x.jpg 3", "must be like"),
        ("train_00001.jpg 0", "label '0' must be 1..7"),
        ("train_00001.jpg 8", "label '8'"),
        ("train_00001.jpg five", "label 'five'"),
    ],
)
def test_bad_raf_db_lines(tmp_path, line, words):
    raf_db(tmp_path, ["test_00001.jpg 1", line])
    with pytest.raises(UserError) as error:
        read_raf_db(tmp_path)
    assert words in str(error.value) and ":2:" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("test", "val"), "its train split is empty (images: 1 in test, 1 in val)"),
        (("train",), "its test split is empty (images: 1 in train)"),
    ],
)
def test_an_empty_split_says_where_the_images_are(tmp_path, folders, words):
    for folder in folders:
        picture(tmp_path / "mine" / folder / "happy" / "1.jpg")
    with pytest.raises(UserError, match=re.escape(words)):
        load_domain("folder:mine", tmp_path, size_px=32)


def test_no_raf_db_and_an_empty_list(tmp_path):
    with pytest.raises(UserError, match="no RAF-DB here"):
        read_raf_db(tmp_path)
    raf_db(tmp_path, ["test_1.jpg 1", "test_1.jpg 2"])
    with pytest.raises(UserError, match="listed twice"):
        read_raf_db(tmp_path)
