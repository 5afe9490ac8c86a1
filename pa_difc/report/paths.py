"""Where a page lies: one folder for each pair of datasets and each set of settings, the same whatever else is there."""

from __future__ import annotations

import hashlib
import re

from .page import slug

#: A dataset's name that can be told from its slug: small letters, with a kind such as "folder:" before it at most.
_PLAIN = re.compile(r"(?:[a-z]+:)?[a-z0-9]+(?:_[a-z0-9]+)*")
#: A heading of which the same holds, but for its punctuation: "epochs 8, lr 0.05".
_PLAIN_HEADING = re.compile(r"[a-z0-9_., ]*")
#: Bytes of a pair and of a heading: together they stay below what a file system takes for a name.
_PAIR, _HEADING = 80, 60


def page_folder(source: str, target: str, heading: str = "", mark: str = "") -> str:
    """The name of the folder of a pair's page, which no other pair has, on any file system.

    Names in which nothing gets lost are readable: ``toy_studio → toy_street`` has toy-studio-to-toy-street. Of all
    others, such as ``folder:a/b`` beside ``folder:a_b``, or two that differ in case alone, a hash of the pair is added
    after a "+".

    Args:
        source, target: the names of the datasets.
        heading: how the page's runs differ from others of the pair; empty where there are no others.
        mark: what tells pages of one heading apart, such as two rates that read alike; a hash of it is added.
    """
    pair = f"{_of_dataset(source)}-to-{_of_dataset(target)}"
    plain = all(_PLAIN.fullmatch(name) and "to" not in re.split("[_:]", name) for name in (source, target))
    name = _marked(pair, plain, f"{source}\n{target}", _PAIR)
    if not heading:
        return name
    plain = not mark and bool(_PLAIN_HEADING.fullmatch(heading))
    return f"{name}--{_marked(slug(heading), plain, f'{heading}{mark}', _HEADING)}"


def table_file(title: str) -> str:
    """The name of the file of a table of several pairs, without its end, which no other title has.

    Args:
        title: "Mean recall on every target (epochs 8)".
    """
    plain = len(title) < _PAIR and _PLAIN_HEADING.fullmatch(re.sub("[()]", "", title[1:]))
    return _marked(slug(title), bool(plain), title, _PAIR)


def _of_dataset(name: str) -> str:
    """ "folder.faces" of ``folder:faces``: no slug has a dot in it."""
    return ".".join(map(slug, name.split(":", 1)))


def _marked(text: str, plain: bool, whole: str, most: int) -> str:
    """A text as part of a file's name, with a hash of all that it stands for if something of that got lost."""
    cut = text.encode()[:most].decode(errors="ignore")
    if plain and cut == text:
        return text
    digest = hashlib.blake2b(whole.encode(errors="surrogateescape"), digest_size=4).hexdigest()
    return f"{cut.rstrip('.-')}+{digest}"
