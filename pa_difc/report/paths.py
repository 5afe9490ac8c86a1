"""Names the folder of each page, by pair of datasets and settings, independently of the other pages."""

from __future__ import annotations

import hashlib
import re

from .page import slug

#: A dataset's name that its slug loses nothing of: lower case, with at most a kind such as "folder:" before it.
_PLAIN = re.compile(r"(?:[a-z]+:)?[a-z0-9]+(?:_[a-z0-9]+)*")
#: A heading that its slug loses only punctuation of: "epochs 8, lr 0.05".
_PLAIN_HEADING = re.compile(r"[a-z0-9_., ]*")
#: Most bytes of a pair and of a heading: together they stay below a file system's limit for a name.
_PAIR, _HEADING = 80, 60


def page_folder(source: str, target: str, heading: str = "", mark: str = "") -> str:
    """The folder of a pair's page, which no other pair shares, on any file system.

    If slugs lose nothing, the name is readable: ``toy_studio → toy_street`` gives toy-studio-to-toy-street. Otherwise,
    as for ``folder:a/b`` and ``folder:a_b`` or names that differ only in case, "+" and a hash of the pair are added.

    Args:
        source, target: the names of the datasets.
        heading: how the page's runs differ from the pair's other runs; empty if there are no others.
        mark: tells pages with the same heading apart, such as two rates that read alike; a hash of it is added.
    """
    pair = f"{_of_dataset(source)}-to-{_of_dataset(target)}"
    plain = all(_PLAIN.fullmatch(name) and "to" not in re.split("[_:]", name) for name in (source, target))
    name = _marked(pair, plain, f"{source}\n{target}", _PAIR)
    if not heading:
        return name
    plain = not mark and bool(_PLAIN_HEADING.fullmatch(heading))
    return f"{name}--{_marked(slug(heading), plain, f'{heading}{mark}', _HEADING)}"


def table_file(title: str) -> str:
    """The file name, without suffix, of a table over several pairs, which no other title shares.

    Args:
        title: such as "Mean recall on every target (epochs 8)".
    """
    plain = len(title) < _PAIR and _PLAIN_HEADING.fullmatch(re.sub("[()]", "", title[1:]))
    return _marked(slug(title), bool(plain), title, _PAIR)


def _of_dataset(name: str) -> str:
    """A dataset's slug: ``folder:faces`` gives "folder.faces", which is unique because no slug has a dot."""
    return ".".join(map(slug, name.split(":", 1)))


def _marked(text: str, plain: bool, whole: str, most: int) -> str:
    """A text cut to ``most`` bytes for a file name, with a hash of ``whole`` if it loses anything of that."""
    cut = text.encode()[:most].decode(errors="ignore")
    if plain and cut == text:
        return text
    digest = hashlib.blake2b(whole.encode(errors="surrogateescape"), digest_size=4).hexdigest()
    return f"{cut.rstrip('.-')}+{digest}"
