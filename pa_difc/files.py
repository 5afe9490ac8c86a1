"""Writing files so that a reader finds the old one or the new one, never half of one."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from .errors import UserError


def write_atomic(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Writes a file through a temporary one beside it, which takes its place when it is whole and on the disk.

    Args:
        path: the file; its folder is made if need be.
        write: is given the open file.

    Raises:
        UserError: the disk is full or the folder can't be written; the old file is untouched.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically; see :func:`write_atomic`."""
    write_atomic(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically; see :func:`write_atomic`."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def file_digest(path: Path) -> str:
    """A hash of a file's content.

    Raises:
        UserError: it can't be read.
    """
    digest = hashlib.blake2b(digest_size=8)
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    return digest.hexdigest()


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: it can't be read, or is not whole.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a whole JSON file"
        raise UserError(f"cannot read {path}: {reason}; remove it to have it made anew") from None
