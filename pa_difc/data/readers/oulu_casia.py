"""Reads Oulu-CASIA (Zhao et al. 2011)."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from ...util.errors import UserError
from ..files import find_images, left_out_clause, merged
from .listing import Listing, NotHere, Sample, held_out_groups

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
PEAK_FRAMES = 3

_PERSON = re.compile(r"P\d{2,3}", re.IGNORECASE)


def read_oulu_casia(root: Path) -> Listing:
    """Reads Oulu-CASIA as distributed: ``OriginalImg/VL/Strong/P001/Anger/000.jpeg``; 80 people, six expressions.

    As is usual, only sequences in visible light (VL) and strong illumination are used: the last three frames have the
    expression, and the first frame is neutral. The original photographs are preferred to cropped ones (``PreProcess
    Img``). About a fifth of the people is held out as "test". A folder with just the people's folders is read too.
    """
    found = find_images(root)
    sequences: dict[Path, list[Path]] = {}
    for path in found.paths:
        *_, person, word, _ = ("", "", *path.relative_to(root).parts)
        if _PERSON.fullmatch(person) and word.lower() in EXPRESSIONS:
            sequences.setdefault(path.parent, []).append(path)
    left_out: Counter[str] = Counter()
    left_out["images outside the sequences"] = len(found.paths) - sum(map(len, sequences.values()))
    samples: list[Sample] = []
    chosen = _choose(root, sequences, left_out)
    for folder in chosen:
        frames, person = sequences[folder], folder.parent.name.upper()
        first, peak = frames[0], frames[1:][-PEAK_FRAMES:]
        left_out["frames between the first and the last three"] += len(frames) - 1 - len(peak)
        labelled = [(first, "neutral"), *((frame, folder.name) for frame in peak)]
        samples += [Sample(f.relative_to(root).as_posix(), word, "", f, group=person) for f, word in labelled]
    reasons = merged([found.left_out, left_out])
    if not samples:
        looked_for = "OriginalImg/VL/Strong/P001/Anger/*.jpeg"
        raise NotHere(f"{root}: no Oulu-CASIA here (looked for {looked_for}){left_out_clause(reasons)}")
    return held_out_groups(samples, left_out=reasons)


def _choose(root: Path, sequences: dict[Path, list[Path]], left_out: Counter[str]) -> list[Path]:
    """The sequences to use, in one form; the others are counted in ``left_out``."""
    light: list[Path] = []
    for folder, frames in sequences.items():
        above = " / ".join(folder.relative_to(root).parts[:-2]).lower()
        other = re.search(r"\bni(r)?\b|\bni_|\b(weak|dark)\b", above)
        if other is None:
            light.append(folder)
        else:
            left_out["frames in infrared, weak or dark light"] += len(frames)
    forms: dict[tuple[str, ...], list[Path]] = {}
    for folder in light:
        forms.setdefault(folder.relative_to(root).parts[:-2], []).append(folder)
    if len(forms) < 2:
        return light
    original = [form for form in forms if not re.search("pre.?process|crop", " ".join(form).lower())]
    if len(original) != 1:
        names = " and ".join("/".join(form) for form in list(forms)[:3])
        raise UserError(f"{root}: the dataset is here {len(forms)} times ({names}): keep one, or give its folder")
    for form, folders in forms.items():
        if form != original[0]:
            left_out["frames that are there as photographs too"] += sum(len(sequences[f]) for f in folders)
    return forms[original[0]]
