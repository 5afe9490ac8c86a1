"""Looks up names that a user gave, with the nearest valid ones in errors, and escapes names for output."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from .errors import UserError

T = TypeVar("T")

#: Errors do not list more valid names than this.
_MOST_LISTED = 32


_ADDRESS = re.compile(r"(https?|ftps?|file|s3|gs):[/\\]", re.IGNORECASE)


def lookup(kind: str, name: str, registry: Mapping[str, T]) -> T:
    """The entry of a mapping with this name.

    Raises:
        UserError: no entry has this name; the message has the nearest ones.
    """
    if name not in registry:
        raise unknown(kind, name, registry)
    return registry[name]


def as_utf8(text: str) -> str:
    r"""A text that UTF-8 can encode: bytes of a file name that are not UTF-8 are written as ``\xe9``."""
    try:
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:  # a lone surrogate that is not from a file name
        return text.encode(errors="backslashreplace").decode()


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", or "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


#: Characters to escape: a backslash that looks like an escape, bytes that are not UTF-8, and the start of what a
#: spreadsheet takes for a formula, except signed numbers.
_ESCAPED = re.compile(
    r"\\(?=x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})|[\ud800-\udfff]|^[=@]|^[+-](?!\d+(?:\.\d+)?(?:[ %±].*)?$)", re.DOTALL
)


def escaped(name: str) -> str:
    r"""A name escaped for a UTF-8 table, such that different names stay different.

    Bytes that are not UTF-8 are written as ``\xe9``. In a name that already contains such an escape, its backslash is
    written as ``\x5c``, so that each ``\x`` with two digits stands for one byte. The first character of what a
    spreadsheet would take for a formula is escaped too. All other names are unchanged.
    """

    def code(found: re.Match[str]) -> str:
        number = ord(found[0])
        if number < 0x80 or 0xDC80 <= number <= 0xDCFF:  # the latter are Python's surrogates for non-UTF-8 bytes
            return f"\\x{number & 0xFF:02x}"
        return f"\\u{number:04x}"  # a lone surrogate, which no file name on Linux gives

    return _ESCAPED.sub(code, name)


def shown(value: str, most: int = 80) -> str:
    """A text from outside as quoted in errors, cut if it is long."""
    return repr(value if len(value) <= most else f"{value[:most]}…")


def address_clause(path: object) -> str:
    """A clause for errors on a path that does not exist, if it is a web address; else empty.

    Args:
        path: as given, or as a :class:`~pathlib.Path`, in which two slashes have become one.
    """
    found = _ADDRESS.match(str(path))
    return "; addresses are not read: download it, and give the file" if found else ""


def written(path: object) -> str:
    """A path as text; of a web address, with the second slash that :class:`~pathlib.Path` has dropped."""
    text = str(path)
    return re.sub(r":[/\\]+", "://", text, count=1) if _ADDRESS.match(text) else text


def near_clause(path: Path) -> str:
    """A clause for errors on a path that does not exist: the names most like it beside it; else empty."""
    with suppress(OSError):
        if near := get_close_matches(path.name, [beside.name for beside in path.parent.iterdir()], n=3, cutoff=0.7):
            return f"; did you mean {alternatives([str(path.with_name(name)) for name in near])}?"
    return ""


def alternatives(names: Sequence[str]) -> str:
    """Names as quoted in "did you mean": "'a'", "'a' or 'b'", "'a', 'b' or 'c'"."""
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}" if first else last


def unknown(kind: str, name: str, valid: Iterable[str], meant: str | None = None) -> UserError:
    """The error for a name that is not valid: "unknown loss 'dfic': did you mean 'difc'? (ce, di, difc)".

    Args:
        kind: what it names.
        name: as given.
        valid: the valid names.
        meant: the one that it is another word for, if known; None suggests those that are spelled alike.
    """
    valid = sorted(valid)
    near = [meant] if meant else get_close_matches(name.lower(), valid, n=3, cutoff=0.5)
    names = ", ".join(valid) if len(valid) <= _MOST_LISTED else "--help lists all"
    if not near:
        return UserError(f"unknown {kind} {shown(name)}: valid: {names}")
    return UserError(f"unknown {kind} {shown(name)}: did you mean {alternatives(near)}? ({names})")


def cell_name(method: str, loss: str, between: str = " + ") -> str:
    """How people name a method with a loss, such as "dann + difc"; ``as_is`` has no loss, since it is not trained."""
    return method if shown_loss(method, loss) == NO_LOSS else f"{method}{between}{loss}"


def shown_loss(method: str, loss: str) -> str:
    """A loss as a table for people shows it: a dash for ``as_is``, which is not trained."""
    return NO_LOSS if method.partition(" ")[0] == "as_is" else loss


#: Stands for the loss of a method without training.
NO_LOSS = "–"
