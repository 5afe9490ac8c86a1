"""What predict writes never touches what it reads, and one image's picture never takes another's place."""

import csv
import io
import json
import os
import re
from functools import partial

import pytest
from PIL import Image

from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
from pa_difc.deploy.images import find_images, picture_files
from pa_difc.util.errors import UserError


@pytest.fixture
def predict(prepared, capsys):
    def run(*words):
        with pytest.raises(SystemExit) as stop:
            exit_with(lambda: main(["predict", "--model", str(prepared["cdfer"]), *map(str, words)]))
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return run


def test_pictures_keep_folders_and_suffixes(predict, album, tmp_path, content):
    before = content(album)
    code, _, err = predict(album, "--annotate", tmp_path / "drawn", "--out", tmp_path / "p.csv")
    assert code == 0 and "left out: 1 system or hidden file" in err
    drawn = {p.relative_to(tmp_path / "drawn").as_posix() for p in content(tmp_path / "drawn")}
    assert drawn == {"monday/1.jpg.png", "tuesday/1.jpg.png", "tuesday/1.png.png"}
    assert content(album) == before
    with (tmp_path / "p.csv").open() as file:
        assert [row["file"] for row in csv.DictReader(file)] == [
            str(album / name) for name in ("monday/1.jpg", "tuesday/1.jpg", "tuesday/1.png")
        ]


def test_files_of_one_name_that_are_given_one_by_one_have_a_picture_each(predict, album, tmp_path, content):
    given = [album / "monday" / "1.jpg", album / "tuesday" / "1.jpg"]
    assert predict(*given, "--annotate", tmp_path / "drawn")[0] == 0
    drawn = {p.relative_to(tmp_path / "drawn").as_posix() for p in content(tmp_path / "drawn")}
    assert drawn == {"monday/1.jpg.png", "tuesday/1.jpg.png"}


def test_the_folder_of_the_images_is_no_place_for_pictures(predict, album, content, tmp_path):
    before = content(album)
    (tmp_path / "link").symlink_to(album)
    for folder in (album, tmp_path / "link", album / "monday" / ".."):
        code, _, err = predict(album, "--annotate", folder)
        assert code == 2 and "images are read there" in err and err.count("\n") == 1
    assert content(album) == before


def test_pictures_below_the_images_are_no_images_of_the_next_run(predict, album, content):
    before = content(album)
    for times in range(2):
        code, out, err = predict(album, "--annotate", album / "drawn", "--format", "json")
        assert code == 0 and out.count('"file"') == 3 and ("3 written by predict" in err) is bool(times), err
    assert before.items() <= content(album).items() and len(content(album)) == len(before) + 3


@pytest.mark.parametrize("name", ["1.jpg", "1.png"])
def test_an_image_is_not_written_over_by_the_table(name, predict, album, content):
    before = content(album)
    code, _, err = predict(album, "--out", album / "tuesday" / name)
    assert code == 2 and "is one of the images" in err
    assert content(album) == before


def test_an_image_that_has_the_name_of_a_picture_is_refused(predict, album, content, portrait):
    portrait.save(album / "monday" / "1.jpg.png")
    before = content(album)
    given = [album / "monday" / "1.jpg", album / "monday" / "1.jpg.png"]
    for words in (given, given[:1]):  # as an image that is read, and as a file of somebody else's
        code, _, err = predict(*words, "--annotate", album / "monday")
        assert code == 2 and ("is one of the images" in err or "was not written by predict" in err), err
    assert content(album) == before


def test_a_picture_that_was_drawn_before_is_kept_if_it_is_an_image_now(predict, album, content):
    monday = album / "monday"
    assert predict(monday / "1.jpg", "--annotate", monday)[0] == 0
    before = content(album)
    code, _, err = predict(monday / "1.jpg", monday / "1.jpg.png", "--annotate", monday)
    assert code == 2 and "1.jpg.png is one of the images" in err and content(album) == before


@pytest.mark.parametrize("link", ["monday/1.jpg.png", "monday", "tuesday", "", "holiday"])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_the_folder_of_pictures_is_refused_with_what_it_leads_to(
    link, there, predict, album, tmp_path, content
):
    """A file's, even if it leads to a picture of ours; a sub-folder's, such as one to the photographs themselves."""
    kept = tmp_path / "kept"
    if there:
        assert predict(album, "--annotate", kept)[0] == 0
    (tmp_path / "drawn" / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "drawn" / link).symlink_to(kept / link)
    before, words = content(tmp_path), (album, "--annotate", tmp_path / "drawn", "--out", tmp_path / "p.csv")
    code, _, err = predict(*words)
    if link == "holiday" or (link == "" and there):  # nothing is to be written there; and the folder may be a link
        assert code == 0
        return
    assert code == 2 and "is a link, and links are never written to" in err and err.count("\n") == 1
    assert content(tmp_path) == before and (tmp_path / "drawn" / link).is_symlink()
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_no_place_for_the_table(predict, album, tmp_path, there):
    if there:
        assert predict(album, "--out", tmp_path / "kept.csv")[0] == 0
    (tmp_path / "p.csv").symlink_to(tmp_path / "kept.csv")
    code, _, err = predict(album, "--out", tmp_path / "p.csv")
    assert code == 2 and "p.csv is a link" in err and err.count("\n") == 1
    assert (tmp_path / "p.csv").is_symlink() and (tmp_path / "kept.csv").exists() is there


def test_a_picture_that_is_gone_is_drawn_by_the_command_that_resumes(predict, album, tmp_path, monkeypatch, content):
    from pa_difc.deploy.rows import Table

    (album / "monday" / "0.jpg").write_bytes(b"\xff\xd8\xff half of an image")  # it has no picture, and is done
    words = (album, "--annotate", tmp_path / "drawn", "--out", tmp_path / "p.csv")
    monkeypatch.setattr(Table, "finish", lambda table: (_ for _ in ()).throw(KeyboardInterrupt))
    assert predict(*words)[0] == 130
    drawn = content(tmp_path / "drawn")
    assert len(drawn) == 3
    code, _, err = predict(*words)
    assert code == 130 and "3 of 4 images are done" in err and content(tmp_path / "drawn") == drawn
    (tmp_path / "drawn" / "tuesday" / "1.jpg.png").unlink()
    monkeypatch.undo()
    code, _, err = predict(*words)
    assert code == 0 and "2 of 4 images are done" in err and content(tmp_path / "drawn") == drawn
    (tmp_path / "drawn" / "monday" / "1.jpg.png").unlink()
    assert predict(*words)[0] == 0 and content(tmp_path / "drawn") == drawn  # of a finished table all are drawn anew


@pytest.mark.parametrize(
    "text",
    [
        "name,age\n",
        "file,label,split\na.jpg,happy,train\n",  # a legend of the user's
        '[\n {\n  "file": "a.jpg", "label": "happy"\n }\n]\n',
        "[1, 2]",
        "[",
        "x" * 5,
    ],
)
def test_a_table_of_somebody_else_s_stays(text, predict, album, tmp_path):
    (tmp_path / "mine").write_text(text)
    code, _, err = predict(album, "--out", tmp_path / "mine")
    assert code == 2 and "mine was not written by predict" in err and err.count("\n") == 1
    assert (tmp_path / "mine").read_text() == text


def test_a_table_of_ours_is_replaced_whatever_its_format(predict, album, tmp_path):
    for kind in ("csv", "json", "csv", "csv"):
        assert predict(album, "--format", kind, "--out", tmp_path / "p")[0] == 0
        assert (tmp_path / "p").read_text().startswith("[" if kind == "json" else "file,label,")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["p"]


@pytest.mark.parametrize(
    ("name", "asked", "kind"),
    [("p.json", None, "json"), ("p.JSON", "json", "json"), ("p.csv", None, "csv"), ("p", None, "csv")],
)
def test_a_table_is_of_the_format_that_its_name_says(name, asked, kind, predict, album, tmp_path):
    assert predict(album, "--out", tmp_path / name, *(["--format", asked] if asked else []))[0] == 0
    text = (tmp_path / name).read_text()
    rows = json.loads(text) if kind == "json" else list(csv.DictReader(io.StringIO(text)))
    assert [row["file"] for row in rows] == [str(album / n) for n in ("monday/1.jpg", "tuesday/1.jpg", "tuesday/1.png")]


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("p.txt", [], "p.txt: .txt is no format of a table; give a name that ends in .csv or .json"),
        ("p.xlsx", ["--format", "csv"], "p.xlsx: .xlsx is no format of a table"),
        ("p.csv", ["--format", "json"], "p.csv: the name is one of csv, and --format asks for json"),
        ("p.json", ["--format", "csv"], "p.json: the name is one of json, and --format asks for csv"),
    ],
)
def test_a_name_of_no_format_or_of_another_one_is_refused(name, asked, said, predict, album, tmp_path):
    code, _, err = predict(album, "--out", tmp_path / name, *asked)
    assert code == 2 and said in err and err.count("\n") == 1
    assert not list(tmp_path.glob("p.*"))


def test_if_no_image_can_be_read_the_exit_code_says_so(predict, album, tmp_path, monkeypatch):
    """An image without a face is an answer, and so is any prediction beside a damaged file."""
    broken, plain = tmp_path / "broken.jpg", tmp_path / "plain.png"
    broken.write_bytes(b"\xff\xd8\xff half of an image")
    Image.new("RGB", (60, 60)).save(plain)
    for given, expected in (
        ([broken], 1),
        ([broken, tmp_path], 0),
        ([plain], 0),
        ([plain, broken], 0),
        ([album / "monday" / "1.jpg", broken], 0),
    ):
        code, _, err = predict(*given)
        assert code == expected and "images without a prediction" in err
    from pa_difc.deploy.rows import Table

    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff")
    words = (broken, tmp_path / "b.jpg", "--out", tmp_path / "p.csv")
    with monkeypatch.context() as patch:
        patch.setattr(Table, "finish", lambda table: (_ for _ in ()).throw(KeyboardInterrupt))
        assert predict(*words)[0] == 130
    code, _, err = predict(*words)
    assert code == 1 and "1 of 2 images are done" in err and "2 of 2 images without a prediction" in err


def test_a_film_that_is_given_as_an_image_is_pointed_to_its_flag(predict, album, tmp_path):
    for name in ("film.mp4", "Film.MOV", "film.mkv", "film.avi", "film.webm"):
        (tmp_path / name).write_bytes(bytes(100))
        code, _, err = predict(tmp_path / name)
        assert code == 1 and f"has the name of a video: give it as --video {tmp_path / name}" in err
    assert "--video" not in predict(album)[2]


def test_ctrl_c_says_how_far_it_got_and_the_same_command_goes_on(predict, album, tmp_path, monkeypatch):
    from pa_difc.deploy import predictor as module

    find = module.predict_images

    def stopped(model, paths, **settings):
        for i, faces in enumerate(find(model, paths, **settings)):
            if i == 2:
                raise KeyboardInterrupt
            yield faces

    monkeypatch.setattr(module, "predict_images", stopped)
    code, _, err = predict(album, "--out", tmp_path / "p.csv")
    assert code == 130 and "stopped after 2 of 3 images. Resume with the same command." in err
    assert not (tmp_path / "p.csv").exists()
    monkeypatch.setattr(module, "predict_images", find)
    code, _, err = predict(album, "--out", tmp_path / "p.csv")
    assert code == 0 and "1 of 3 images are done" in err and len((tmp_path / "p.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize("change", [["--crop", "none"], ["--detect-px", 512], ["--views", "flip"], "image"])
def test_what_was_begun_with_something_else_is_not_gone_on_with(change, predict, album, tmp_path, monkeypatch):
    from pa_difc.deploy import predictor as module

    find = module.predict_images
    monkeypatch.setattr(module, "predict_images", lambda model, paths, **more: iter([*find(model, paths[:2], **more)]))
    monkeypatch.setattr("pa_difc.deploy.rows.Table.finish", lambda table: (_ for _ in ()).throw(KeyboardInterrupt))
    words = [album, "--out", tmp_path / "p.csv"]
    assert predict(*words)[0] == 130
    if change == "image":
        Image.new("RGB", (90, 60)).save(album / "monday" / "1.jpg")
    code, _, err = predict(*words, *([] if change == "image" else change))
    assert code == 130 and "images are done" not in err and len(list(tmp_path.glob("p.csv.part-*"))) == 2


def test_a_folder_is_no_table(predict, album, tmp_path):
    code, _, err = predict(album, "--out", tmp_path)
    assert code == 2 and "is not a file" in err


def test_an_image_is_predicted_once(predict, album, tmp_path):
    (album / "monday" / "again.jpg").symlink_to(album / "monday" / "1.jpg")
    given = [album / "monday" / "1.jpg", album, album / "monday" / ".." / "tuesday" / "1.png"]
    code, out, err = predict(*given)
    assert code == 0 and len(out.splitlines()) == 1 + 3
    assert "2 given twice" in err and "1 link to a file that is listed already" in err


def test_long_names_and_names_that_are_not_utf8(predict, album, tmp_path, content):
    small = (album / "monday" / "1.jpg").read_bytes()
    names = [b"a" * 251 + b".jpg", b"a" * 250 + b"b.jpg", b"caf\xe9.jpg", "é".encode() * 125 + b".jpg"]
    names += [rb"caf\xe9.jpg", rb"caf\x5cxe9.jpg", rb"back\slash.jpg"]
    for name in names:
        (album / "monday" / os.fsdecode(name)).write_bytes(small)
    code, _, err = predict(album / "monday", "--annotate", tmp_path / "drawn", "--out", tmp_path / "p.csv")
    assert code == 0, err
    drawn = [os.fsencode(p.name) for p in content(tmp_path / "drawn")]
    assert len(drawn) == 8 and b"caf\xe9.jpg.png" in drawn and all(len(name) <= 255 for name in drawn)
    text = (tmp_path / "p.csv").read_bytes().decode()  # UTF-8, strictly
    code, out, _ = predict(album / "monday", "--format", "json")
    assert code == 0
    for rows in (csv.DictReader(io.StringIO(text)), json.loads(out)):
        written = {row["file"].rpartition("/")[2] for row in rows}
        assert {r"caf\xe9.jpg", r"caf\x5cxe9.jpg", r"caf\x5cx5cxe9.jpg", r"back\slash.jpg"} < written
        back = [re.sub(rb"\\x(..)", lambda code: bytes.fromhex(code[1].decode()), name.encode()) for name in written]
        assert sorted(back) == sorted([b"1.jpg", *names])


@pytest.mark.parametrize("crop", ["model", "none"])
def test_an_image_that_is_too_much_to_draw_has_a_row_that_says_so(
    crop, predict, album, portrait, tmp_path, monkeypatch, content
):
    """A small crop of it could be made: at an eighth it takes 26 MB, to be drawn on, at a half, 30."""
    from pa_difc.deploy import predict as module

    monkeypatch.setattr(module, "Photograph", partial(module.Photograph, most_bytes=28_000_000))
    portrait.resize((2400, 1800)).save(album / "monday" / "0.jpg", progressive=True, subsampling="4:4:4")
    code, out, err = predict(album / "monday", "--annotate", tmp_path / "drawn", "--crop", crop)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [bool(row["problem"]) for row in rows] == [True, False], err
    assert "2400x1800 pixels in a progressive JPEG file take 30 MB" in rows[0]["problem"]
    assert [path.name for path in content(tmp_path / "drawn")] == ["1.jpg.png"]


def test_images_without_a_common_folder_have_one_at_the_root(tmp_path, album):
    other = tmp_path / "other" / "1.jpg"
    other.parent.mkdir()
    Image.new("RGB", (9, 9)).save(other)
    images = find_images([album / "monday", other])
    assert [p.as_posix() for p in picture_files(images, tmp_path / "drawn")] == [
        f"{tmp_path}/drawn/album/monday/1.jpg.png",
        f"{tmp_path}/drawn/other/1.jpg.png",
    ]


def test_no_images_and_why(tmp_path):
    (tmp_path / ".hidden.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"no images \(left out: 1 not an image, 1 system or hidden file\)"):
        find_images([tmp_path])


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_table_of_images_that_are_not_given_now_stays(kind, predict, album, tmp_path, monkeypatch):
    """The same images may be given again, or more of them, under any path; what can't be read has no prediction."""
    out = tmp_path / f"p.{kind}"
    (album / "monday" / "0.jpg").write_bytes(b"\xff\xd8\xff half of an image")
    Image.new("RGB", (60, 60)).save(album / "monday" / "plain.png")  # no face: an answer
    assert predict(album, "--out", out)[0] == 0
    before = out.read_text()
    for given, lost in (
        ([album / "monday" / "1.jpg"], "4 images, 3 of which are not given now"),
        ([album / "tuesday", album / "monday" / "1.jpg"], "4 images, 1 of which is not given now"),
    ):
        code, _, err = predict(*given, "--out", out)
        said = f"error: {out} has predictions for {lost}: give another --out, or remove it\n"
        assert (code, err) == (2, said) and out.read_text() == before
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [out.name]
    (album / "monday" / "0.jpg").unlink()
    (album / "tuesday" / "2.jpg").write_bytes((album / "tuesday" / "1.jpg").read_bytes())
    monkeypatch.chdir(tmp_path)
    for given in (["album"], [album], ["album/monday/../tuesday", "album"]):
        code, _, err = predict(*given, "--out", out)
        assert code == 0 and f"{out} has earlier predictions for these images: it is replaced at the end\n" in err
        assert out.read_text().count("2.jpg") == 1 and "0.jpg" not in out.read_text()
    one = [album / "monday" / "1.jpg", "--out", tmp_path / f"one.{kind}"]
    assert predict(*one)[0] == 0
    code, _, err = predict(album / "tuesday", *one[1:])
    assert code == 2 and "has predictions for 1 image, which is not given now: give another" in err


def test_a_folder_that_grows_is_resumed_after_a_kill(predict, album, tmp_path, monkeypatch):
    """The table of fewer images is there, and is replaced once the one of all is whole."""
    words = [album, "--out", tmp_path / "p.csv"]
    assert predict(*words)[0] == 0
    before = (tmp_path / "p.csv").read_text()
    (album / "wednesday.jpg").write_bytes((album / "tuesday" / "1.jpg").read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr("pa_difc.deploy.rows.Table.finish", lambda table: (_ for _ in ()).throw(KeyboardInterrupt))
        assert predict(*words)[0] == 130 and (tmp_path / "p.csv").read_text() == before
    code, _, err = predict(*words)
    assert code == 0 and "3 of 4 images are done" in err and (tmp_path / "p.csv").read_text().count("\n") == 5


def test_a_picture_of_another_image_stays(predict, album, tmp_path, content):
    drawn = tmp_path / "drawn"
    assert predict(album / "monday", "--annotate", drawn)[0] == 0
    before = content(drawn)
    code, _, err = predict(album / "tuesday", "--annotate", drawn)
    said = f"{drawn / '1.jpg.png'} is the picture of another image than {album / 'tuesday' / '1.jpg'}: give another"
    assert code == 2 and said in err and err.count("\n") == 1 and content(drawn) == before
    assert predict(album / "monday" / ".." / "monday" / "1.jpg", "--annotate", drawn)[0] == 0


def test_a_picture_that_an_older_version_drew_is_drawn_again(predict, album, tmp_path):
    from PIL.PngImagePlugin import PngInfo

    from pa_difc.data.foreign import SOFTWARE

    mark, file = PngInfo(), tmp_path / "drawn" / "1.jpg.png"
    mark.add_text("Software", SOFTWARE)
    file.parent.mkdir()
    Image.new("RGB", (4, 4)).save(file, pnginfo=mark)
    assert predict(album / "monday", "--annotate", tmp_path / "drawn")[0] == 0
    with Image.open(file) as picture:
        assert picture.width > 4


@pytest.mark.parametrize("terminal", [True, False])
def test_the_warning_of_another_crop_is_wrapped_on_a_terminal(terminal, as_they_are, album, monkeypatch, capsys):
    """Whether standard output, which has the table, is one or not."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("COLUMNS", "72")
    assert main(["predict", "--model", str(as_they_are), str(album / "monday" / "1.jpg"), "--crop", "cdfer"]) == 0
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith(("the model", "  "))]
    assert "the model was trained on" in err and out.count("\n") == 2
    assert (max(map(len, lines)) < 72) is terminal and (len(lines) > 1) is terminal
