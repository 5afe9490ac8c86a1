"""Reads KDEF (Lundqvist et al. 1998)."""

from __future__ import annotations

import re
from pathlib import Path

from ..files import find_images, merged
from .folders import read_class_folders
from .listing import Listing, NotHere, Sample, held_out_groups

#: The classes by their code in a file name.
CODES = {
    "SU": "surprise",
    "AF": "fear",
    "DI": "disgust",
    "HA": "happy",
    "SA": "sad",
    "AN": "anger",
    "NE": "neutral",
}

#: Session, sex and number of the person, expression, view: AF01ANS, AF01ANHL.
_NAME = re.compile(r"^[AB]([FM]\d\d)(AF|AN|DI|HA|NE|SA|SU)(S|HL|HR|FL|FR)$", re.IGNORECASE)


def read_kdef(root: Path) -> Listing:
    """Reads KDEF as distributed, ``AF01/AF01ANS.JPG``, or sorted into class folders.

    The letters in a name are session, person, expression and view. Only straight views (S) are used: half and full
    profiles lack some of the five landmarks, and are left out, as are images with other names. About a fifth of the
    people is held out as "test", with both sessions of a person together.
    """
    found = find_images(root)
    names = [(path, match) for path in found.paths if (match := _NAME.match(path.stem))]
    if not names:
        return read_class_folders(root)
    straight = [(path, match) for path, match in names if match[3].upper() == "S"]
    if not straight:
        raise NotHere(f"{root}: no straight views of KDEF here (looked for names like AF01ANS.JPG)")
    samples = [
        Sample(path.relative_to(root).as_posix(), CODES[match[2].upper()], "", path, group=match[1].upper())
        for path, match in straight
    ]
    others = {
        "views from the side": len(names) - len(straight),
        "images of other names than KDEF's": len(found.paths) - len(names),
    }
    return held_out_groups(samples, left_out=merged([found.left_out, others]))
