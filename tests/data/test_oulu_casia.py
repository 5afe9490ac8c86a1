"""Oulu-CASIA: sequences of people, in light of several kinds."""

from collections import Counter

import pytest
from made import picture

from pa_difc.data.readers import NotHere, read_oulu_casia


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
