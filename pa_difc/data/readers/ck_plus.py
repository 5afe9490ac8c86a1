"""Reading CK+ (Lucey et al. 2010): the distributed sequences, and the 48×48 crops known as CK+48."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...util.errors import UserError
from ..files import find_images
from .folders import read_class_folders
from .listing import Listing, Sample, held_out, read_lines

#: Codes of the emotion files.
CODES = {0: "neutral", 1: "anger", 2: "contempt", 3: "disgust", 4: "fear", 5: "happy", 6: "sad", 7: "surprise"}
PEAK_FRAMES = 3


def read_ck_plus(root: Path) -> Listing:
    """CK+ as distributed: ``cohn-kanade-images/S005/001/*.png`` and ``Emotion/S005/001/*_emotion.txt``.

    From each labelled sequence the last three frames show the expression, and the first one is neutral. Class folders
    of frames are read as well. About a fifth of the people is held out as "test".
    """
    images = root / "cohn-kanade-images"
    emotions = next((p for n in ("Emotion", "Emotion_labels") if (p := root / n).is_dir()), None)
    if not images.is_dir():
        return read_class_folders(root, group=_person)
    if emotions is None:
        raise UserError(f"{root}: no labels of CK+ here (looked for Emotion/S005/001/*_emotion.txt)")
    samples: list[Sample] = []
    found = find_images(images)
    frames_of: dict[Path, list[Path]] = {}
    for frame in found.paths:
        frames_of.setdefault(frame.parent, []).append(frame)
    for path in sorted(emotions.rglob("*_emotion.txt")):
        sequence = images / path.parent.relative_to(emotions)
        if not (frames := frames_of.get(sequence, [])):
            raise UserError(f"{path}: no frames of this sequence in {sequence}")
        label = _code(path)
        split = held_out(sequence.parent.name)
        labelled = [(frames[0], CODES[0]), *((f, label) for f in frames[1:][-PEAK_FRAMES:])]
        samples += [Sample(frame.relative_to(root).as_posix(), word, split, frame) for frame, word in labelled]
    if not samples:
        raise UserError(f"{emotions}: no *_emotion.txt in it")
    return Listing(samples, found.left_out)


def read_ck48(root: Path) -> Listing:
    """CK+48: class folders of 48×48 crops such as ``anger/S010_004_00000017.png``; without neutral.

    About a fifth of the people is held out as "test"; scores are over the classes present.
    """
    listing = read_class_folders(root, group=_person)
    return replace(listing, samples=[replace(s, whole=True) for s in listing.samples])


def _person(name: str) -> str:
    """ "S010" of ``anger/S010_004_00000017.png``."""
    return Path(name).name.partition("_")[0]


def _code(path: Path) -> str:
    words = [word for _, line in read_lines(path) for word in line]
    try:
        code = float(words[0])
        if code not in CODES:
            raise ValueError
        return CODES[int(code)]
    except (ValueError, IndexError):
        raise UserError(f"{path}: {' '.join(words)[:40]!r} must be a code of 0..7") from None
