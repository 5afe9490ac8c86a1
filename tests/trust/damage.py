"""Broken files: every way to break one, seeded, and the commands that are given them."""

import contextlib
import io
import json
import os
import signal
import struct
import warnings
import zlib

import numpy as np
from made import store_manifest
from PIL import Image
from processes import here

from pa_difc.data.store import ARRAYS, FILES
from pa_difc.util.files import file_digest, write_json, write_sealed

#: Values in the place of others: wrong types, wrong sizes, numbers that are none.
STRANGE = [None, True, "x", "", [], {}, -1, 0.5, 1e9, 10**30, 10**5000, float("inf"), float("nan"), [[]], "../../etc"]

#: A short training, after a pair.
TRAIN = ["--method", "source_only", "--loss", "ce", "--epochs", "1", "--set", "crop_px=32", "batch_size=64"]


def damaged(data, rng):
    """A file's content after an accident; never the content as it was."""
    data, n = bytearray(data), len(data)
    way = rng.integers(8)
    start = int(rng.integers(max(1, n)))
    stop = min(n, start + int(rng.integers(1, 200)))
    if way == 0:
        return b""
    if way == 1:
        return bytes(data[:start])
    if way == 2:
        for position in rng.integers(n, size=rng.integers(1, 20)):
            data[position] ^= 1 << rng.integers(8)
    elif way == 3:
        data[start:stop] = rng.bytes(stop - start)
    elif way == 4:
        data[start:stop] = bytes(stop - start)
    elif way == 5:
        data[start:start] = rng.bytes(50)
    elif way == 6:
        return b"<html>404 Not Found</html>\n"
    else:
        del data[start:stop]
    return bytes(data) if data != bytearray() else b"\0"


def places(value, path=()):
    """The place of every value in nested lists and objects."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def rewritten(value, rng):
    """Plain values with one of them gone or replaced, without a seal: as if a person had edited the file."""
    value = json.loads(json.dumps(value))
    value.pop("digest", None)
    every = list(places(value))
    *path, key = every[rng.integers(len(every))]
    inner = value
    for step in path:
        inner = inner[step]
    if rng.random() < 0.3:
        del inner[key]
    else:
        inner[key] = STRANGE[rng.integers(len(STRANGE))]
    return value


def dumps(value):
    """JSON, also of whole numbers that Python refuses to print."""
    return json.dumps(value, default=str) if "0" * 4300 not in _printed(value) else '{"n": 1' + "0" * 5000 + "}"


def _printed(value):
    try:
        return json.dumps(value)
    except ValueError:
        return "0" * 4300


class Hung(BaseException):
    """Nothing that a command catches, or it would pass for a refusal."""


@contextlib.contextmanager
def at_most(seconds):
    """A hang is an error."""

    def late(*_):
        raise Hung(f"after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def command(*argv):
    """A command in this process: exit code, output, errors. An exception that gets out would be a traceback."""
    with warnings.catch_warnings(), at_most(60):
        warnings.simplefilter("ignore")
        return here(*argv)


def refused(code, err):
    """Whether a command ended as it should on what a user can mend: 2, and one line."""
    return code == 2 and err.startswith("error: ") and err.count("\n") == 1 and len(err) < 2000


class Tally:
    """Counts malformed inputs by kind, and keeps those that were not answered well."""

    def __init__(self):
        self.counts, self.wrong = {}, []

    def check(self, kind, case, good, *told):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if not good:
            self.wrong.append((kind, case, *told))

    def attempt(self, kind, case, judge):
        """``judge()`` says whether the answer was good; a traceback is none."""
        try:
            good, told = judge()
        except Exception as error:
            good, told = False, f"{type(error).__name__}: {error}"
        self.check(kind, case, good, told)

    def report(self):
        parts = ", ".join(f"{kind} {n}" for kind, n in self.counts.items())
        print(f"{sum(self.counts.values()):,} malformed inputs ({parts}); {len(self.wrong)} answered badly")
        assert not self.wrong, self.wrong[:5]


def image_bytes(kind, rng):
    """A small picture as a file's content."""
    pixels = rng.integers(0, 256, (40, 36, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    mode = {"palette": "P", "cmyk": "CMYK", "gray": "L"}.get(kind, "RGB")
    image = image.convert(mode)
    if kind == "deep":
        image = Image.fromarray(rng.integers(0, 2**16, (40, 36), dtype=np.uint16))
    formats = {"jpg": "JPEG", "cmyk": "JPEG", "png": "PNG", "deep": "PNG", "gray": "PNG", "webp": "WEBP", "bmp": "BMP"}
    buffer = io.BytesIO()
    image.save(buffer, formats.get(kind, "TIFF"))
    return buffer.getvalue()


#: Kinds of pictures, and what their files' names end in.
PICTURES = {"jpg": "jpg", "cmyk": "jpeg", "png": "png", "deep": "png", "gray": "png", "webp": "webp", "bmp": "bmp"}
PICTURES |= {"tiff": "tif", "palette": "tiff"}


def png_bomb(side):
    """A PNG of a few bytes that claims to have ``side``² pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def tiff_bomb(side):
    """A TIFF that does."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "TIFF")
    data = bytearray(buffer.getvalue())
    start = struct.unpack_from("<I", data, 4)[0]
    for i in range(struct.unpack_from("<H", data, start)[0]):
        entry = start + 2 + 12 * i
        if struct.unpack_from("<H", data, entry)[0] in (256, 257):  # width and height
            struct.pack_into("<HII", data, entry + 2, 4, 1, side)
    return bytes(data)


def not_images(folder):
    """Entries named like images that are none: each must be counted as unreadable."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 30 30\n%%EndComments\nshowpage\n"
    for name, data in {
        "empty.jpg": b"",
        "text.png": b"not an image",
        "program.jpg": eps,
        "bomb.png": png_bomb(50_000),
        "bomb.tif": tiff_bomb(50_000),
        "above.png": png_bomb(8_000),
    }.items():
        (folder / name).write_bytes(data)
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "endless.jpg").symlink_to("/dev/zero")
    (folder / "nowhere.jpg").symlink_to("gone.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    return 11


def write_store(path, faces, others):
    """A face store of two splits, written by hand from its description."""
    path.mkdir()
    sets = {"test": others, "train": faces}
    n = len(faces) + len(others)
    rows = {
        name: np.concatenate([getattr(s, name) for s in sets.values()]) for name in ("images", "landmarks", "labels")
    }
    rows |= {"boxes": np.zeros((n, 4)), "confidence": np.ones(n)}
    for name, (dtype, _) in ARRAYS.items():
        np.save(path / f"{name}.npy", rows[name].astype(dtype))
    write_json(path / "names.json", [f"{split}/{name}" for split, s in sets.items() for name in s.names])
    Image.new("RGB", (20, 20)).save(path / "contact_sheet.png")
    files = {f: {"bytes": (path / f).stat().st_size, "blake2b": file_digest(path / f)} for f in FILES}
    splits = {"test": [0, len(others)], "train": [len(others), n]}
    write_sealed(path / "manifest.json", store_manifest(faces.size_px, splits, files))
    return path
