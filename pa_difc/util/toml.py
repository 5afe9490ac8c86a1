"""Reads TOML files with one-line errors, and writes them by group."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from .errors import UserError
from .names import as_utf8

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        UserError: the file can't be read, or is not TOML.
    """
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # ValueError includes TOMLDecodeError and UnicodeDecodeError
        raise UserError(f"{path}: not TOML ({str(error).splitlines()[0][:200]})") from None
    return table


def to_toml(values: Mapping[str, Any]) -> str:
    r"""TOML text with a table for each group; a byte of a path that is not UTF-8 is written as ``\\xe9``.

    Args:
        values: by full key, "group.name"; None is left out, because a missing key means None.
    """
    groups: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        group, _, name = key.partition(".")
        if value is not None:
            groups.setdefault(group, {})[name] = list(value) if isinstance(value, tuple) else value
    # TOML can't hold such characters: the path stays readable, but can't be opened by it.
    return re.sub("[\ud800-\udfff]", lambda found: as_utf8(found[0]).replace("\\", "\\\\"), tomli_w.dumps(groups))
