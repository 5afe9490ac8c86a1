"""AffectNet in the forms in which people have it, each with codes whose mixing up would show."""

import numpy as np
import pytest
from made import counts, picture, table

from pa_difc.data import load_domain
from pa_difc.data.labels import EXPRESSIONS8
from pa_difc.data.readers import read_affectnet
from pa_difc.util.errors import UserError

AFFECT = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")


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
        ("0/a.jpg,4,6,0,10,1,0", "not a box of a face"),
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
