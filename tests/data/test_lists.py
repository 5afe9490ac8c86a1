"""Lists beside images: what they don't name is counted, and what they say twice must be one thing."""

import pytest
from made import picture, table

from pa_difc.commands.parser import main
from pa_difc.data import load_domain
from pa_difc.data.readers import read_affectnet, read_expw, read_legend_csv, read_muxspace, read_raf_db
from pa_difc.util.errors import UserError


def legend(root, rows, header=("image", "emotion", "split")):
    table(root / "legend.csv", [header, *rows])


ROWS = [(f"{i}.png", ("fear", "sad")[i % 2], ("train", "test")[i // 2]) for i in range(4)]


def listed(root):
    legend(root, ROWS)
    for i in range(4):
        picture(root / "images" / f"{i}.png", i)


# What a list does not name


@pytest.mark.parametrize("reader", [read_legend_csv, read_muxspace])
def test_what_lies_beside_a_legend_and_is_not_listed_is_counted_by_reason(tmp_path, reader):
    listed(tmp_path)
    assert reader(tmp_path).left_out == {}
    for name in ("images/5.png", "images/more/6.png", "extra/7.png"):
        picture(tmp_path / name, 9)
    picture(tmp_path / "images" / "@eaDir" / "0.png" / "SYNOPHOTO_THUMB_M.jpg")
    (tmp_path / "images" / "readme.txt").write_text("about")
    listing = reader(tmp_path)
    assert len(listing.samples) == 4
    assert listing.left_out == {
        "images not listed in legend.csv": 3, "not images": 1, "system or hidden files": 1
    }  # fmt: skip


def test_it_is_said_in_one_line_and_stands_in_the_record(tmp_path, capsys):
    listed(tmp_path / "mine")
    picture(tmp_path / "mine" / "images" / "5.png", 9)
    assert main(["datasets", "legend:mine", "--data-root", str(tmp_path)]) == 0
    assert "left out: 1 image not listed in legend.csv\n" in capsys.readouterr().out
    domain = load_domain("legend:mine", tmp_path, size_px=20)
    assert domain.summary()["left_out"] == {"images not listed in legend.csv": 1}


def test_what_a_list_names_is_not_counted_whatever_it_is(tmp_path):
    """Links, files in hidden folders, and files that can't be decoded are samples if they are listed."""
    pool = picture(tmp_path / "pool" / "0.png")
    names = ["a.png", "again.png", ".hidden/b.png", "c.heic", "gone.png"]
    legend(tmp_path, [(name, "fear", "train") for name in names])
    picture(tmp_path / "images" / ".hidden" / "b.png")
    picture(tmp_path / "images" / ".hidden" / "other.png")
    for name in ("a.png", "again.png"):
        (tmp_path / "images" / name).symlink_to(pool)
    (tmp_path / "images" / "c.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert read_legend_csv(tmp_path).left_out == {"system or hidden files": 1}


def test_other_lists_count_what_they_do_not_name_as_well(tmp_path):
    raf, expw, affect = (tmp_path / name for name in ("raf", "expw", "affect"))
    (raf / "basic" / "EmoLabel").mkdir(parents=True)
    (raf / "basic" / "EmoLabel" / "list_patition_label.txt").write_text("train_1.jpg 4\ntest_1.jpg 1\n")
    for i, name in enumerate(("train_1", "test_1", "train_2")):
        picture(raf / "basic" / "Image" / "aligned" / f"{name}_aligned.jpg", i)
    assert read_raf_db(raf).left_out == {"images not listed in list_patition_label.txt": 1}
    (expw / "label").mkdir(parents=True)
    (expw / "label" / "label.lst").write_text("a.jpg 0 1 1 9 9 98.5 3\na.jpg 1 1 9 18 18 98.5 4\n")
    for name in ("a", "b", "c"):
        picture(expw / "image" / "origin" / f"{name}.jpg")
    assert read_expw(expw).left_out == {"images not listed in label.lst": 2}
    for i, name in enumerate(("training", "validation")):
        table(affect / f"{name}.csv", [("subDirectory_filePath", "expression"), (f"1/{i}.jpg", i)])
        picture(affect / "Manually_Annotated_Images" / "1" / f"{i}.jpg", i)
    picture(affect / "Manually_Annotated_Images" / "2" / "0.jpg")
    assert read_affectnet(affect).left_out == {"images not listed in training.csv or validation.csv": 1}


# What a list says twice


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (("image", "emotion", "split", "split"), "split"),
        (("image", "emotion", "emotion", "note"), "emotion"),
        (("image", "emotion", "Split", " split"), "Split"),
        (("image", "emotion", "note", "note"), "note"),
    ],
)
def test_a_column_that_stands_twice_in_a_header_is_refused(tmp_path, header, name):
    legend(tmp_path, [("a.png", "fear", "train", "test")], header)
    with pytest.raises(UserError, match=f"legend.csv: the column '{name}' occurs 2 times: keep one") as error:
        read_legend_csv(tmp_path)
    assert "\n" not in str(error.value)


def test_columns_without_a_name_may_be_several(tmp_path):
    legend(tmp_path, [("a.png", "fear", "", ""), ("b.png", "sad", "", "")], ("image", "emotion", "", ""))
    assert len(read_legend_csv(tmp_path).samples) == 2


def test_columns_that_disagree_on_the_split_are_refused(tmp_path):
    header = ("image", "emotion", "usage", "split")
    legend(tmp_path, [("a.png", "fear", "Training", "train"), ("b.png", "sad", "Training", "test")], header)
    with pytest.raises(UserError, match=r"b.png: its columns disagree on the split \(split says test, usage says tr"):
        read_legend_csv(tmp_path)
    legend(tmp_path, [("a.png", "fear", "Training", "train"), ("b.png", "sad", "PrivateTest", "test")], header)
    assert [s.split for s in read_legend_csv(tmp_path).samples] == ["train", "test"]
    legend(tmp_path, [("a.png", "fear", "news", "train"), ("b.png", "sad", "Training", "test")], header)
    assert [s.split for s in read_legend_csv(tmp_path).samples] == ["train", "test"]  # usage means something else
