"""Reads CK+ (Lucey et al. 2010): the distributed sequences, and the 48×48 crops known as CK+48."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ...util.errors import UserError
from ..files import find_images
from ..foreign import is_system
from .folders import read_class_folders
from .listing import Listing, NotHere, Sample, held_out_groups, read_lines
from .places import find_inner, opened

#: Codes of the emotion files.
CODES = {0: "neutral", 1: "anger", 2: "contempt", 3: "disgust", 4: "fear", 5: "happy", 6: "sad", 7: "surprise"}
PEAK_FRAMES = 3


def read_ck_plus(root: Path) -> Listing:
    """Reads CK+ as distributed: ``cohn-kanade-images/S005/001/*.png`` and ``Emotion/S005/001/*_emotion.txt``.

    The last three frames of each labelled sequence have its expression, and the first frame is neutral. Class folders
    of frames whose names begin with the person are read too. About a fifth of the people is held out as "test".
    """
    try:
        base = find_inner(root, lambda folder: (folder / "cohn-kanade-images").is_dir(), "no cohn-kanade-images/ here")
    except NotHere:
        return read_class_folders(root, group=_person)
    images = base / "cohn-kanade-images"
    emotions = next((p for n in ("Emotion", "Emotion_labels") if (p := base / n).is_dir()), None)
    if emotions is None:
        raise UserError(f"{base}: no labels of CK+ here (looked for Emotion/S005/001/*_emotion.txt)")
    samples: list[Sample] = []
    found = find_images(images)
    frames_of: dict[Path, list[Path]] = {}
    for frame in found.paths:
        frames_of.setdefault(frame.parent, []).append(frame)
    for path in _emotion_files(emotions):
        sequence = images / path.parent.relative_to(emotions)
        if not (frames := frames_of.get(sequence, [])):
            raise UserError(f"{path}: no frames of this sequence in {sequence}")
        label, person = _code(path), sequence.parent.name
        labelled = [(frames[0], CODES[0]), *((f, label) for f in frames[1:][-PEAK_FRAMES:])]
        samples += [Sample(f.relative_to(root).as_posix(), word, "", f, group=person) for f, word in labelled]
    if not samples:
        raise UserError(f"{emotions}: no *_emotion.txt in it")
    return held_out_groups(samples, left_out=found.left_out, notes=opened(root, base))


def read_ck48(root: Path) -> Listing:
    """Reads CK+48: class folders of 48×48 crops such as ``anger/S010_004_00000017.png``, without neutral.

    About a fifth of the people is held out as "test"; scores are over the classes present.

    Raises:
        UserError: files were renamed, so that the person is unknown.
    """
    listing = read_class_folders(root, group=_person)
    return replace(listing, samples=[replace(s, whole=True) for s in listing.samples])


def _emotion_files(folder: Path) -> list[Path]:
    paths = folder.rglob("*_emotion.txt")
    return sorted(p for p in paths if not any(map(is_system, p.relative_to(folder).parts)))


def _person(path: Path) -> str:
    """The person in a file's name: "S010" in ``anger/S010_004_00000017.png``.

    Raises:
        UserError: the name does not begin with a person.
    """
    match = re.match(r"S\d+(?=_)", path.name, re.IGNORECASE)
    if match is None:
        raise UserError(
            f"{path}: the name must begin with a person, like S010_004_00000017.png: without it, "
            "a person's faces can't be kept on one side of the split (folder:PATH reads any class folders, and takes "
            "--group-by)"
        )
    return match[0].upper()


def _code(path: Path) -> str:
    words = [word for _, line in read_lines(path) for word in line]
    try:
        code = float(words[0])
        if code not in CODES:
            raise ValueError
        return CODES[int(code)]
    except (ValueError, IndexError):
        raise UserError(f"{path}: {' '.join(words)[:40]!r} must be a code of 0..7") from None
