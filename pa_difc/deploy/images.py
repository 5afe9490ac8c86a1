"""Finds the images to predict, and names the file for each one's annotated picture."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..data import files
from ..data.foreign import SOFTWARE
from ..util.errors import UserError
from ..util.files import refuse_foreign, refuse_links, write_atomic
from ..util.names import address_clause, near_clause, written

_LONGEST = 255  #: most bytes of a file's name
_TWICE = "given twice"
_SOURCE = "pa_difc source"  #: of the hash of the image's path in a picture's metadata


@dataclass(frozen=True)
class Images:
    """Images to predict, each file once."""

    paths: list[Path]
    left_out: dict[str, int]  #: files that are not predicted, by reason
    folders: list[Path]  #: the folders that were searched
    root: Path  #: their common parent folder


def find_images(given: Sequence[Path]) -> Images:
    """The given files, and all images below the given folders by the rules of :func:`.files.find_images`.

    Raises:
        UserError: a path does not exist, or there is no image.
    """
    paths: dict[str, Path] = {}
    left_out: Counter[str] = Counter()
    folders = [path for path in given if path.is_dir()]
    for path in given:
        if path not in folders and not path.exists():
            raise UserError(f"{written(path)}: no such file or folder{address_clause(path) or near_clause(path)}")
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
    """The deepest folder that holds all given folders and files."""
    within = [os.path.abspath(folder) for folder in folders]
    alone = [p for p in map(os.path.abspath, paths) if not any(p.startswith(os.path.join(f, "")) for f in within)]
    try:
        return Path(os.path.commonpath([*within, *map(os.path.dirname, alone)]))
    except ValueError:
        raise UserError("images on several drives: predict each drive's images separately") from None


def picture_files(images: Images, folder: Path) -> list[Path]:
    """The file for each image's annotated picture: the image's path below :attr:`Images.root`, plus ".png".

    Args:
        images: from :func:`find_images`.
        folder: the folder for the pictures.

    Raises:
        UserError: the folder is one that images are read from, a symbolic link is in the way, or a picture would
            overwrite an image, a file that predict did not write, or the picture of another image.
    """
    if os.path.realpath(folder) in map(os.path.realpath, images.folders):
        raise UserError(f"--annotate {folder}: images are read there; give another folder, such as {folder}_annotated")
    if not folder.exists():
        refuse_links(folder, instead="another --annotate")
    read = {os.path.realpath(path) for path in images.paths}
    made = [folder / _picture_name(Path(os.path.abspath(path)).relative_to(images.root)) for path in images.paths]
    inner = {parent for file in made for parent in file.parents if folder in parent.parents}
    refuse_links(*sorted(inner), *made, instead="another --annotate")
    for file, path in zip(made, images.paths, strict=True):
        if os.path.realpath(file) in read:
            raise UserError(f"{file} is one of the images, and would be overwritten: give another --annotate")
        _refuse_other_picture(file, path)
    return made


def _picture_name(path: Path) -> Path:
    """A path plus ".png"; a name that would get too long is shortened, with a hash of it added."""
    name = os.fsencode(path.name)
    if len(name) + len(".png") > _LONGEST:
        digest = hashlib.blake2b(name, digest_size=4).hexdigest()
        name = os.fsencode(f"{path.stem[:40]}~{digest}{path.suffix[:10]}")
    return path.with_name(os.fsdecode(name) + ".png")


def save_picture(picture: Image.Image, file: Path, source: str) -> None:
    """Writes a picture as PNG, with metadata that mark it as ours, so that it may be drawn again later.

    Args:
        picture: an image with its faces marked.
        file: for the picture.
        source: the image's path, whose hash is written too: no other image's picture may replace this one.

    Raises:
        UserError: the file can't be written.
    """
    mark = PngInfo()
    mark.add_text("Software", SOFTWARE)
    mark.add_text(_SOURCE, _hashed(source))

    def write(stream: IO[bytes]) -> None:
        picture.save(stream, "PNG", pnginfo=mark)

    write_atomic(file, write)


def _hashed(path: str | Path) -> str:
    return hashlib.blake2b(os.fsencode(os.path.realpath(path)), digest_size=8).hexdigest()


def _refuse_other_picture(file: Path, path: Path) -> None:
    """Refuses to draw an image's picture over a file that predict did not write, or over another image's picture."""
    found: dict[object, object] = {}

    def drawn_here(file: Path) -> bool:
        broken = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
        with suppress(*broken), Image.open(file, formats=("PNG",)) as picture:
            found.update(picture.info)
        return found.get("Software") == SOFTWARE

    refuse_foreign(file, ours=drawn_here, writer="predict", instead="another --annotate")
    if found.get(_SOURCE, _hashed(path)) != _hashed(path):
        raise UserError(f"{file} is the picture of another image than {path}: give another --annotate, or remove it")
