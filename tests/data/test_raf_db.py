"""RAF-DB as it was uploaded again, in folders whose numbers are its codes."""

from collections import Counter

import pytest
from made import counts, picture, table

from pa_difc.data import load_domain
from pa_difc.data.labels import SEVEN
from pa_difc.data.readers import NotHere, read_affectnet, read_raf_db, read_raf_db_original
from pa_difc.util.errors import UserError

RAF = dict(zip("1234567", SEVEN, strict=True))
AFFECT = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")


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
    with pytest.raises(UserError, match=r"'1' .* is no class of .*numbers mean different classes in every dataset"):
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


def test_raf_db_original_in_a_folder_of_the_aligned_faces_is_simply_not_there(tmp_path):
    raf_again(tmp_path)
    with pytest.raises(NotHere, match="no boxes of RAF-DB here"):
        read_raf_db_original(tmp_path)
