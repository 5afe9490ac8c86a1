"""Two processes on one store: the second is told who works there, and nothing is half of one."""

import errno
import json
import os

import pytest
from photographs import content, photographs
from processes import apart, here

from pa_difc.data.datasets import find_dataset
from pa_difc.data.prepare import PrepareSettings, prepare_store
from pa_difc.data.prepare.lock import writing
from pa_difc.util.errors import UserError
from pa_difc.util.lock import LOCK, OWNER


def test_one_writes_and_the_other_says_who(tmp_path):
    with writing(tmp_path / "store"):
        owner = json.loads((tmp_path / "store" / OWNER).read_text())
        with (
            pytest.raises(
                UserError, match=rf"process {owner['process']} on .* \(since .*\) is writing this store; wait"
            ),
            writing(tmp_path / "store"),
        ):
            pass
        (tmp_path / "store" / OWNER).write_text("no json")
        with pytest.raises(UserError, match="another process is writing this store"), writing(tmp_path / "store"):
            pass
    assert not (tmp_path / "store").exists()  # nothing was written


def test_an_interrupted_store_is_not_locked(tmp_path):
    out = tmp_path / "store"
    with pytest.raises(KeyboardInterrupt), writing(out):
        (out / ".part").mkdir()
        raise KeyboardInterrupt
    assert (out / ".part").is_dir() and not (out / OWNER).exists()
    with writing(out):
        (out / ".part").rmdir()
        (out / "manifest.json").write_text("{}")
    assert [p.name for p in out.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("name", [LOCK, OWNER, ".part", "images.npy"])
@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_written_through_a_link_in_a_store_s_folder(tmp_path, name, there):
    photographs(tmp_path / "faces", n=3)
    out, behind = tmp_path / "store", tmp_path / "behind"
    if there:
        behind.mkdir() if name == ".part" else behind.write_text("mine")
    (out / ".part").mkdir(parents=True)  # of an interrupted call
    if name == ".part":
        (out / ".part").rmdir()
    (out / name).symlink_to(behind)
    reader, path = find_dataset("folder:faces", tmp_path)
    with pytest.raises(UserError, match=rf"{name} is a link, and links are never written to"):
        prepare_store("folder:faces", reader(path), out, PrepareSettings())
    assert (out / name).is_symlink() and behind.exists() is there
    assert not there or (list(behind.iterdir()) == [] if name == ".part" else behind.read_text() == "mine")


@pytest.mark.parametrize("error", [NotImplementedError("no flock"), OSError(errno.ENOLCK, "No locks available")])
def test_a_disk_without_locks_is_written_without_one(tmp_path, monkeypatch, error):
    monkeypatch.setattr("filelock.FileLock.acquire", lambda lock: (_ for _ in ()).throw(error))
    with writing(tmp_path / "store"):
        (tmp_path / "store" / "manifest.json").write_text("{}")
    assert [p.name for p in (tmp_path / "store").iterdir()] == ["manifest.json"]


def test_what_can_t_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"), writing(tmp_path / "file" / "store"):
        pass


def test_another_command_is_refused_while_one_writes(tmp_path):
    photographs(tmp_path / "faces", n=3)
    command = ("prepare", "--dataset", "folder:faces", "--processes", 1, "--data-root", tmp_path)
    out = tmp_path / "store"
    with writing(out):
        code, _, error = apart(*command, "--out", out)
        assert code == 2 and f"process {os.getpid()} on " in error and error.count("\n") == 1
        assert {p.name for p in out.iterdir()} == {LOCK, OWNER}
    code, said, error = here(*command, "--out", out)
    assert code == 0 and "faces of 3 images" in said, error
    assert not {LOCK, OWNER} & set(content(out))
    (out / LOCK).mkdir()  # a whole store is looked at, not locked
    code, said, _ = here(*command, "--out", out)
    assert code == 0 and "up to date" in said
