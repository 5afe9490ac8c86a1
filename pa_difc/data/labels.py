"""Label sets: the classes of a task, and the words that datasets use for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..util.errors import UserError
from ..util.names import unknown
from ..util.toml import read_toml

#: The label of an unlabelled face.
UNLABELLED = -1

#: The seven expressions, in the order of the paper's tables, and contempt.
SEVEN = ("surprise", "fear", "disgust", "happy", "sad", "anger", "neutral")
CONTEMPT = "contempt"

#: Datasets' other words for them, which every label set knows.
WORDS = {
    "surprised": "surprise",
    "fearful": "fear",
    "afraid": "fear",
    "disgusted": "disgust",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "angry": "anger",
    "neutrality": "neutral",
}

#: The name of the label set that consists of the source's own classes.
FOLDERS = "folders"


def plain(word: str) -> str:
    """A word normalised for comparison: stripped, in lower case, expressions by their usual name."""
    word = word.strip().casefold()
    return WORDS.get(word, word)


@dataclass(frozen=True)
class LabelSet:
    """The classes of a task in order, and the words that stand for them.

    Datasets' words are compared without regard to case. Besides the names, ``synonyms`` stand for a class, and common
    words for an expression stand for that ("happiness" for "happy").

    Args:
        names: the classes, by index.
        synonyms: further words, each with the name that it stands for.
        excluded: words whose samples are left out and counted.

    Raises:
        UserError: there are fewer than two classes, two names for one class, a synonym of no class, or a word with two
            meanings.

    Example:
        >>> LabelSet(("calm", "excited"), {"joy": "excited"}, ("sad",)).index("Happiness")
        1
    """

    names: tuple[str, ...]
    synonyms: Mapping[str, str] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise UserError(f"classes {', '.join(self.names) or 'none'}: there must be at least two")
        known: dict[str, str] = {}
        for name in self.names:
            if not name.strip():
                raise UserError("a class has an empty name")
            if (other := known.get(plain(name))) is not None:
                raise UserError(f"classes {other!r} and {name!r} are two names for one class")
            known[plain(name)] = name
        meanings = {plain(name): plain(name) for name in self.names}
        for word, name in self.synonyms.items():
            if plain(name) not in known:
                raise UserError(f"synonym {word!r}: {name!r} is no class ({', '.join(self.names)})")
            if (meaning := meanings.setdefault(plain(word), plain(name))) != plain(name):
                raise UserError(f"{word!r} can't stand for {name!r}: it stands for {known[meaning]!r}")
        for word in self.excluded:
            if plain(word) in meanings:
                raise UserError(f"{word!r} can't be left out: it stands for {known[meanings[plain(word)]]!r}")

    def __len__(self) -> int:
        """The number of classes K."""
        return len(self.names)

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def _index(self) -> dict[str, int]:
        own = {plain(name): k for k, name in enumerate(self.names)}
        return {plain(word): own[plain(name)] for word, name in self.synonyms.items()} | own

    def index(self, word: str) -> int | None:
        """The class of a dataset's word, from 0; None for a word that is left out.

        Raises:
            UserError: the word is neither a class nor left out; names the nearest classes.
        """
        if (found := self._index.get(plain(word))) is not None:
            return found
        if plain(word) in map(plain, self.excluded):
            return None
        raise unknown("class", word, self.names)

    def label(self, k: int) -> str:
        """The name of a label, or "no label"."""
        return "no label" if k == UNLABELLED else self.names[k]

    @cached_property
    def digest(self) -> str:
        """A hash of the set: sets with equal digests label equally."""
        said = [self.names, sorted(self._index.items()), sorted(map(plain, self.excluded))]
        return hashlib.blake2b(json.dumps(said).encode(), digest_size=6).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for records and models; :meth:`from_dict` reads them."""
        return {"names": list(self.names), "synonyms": dict(self.synonyms), "excluded": list(self.excluded)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelSet:
        """The label set of the values from :meth:`to_dict`."""
        return cls(tuple(values["names"]), dict(values["synonyms"]), tuple(values["excluded"]))


EXPRESSIONS = LabelSet(SEVEN, excluded=(CONTEMPT,))
EXPRESSIONS8 = LabelSet((*SEVEN, CONTEMPT))
#: The valence of each expression; surprise can be either, and is left out.
VALENCE = LabelSet(
    ("negative", "neutral", "positive"),
    {**dict.fromkeys(("fear", "disgust", "sad", "anger", CONTEMPT), "negative"), "happy": "positive"},
    excluded=("surprise",),
)

#: Label sets by name; ``--labels`` also takes :data:`FOLDERS` and TOML files.
LABEL_SETS = {"expressions": EXPRESSIONS, "expressions8": EXPRESSIONS8, "valence": VALENCE}


def find_label_set(name: str) -> LabelSet | None:
    """The label set of ``--labels``; None for "folders", which takes the source's own classes.

    Raises:
        UserError: there is no such set, or its file is malformed.
    """
    if name == FOLDERS:
        return None
    if name in LABEL_SETS:
        return LABEL_SETS[name]
    if name.endswith(".toml"):
        return read_label_file(Path(name))
    raise UserError(f"{unknown('label set', name, (*LABEL_SETS, FOLDERS))}, or a file: FILE.toml")


def from_words(words: Iterable[str]) -> LabelSet:
    """The label set whose classes are the words themselves, sorted.

    Raises:
        UserError: there are fewer than two words, or two of them for one class.
    """
    return LabelSet(tuple(sorted({w.strip() for w in words}, key=lambda w: (w.casefold(), w))))


def read_label_file(path: Path) -> LabelSet:
    """Reads a label set from a TOML file: ``names = [...]``, ``exclude = [...]``, and a table ``[synonyms]``.

    Raises:
        UserError: the file can't be read, or is malformed.
    """
    table = read_toml(path)
    known = ("names", "synonyms", "exclude")
    if foreign := [key for key in table if key not in known]:
        raise UserError(f"label file {path}: {unknown('key', foreign[0], known)}")
    names, synonyms, exclude = table.get("names"), table.get("synonyms", {}), table.get("exclude", [])
    for key, value in (("names", names), ("exclude", exclude)):
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise UserError(f"label file {path}: {key} must be a list of words")
    if not isinstance(synonyms, dict) or not all(isinstance(name, str) for name in synonyms.values()):
        raise UserError(f'label file {path}: synonyms must be words with the class of each, such as scared = "fear"')
    try:
        return LabelSet(tuple(names or ()), synonyms, tuple(exclude))
    except UserError as error:
        raise UserError(f"label file {path}: {error}") from None
