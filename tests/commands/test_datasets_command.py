"""``pa-difc datasets``, ``doctor`` and what training says of its data: warnings where numbers would mislead."""

import re
import shutil

import numpy as np
import pytest
from made import random_faces
from PIL import Image

from pa_difc.commands.doctor import datasets as doctor
from pa_difc.commands.parser import main
from pa_difc.commands.scores import announce
from pa_difc.data import Domain, load_domain
from pa_difc.data.datasets import find_dataset
from pa_difc.data.duplicates import Duplicates
from pa_difc.data.labels import SEVEN
from pa_difc.data.prepare import PrepareSettings
from pa_difc.data.prepare.plan import make_plan
from pa_difc.data.readers.listing import OUR_SPLIT
from pa_difc.util.errors import UserError


def picture(path, seed=0, size=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size, size), dtype=np.uint8)).save(path)


def said(capsys, *arguments):
    code = main(["datasets", *map(str, arguments)])
    return code, capsys.readouterr().out


def announced(capsys, *domains):
    announce(*domains)
    return capsys.readouterr().out


def both_splits(root, words=SEVEN, only_test=(), only_train=()):
    for split, without in (("train", only_test), ("test", only_train)):
        for k, word in enumerate(words):
            if word not in without:
                picture(root / split / word / f"{split}.png", seed=2 * k + (split == "test"))


# Classes that a split lacks


def test_a_class_of_one_split_alone_is_said_everywhere_alike(capsys, tmp_path):
    both_splits(tmp_path / "afe", only_test=("surprise",), only_train=("fear", "sad"))
    lines = [
        "warning: in the test split alone: surprise (can't be learnt here)",
        "warning: in the train split alone: fear, sad (is not scored)",
    ]
    code, out = said(capsys, "afe", "--data-root", tmp_path)
    assert code == 0 and all(line in out for line in lines)
    (finding,) = doctor(tmp_path)
    assert not finding.good and finding.advice and all(line in finding.text for line in lines)
    domain = load_domain("afe", tmp_path, size_px=32)
    out = announced(capsys, domain, domain)
    assert all(f"afe: {line}" in out for line in lines)


def test_a_class_under_another_word_is_there(capsys, tmp_path):
    for split, word in (("train", "Happiness"), ("test", "happy")):
        picture(tmp_path / "afe" / split / word / "1.png", seed=len(split))
        picture(tmp_path / "afe" / split / "fear" / "2.png", seed=9 + len(split))
    code, out = said(capsys, "afe", "--data-root", tmp_path)
    assert code == 0 and "warning" not in out
    assert "no sample of: surprise, disgust, sad, anger, neutral" in out
    (finding,) = doctor(tmp_path)
    assert finding.good and not finding.advice


def test_classes_that_neither_split_has_are_no_warning(capsys, tmp_path):
    both_splits(tmp_path / "afe", words=SEVEN[:6])
    domain = load_domain("afe", tmp_path, size_px=32)
    out = announced(capsys, domain, domain)
    assert "no train face in afe of: neutral" in out and "warning" not in out


# Splits that a set lacks


@pytest.mark.parametrize(
    ("there", "empty", "served"),
    [("train", "test", "train"), ("test", "train", "test"), ("val", "train", "test"), ("train_set", "test", "train")],
)
def test_an_empty_split_is_said_everywhere_alike(capsys, tmp_path, there, empty, served):
    for k, word in enumerate(SEVEN):
        picture(tmp_path / "afe" / there / word / "1.png", seed=k)
    words = f"its {empty} split is empty (images: 7 in {served})"
    line = f"warning: {words}: training stops at that"
    code, out = said(capsys, "afe", "--data-root", tmp_path)
    assert code == 0 and line in out and out.count("warning") == 1
    (finding,) = doctor(tmp_path)
    assert not finding.good and finding.advice and line in finding.text
    with pytest.raises(UserError, match=re.escape(f"dataset afe: {words} ")):  # and so it does
        load_domain("afe", tmp_path, size_px=32)


def test_a_split_is_empty_if_its_classes_are_left_out(capsys, tmp_path):
    both_splits(tmp_path / "afe", words=("happy", "contempt"), only_train=("happy",))
    words = "its test split is empty (images: 1 in train)"
    assert f"warning: {words}: training" in said(capsys, "afe", "--data-root", tmp_path)[1]
    with pytest.raises(UserError, match=re.escape(words)):
        load_domain("afe", tmp_path, size_px=32)
    assert "is empty" not in said(capsys, "afe", "--data-root", tmp_path, "--labels", "expressions8")[1]


def test_a_set_that_all_serves_as_both_splits_or_has_no_labels_lacks_none(capsys, tmp_path):
    for word, code in (("SU", 1), ("HA", 2)):
        picture(tmp_path / "jaffe" / f"KA.{word}1.{code}.tiff", seed=code)
    picture(tmp_path / "pictures" / "1.png")
    for name in ("jaffe", "images:pictures"):
        out = said(capsys, name, "--data-root", tmp_path)[1]
        assert "is empty" not in out and OUR_SPLIT not in out


def test_a_split_that_is_ours_is_said_everywhere_alike(capsys, tmp_path):
    for i in range(20):
        for k, word in enumerate(SEVEN):
            picture(tmp_path / "afe" / word / f"face{i}.png", seed=20 * k + i)
    assert OUR_SPLIT in said(capsys, "afe", "--data-root", tmp_path)[1]
    (finding,) = doctor(tmp_path)
    assert finding.good and OUR_SPLIT in finding.text
    loaded = load_domain("afe", tmp_path, size_px=32)
    assert f"afe: {OUR_SPLIT}" in announced(capsys, loaded, loaded) and loaded.summary()["notes"] == [OUR_SPLIT]
    plan = make_plan("afe", find_dataset("afe", tmp_path)[0](tmp_path / "afe"), PrepareSettings())
    assert plan.notes == (OUR_SPLIT,)  # of a store, for good
    both_splits(tmp_path / "official" / "afe")
    assert OUR_SPLIT not in said(capsys, "afe", "--data-root", tmp_path / "official")[1]


# Files that are not there


def raf_list(root, there):
    (root / "raf_db" / "basic" / "EmoLabel").mkdir(parents=True)
    names = [f"{split}_{i:03d}" for split in ("train", "test") for i in range(1, 71)]
    lines = [f"{name}.jpg {int(name[-3:]) % 7 + 1}\n" for name in names]
    (root / "raf_db" / "basic" / "EmoLabel" / "list_patition_label.txt").write_text("".join(lines))
    for i, name in enumerate(names):
        if there(i):
            picture(root / "raf_db" / "basic" / "Image" / "aligned" / f"{name}_aligned.jpg", seed=i)


def test_listed_files_are_looked_for(capsys, tmp_path):
    raf_list(tmp_path / "some", there=lambda i: i % 10)
    code, out = said(capsys, "raf_db", "--data-root", tmp_path / "some")
    assert code == 0 and "warning: 14 of 140 files are missing, such as " in out
    assert "train_001_aligned.jpg" in out
    (finding,) = doctor(tmp_path / "some")
    assert not finding.good and "14 of 140 files are missing" in finding.text
    raf_list(tmp_path / "none", there=lambda i: False)
    with pytest.raises(UserError, match="raf_db: none of the 140 listed files exist, such as "):
        said(capsys, "raf_db", "--data-root", tmp_path / "none")
    raf_list(tmp_path / "all", there=lambda i: True)
    assert "missing" not in said(capsys, "raf_db", "--data-root", tmp_path / "all")[1]


def test_a_set_s_absent_second_form_is_no_problem(tmp_path):
    raf_list(tmp_path / "aligned", there=lambda i: True)
    (finding,) = doctor(tmp_path / "aligned")
    assert finding.good and finding.text.startswith("raf_db (images)")
    raf_list(tmp_path / "original", there=lambda i: False)
    boxes = tmp_path / "original" / "raf_db" / "basic" / "Annotation" / "boundingbox"
    boxes.mkdir(parents=True)
    for line in (tmp_path / "original/raf_db/basic/EmoLabel/list_patition_label.txt").read_text().splitlines():
        name = line.split(".")[0]
        (boxes / f"{name}_boundingbox.txt").write_text("1 1 18 18\n")
        picture(tmp_path / "original" / "raf_db" / "basic" / "Image" / "original" / f"{name}.jpg")
    (finding,) = doctor(tmp_path / "original")
    assert finding.good and finding.text.startswith("raf_db_original (images)")
    (tmp_path / "nothing" / "raf_db").mkdir(parents=True)
    (finding,) = doctor(tmp_path / "nothing")  # the folder is one fault, whatever forms it could have had
    assert finding.advice and not finding.good


# Duplicates


def test_exact_duplicates_are_said_without_a_flag(capsys, tmp_path):
    for word, code in (("SU", 1), ("HA", 2), ("NE", 3)):
        picture(tmp_path / "jaffe" / "jaffe" / f"KA.{word}1.{code}.tiff", seed=code)
    shutil.copytree(tmp_path / "jaffe" / "jaffe", tmp_path / "jaffe" / "jaffedbase")
    line = "3 groups of exact duplicates (0 across splits, 0 with conflicting labels): all are kept (--deduplicate"
    code, out = said(capsys, "jaffe", "--data-root", tmp_path)
    assert code == 0 and line in out
    domain = load_domain("jaffe", tmp_path, size_px=32)
    assert f"in jaffe: {line}" in announced(capsys, domain, domain)
    assert domain.summary()["copies"]["groups"] == 3 and domain.duplicates is None
    clean = said(capsys, "jaffe", "--data-root", tmp_path, "--deduplicate")[1]
    assert "3 samples left out" in clean and "3 samples in " in clean


def test_duplicates_are_counted_by_content_whatever_reads_them(tmp_path):
    from pa_difc.data.duplicates import content_digests, count_duplicates
    from pa_difc.data.readers import Sample

    for i, seed in enumerate((1, 1, 2, 3, 3, 3)):
        picture(tmp_path / f"{i}.png", seed=seed)
    samples = [Sample(str(i), "happy", ("train", "test")[i % 2], tmp_path / f"{i}.png") for i in range(6)]
    boxes = [Sample(f"box{i}", "happy", "train", tmp_path / "2.png", box=(0, i, 9, 9)) for i in range(2)]
    gone = [Sample(f"gone{i}", "happy", "train", tmp_path / "gone") for i in range(2)]
    for name in ("pair", "twin"):
        picture(tmp_path / f"{name}.png", seed=4, size=31)  # the only two files of this size
        samples.append(Sample(name, "sad", "train", tmp_path / f"{name}.png"))
    expected = Duplicates(groups=3, across_splits=2)
    assert count_duplicates([*samples, *boxes, *gone]) == expected
    assert count_duplicates(samples, content_digests(samples)) == expected


def test_near_duplicates_are_counted_in_small_sets(capsys, tmp_path):
    pytest.importorskip("imagehash")
    both_splits(tmp_path / "afe")
    with Image.open(tmp_path / "afe" / "train" / "happy" / "train.png") as image:
        image.resize((48, 48)).save(tmp_path / "afe" / "test" / "happy" / "again.png")
    out = said(capsys, "afe", "--data-root", tmp_path)[1]
    assert "1 group of near duplicates (1 across splits, 0 with conflicting labels), exact ones included" in out
    out = said(capsys, "afe", "--data-root", tmp_path, "--near-duplicates", "drop")[1]
    assert "one of each is kept, 1 samples left out" in out


def test_groups_are_tried_out_before_training(capsys, tmp_path):
    for person in range(20):
        for i, word in enumerate(SEVEN):
            picture(tmp_path / "afe" / word / f"id{person:02d}.png", seed=10 * person + i)
    code, out = said(capsys, "afe", "--data-root", tmp_path, "--group-by", r"id\d+")
    assert code == 0 and r"grouped by id\d+: 140 samples" in out
    rows = {
        line.split()[0]: set(line.split()[1:]) for line in out.splitlines() if line.split()[:1] in (["train"], ["test"])
    }
    assert len(rows["train"]) == len(rows["test"]) == 1  # as many of each class, as a person has one of each
    with pytest.raises(UserError, match=r"--group-by 'person': fits no name of afe, and is no column"):
        said(capsys, "afe", "--data-root", tmp_path, "--group-by", "person")


# Stores


def domain(name, **more):
    return Domain(name, random_faces(14, 0), random_faces(7, 1), **more)


def store(**more):
    return {"crop": "arcface", "without_face": 0, "on_missing": "drop", **more}


def test_raw_images_beside_a_store_of_another_crop_are_said(capsys):
    arcface, cdfer = domain("arcface", store=store()), domain("cdfer", store=store(crop="cdfer"))
    photographs, boxes = domain("photographs", cut="the centre square"), domain("boxes", cut="cdfer")
    words = "warning: photographs's raw images are cropped as the centre square, and arcface's store as arcface"
    assert words in announced(capsys, photographs, arcface) and words in announced(capsys, arcface, photographs)
    assert "prepare --dataset boxes --crop arcface" in announced(capsys, boxes, arcface)
    assert "warning" not in announced(capsys, boxes, cdfer) + announced(capsys, photographs, boxes)


def test_counts_of_faces_that_were_not_found_are_true(capsys):
    dropped, whole = (domain(how, store=store(without_face=112, on_missing=how)) for how in ("drop", "whole"))
    out = announced(capsys, dropped, whole)
    assert "not in the store of drop: 112 images without a face" in out
    assert "in the store of whole: 112 images without a detected face, kept whole with typical landmarks" in out


def test_what_a_list_left_out_and_how_it_was_read_is_said(capsys, tmp_path):
    both_splits(tmp_path / "mine" / "archive")
    picture(tmp_path / "mine" / "archive" / "extra" / "1.png")
    out = said(capsys, "folder:mine", "--data-root", tmp_path)[1]
    for line in ("read in archive/", "left out: 1 in extra/ (neither class nor split)"):
        assert line in out
        loaded = load_domain("folder:mine", tmp_path, size_px=32)
        assert f"folder:mine: {line}" in announced(capsys, loaded, loaded)
    assert loaded.summary()["left_out"] == {"in extra/ (neither class nor split)": 1}
    assert loaded.summary()["notes"] == ["read in archive/"]


@pytest.mark.parametrize("words", [["datasets"], ["list", "methods"], ["list", "backbones"], ["weights"]])
def test_lines_fit_a_terminal(words, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "70")
    assert main(words) == 0
    wide = [line for line in capsys.readouterr().out.splitlines() if len(line) > 70]
    assert not [line for line in wide if " " in line.strip()]  # an address stays whole


def test_labels_that_are_no_classes_are_wrapped_on_a_terminal(tmp_path, monkeypatch, capsys):
    both_splits(tmp_path / "odd", words=[*SEVEN[:2], *(f"another label {i}" for i in range(9))])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "70")
    _, out = said(capsys, "folder:odd", "--data-root", tmp_path)
    after = out[out.index("no class of") : out.index("no sample of")]
    assert "another label 8" in " ".join(after.split()) and max(map(len, after.splitlines())) < 70
