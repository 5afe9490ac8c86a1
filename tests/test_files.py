"""Files are whole or not there."""

import itertools
import os
import resource
import stat

import pytest
from processes import killed_while_it_writes

from pa_difc.util.errors import UserError
from pa_difc.util.files import read_json, remove, write_atomic, write_json, write_text
from pa_difc.util.names import as_utf8, escaped
from pa_difc.util.toml import read_toml, to_toml


def test_a_reader_never_finds_half_a_file(tmp_path):
    path = tmp_path / "sub" / "file.txt"
    write_text(path, "old")
    inode = path.stat().st_ino

    def interrupted(file):
        file.write(b"half")
        file.flush()
        assert path.read_text() == "old"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, interrupted)
    assert path.read_text() == "old" and os.listdir(path.parent) == ["file.txt"]
    write_text(path, "new")
    assert path.read_text() == "new" and path.stat().st_ino != inode  # replaced, not written over


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, [1])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*file\.json"):
            write_json(path, list(range(10_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert read_json(path) == [1] and os.listdir(tmp_path) == ["file.json"]


def test_a_folder_that_can_t_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_text(tmp_path / "file" / "sub" / "x", "")


def test_what_is_no_json_is_one_line(tmp_path):
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(UserError, match="not a whole JSON file"):
        read_json(tmp_path / "x.json")
    with pytest.raises(ValueError):
        write_json(tmp_path / "y.json", float("nan"))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain é 開\n", "plain é 開\n"),
        ("caf\udce9.jpg", r"caf\xe9.jpg"),  # as Python names what Latin-1 calls café.jpg
        ("\udcff\udc80é", r"\xff\x80é"),
        ("\ud83d", r"\ud83d"),  # half of a pair
    ],
)
def test_whatever_a_name_is_it_can_be_written(text, written, tmp_path):
    assert as_utf8(text) == written
    write_text(tmp_path / "file.txt", text)
    assert (tmp_path / "file.txt").read_bytes() == written.encode()
    (tmp_path / "file.toml").write_bytes(to_toml({"data.source": f"folder:{text}"}).encode())
    assert read_toml(tmp_path / "file.toml") == {"data": {"source": f"folder:{written}"}}
    write_json(tmp_path / "file.json", text)
    assert read_json(tmp_path / "file.json") == text


def test_no_two_names_are_written_alike():
    """All names of up to six of these parts: plain ones, bytes that are not UTF-8, and what is written for them."""
    parts = ["\\", "x", "e9", "5c", "\udce9", "\ud83d", "ud83d"]
    names = {"".join(some) for n in range(1, 7) for some in itertools.product(parts, repeat=n)}
    assert len({escaped(name) for name in names}) == len(names)
    for name in names:
        escaped(name).encode()
    for name in ("plain é 開.jpg", r"C:\faces\a.jpg", r"\xy", "\\", r"\u12"):
        assert escaped(name) == name


@pytest.mark.parametrize("name", [b"a" * 255, "é".encode() * 127, b"\xe9" * 255, b"a" * 101])
def test_a_file_may_have_the_longest_name(name, tmp_path):
    path = tmp_path / os.fsdecode(name)
    other = path.with_name(os.fsdecode(name[:-2]))
    for text in ("old", "new"):
        write_text(path, text)
        write_text(other, "other")
        assert path.read_text() == text and sorted(os.listdir(tmp_path)) == sorted([path.name, other.name])


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_says_who_may_read_a_new_file_and_one_that_is_replaced_keeps_its_mode(umask, mode, tmp_path):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "new", "x")
        assert (tmp_path / "new").stat().st_mode & 0o777 == mode
        (tmp_path / "new").chmod(0o640)
        write_text(tmp_path / "new", "y")
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


@pytest.mark.parametrize("entry", ["link", "dangling", "pipe", "folder", "device"])
def test_nothing_but_a_file_is_replaced(entry, tmp_path):
    path = tmp_path / "x"
    (tmp_path / "kept").write_text("kept")
    if entry == "device":
        if os.geteuid() != 0:
            pytest.skip("only root may make a device")
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except OSError:
            pytest.skip("no devices can be made here")
    else:
        make = {
            "link": lambda: path.symlink_to("kept"),
            "dangling": lambda: path.symlink_to("nowhere"),
            "pipe": lambda: os.mkfifo(path),
            "folder": lambda: path.mkdir(),
        }
        make[entry]()
    before = path.lstat()
    with pytest.raises(UserError, match=r"is a link, and links|there is something that is not a file"):
        write_text(path, "new")
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert (tmp_path / "kept").read_text() == "kept" and sorted(os.listdir(tmp_path)) == ["kept", "x"]


def test_what_a_killed_writer_left_goes_with_the_file(tmp_path):
    path = tmp_path / "file.txt"
    killed_while_it_writes(path)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".file.txt.")
    other = tmp_path / "another.txt"
    write_text(other, "kept")
    remove(path)
    assert list(tmp_path.iterdir()) == [other]
    remove(other)
    remove(tmp_path / "no" / "folder")
    assert not list(tmp_path.iterdir())
