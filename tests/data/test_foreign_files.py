"""What lies among images and is no sample, whoever lists them: what we wrote, thumbnails, devices, other formats."""

import os
import socket

import numpy as np
import pytest
from PIL import Image

from pa_difc.data.files import find_images, left_out_line
from pa_difc.data.foreign import is_system
from pa_difc.data.readers import read_class_folders, read_images
from pa_difc.data.store import FILES, MANIFEST
from pa_difc.deploy.images import save_picture


def picture(path, seed=0, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **how)
    return path


def faces(root):
    for word in ("happy", "sad"):
        for i in range(2):
            picture(root / word / f"{i}.png", len(word) + i)


def found(folder):
    result = find_images(folder)
    return [p.relative_to(folder).as_posix() for p in result.paths], result.left_out


FACES = ["happy/0.png", "happy/1.png", "sad/0.png", "sad/1.png"]


# What we wrote


def test_pictures_that_predict_has_drawn_are_no_samples_of_any_reader(tmp_path):
    faces(tmp_path)
    for name in ("happy/drawn/0.png.png", "drawn/1.png.png", "drawn/renamed.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_picture(Image.new("RGB", (40, 30), (len(name), 0, 0)), tmp_path / name, name)
    picture(tmp_path / "sad" / "edited.png", 9)
    with Image.open(tmp_path / "sad" / "edited.png") as image:
        image.save(tmp_path / "sad" / "edited.png", description="made with pa_difc")
    expected = {"written by predict": 3}
    assert found(tmp_path) == ([*FACES, "sad/edited.png"], expected)
    for reader in (read_class_folders, read_images):
        listing = reader(tmp_path)
        assert len(listing.samples) == 5 and listing.left_out == expected
    assert left_out_line(expected) == "left out: 3 written by predict"


def store(folder):
    folder.mkdir(parents=True)
    for name in (*FILES, MANIFEST):
        (folder / name).write_bytes(b"{}")
    picture(folder / "contact_sheet.png")


def test_a_face_store_below_the_images_is_none_of_them(tmp_path):
    faces(tmp_path)
    store(tmp_path / "happy" / "cut")
    store(tmp_path / "store")
    (tmp_path / "store" / MANIFEST).unlink()  # one that was interrupted
    expected = {"files of face stores": 2 * len(FILES) + 1}
    assert found(tmp_path) == (FACES, expected)
    listing = read_class_folders(tmp_path)
    assert {s.label for s in listing.samples} == {"happy", "sad"} and listing.left_out == expected
    assert found(tmp_path / "happy" / "cut") == ([], {"files of face stores": len(FILES) + 1})


def test_a_folder_with_some_of_a_store_s_names_is_one_of_images(tmp_path):
    for name in ("contact_sheet.png", "a.png"):
        picture(tmp_path / "happy" / name)
    (tmp_path / "happy" / "manifest.json").write_text("{}")
    (tmp_path / "happy" / "labels.npy").write_bytes(b"")
    assert found(tmp_path)[0] == ["happy/a.png", "happy/contact_sheet.png"]


# Photo managers


@pytest.mark.parametrize(
    "name",
    ["@SynoResource", "a.jpg@SynoResource", "a.jpg@SynoEAStream", "_gsdata_", "iPod Photo Cache", ".thumbnails",
     ".picasaoriginals", "_vti_cnf", "RESOURCE.FRK"],
)  # fmt: skip
def test_more_of_what_systems_make(name):
    assert is_system(name)


@pytest.mark.parametrize(
    "copy",
    ["{}/thumbs/{}.jpg", "{}/Thumbnails/thumb_{}.png", "{}/_thumbs/{}_tn.jpg", "{}/Originals/{}.png",
     "thumbs/{}/{}.jpg", "[Originals]/{}/{}.tif"],
)  # fmt: skip
def test_second_copies_of_photo_managers_are_left_out_and_counted(tmp_path, copy):
    faces(tmp_path)
    for name in FACES:
        word, _, rest = name.partition("/")
        picture(tmp_path / copy.format(word, rest[0]), 7)
    assert found(tmp_path) == (FACES, {"thumbnails and originals of listed images": 4})
    assert {s.label for s in read_class_folders(tmp_path).samples} == {"happy", "sad"}


def test_a_set_in_a_folder_that_is_called_so_stays(tmp_path):
    faces(tmp_path / "whole" / "Originals")
    assert found(tmp_path / "whole") == ([f"Originals/{name}" for name in FACES], {})
    assert {s.label for s in read_class_folders(tmp_path / "whole").samples} == {"happy", "sad"}
    for word in ("thumbs", "fist"):  # gestures
        picture(tmp_path / "hands" / word / "1.png", len(word))
    assert found(tmp_path / "hands") == (["fist/1.png", "thumbs/1.png"], {})


def test_an_original_of_which_nothing_else_is_left_stays(tmp_path):
    faces(tmp_path)
    picture(tmp_path / "happy" / "Originals" / "0.png", 8)
    picture(tmp_path / "happy" / "Originals" / "7.png", 9)
    names, left_out = found(tmp_path)
    assert names == sorted([*FACES, "happy/Originals/7.png"])
    assert left_out_line(left_out) == "left out: 1 thumbnail or original of a listed image"


# Other formats


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("TGA", "tga"), ("TGA", "TGA"), ("ICO", "ico"), ("PCX", "pcx"), ("SGI", "rgb"), ("SGI", "dat"), ("DDS", "dds"),
     ("QOI", "qoi")],
)  # fmt: skip
def test_formats_that_are_not_read_are_called_by_their_names(tmp_path, kind, suffix):
    faces(tmp_path)
    try:
        picture(tmp_path / f"a.{suffix}", format=kind)
    except (KeyError, OSError):  # a Pillow that only reads it
        (tmp_path / f"a.{suffix}").write_bytes(b"qoif" + bytes(60))
    names, left_out = found(tmp_path)
    assert names == FACES and left_out == {f"{kind}: convert them to JPEG or PNG": 1}
    assert left_out_line(left_out) == f"left out: 1 {kind} (convert them to JPEG or PNG)"


@pytest.mark.parametrize(
    ("name", "head"),
    [("a.tga", b""), ("a.tga", b"just some text, no picture"), ("a.txt", b"\n\n\n and a text of some length"),
     ("font.ttf", b"\0\1\0\0\0\x10\1\0\0\4\0\0DSIG\0\0"), ("a.raw", bytes(64))],
)  # fmt: skip
def test_what_only_resembles_them_is_no_image(tmp_path, name, head):
    (tmp_path / name).write_bytes(head)
    assert found(tmp_path) == ([], {"not images": 1})


# Pipes, sockets, devices


@pytest.mark.skipif(os.name == "nt", reason="there are none")
def test_what_is_no_file_is_no_sample_whatever_it_is_called(tmp_path, monkeypatch):
    faces(tmp_path)
    os.mkfifo(tmp_path / "happy" / "pipe.jpg")
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("sad/socket.png")
        (tmp_path / "sad" / "device.jpg").symlink_to(os.devnull)
        expected = {"pipes, sockets and devices": 3}
        assert found(tmp_path) == (FACES, expected)
        assert read_class_folders(tmp_path).left_out == expected
