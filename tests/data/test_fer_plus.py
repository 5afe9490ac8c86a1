"""FERPlus: ten votes on each image of FER2013, beside its list or in the folders that the authors' program makes."""

import csv

import numpy as np
import pytest

from pa_difc.data.readers import NotHere, read_fer2013, read_fer_plus
from pa_difc.util.errors import UserError


def table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


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
