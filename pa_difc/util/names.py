"""Names that a user gave: looked up, with the nearest valid ones where there is no such thing, and written."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from .errors import UserError

T = TypeVar("T")

#: More valid names than this are not listed in an error.
_MOST_LISTED = 32


def lookup(kind: str, name: str, registry: Mapping[str, T]) -> T:
    """The entry of a registry, or a one-line error with the nearest names.

    Raises:
        UserError: no entry has this name.
    """
    if name not in registry:
        raise unknown(kind, name, registry)
    return registry[name]


def as_utf8(text: str) -> str:
    r"""A text as UTF-8 can hold it: of a file's name that is none, other bytes are written as ``\xe9``."""
    try:
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:  # half of a pair that no file's name gave
        return text.encode(errors="backslashreplace").decode()


#: A backslash that would be read as ours, bytes that are no UTF-8, and what a spreadsheet takes for a formula, beside
#: signed numbers.
_ESCAPED = re.compile(
    r"\\(?=x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})|[\ud800-\udfff]|^[=@]|^[+-](?!\d+(?:\.\d+)?(?:[ %±].*)?$)", re.DOTALL
)


def escaped(name: str) -> str:
    r"""A name as a table of UTF-8 holds it, such that no two names are the same there.

    Bytes that are not UTF-8 are written as ``\xe9``. A name in which that stands already has its backslash written as
    ``\x5c``: each ``\x`` with two digits stands for one byte. What a spreadsheet would take for a formula has its first
    character written so, too. All other names are as they are.
    """

    def code(found: re.Match[str]) -> str:
        number = ord(found[0])
        if number < 0x80 or 0xDC80 <= number <= 0xDCFF:  # the latter are how Python holds bytes that are not UTF-8
            return f"\\x{number & 0xFF:02x}"
        return f"\\u{number:04x}"  # half of a pair that no file's name on Linux gives

    return _ESCAPED.sub(code, name)


def shown(value: str, most: int = 80) -> str:
    """A text from outside as an error repeats it: quoted, and cut if it is long."""
    return repr(value if len(value) <= most else f"{value[:most]}…")


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """The error for a name that is not valid: "unknown loss 'dfic': did you mean 'difc'? (ce, di, difc)"."""
    valid = sorted(valid)
    near = get_close_matches(name.lower(), valid, n=3, cutoff=0.5)
    names = ", ".join(valid) if len(valid) <= _MOST_LISTED else "--help lists all"
    if not near:
        return UserError(f"unknown {kind} {shown(name)}: valid: {names}")
    return UserError(f"unknown {kind} {shown(name)}: did you mean {' or '.join(map(repr, near))}? ({names})")
