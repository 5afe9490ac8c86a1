"""Trees of class folders: which folder says the class and the split, with links, wrappers and loose files in them."""

import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pa_difc.data import load_domain
from pa_difc.data.labels import SEVEN
from pa_difc.data.readers import read_class_folders, read_images, read_raf_db, read_sfew
from pa_difc.util.errors import UserError


def picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (20, 20), dtype=np.uint8)).save(path)
    return path


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))


def placed(listing):
    return {s.name: (s.split, s.label) for s in listing.samples}


def refused(root, reader=read_class_folders):
    with pytest.raises(UserError) as error:
        reader(root)
    assert "\n" not in str(error.value)
    return str(error.value)


# Links into a pool


def pool(root, where="pool", number=4):
    return [picture(root / where / f"{i}.png", i) for i in range(number)]


def test_an_official_split_made_of_links_wins_over_the_pool(tmp_path):
    files = pool(tmp_path)
    for file, folder in zip(files, ("train/happy", "train/sad", "test/happy"), strict=False):
        link(tmp_path / folder / file.name, file)
    listing = read_class_folders(tmp_path)
    assert placed(listing) == {
        "train/happy/0.png": ("train", "happy"),
        "train/sad/1.png": ("train", "sad"),
        "test/happy/2.png": ("test", "happy"),
    }
    assert listing.left_out == {"in pool/ (neither class nor split)": 1}  # the one that no split has
    assert [s.name for s in read_images(tmp_path).samples] == [f"pool/{i}.png" for i in range(4)]
    domain = load_domain(f"folder:{tmp_path}", tmp_path, size_px=20)
    assert (len(domain.train), len(domain.test)) == (2, 1) and not domain.bad_images


def test_splits_within_classes_may_be_links_too(tmp_path):
    files = pool(tmp_path, number=5)
    for i, folder in enumerate(("happy/train", "happy/test", "sad/train", "sad/test")):
        link(tmp_path / folder / "a.png", files[i])
    listing = read_class_folders(tmp_path)
    assert set(placed(listing).values()) == {(s, w) for s in ("train", "test") for w in ("happy", "sad")}
    assert len(listing.samples) == 4 and listing.left_out == {"in pool/ (neither class nor split)": 1}


@pytest.mark.parametrize("words", [("happy", "sad"), ("cats", "dogs"), ("1", "2")])
def test_class_folders_made_of_links_win_over_the_pool(tmp_path, words):
    files = pool(tmp_path, "all")
    for i, word in enumerate((*words, words[0])):
        link(tmp_path / word / f"{i}.png", files[i])
    listing = read_class_folders(tmp_path)
    assert {name: word for name, (_, word) in placed(listing).items()} == {
        f"{words[0]}/0.png": words[0],
        f"{words[1]}/1.png": words[1],
        f"{words[0]}/2.png": words[0],
    }
    assert listing.left_out == {"in all/ (in no class folder)": 1}


def test_links_to_folders_of_a_pool_are_class_folders_as_well(tmp_path):
    for k, person in enumerate(("anna", "bob", "cleo")):
        for i in range(2):
            picture(tmp_path / "pool" / person / f"{i}.png", 2 * k + i)
    link(tmp_path / "train" / "happy", tmp_path / "pool" / "anna")
    link(tmp_path / "train" / "sad", tmp_path / "pool" / "bob")
    link(tmp_path / "test" / "sad", tmp_path / "pool" / "cleo")
    listing = read_class_folders(tmp_path)
    assert Counter(placed(listing).values()) == {("train", "happy"): 2, ("train", "sad"): 2, ("test", "sad"): 2}
    assert not listing.left_out


def test_sfew_s_split_may_be_links_too(tmp_path):
    files = pool(tmp_path)
    for i, (split, word) in enumerate((s, w) for s in ("Train", "Val") for w in ("Happy", "Sad")):
        link(tmp_path / split / word / "a.png", files[i])
    assert Counter(placed(read_sfew(tmp_path)).values()) == {
        (split, word): 1 for split in ("train", "test") for word in ("Happy", "Sad")
    }


def test_raf_db_s_codes_may_be_links_too(tmp_path):
    files = pool(tmp_path, number=14)
    for i, file in enumerate(files):
        link(tmp_path / ("train", "test")[i // 7] / str(i % 7 + 1) / file.name, file)
    assert Counter(placed(read_raf_db(tmp_path)).values()) == {(s, w): 1 for s in ("train", "test") for w in SEVEN}


@pytest.mark.parametrize(
    ("one", "other"), [("train/happy", "test/happy"), ("train/happy", "train/sad"), ("happy", "sad")]
)
@pytest.mark.parametrize("inside", [True, False])
def test_links_that_put_one_file_into_two_classes_or_splits_are_refused(tmp_path, one, other, inside):
    root = tmp_path / "set"
    files = pool(root if inside else tmp_path)
    for i, folder in enumerate((one, other)):
        link(root / folder / "own.png", files[i])
        link(root / folder / "shared.png", files[3])
    message = refused(root)
    assert f"{one}/shared.png" in message and f"{other}/shared.png" in message and "are one file by links" in message


def test_a_file_in_a_class_folder_keeps_its_class_and_links_from_others_are_said(tmp_path):
    happy, sad = picture(tmp_path / "happy" / "0.png"), picture(tmp_path / "sad" / "1.png", 1)
    link(tmp_path / "sad" / "again.png", happy)
    link(tmp_path / "best" / "sad.png", sad)  # no pool: files lie in the classes
    link(tmp_path / "happy" / "twice.png", happy)
    listing = read_class_folders(tmp_path)
    assert {name: word for name, (_, word) in placed(listing).items()} == {"happy/0.png": "happy", "sad/1.png": "sad"}
    assert listing.left_out == {
        "links to a file of another class or split": 2, "links to a file that is listed already": 1
    }  # fmt: skip


def test_favourites_that_link_to_classes_of_one_s_own_are_no_class(tmp_path):
    for word in ("cats", "dogs"):
        link(tmp_path / "best" / f"{word}.png", picture(tmp_path / word / "0.png", len(word)))
    assert {word for _, word in placed(read_class_folders(tmp_path)).values()} == {"cats", "dogs"}


# Classes at several depths


@pytest.mark.parametrize("around", ["happy", "happy/faces", "faces/happy", "Joy/2024"])
def test_the_deepest_folders_that_name_classes_decide(tmp_path, around):
    for k, word in enumerate(SEVEN):
        picture(tmp_path / "plain" / around / word / "1.png", k)
        picture(tmp_path / "split" / around / "train" / word / "1.png", k)
        picture(tmp_path / "split" / around / "test" / word / "1.png", 7 + k)
        picture(tmp_path / "within" / "train" / around / word / "1.png", k)
        picture(tmp_path / "within" / "test" / word / "1.png", 7 + k)
    both = {(split, word): 1 for split in ("train", "test") for word in SEVEN}
    assert Counter(placed(read_class_folders(tmp_path / "split")).values()) == both
    assert Counter(placed(read_class_folders(tmp_path / "within")).values()) == both
    listing = read_class_folders(tmp_path / "plain")
    assert Counter(s.label for s in listing.samples) == dict.fromkeys(SEVEN, 1)
    assert listing.notes == (f"read in {around}/",)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("happy/train/1", "happy/test/2"), {("train", "happy"), ("test", "happy")}),
        (("happy/train/anna/1", "happy/test/bob/2"), {("train", "happy"), ("test", "happy")}),
        (("faces/happy/train/1", "faces/sad/test/2"), {("train", "happy"), ("test", "sad")}),
        (("train/happy/anna/1", "test/happy/faces/2"), {("train", "happy"), ("test", "happy")}),
        (("train/happy/train/1", "test/happy/2"), {("train", "happy"), ("test", "happy")}),
        (("happy/anna/joy/1", "happy/bob/2"), {(None, "happy")}),  # a person, or the same class again
    ],
)
def test_a_class_without_others_in_it_is_the_class(tmp_path, names, expected):
    for i, name in enumerate(names):
        picture(tmp_path / f"{name}.png", i)
    found = read_class_folders(tmp_path)
    assert {(None if found.by_hash else s.split, s.label) for s in found.samples} == expected


@pytest.mark.parametrize("above", ["", "train/"])
def test_classes_within_a_class_among_others_are_refused(tmp_path, above):
    for word in ("happy", "sad", "anger"):
        picture(tmp_path / above / word / "1.png", len(word))
        picture(tmp_path / above / "happy" / "faces" / word / "2.png", 9 + len(word))
    assert f"{above}happy/ is a class and has class folders in it (anger/, happy/, sad/)" in refused(tmp_path)


def test_a_cover_beside_the_set_in_a_wrapper_does_not_make_a_class_of_it(tmp_path):
    picture(tmp_path / "archive" / "cover.png")
    for split in ("train", "test"):
        for word in ("cats", "dogs"):
            picture(tmp_path / "archive" / split / word / "1.png", len(split + word))
    listing = read_class_folders(tmp_path)
    assert {s.label for s in listing.samples} == {"cats", "dogs"}
    assert listing.left_out == {"images outside the class folders": 1} and listing.notes == ("read in archive/",)


# Splits within classes


def within(root, without=()):
    for word in ("happy", "sad"):
        for split in ("train", "test"):
            if f"{word}/{split}" not in without:
                picture(root / word / split / "1.png", len(word + split))


def test_loose_files_and_other_folders_beside_a_class_s_splits_are_left_out_and_named(tmp_path):
    within(tmp_path)
    picture(tmp_path / "happy" / "loose.png", 8)
    picture(tmp_path / "sad" / "unsorted" / "1.png", 9)
    listing = read_class_folders(tmp_path)
    assert Counter(placed(listing).values()) == {(s, w): 1 for s in ("train", "test") for w in ("happy", "sad")}
    assert listing.left_out == {
        "images outside the split folders": 1, "in sad/unsorted/ (neither class nor split)": 1
    }  # fmt: skip


def test_a_class_may_lack_a_split_but_not_have_none(tmp_path):
    within(tmp_path, without=("sad/test",))
    assert set(placed(read_class_folders(tmp_path)).values()) == {
        ("train", "happy"), ("test", "happy"), ("train", "sad")
    }  # fmt: skip
    picture(tmp_path / "fear" / "1.png", 9)
    assert "happy/ has split folders in it, and fear/ none: every class needs them, or none" in refused(tmp_path)


def test_training_folders_alone_are_no_reason_to_split_them(tmp_path):
    within(tmp_path, without=("happy/test", "sad/test"))
    listing = read_class_folders(tmp_path)
    assert {split for split, _ in placed(listing).values()} == {"train"} and not listing.by_hash


def test_a_class_beside_the_split_folders_is_called_one(tmp_path):
    for name in ("train/happy", "test/happy", "Angry", "extra"):
        picture(tmp_path / name / "1.png", len(name))
    assert read_class_folders(tmp_path).left_out == {
        "in Angry/ (a class beside the split folders)": 1, "in extra/ (neither class nor split)": 1
    }  # fmt: skip
