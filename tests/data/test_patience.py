"""A disk that fails is tried again, and is never taken for a bad image."""

import errno
import os
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from pa_difc.data import load_domain, photograph
from pa_difc.data.datasets import find_dataset
from pa_difc.data.files import find_images
from pa_difc.data.photograph import BrokenImageError, Photograph
from pa_difc.data.prepare import PrepareSettings, prepare_store
from pa_difc.data.prepare.work import make_chunk, start_worker
from pa_difc.util import patience
from pa_difc.util.errors import DiskError

FAULTS = [errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(patience, "PAUSES_S", (0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Images of all formats, large enough to be read in pieces."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for word in ("happy", "sad"):
            (root / split / word).mkdir(parents=True)
            for i, kind in enumerate(("png", "jpg", "tif", "webp", "gif", "bmp")):
                pixels = rng.integers(0, 255, (1100, 1000), dtype=np.uint8)
                path = root / split / word / f"{i}.{kind}"
                how = {"compression": "tiff_lzw"} if kind == "tif" else {}
                Image.fromarray(pixels).save(path, **how)
    return root


@pytest.fixture
def folder(faces, tmp_path):
    shutil.copytree(faces, tmp_path / "faces", copy_function=os.link)
    return tmp_path


class Failing:
    """A system call that fails for some files, for so many times each."""

    def __init__(self, monkeypatch, call, code, times, ending=""):
        self.left, self.real, self.code, self.ending = times, getattr(os, call), code, ending
        self.names = {}
        monkeypatch.setattr(os, call, self)
        if call == "read":
            opening = os.open
            monkeypatch.setattr(os, "open", lambda path, *rest, **how: self.remember(opening(path, *rest, **how), path))

    def remember(self, handle, path):
        self.names[handle] = path
        return handle

    def __call__(self, what, *rest, **how):
        name = os.fsdecode(self.names.get(what, what) if not isinstance(what, int) else self.names.get(what, ""))
        if name.endswith(self.ending) and self.left:
            self.left -= 1
            raise OSError(self.code, os.strerror(self.code))
        return self.real(what, *rest, **how)


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize("call", ["open", "read"])
@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp", "gif", "bmp"])
def test_a_fault_that_passes_leaves_no_trace(folder, monkeypatch, code, call, kind):
    (path, *_) = (folder / "faces" / "train" / "sad").glob(f"*.{kind}")
    expected = np.asarray(Photograph(path).picture().image)
    failing = Failing(monkeypatch, call, code, 3, path.name)
    found = np.asarray(Photograph(path).picture().image)
    assert failing.left == 0 and (found == expected).all()


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize("call", ["open", "read"])
@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp", "gif", "bmp"])
def test_a_fault_that_stays_stops(folder, monkeypatch, code, call, kind):
    """Also where a decoder takes it for the end of the file."""
    (path, *_) = (folder / "faces" / "train" / "sad").glob(f"*.{kind}")
    Failing(monkeypatch, call, code, -1, path.name)
    with pytest.raises(DiskError, match=rf"cannot read .*{path.name} \(4 tries\): {os.strerror(code)}"):
        Photograph(path).picture()


def test_a_fault_in_the_middle_of_a_file_stops(folder, monkeypatch):
    """The first bytes are read; then the disk fails."""
    (path,) = (folder / "faces" / "train" / "sad").glob("*.jpg")
    real = os.read

    def read(file, length):
        if os.lseek(file, 0, os.SEEK_CUR) >= 20_000:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(file, length)

    monkeypatch.setattr(os, "read", read)
    with pytest.raises(DiskError, match="Input/output error"):
        Photograph(path).picture()


@pytest.mark.parametrize("says", ["truncated", None])
def test_a_fault_that_a_decoder_swallows_stops(folder, monkeypatch, says):
    """It takes the fault for the end of the file, and calls the image bad, or fills up what is missing."""
    (path,) = (folder / "faces" / "train" / "sad").glob("*.png")

    def swallowing(file):
        try:
            with monkeypatch.context() as failing:
                Failing(failing, "read", errno.EIO, -1)
                file.read(100)
        except DiskError:
            if says:
                raise OSError(says) from None
        return Image.new("L", (2000, 2000))

    monkeypatch.setattr(photograph, "_open", swallowing)
    with pytest.raises(DiskError, match="Input/output error"):
        Photograph(path)


def test_a_file_that_is_not_there_is_its_own_fault(tmp_path):
    with pytest.raises(BrokenImageError, match="no such file"):
        Photograph(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(BrokenImageError, match="not a file"):
        Photograph(tmp_path / "pipe.jpg")


def test_training_takes_no_image_for_a_bad_one(folder, monkeypatch):
    Failing(monkeypatch, "read", errno.EIO, -1, "sad/3.webp")
    with pytest.raises(DiskError, match=r"3\.webp"):
        load_domain("folder:faces", folder, size_px=32)


def test_prepare_leaves_nothing_half_judged(folder, monkeypatch):
    reader, root = find_dataset("folder:faces", folder)
    samples = reader(root).samples
    handler = signal.getsignal(signal.SIGINT)
    start_worker("cpu", 64)
    signal.signal(signal.SIGINT, handler)  # a worker leaves Ctrl-C to its parent; here there is none
    with monkeypatch.context() as failing:
        Failing(failing, "read", errno.EIO, -1, "sad/3.webp")
        with pytest.raises(DiskError):
            make_chunk(folder / "chunk.npz", samples, PrepareSettings(detect_px=64))
        with pytest.raises(DiskError):  # hashing the files finds it first
            prepare_store("folder:faces", reader(root), folder / "store", PrepareSettings())
    assert not (folder / "chunk.npz").exists() and not (folder / "store" / "manifest.json").exists()


@pytest.mark.parametrize("code", FAULTS)
def test_a_listing_waits_for_the_disk(folder, monkeypatch, code):
    expected = find_images(folder).paths
    real, left = os.scandir, [3]

    def scandir(path):
        if left[0] and str(path).endswith("sad"):
            left[0] -= 1
            raise OSError(code, os.strerror(code))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert find_images(folder).paths == expected
    left[0] = -1
    with pytest.raises(DiskError, match="sad"):
        find_images(folder)
