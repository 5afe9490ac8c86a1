"""Reading KDEF (Lundqvist et al. 1998)."""

from __future__ import annotations

import re
from pathlib import Path

from ...util.errors import UserError
from ..files import find_images
from .folders import read_class_folders
from .listing import Listing, Sample, held_out

#: The code in a file name.
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
    """KDEF as distributed, ``AF01/AF01ANS.JPG``, or sorted into class folders.

    The letters in the name are person, expression and view; straight views (S) are taken, the others are left out, as
    half and full profiles lack some of the five landmarks. About a fifth of the people is held out as "test", both of
    a person's sessions together.
    """
    found = find_images(root)
    names = [_NAME.match(path.stem) for path in found.paths]
    if not any(names):
        return read_class_folders(root)
    samples = []
    for path, match in zip(found.paths, names, strict=True):
        if match is None:
            raise UserError(f"{path}: the name must be like AF01ANS.JPG")
        if match[3].upper() == "S":
            name, label = path.relative_to(root).as_posix(), CODES[match[2].upper()]
            samples.append(Sample(name, label, held_out(match[1].upper()), path))
    if not samples:
        raise UserError(f"{root}: no straight views of KDEF here (looked for names like AF01ANS.JPG)")
    return Listing(samples, found.left_out)
