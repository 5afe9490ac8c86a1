"""Sets with further folders in them and around them, as people have them on their disks."""

import pytest
from made import counts, picture

from pa_difc.data.labels import SEVEN
from pa_difc.data.readers import (
    read_ck_plus,
    read_class_folders,
    read_expw,
    read_fer2013,
    read_legend_csv,
    read_raf_db,
    read_sfew,
)
from pa_difc.util.errors import UserError

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
    with pytest.raises(UserError, match=r"is here 2 times \(a and b\)"):
        read_legend_csv(tmp_path)


def test_what_a_mac_leaves_in_an_archive_is_no_part_of_a_set(tmp_path):
    picture(tmp_path / "cohn-kanade-images" / "S005" / "001" / "S005_001_1.png")
    for name in ("S005_001_1_emotion.txt", "._S005_001_1_emotion.txt"):
        path = tmp_path / "Emotion" / "S005" / "001" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"3.0" if name[0] == "S" else b"\0\5\x16\7Mac OS X")
    (tmp_path / "__MACOSX" / "cohn-kanade-images").mkdir(parents=True)
    assert [s.label for s in read_ck_plus(tmp_path).samples] == ["neutral"]
