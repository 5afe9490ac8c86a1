"""Files are whole or not there."""

import os
import resource

import pytest

from pa_difc.util.errors import UserError
from pa_difc.util.files import read_json, write_atomic, write_json, write_text


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
