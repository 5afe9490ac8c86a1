"""Reading --groups: CSVs as people and their programs write them, and names as they know them."""

import pytest

from pa_difc.report.face_groups import NO_GROUP, read_groups
from pa_difc.report.face_names import Names
from pa_difc.report.table import csv_text
from pa_difc.util.errors import UserError

NAMES = ["test/happy/1.jpg", "test/happy/2.jpg", "test/sad/1.jpg", "test/sad/7.JPG", "=SUM(A1).png"]
WORDS = {0: "young", 1: "old", 2: "old", 3: "", 4: "young"}


def csv(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "people.csv"
    path.write_bytes(text.encode(encoding))
    return path


def words(column):
    return ["" if g == NO_GROUP else column.groups[g] for g in column.of_face]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("head", ["image", "IMAGE", " Path "])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_however_the_file_was_saved(tmp_path, delimiter, encoding, head, newline):
    rows = [[head, "Age"], *([NAMES[i], word] for i, word in WORDS.items())]
    path = csv(tmp_path, newline.join(delimiter.join(row) for row in rows) + newline + newline, encoding)
    (column,) = read_groups(path, NAMES).columns
    assert column.name == "Age" and words(column) == list(WORDS.values())


@pytest.mark.parametrize(
    ("written", "face"),
    [
        ("test/happy/2.jpg", 1),
        ("./test/happy/2.jpg", 1),
        ("/home/me/faces/test/happy/2.jpg", 1),
        ("C:\\faces\\TEST\\Happy\\2.jpg", 1),
        ("happy/1.jpg", 0),
        ("7.jpg", 3),
        (r"\x3dSUM(A1).png", 4),
        ("=SUM(A1).png", 4),
        ("1.jpg", None),  # of two
        ("elsewhere/3.jpg", None),
        ("gone/2.jpg", None),  # another folder's
        ("/home/me/train/sad/2.jpg", None),
        ("py/1.jpg", None),  # no whole part of a path
    ],
)
def test_an_image_is_known_by_its_name_and_by_what_is_plainly_the_same(tmp_path, written, face):
    path = csv(tmp_path, f"image,age\n{written},x\ntest/sad/1.jpg,x\n")
    found = read_groups(path, NAMES)
    assert [i for i, word in enumerate(words(found.columns[0])) if word] == sorted({2, face} - {None})
    kind = "Names that several images share; write more of their paths" if written == "1.jpg" else "Not in the dataset"
    assert any(f"{kind}: 1 image of people.csv" in note for note in found.notes) == (face is None)


def test_a_training_face_is_not_taken_for_a_test_face_of_another_folder(tmp_path):
    path = csv(tmp_path, "image,age\ntrain/sad/2.jpg,young\ntest/sad/7.jpg,old\n3.jpg,young\n2.jpg,young\n")
    names = ["test/happy/2.jpg", "test/sad/7.jpg", "test/sad/3.jpg"]
    found = read_groups(path, names, ["train/sad/2.jpg", "train/sad/3.jpg"])
    assert words(found.columns[0]) == ["", "old", ""]
    assert found.notes[0].startswith("Training faces, which are not scored here: 1 image")
    assert found.notes[1].startswith("Names that several images share") and "2 images of people.csv" in found.notes[1]


def test_accents_are_the_same_however_they_are_encoded(tmp_path):
    path = csv(tmp_path, "image,who\nZoe\u0301.jpg,Rene\u0301\nb.jpg,Ren\u00e9\n")
    (column,) = read_groups(path, ["Zo\u00e9.jpg", "b.jpg"]).columns
    assert column.of_face.tolist() == [0, 0] and len(column.groups) == 1


def test_names_that_differ_in_case_alone_are_two_images(tmp_path):
    path = csv(tmp_path, "image,age\nA.jpg,x\n")
    assert words(read_groups(path, ["a.jpg", "A.jpg"]).columns[0]) == ["", "x"]
    path = csv(tmp_path, "image,age\n\\x3dA.jpg,x\n")
    assert words(read_groups(path, ["=a.jpg", "=A.jpg"]).columns[0]) == ["", "x"]


def test_of_two_rows_of_an_image_one_may_be_empty(tmp_path):
    path = csv(tmp_path, "image,age,sex\ntest/sad/1.jpg,,f\ntest/sad/1.jpg,old,\n")
    age, sex = read_groups(path, NAMES).columns
    assert words(age)[2] == "old" and words(sex)[2] == "f"


def test_a_cell_has_characters_at_which_other_programs_end_a_line(tmp_path):
    path = csv(tmp_path, "image,camera\ntest/sad/1.jpg,a\u2028b\x85c\n")
    assert words(read_groups(path, NAMES).columns[0])[2] == "a\u2028b\x85c"


def test_several_columns_and_spellings(tmp_path):
    """Words that differ in case are one group, called as most of them are; numbers are in order."""
    path = csv(
        tmp_path, "age,image,Sex\n10,test/happy/1.jpg,F\n9,test/happy/2.jpg,f\n9,test/sad/1.jpg,f\n,test/sad/7.JPG,m\n"
    )
    age, sex = read_groups(path, NAMES).columns
    assert list(age.groups) == ["9", "10"] and words(age) == ["10", "9", "9", "", ""]
    assert (sex.name, list(sex.groups)) == ("Sex", ["f", "m"]) and words(sex) == ["f", "f", "f", "m", ""]


def test_spellings_of_a_group_are_one_and_are_counted_over_all_rows(tmp_path):
    """Also over rows of training faces: the name is that of most rows, and a note says what was put together."""
    rows = [
        "test/happy/1.jpg,Female", "test/happy/2.jpg,female ", "test/sad/1.jpg,male", "test/sad/1.jpg,male",
        "train/1.jpg,female", "train/2.jpg,female", "train/3.jpg,MALE", "train/4.jpg,other", "train/5.jpg,Other",
    ]  # fmt: skip
    path = csv(tmp_path, "\n".join(["image,sex", *rows]))
    found = read_groups(path, NAMES, [f"train/{i}.jpg" for i in range(1, 6)])
    (column,) = found.columns
    assert list(column.groups) == ["female", "male"] and words(column)[:3] == ["female", "female", "male"]
    merged = [note for note in found.notes if "one group" in note]
    assert merged == [
        "sex: one group, female, is written in 3 ways: 'female' (2 rows), 'Female' (1 row), 'female ' (1 row).",
        "sex: one group, male, is written in 2 ways: 'male' (2 rows), 'MALE' (1 row).",
    ]
    path = csv(tmp_path, "image,age\ntest/happy/1.jpg,under  30\ntest/happy/2.jpg,under\u00a030\n")
    assert list(read_groups(path, NAMES).columns[0].of_face[:2]) == [0, 0]
    same = csv(tmp_path, "image,sex\ntest/happy/1.jpg,f\ntest/happy/2.jpg,f\n")
    assert not [note for note in read_groups(same, NAMES).notes if "one group" in note]


def test_test_faces_that_were_not_scored_are_in_the_dataset(tmp_path):
    path = csv(tmp_path, "image,age\ntest/happy/1.jpg,x\ntest/fear/1.jpg,x\ntrain/fear/2.jpg,x\nfear/3.jpg,x\n")
    found = read_groups(path, NAMES, ["train/fear/2.jpg"], ["test/fear/1.jpg", "test/fear/3.jpg"])
    assert found.notes[:2] == [
        "Training faces, which are not scored here: 1 image of people.csv, such as 'train/fear/2.jpg'.",
        "Test faces that the time budget left out: 2 images of people.csv, such as 'test/fear/1.jpg'.",
    ]
    assert not any("dataset" in note for note in found.notes)


def test_a_file_of_ambiguous_names_alone_says_so(tmp_path):
    with pytest.raises(UserError, match=r"Names that several images share; write more of their paths: 1 image"):
        read_groups(csv(tmp_path, "image,age\n1.jpg,x\n"), NAMES)


def test_words_for_a_missing_value_are_no_group(tmp_path):
    """What spreadsheets and pandas write; "unknown" and "none" may be meant."""
    written = zip(NAMES, ["N/A", "unknown", " nan", "none", "\uff35nknown"], strict=True)
    found = read_groups(csv(tmp_path, "\n".join(["image,glasses", *(f"{n},{w}" for n, w in written)])), NAMES)
    assert words(found.columns[0]) == ["", "unknown", "", "none", "unknown"]
    assert "glasses: 'N/A', ' nan' count as no group." in found.notes


def test_a_face_that_is_there_twice_has_its_group_twice(tmp_path):
    """As in a target whose class proportions were shifted."""
    path = csv(tmp_path, "image,age\nhappy/1.jpg,old\n")
    found = read_groups(path, [NAMES[0], NAMES[1], NAMES[0]])
    assert words(found.columns[0]) == ["old", "", "old"] and list(found.notes) == ["Without age: 1 of 3 faces."]


def test_what_does_not_fit_is_counted(tmp_path):
    rows = ["image,age", *(f"{name},old" for name in (*NAMES[:3], NAMES[0], "train/1.jpg", "gone/1.png", "gone/2.png"))]
    found = read_groups(csv(tmp_path, "\n".join(rows)), NAMES, ["train/1.jpg", "train/2.jpg"])
    assert found.notes == [
        "Training faces, which are not scored here: 1 image of people.csv, such as 'train/1.jpg'.",
        "Not in the dataset: 2 images of people.csv, such as 'gone/1.png'.",
        "Rows of people.csv that repeat others and count once: 1.",
        "Without age: 2 of 5 faces.",
    ]


def test_a_copy_of_predictions_csv_with_a_column_more(tmp_path):
    text = "path,true,predicted,confidence,p_happy,p_sad,camera\n\\x3dSUM(A1).png,sad,happy,0.6,0.6,0.4,Nikon\n"
    (column,) = read_groups(csv(tmp_path, text), NAMES).columns
    assert column.name == "camera" and words(column) == ["", "", "", "", "Nikon"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("picture,age\n1.jpg,x\n", "no column 'image' (found 'picture', 'age')"),
        ("image\n1.jpg\n", "no column of groups beside 'image'"),
        ("image,age,Age\n1.jpg,x,y\n", "the column 'age' occurs twice"),
        ("image,age\n", "the list is empty"),
        ("", "the list is empty"),
        ("image,age\n,old\n", ":2: the row names no image"),
        ("image,age\ntest/sad/1.jpg,old,x\n", ":2: 3 cells under 2 columns"),
        ("image,age\ntest/sad/1.jpg,old\n\ntest/sad/1.jpg,young\n", ":4: 'test/sad/1.jpg' is in 'old' and in 'young'"),
        ("image,age\n./test/sad/1.jpg,old\ntest/sad/1.jpg,old\n", "are one image: give it one row"),
        (
            "image,age\na.jpg,x\nb.jpg,x\n",
            "none of its 2 images, such as 'a.jpg', is a scored test face; its names are such as",
        ),
        ("image,age\ntest/sad/1.jpg,\n", "no test face has a group: column age has no value for them"),
    ],
)
def test_what_can_t_be_read_is_said(tmp_path, text, said):
    with pytest.raises(UserError) as error:
        read_groups(csv(tmp_path, text), NAMES)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_other_encodings_and_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="save it as CSV UTF-8"):
        read_groups(csv(tmp_path, "image,âge\ntest/sad/1.jpg,vieux\n", "latin-1"), NAMES)
    with pytest.raises(UserError, match="cannot read"):
        read_groups(tmp_path, NAMES)


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_cell_is_a_formula_and_each_name_is_found_by_its_cell(start):
    names = [f"{start}cmd|' /C calc'!A0", "a=b.jpg", "'quoted'.jpg"]
    cells = csv_text([[name] for name in names]).splitlines()
    assert cells[0][0] == "\\" and cells[1:] == names[1:]
    assert [Names(names).find(cell) for cell in cells] == [0, 1, 2]
