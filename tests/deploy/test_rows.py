"""Rows go out image by image: what a killed run has done stays, and the next one goes on with it."""

import csv
import io
import json
import os
import signal
import time

import numpy as np
import pytest
from PIL import Image
from processes import start

from pa_difc.deploy.prediction import Prediction, frame_columns
from pa_difc.deploy.rows import FileTable, Format, Table
from pa_difc.util.errors import UserError

CLASSES = ["happy", "left", 'a, "b"']
#: Two of them differ in that a byte of one is written in the other's name.
NAMES = ["a.jpg", "new\nline.jpg", "re\rturn.jpg", 'x,y;"q".jpg', "caf\udce9.jpg", "caf\\xe9.jpg"]
WRITTEN = [*NAMES[:4], r"caf\xe9.jpg", r"caf\x5cxe9.jpg"]


def rows_of(i, name):
    """An image's rows: of two faces, or of none."""
    if i % 3 == 2:
        return [Prediction(name, problem="no face").row(CLASSES)]
    box, points = (1.0, 2.5, 30.0 + i, 40.0), np.arange(10.0).reshape(5, 2)
    return [Prediction(name, box, points + k, np.array([0.25, 0.5, 0.25])).row(CLASSES) for k in range(2)]


def write(table, first=0, last=6):
    for i in range(first, last):
        table.add(rows_of(i, NAMES[i]))


@pytest.fixture(params=["csv", "json"])
def form(request):
    return Format(request.param, CLASSES)


@pytest.fixture
def whole(form):
    stream = io.StringIO()
    table = Table(stream, form)
    write(table)
    table.finish()
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize("frame", [False, True])
def test_probabilities_are_read_back_as_the_model_gave_them(kind, frame):
    """Of many classes as of two that differ in the last bit: they sum to 1, and the largest is the label's."""
    rng = np.random.default_rng(3)
    many = [f"class {i}" for i in range(31)]
    close = np.full(31, 1 / 31, np.float32)
    close[17] = np.nextafter(close[17], np.float32(1))
    rows = [rng.dirichlet(np.full(31, alpha)).astype(np.float32) for alpha in (0.02, 1.0, 1e4)]
    for probs in [close, *(np.maximum(row, 0) for row in rows)]:
        prediction = Prediction("a.jpg", (1.0, 2.0, 3.0, 4.0), None, probs, track=1)
        row = {"frame": 0, "time_s": 0.0} | prediction.frame_row(many) if frame else prediction.row(many)
        stream = io.StringIO()
        table = Table(stream, Format(kind, many, frame_columns(many) if frame else None))
        table.add([row])
        table.finish()
        text = stream.getvalue()
        (back,) = json.loads(text) if kind == "json" else list(csv.DictReader(io.StringIO(text)))
        told = np.array([float(back[name]) for name in many])
        assert (told.astype(np.float32) == probs).all() and abs(told.sum() - 1) < 1e-5
        assert back["label"] == many[told.argmax()]


def test_a_table_is_what_its_format_says(form, whole):
    rows = json.loads(whole) if form.kind == "json" else list(csv.DictReader(io.StringIO(whole, newline="")))
    expected = [row for i, name in enumerate(WRITTEN) for row in rows_of(i, name)]
    assert len(rows) == len(expected) == 10
    for row, right in zip(rows, expected, strict=True):
        assert row["file"] == right["file"] and row["problem"] == right["problem"]
        assert {k: str(v) for k, v in row.items() if v != ""} == {k: str(v) for k, v in right.items() if v != ""}


@pytest.mark.parametrize("done", range(len(NAMES) + 1))
def test_a_stopped_table_is_gone_on_with(done, form, whole, tmp_path):
    table = FileTable(tmp_path / "p", form, "id", NAMES)
    write(table, 0, done)
    del table  # the process is gone
    assert [p.name for p in tmp_path.iterdir() if p.name[0] != "."] == ["p.part-id"]
    table = FileTable(tmp_path / "p", form, "id", NAMES)
    assert table.done == max(0, done - 1)  # of the last image a row may be missing
    write(table, table.done)
    table.finish()
    assert (tmp_path / "p").read_bytes() == whole.encode() and len(list(tmp_path.iterdir())) == 1
    assert table.done == len(NAMES) and table.problems == 2


def test_wherever_a_table_breaks_off_the_next_run_completes_it(form, whole, tmp_path):
    data = whole.encode()
    for length in range(0, len(data), 7):
        (tmp_path / "p.part-id").write_bytes(data[:length])
        table = FileTable(tmp_path / "p", form, "id", NAMES)
        write(table, table.done)
        table.finish()
        assert (tmp_path / "p").read_bytes() == data, length
        (tmp_path / "p").unlink()


@pytest.mark.parametrize("other", [b"\xff\xfe\0", b"file,label\nx,y\n", b"[\n {", b"[]"])
def test_what_is_no_table_is_begun_anew(other, form, whole, tmp_path):
    (tmp_path / "p.part-id").write_bytes(other)
    table = FileTable(tmp_path / "p", form, "id", NAMES)
    assert table.done == 0
    write(table)
    table.finish()
    assert (tmp_path / "p").read_bytes() == whole.encode()


def test_rows_of_other_images_are_not_gone_on_with(form, whole, tmp_path):
    (tmp_path / "p.part-id").write_bytes(whole.replace("a.jpg", "b.jpg", 1).encode())
    table = FileTable(tmp_path / "p", form, "id", NAMES)
    assert table.done == 0
    write(table)
    table.finish()
    assert (tmp_path / "p").read_bytes() == whole.encode()


def test_rows_are_in_the_file_when_an_image_is_done(form, tmp_path):
    table = FileTable(tmp_path / "p", form, "id", NAMES)
    for done in range(1, len(NAMES) + 1):
        write(table, done - 1, done)
        with table.part.open(newline="") as file:
            assert len({row["file"] for row in form.rows(file.read())}) == done


def test_the_table_of_before_stays_until_the_new_one_is_whole(form, whole, tmp_path):
    (tmp_path / "p").write_bytes(whole.encode())
    table = FileTable(tmp_path / "p", form, "id", NAMES)
    write(table, 0, 2)
    assert (tmp_path / "p").read_bytes() == whole.encode()


def test_two_processes_do_not_write_one_table(form, tmp_path):
    first = FileTable(tmp_path / "p", form, "id", NAMES)
    for same in ("id", "other"):  # both would take the place of the one table
        with pytest.raises(UserError, match=rf"p: process {os.getpid()} on .* \(since .*\) is writing this table"):
            FileTable(tmp_path / "p", form, same, NAMES)
    assert not (tmp_path / "p.part-other").exists()
    write(first)
    first.finish()
    assert [p.name for p in tmp_path.iterdir()] == ["p"]
    again = FileTable(tmp_path / "p", form, "id", NAMES)
    again.close()
    again.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p", "p.part-id"]


@pytest.mark.parametrize("gone", range(5))
def test_an_image_without_its_picture_is_not_done(form, whole, tmp_path, gone):
    """Of the third image, in which no face was found, there is a picture, and none of the fourth: it is no image."""
    pictures = [tmp_path / "drawn" / f"{i}.png" for i in range(6)]
    (tmp_path / "drawn").mkdir()
    for i in (0, 1, 2, 4):
        pictures[i].write_bytes(b"")

    def fill(table):
        for i in range(table.done, 6):
            row = [Prediction(NAMES[i], problem="not an image").row(CLASSES)]
            table.add(row if i == 3 else rows_of(i, NAMES[i]))

    table = FileTable(tmp_path / "p", form, "id", NAMES, pictures)
    fill(table)
    table.close()
    if gone != 3:
        pictures[gone].unlink()
    table = FileTable(tmp_path / "p", form, "id", NAMES, pictures)
    assert table.done == (5 if gone == 3 else gone) and table.problems == (gone > 2) + (gone >= 3)
    fill(table)
    table.finish()
    table = FileTable(tmp_path / "q", form, "id", NAMES)
    fill(table)
    table.finish()
    assert (tmp_path / "p").read_bytes() == (tmp_path / "q").read_bytes()


@pytest.mark.parametrize("name", ["p", "p.part-id", ".p.lock", ".p.owner.json"])
@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_written_through_a_link_or_over_one(form, tmp_path, name, there):
    behind = tmp_path / "behind"
    if there:
        behind.write_text("")  # as an empty table, it might be taken for one of ours
    (tmp_path / "out").mkdir()
    link = tmp_path / "out" / name
    link.symlink_to(behind)
    with pytest.raises(UserError, match=f"{name} is a link, and links are never written to"):
        FileTable(tmp_path / "out" / "p", form, "id", NAMES)
    assert link.is_symlink() and behind.exists() is there and not (there and behind.read_text())
    link.unlink()
    table = FileTable(tmp_path / "out" / "p", form, "id", NAMES)
    write(table)
    link.is_symlink() or (tmp_path / "out" / "p").symlink_to(behind)  # somebody makes one meanwhile
    with pytest.raises(UserError, match="p is a link"):
        table.finish()
    table.close()
    assert (tmp_path / "out" / "p").is_symlink() and (tmp_path / "out" / "p.part-id").exists()


def test_a_kill_leaves_the_rows_that_are_done(as_they_are, tmp_path, content):
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for i in range(300):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "in" / f"{i:03d}.png")
    before = content(tmp_path / "in")
    words = ["-m", "pa_difc", "predict", "--model", as_they_are, tmp_path / "in", "--crop", "none"]
    words += ["--annotate", tmp_path / "drawn", "--out", tmp_path / "p.csv"]
    process = start(*words)
    end = time.monotonic() + 120
    while not (part := next(tmp_path.glob("p.csv.part-*"), None)) or part.read_text().count("\n") < 20:
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "p.csv").exists()
    rows = list(csv.DictReader(io.StringIO(part.read_text())))
    assert 19 <= len(rows) < 300 and all(None not in row.values() for row in rows)

    process = start(*words)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0 and f"{len(rows) - 1} of 300 images are done" in err
    with (tmp_path / "p.csv").open() as file:
        again = list(csv.DictReader(file))
    assert again[: len(rows)] == rows and [r["file"] for r in again] == [str(p) for p in before]
    assert len(content(tmp_path / "drawn")) == 300 and content(tmp_path / "in") == before
    assert not list(tmp_path.glob("*.part-*")) and not list((tmp_path / "drawn").glob(".*"))
