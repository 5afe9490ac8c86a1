"""Recognises the usual names of splits in folders and lists."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "devel", "development", "publictest"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "privatetest"), "test"),
}
_ENDS = ("set", "split", "data", "dataset", "images", "imgs", "pics", "faces", "folder", "dir")


def split_of(name: str) -> str | None:
    """ "train", "val" or "test" for a usual name such as Testing, val_set or PublicTest; None for other names."""
    word = re.sub(r"[\W_]+", "", name.casefold())
    for end in ("", *_ENDS):
        if word.endswith(end) and (found := _WORDS.get(word[: len(word) - len(end)])):
            return found
    return None


def scored_on(splits: Iterable[str]) -> dict[str, str]:
    """What each split is used as: itself, but "val" becomes "test" if there is no "test"."""
    there = set(splits)
    return {split: "test" if split == "val" and "test" not in there else split for split in there}
