"""Which images are predicted, and where the annotated picture of each goes."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..data import files
from ..data.foreign import SOFTWARE
from ..util.errors import UserError
from ..util.files import refuse_foreign, refuse_links, write_atomic

_LONGEST = 255  #: bytes of a file's name
_TWICE = "given twice"


@dataclass(frozen=True)
class Images:
    """Images to predict, each file once."""

    paths: list[Path]
    left_out: dict[str, int]  #: files that are not predicted, by reason
    folders: list[Path]  #: that were searched for images
    root: Path  #: the folder that all of them lie in


def find_images(given: Sequence[Path]) -> Images:
    """Files as they are given, and all images below folders, by the rules of :func:`.files.find_images`.

    Raises:
        UserError: a path does not exist, or there is no image.
    """
    paths: dict[str, Path] = {}
    left_out: Counter[str] = Counter()
    folders = [path for path in given if path.is_dir()]
    for path in given:
        if path not in folders and not path.exists():
            raise UserError(f"{path}: no such file or folder")
        for file in _below(path, left_out) if path in folders else [path]:
            if paths.setdefault(os.path.realpath(file), file) is not file:
                left_out[_TWICE] += 1
    if not paths:
        raise UserError(f"{', '.join(map(str, given))}: no images{files.left_out_clause(left_out)}")
    found = list(paths.values())
    return Images(found, dict(sorted(left_out.items())), folders, _root(found, folders))


def _below(folder: Path, left_out: Counter[str]) -> Iterator[Path]:
    try:
        found = files.find_images(folder)
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror or error}") from None
    left_out.update(found.left_out)
    yield from found.paths


def _root(paths: Sequence[Path], folders: Sequence[Path]) -> Path:
    """The lowest folder that holds all that was given, and what links led to."""
    within = [os.path.abspath(folder) for folder in folders]
    alone = [p for p in map(os.path.abspath, paths) if not any(p.startswith(os.path.join(f, "")) for f in within)]
    try:
        return Path(os.path.commonpath([*within, *map(os.path.dirname, alone)]))
    except ValueError:
        raise UserError("images on several drives: predict those of each drive by themselves") from None


def picture_files(images: Images, folder: Path) -> list[Path]:
    """Where the annotated picture of each image goes: by its path below :attr:`Images.root`, with ".png" at the end.

    Raises:
        UserError: the folder is one of those whose images are read, a link lies in the way of a file, or a file is an
            image or was not written here.
    """
    if os.path.realpath(folder) in map(os.path.realpath, images.folders):
        raise UserError(f"--annotate {folder}: images are read there; give another folder, such as {folder}_annotated")
    if not folder.exists():
        refuse_links(folder, instead="another --annotate")
    read = {os.path.realpath(path) for path in images.paths}
    made = [folder / _picture_name(Path(os.path.abspath(path)).relative_to(images.root)) for path in images.paths]
    inner = {parent for file in made for parent in file.parents if folder in parent.parents}
    refuse_links(*sorted(inner), *made, instead="another --annotate")
    for file in made:
        if os.path.realpath(file) in read:
            raise UserError(f"{file} is one of the images, and would be written over: give another --annotate")
        refuse_foreign(file, ours=_drawn_here, writer="predict", instead="another --annotate")
    return made


def _picture_name(path: Path) -> Path:
    """A path and ".png"; of a name that would be too long a part, and a hash of it."""
    name = os.fsencode(path.name)
    if len(name) + len(".png") > _LONGEST:
        digest = hashlib.blake2b(name, digest_size=4).hexdigest()
        name = os.fsencode(f"{path.stem[:40]}~{digest}{path.suffix[:10]}")
    return path.with_name(os.fsdecode(name) + ".png")


def save_picture(picture: Image.Image, file: Path) -> None:
    """Writes a picture, with a mark by which it is known as one that was drawn here.

    Raises:
        UserError: it can't be written.
    """
    mark = PngInfo()
    mark.add_text("Software", SOFTWARE)

    def write(stream: IO[bytes]) -> None:
        picture.save(stream, "PNG", pnginfo=mark)

    write_atomic(file, write)


def _drawn_here(file: Path) -> bool:
    try:
        with Image.open(file, formats=("PNG",)) as picture:
            return bool(picture.info.get("Software") == SOFTWARE)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
