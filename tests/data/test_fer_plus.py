"""FERPlus: ten votes on each image of FER2013, beside its list or in the folders that the authors' program makes."""

import numpy as np
import pytest
from made import table
from PIL import Image

from pa_difc.data import load_domain
from pa_difc.data.labels import EXPRESSIONS8
from pa_difc.data.readers import NotHere, read_fer2013, read_fer_plus
from pa_difc.util.errors import UserError

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


# The folders that the authors' program makes

FACES = {"FER2013Train": "train", "FER2013Valid": "val", "FER2013Test": "test"}


def made(root, votes, box=True, folders=FACES):
    """Rows as its label.csv has them, without a header; each image is of one gray."""
    for k, folder in enumerate(folders):
        rows = []
        for i, vote in enumerate(votes):
            name = f"fer{1000 * k + i:07d}.png"
            rows.append([name, *(["(0, 0, 48, 48)"] if box else []), *(vote.get(word, 0) for word in VOTED)])
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.new("L", (48, 48), 10 * k + i).save(root / folder / name)
        table(root / folder / "label.csv", rows)


@pytest.mark.parametrize("box", [True, False])
def test_its_folders_are_read_with_their_split_and_votes(tmp_path, box):
    votes = [
        {"surprise": 9},
        {"NF": 10},
        {"unknown": 9},
        {"anger": 5, "fear": 5},
        {"contempt": 8, "NF": 1},
        {"fear": 2},
    ]
    made(tmp_path / "ferplus" / "data", votes, box)
    listing = read_fer_plus(tmp_path / "ferplus")
    assert {(s.label, s.split) for s in listing.samples} == {
        (word, split) for word in ("surprise", "contempt", "fear") for split in FACES.values()
    }
    assert all(s.whole and s.path.is_file() for s in listing.samples) and len(listing.samples) == 9
    assert listing.left_out == {
        "images voted no face": 3, "images voted unknown": 3, "images without a majority of votes": 3
    }  # fmt: skip
    assert listing.notes == ("read in data/",)
    domain = load_domain("ferplus", tmp_path, size_px=48, labels=EXPRESSIONS8)
    assert [domain.label_set.names[k] for k in domain.train.labels] == ["surprise", "contempt", "fear"]
    assert [int(image[0, 0, 0]) for image in domain.train.images] == [0, 4, 5]
    assert [int(image[0, 0, 0]) for image in domain.test.images] == [20, 24, 25]


def test_without_a_test_folder_the_valid_one_is_scored_on(tmp_path):
    made(tmp_path, [{"fear": 10}], folders=("FER2013Train", "fer2013valid"))
    assert [s.split for s in read_fer_plus(tmp_path).samples] == ["train", "test"]


def test_images_that_its_lists_do_not_name_are_counted(tmp_path):
    made(tmp_path, [{"fear": 10}, {"NF": 10}])
    Image.new("L", (48, 48)).save(tmp_path / "FER2013Train" / "other.png")
    assert read_fer_plus(tmp_path).left_out == {"images voted no face": 3, "images not listed in label.csv": 1}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.png,0,0,0", "4 columns, must be a name, perhaps a box, and ten votes"),
        ('a.png,"(0, 0, 48, 48)",0,0,x,0,0,0,0,0,0,0', "votes must be whole numbers"),
        ("../a.png,10,0,0,0,0,0,0,0,0,0", "below FER2013Test/"),
        ("a.png,0,0,0,0,0,0,0,0,0,10\na.png,10,0,0,0,0,0,0,0,0,0\na.png,10,0,0,0,0,0,0,0,0,0", "a.png is listed twice"),
    ],
)
def test_lists_of_its_folders_that_are_not_as_they_should_be(tmp_path, row, words):
    made(tmp_path, [{"fear": 10}])
    (tmp_path / "FER2013Test" / "label.csv").write_text(row + "\n")
    with pytest.raises(UserError, match=words) as error:
        read_fer_plus(tmp_path)
    assert "\n" not in str(error.value)
