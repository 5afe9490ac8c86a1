"""Which files of a folder are images: by content, each once, and what is left out is counted."""

import os
import struct

import numpy as np
import pytest
from PIL import Image, features

from pa_difc.data.files import find_images, left_out_line
from pa_difc.data.foreign import is_system
from pa_difc.data.formats import decodable, image_format
from pa_difc.data.readers import read_class_folders, read_images


def picture(path, seed=0, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **how)
    return path


def boxes(brand, *others):
    """The head of a file made of boxes, such as HEIC and MP4."""
    content = brand + b"\0\0\0\0" + b"".join(others)
    return struct.pack(">I", 8 + len(content)) + b"ftyp" + content + b"\0" * 100


def found(folder):
    result = find_images(folder)
    return [p.relative_to(folder).as_posix() for p in result.paths], result.left_out


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "._a.jpg", ".git", "__MACOSX", "__macosx", "@eaDir", "@EADIR", "#recycle", "#Recycle", "@Recycle",
     "$RECYCLE.BIN", "System Volume Information", "lost+found", "Thumbs.db", "thumbs.DB", "desktop.ini", "Icon\r",
     ".ipynb_checkpoints", "SYNOPHOTO_THUMB_M.jpg", "a.jpg~", "~$a.docx", "a.jpg_original", "MVI_1.THM", "a.jpg.bak"],
)  # fmt: skip
def test_what_systems_and_programs_make_is_no_sample(name):
    assert is_system(name)


@pytest.mark.parametrize(
    "name", ["happy", "a.jpg", "raf_db_original", "original", "thumbs", "recycle", "-rf.jpg", "#1.png", " lead.jpg"]
)
def test_what_people_make_is(name):
    assert not is_system(name)


def test_system_folders_are_left_out_wherever_they_lie_and_counted(tmp_path):
    """A network disk keeps two previews of each image; a Mac's archive has a shadow of each file."""
    root = tmp_path / ".private" / "@eaDir"  # the folder that was given may be called anything
    for i in range(3):
        picture(root / "happy" / f"{i}.jpg", i)
        for size in "MX":
            picture(root / "happy" / "@eaDir" / f"{i}.jpg" / f"SYNOPHOTO_THUMB_{size}.jpg", i)
        (root / "__MACOSX" / "happy").mkdir(parents=True, exist_ok=True)
        (root / "__MACOSX" / "happy" / f"._{i}.jpg").write_bytes(b"\0\5\x16\7")
    (root / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    names, left_out = found(root)
    assert names == ["happy/0.jpg", "happy/1.jpg", "happy/2.jpg"] and left_out == {"system or hidden files": 10}
    listing = read_class_folders(root)
    assert len(listing.samples) == 3 and listing.left_out == left_out


def test_images_are_known_by_their_content(tmp_path):
    kinds = {
        **{"a.gif": "GIF", "b.jfif": "JPEG", "c.jpe": "JPEG", "d.pgm": "PPM", "e.jp2": "JPEG2000", "f.dat": "PNG"},
        **{"g": "JPEG", "subject01.happy": "GIF", "h.JPG": "JPEG", "i.jpg": "WEBP", "j.txt": "BMP", "k.x": "TIFF"},
    }
    for name, kind in kinds.items():
        picture(tmp_path / name, format=kind)
    for name, text in (("labels.csv", "image,label\n"), ("readme", "P1 is BM"), ("a.json", "{}"), ("II", "II is two")):
        (tmp_path / name).write_text(text)
    (tmp_path / "clip.mp4").write_bytes(boxes(b"isom", b"mp42"))
    names, left_out = found(tmp_path)
    assert names == sorted(kinds) and left_out == {"not images": 5}
    listing = read_images(tmp_path)
    assert listing.left_out == left_out and len(listing.samples) == len(kinds)


def test_a_file_that_is_meant_to_be_an_image_is_listed_so_that_its_fault_is_named(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.JPG").write_text("<html>404</html>")
    assert found(tmp_path) == (["empty.jpg", "page.JPG"], {})


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (boxes(b"heic", b"mif1", b"heic"), "a.jpg", "HEIF"),
        (boxes(b"mif1", b"miaf", b"avif"), "a", "AVIF"),
        (boxes(b"avis", b"avif"), "a", "AVIF"),
        (boxes(b"qt  "), "a.mov", None),
        (boxes(b"crx "), "a.cr3", "camera raw"),
        (b"II*\0\x10\0\0\0CR\2\0", "a.tif", "camera raw"),
        (b"MM\0*", "a.NEF", "camera raw"),
        (b"MM\0*", "a.tif", "TIFF"),
        (b"\xff\x0a", "a.jxl", "JPEG XL"),
        (b"8BPS", "a.psd", "Photoshop"),
        (b"RIFF\0\0\0\0AVI ", "a.avi", None),
        (b"BMW is a make of cars.", "a", None),
        (b"P5\n24 24\n255\n", "a", "PPM"),
        (b"P5 # by hand\n24 24 255\n", "a.pgm", "PPM"),
        (b"P5 is best", "a.txt", None),
        (b"Pf\n24 24\n-1.0\n", "a.pfm", "PPM"),
        (b"PK\3\4", "a.zip", None),
    ],
)
def test_formats_by_their_first_bytes(head, name, kind):
    assert image_format(head[:64], name[1:]) == kind


def test_what_can_t_be_decoded_is_counted_with_the_way_to_get_it(tmp_path):
    picture(tmp_path / "a.jpg")
    for i in range(3):
        (tmp_path / f"IMG_{i}.{('HEIC', 'jpg', 'heif')[i]}").write_bytes(boxes(b"heic", b"mif1", b"heic"))
    (tmp_path / "b.dng").write_bytes(b"II*\0\x08\0\0\0" + b"\0" * 80)
    names, left_out = found(tmp_path)
    if "HEIF" in decodable():
        assert names == ["IMG_0.HEIC", "IMG_1.jpg", "IMG_2.heif", "a.jpg"]
        return
    assert names == ["a.jpg"]
    assert left_out_line(left_out) == (
        "left out: 3 HEIC (pip install 'pa-difc[heif]'), 1 camera raw files (convert them to JPEG or PNG)"
    )


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow can't write AVIF")
def test_avif_is_read_where_pillow_reads_it(tmp_path):
    picture(tmp_path / "a.jpg", format="AVIF")
    assert found(tmp_path) == (["a.jpg"], {})


def test_links_are_followed_and_a_file_is_listed_once_by_its_own_path(tmp_path):
    disk, root = tmp_path / "disk", tmp_path / "faces"
    for i in range(3):
        picture(disk / "happy" / f"{i}.jpg", i)
        picture(root / "sad" / f"{i}.jpg", 9 + i)
    (root / "happy").symlink_to(disk / "happy")
    (root / "a_first.jpg").symlink_to(root / "sad" / "0.jpg")  # its own path comes later in the order
    (root / "again").symlink_to(root / "sad")
    (root / "sad" / "one.jpg").symlink_to(disk / "happy" / "2.jpg")
    (root / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    names, left_out = found(root)
    assert names == [*(f"happy/{i}.jpg" for i in range(3)), *(f"sad/{i}.jpg" for i in range(3))]
    assert left_out == {
        "broken links": 1,
        "links to a file that is listed already": 2,
        "links to a folder that is listed already": 1,
    }


def test_loops_end_and_give_no_image_another_class(tmp_path):
    root = tmp_path / "faces"
    for word in ("anger", "happy"):
        picture(root / word / "0.jpg", len(word))
    (root / "happy" / "again").symlink_to(root)
    (root / "happy" / "above").symlink_to(tmp_path)
    (root / "happy" / "self").symlink_to(root / "happy" / "self")
    (root / "anger" / "other").symlink_to(root / "happy")
    assert found(root)[0] == ["anger/0.jpg", "happy/0.jpg"]
    assert {s.label for s in read_class_folders(root).samples if "happy" in s.name} == {"happy"}
    assert found(root / "happy")[0] == ["0.jpg"]


def test_a_folder_is_the_same_however_it_is_given(tmp_path, monkeypatch):
    picture(tmp_path / "faces" / "happy" / "0.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "faces")
    monkeypatch.chdir(tmp_path)
    ways = [tmp_path / "faces", *map(type(tmp_path), ("faces", "./faces", "faces/happy/..", "link"))]
    assert [found(way)[0] for way in ways] == [["happy/0.jpg"]] * 5


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_counted(tmp_path):
    picture(tmp_path / "a.jpg").chmod(0)
    picture(tmp_path / "closed" / "b.jpg").parent.chmod(0)
    try:
        assert found(tmp_path) == ([], {"unreadable (permission denied)": 2})
    finally:
        (tmp_path / "closed").chmod(0o755)


def test_names_that_are_not_utf8_are_found(tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    os.rename(picture(tmp_path / "a.jpg"), raw)
    (path,) = find_images(tmp_path).paths
    assert os.fsencode(path) == raw


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert found(tmp_path) == ([], {"pipes, sockets and devices": 1})


def test_the_line_is_plain():
    assert left_out_line({}) is None and left_out_line({"not images": 0}) is None
    line = left_out_line({"broken links": 1, "not images": 1200, "system or hidden files": 1})
    assert line == "left out: 1 broken link, 1,200 not images, 1 system or hidden file"
