"""What is on which side of a split: names of splits, groups, persons, copies; nothing is left out without a word."""

import numpy as np
import pytest
from PIL import Image

from pa_difc.data import load_domain
from pa_difc.data.grouping import STRADDLING, group_by, join_groups
from pa_difc.data.labels import SEVEN
from pa_difc.data.readers import (
    Listing,
    Sample,
    held_out,
    read_ck48,
    read_ck_plus,
    read_class_folders,
    read_expw,
    read_kdef,
    read_legend_csv,
)
from pa_difc.data.readers.splits import split_of
from pa_difc.util.errors import UserError


def picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (20, 20), dtype=np.uint8)).save(path)


def sides(listing, key):
    """The splits of each group, by what a name says of it."""
    found = {}
    for sample in listing.samples:
        found.setdefault(key(sample.name), set()).add(sample.split)
    return found


# Names


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Train TRAINING training_set train-set trainset train_data Train_Images"),
        ("val", "val valid validation VALIDATION dev dev_set val_set PublicTest Validation-Set"),
        ("test", "test Testing TEST test_set testset eval Evaluation PrivateTest test_images"),
        (None, "happy training2 tests attest contest valence evaluate_me set images data 0 neutral"),
    ],
)
def test_split_folders_by_their_usual_names(split, names):
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("Training", "Testing"), {"train": "Training", "test": "Testing"}),
        (("train", "validation"), {"train": "train", "test": "validation"}),
        (("train", "dev"), {"train": "train", "test": "dev"}),
        (("train", "val", "Testing"), {"train": "train", "test": "Testing", "val": "val"}),
        (("Training", "PublicTest", "PrivateTest"), {"train": "Training", "test": "PrivateTest", "val": "PublicTest"}),
        (("train_set", "val_set"), {"train": "train_set", "test": "val_set"}),
    ],
)
def test_the_split_that_is_scored_on(tmp_path, folders, expected):
    for folder in folders:
        picture(tmp_path / folder / "happy" / "1.png")
    listing = read_class_folders(tmp_path)
    assert {s.split: s.name.split("/")[0] for s in listing.samples} == expected and not listing.left_out


def test_a_folder_that_is_neither_class_nor_split_is_named(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / split / "happy" / "1.png")
        picture(tmp_path / split / "loose.png")
    for i in range(3):
        picture(tmp_path / "extra" / f"{i}.png")
    picture(tmp_path / "at_the_top.png")
    listing = read_class_folders(tmp_path)
    assert len(listing.samples) == 2
    assert listing.left_out == {"in extra/ (neither class nor split)": 3, "images outside the class folders": 3}


def test_an_empty_split_names_what_was_not_understood(tmp_path):
    picture(tmp_path / "mine" / "train" / "happy" / "1.png")
    picture(tmp_path / "mine" / "holdout" / "happy" / "1.png")
    with pytest.raises(UserError, match=r"its test split is empty.*1 in holdout/ \(neither class nor split\)"):
        load_domain("folder:mine", tmp_path, size_px=32)


def test_splits_may_lie_within_the_classes(tmp_path):
    for word in ("happy", "sad"):
        picture(tmp_path / word / "train" / "1.png")
        picture(tmp_path / word / "test" / "2.png")
    found = {s.name: (s.label, s.split) for s in read_class_folders(tmp_path).samples}
    assert found["happy/train/1.png"] == ("happy", "train") and found["sad/test/2.png"] == ("sad", "test")


def test_a_set_beside_other_folders_is_not_taken_for_a_class(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / "faces" / split / "happy" / "1.png")
    picture(tmp_path / "previews" / "1.png")
    with pytest.raises(UserError, match=r"faces/ has split folders in it, and beside it lie previews/"):
        read_class_folders(tmp_path)


def test_a_stray_image_beside_a_wrapper_does_not_hide_the_classes(tmp_path):
    for word in ("happy", "sad"):
        picture(tmp_path / "archive" / word / "1.png")
    picture(tmp_path / "cover.png")
    listing = read_class_folders(tmp_path)
    assert {s.label for s in listing.samples} == {"happy", "sad"}
    assert listing.left_out == {"images outside the class folders": 1} and listing.notes == ("read in archive/",)


# Legends


def legend(root, header, rows):
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "legend.csv").write_text("\n".join([header, *rows]) + "\n")


def test_a_legend_s_split_is_its_own(tmp_path):
    words = ["Training", "val", "TEST", "train", "Test"]
    legend(tmp_path, "image,emotion,Split", [f"{i}.jpg,fear,{word}" for i, word in enumerate(words)])
    assert [s.split for s in read_legend_csv(tmp_path).samples] == ["train", "val", "test", "train", "test"]
    legend(tmp_path, "image,emotion,split", ["a.jpg,fear,train", "b.jpg,fear,validation"])
    assert [s.split for s in read_legend_csv(tmp_path).samples] == ["train", "test"]
    legend(tmp_path, "image,emotion,split", ["a.jpg,fear,train", "b.jpg,fear,fold3"])
    with pytest.raises(UserError, match=r"legend.csv: b.jpg: split 'fold3' must be train, val or test"):
        read_legend_csv(tmp_path)


def test_a_legend_s_groups_stay_together(tmp_path):
    rows = [f"{i}.jpg,{SEVEN[i % 7]},film{i // 10}" for i in range(400)]
    legend(tmp_path, "image,emotion,Group", rows)
    found = sides(read_legend_csv(tmp_path), lambda name: int(name.split(".")[0]) // 10)
    assert all(len(split) == 1 for split in found.values()) and set.union(*found.values()) == {"train", "test"}


def test_training_samples_whose_group_is_tested_are_left_out_and_counted(tmp_path):
    rows = ["a.jpg,fear,train,p1", "b.jpg,fear,train,p2", "c.jpg,fear,test,p1", "d.jpg,sad,train,", "e.jpg,sad,test,"]
    legend(tmp_path, "image,emotion,split,group", rows)
    listing = read_legend_csv(tmp_path)
    assert [s.name for s in listing.samples] == ["b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    assert listing.left_out == {STRADDLING: 1}


# Persons


@pytest.mark.parametrize("reader", [read_ck48, read_ck_plus])
@pytest.mark.parametrize("name", ["surprise_001.png", "00001.png", "Subject5_1.png", "S_1.png"])
def test_ck_s_files_that_no_longer_say_whose_face_they_show_are_refused(tmp_path, reader, name):
    picture(tmp_path / "surprise" / "S005_001_00000011.png")
    assert {s.group for s in reader(tmp_path).samples} == {"S005"}
    picture(tmp_path / "surprise" / name)
    with pytest.raises(UserError, match=r"must begin with a person, like S010_004_00000017.png"):
        reader(tmp_path)


def test_people_of_kdef_and_photographs_of_expw_are_groups(tmp_path):
    for session in "AB":
        picture(tmp_path / "kdef" / f"{session}F01" / f"{session}F01ANS.JPG")
    assert {s.group for s in read_kdef(tmp_path / "kdef").samples} == {"F01"}
    (tmp_path / "expw" / "label").mkdir(parents=True)
    (tmp_path / "expw" / "image" / "origin").mkdir(parents=True)
    lines = [f"a{i}.jpg {face} 5 10 30 25 98.5 3\n" for i in range(40) for face in (0, 1)]
    (tmp_path / "expw" / "label" / "label.lst").write_text("".join(lines))
    found = sides(read_expw(tmp_path / "expw"), lambda name: name.partition("#")[0])
    assert all(len(split) == 1 for split in found.values()) and set.union(*found.values()) == {"train", "test"}


# Copies by name

COPIES = (
    *(
        "im{0}",
        "im{0}_aug0",
        "im{0}_aug1",
        "im{0}-flip",
        "im{0}_rot-15_flip",
        "im{0}_copy",
        "im{0} (2)",
        "im{0} - Copy",
    ),
    *("im{0}_mirrored", "im{0}_jpg.rf.0123456789abcdef", "aug_3_im{0}", "im{0}_AUGMENTED_4"),
)


def test_copies_stay_with_their_original(tmp_path):
    for i in range(40):
        for name in COPIES:
            picture(tmp_path / "happy" / f"{name.format(f'{i:03d}')}.jpg")
        picture(tmp_path / "happy" / f"im{i:03d}.png")
    listing = read_class_folders(tmp_path)
    found = sides(listing, lambda name: name.partition("im")[2][:3])
    assert len(found) == 40 and all(len(split) == 1 for split in found.values()), found
    assert set.union(*found.values()) == {"train", "test"}
    for sample in listing.samples:  # an original is where it would be alone
        assert sample.split == held_out(f"happy/im{sample.name.partition('im')[2][:3]}.jpg")


def test_other_names_are_no_copies(tmp_path):
    names = [
        "happy_1",
        "happy_2",
        "happy_aug1",
        "happy_aug2",
        "face (1)",
        "face (2)",
        "a.2019",
        "a.2020",
        "crop_1",
        "x",
    ]
    for name in names:
        picture(tmp_path / "sad" / f"{name}.png")
    picture(tmp_path / "sad" / "bare.2019.png")
    assert {s.group for s in read_class_folders(tmp_path).samples} == {None}


def test_names_of_one_stem_in_two_split_folders_are_different_images(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / split / "sad" / "1.png")
    assert {s.group for s in read_class_folders(tmp_path).samples} == {None}


# --group-by


def folder(root, people=30, each=6):
    for person in range(people):
        for i in range(each):
            picture(root / SEVEN[i] / f"id{person:02d}_{i}.png", seed=person * 10 + i)


def test_samples_are_grouped_by_a_pattern_of_their_names(tmp_path):
    folder(tmp_path / "mine")
    before = sides(read_class_folders(tmp_path / "mine"), lambda name: name.split("/")[1][:4])
    assert any(len(split) == 2 for split in before.values())
    for pattern in (r"id\d+", r"(id\d+)_\d"):
        domain = load_domain("folder:mine", tmp_path, size_px=20, group_by=pattern)
        people = [{name.split("/")[1][:4] for name in part.names} for part in (domain.train, domain.test)]
        assert people[0] and people[1] and not people[0] & people[1] and domain.fits == 180


def test_what_a_pattern_does_not_fit_stays_where_it_is(tmp_path):
    folder(tmp_path)
    listing = read_class_folders(tmp_path)
    grouped, fits = group_by(listing, r"id0\d")
    assert fits == 60 and group_by(listing, "nothing")[1] == 0
    kept = {s.name: s.split for s in grouped.samples if "/id0" not in s.name}
    assert all(s.split == kept[s.name] for s in listing.samples if s.name in kept)
    with pytest.raises(UserError, match=r"--group-by 'id\(': neither a column nor a regular expression"):
        group_by(listing, "id(")


def test_a_column_is_found_in_any_case_and_before_a_pattern(tmp_path):
    legend(tmp_path, "image,emotion,Person", [f"{i}.jpg,{SEVEN[i % 7]},P{i // 8}" for i in range(200)])
    grouped, fits = group_by(read_legend_csv(tmp_path), "person")
    found = sides(grouped, lambda name: int(name.split(".")[0]) // 8)
    assert fits == 200 and all(len(split) == 1 for split in found.values())


def test_official_test_splits_stay_whole_when_samples_are_grouped(tmp_path):
    for split, names in (("train", ("p1_a", "p1_b", "p2_a")), ("test", ("p1_c", "p3_a"))):
        for name in names:
            picture(tmp_path / split / "happy" / f"{name}.png")
    grouped, _ = group_by(read_class_folders(tmp_path), r"p\d")
    assert [s.name for s in grouped.samples] == [
        "train/happy/p2_a.png", "test/happy/p1_c.png", "test/happy/p3_a.png"
    ]  # fmt: skip
    assert grouped.left_out[STRADDLING] == 2


def test_clusters_join_whole_groups(tmp_path):
    samples = [Sample(name, "happy", "", group=group) for name, group in zip("abcdef", "xxyyzz", strict=True)]
    joined = join_groups(Listing(samples, by_hash=True), [(1, 2), (3, 5)])
    assert {s.group for s in joined.samples} == {"x"} and len({s.split for s in joined.samples}) == 1
    alone = [Sample(name, "happy", "") for name in "abc"]
    joined = join_groups(Listing(alone, by_hash=True), [(0, 2)])
    assert [s.group for s in joined.samples] == ["a", None, "a"]


@pytest.mark.parametrize("column", ["person", "Subject_ID"])
def test_people_of_a_legend_stay_together_unasked(tmp_path, column):
    legend(tmp_path, f"image,emotion,{column}", [f"{i}.jpg,{SEVEN[i % 7]},P{i // 8}" for i in range(200)])
    listing = read_legend_csv(tmp_path)
    found = sides(listing, lambda name: int(name.split(".")[0]) // 8)
    assert all(len(split) == 1 for split in found.values())
    assert listing.notes == (f"groups are those of the column {column}",)


def test_a_column_of_another_name_is_a_split_if_its_words_are(tmp_path):
    legend(tmp_path, "image,emotion,Usage", ["a.jpg,fear,Training", "b.jpg,fear,PublicTest", "c.jpg,sad,PrivateTest"])
    assert [s.split for s in read_legend_csv(tmp_path).samples] == ["train", "val", "test"]
    legend(tmp_path, "image,emotion,Usage", [f"{i}.jpg,fear,{'Training' if i % 2 else 'news'}" for i in range(40)])
    assert read_legend_csv(tmp_path).by_hash


def test_one_file_under_two_names_of_a_list_is_one_sample(tmp_path):
    legend(tmp_path, "image,emotion", ["./a.jpg,fear", "b//c.jpg,sad"])
    assert [s.name for s in read_legend_csv(tmp_path).samples] == ["a.jpg", "b/c.jpg"]
    legend(tmp_path, "image,emotion", ["./a.jpg,fear", "a.jpg,sad"])
    with pytest.raises(UserError, match=r"a.jpg is listed twice"):
        read_legend_csv(tmp_path)
