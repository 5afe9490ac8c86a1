"""Writing files so that a reader finds the old one or the new one, never half of one."""

import glob
import hashlib
import json
import os
import platform
import secrets
import stat
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import IO, Any

import numpy as np

from .errors import UserError
from .names import as_utf8

#: The key under which a sealed JSON file keeps the hash of all the rest.
_SEAL = "digest"


def write_atomic(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Writes a file through a temporary one next to it, which takes its place when it is whole and on the disk.

    Args:
        path: the file; its folder is made if need be.
        write: is given the open file.

    Who may read a new file follows from the umask; one that is replaced keeps its mode.

    Raises:
        UserError: the disk is full, the folder can't be written, or a link, a device or a folder lies there; what was
            there is untouched.
    """
    refuse_links(path, instead="another place")
    temporary = None
    try:
        mode = _mode(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{_short(path.name)}.{platform.node()}-"
        _remove_orphans(path.parent, prefix)
        temporary = path.with_name(f"{prefix}{os.getpid()}.{secrets.token_hex(4)}")
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            with suppress(OSError):  # on a disk that can't be written either; what is said above counts
                temporary.unlink(missing_ok=True)


def _mode(path: Path) -> int | None:
    """The mode of a file that will be replaced; None if there is none."""
    try:
        status = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status):
        raise OSError("there is something that is not a file")
    return stat.S_IMODE(status)


def refuse_foreign(path: Path, *, ours: Callable[[Path], bool], writer: str, instead: str) -> None:
    """Refuses to write over a file of somebody else's.

    Args:
        path: the file that would be written.
        ours: whether a file that is there was written by this program; asked of regular files alone, as a pipe would
            never end.
        writer: who should have, for the error.
        instead: what to give in its place, such as "another --out".

    Raises:
        UserError: it exists, and is not ours; a link, a device or a folder never is.
    """
    refuse_links(path, instead=instead)
    if path.exists() and not (path.is_file() and ours(path)):
        raise UserError(f"{path} was not written by {writer}, and would be written over: give {instead}")


def refuse_links(*paths: Path, instead: str) -> None:
    """Refuses to write where a link lies: what it leads to, or will lead to, is not ours, nor is the link.

    Args:
        paths: of files and folders that would be written.
        instead: see :func:`refuse_foreign`.

    Raises:
        UserError: one of them is a link, whether there is something behind it or not.
    """
    for path in paths:
        if path.is_symlink():
            why = "is a link, and links are never written to"
            raise UserError(f"{path} {why}: remove it, or give {instead}")


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8 whatever is in it; see :func:`write_atomic` and :func:`as_utf8`."""
    write_atomic(path, lambda file: file.write(as_utf8(text).encode()))


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically; see :func:`write_atomic`."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Writes a JSON object together with a hash of it, by which :func:`read_json` knows a later change."""
    write_json(path, value | {_SEAL: _seal(value)})


def file_digest(path: Path) -> str:
    """A hash of a file's content.

    Raises:
        UserError: it can't be read.
    """
    return _hashed(path, hashlib.blake2b(digest_size=8))


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, as publishers state it.

    Raises:
        UserError: it can't be read.
    """
    return _hashed(path, hashlib.sha256())


def _hashed(path: Path, digest: Any) -> str:
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    found: str = digest.hexdigest()
    return found


def read_json(path: Path, *, others_add: bool = False) -> Any:
    """Reads a JSON file; a seal is looked at and taken off.

    Args:
        path: the file.
        others_add: it is one that others may add to, so that a seal says nothing: the reader looks at what it needs.

    Raises:
        UserError: it can't be read, is incomplete, or is not what was sealed.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise UserError(f"cannot read {path}: it is not a file")
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_float=_finite, parse_constant=_finite)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a whole JSON file"
        raise UserError(f"cannot read {path}: {reason}; remove it to have it written again") from None
    if isinstance(value, dict) and _SEAL in value and value.pop(_SEAL) != _seal(value) and not others_add:
        raise UserError(f"{path} was changed or damaged since it was written; remove it to have it written again")
    return value


def read_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an .npz file, all or the named ones; nothing in it is executed.

    Raises:
        UserError: it can't be read, is damaged, or lacks an array.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in (file.files if names is None else names)}
    except Exception as error:  # a damaged archive can make zipfile, zlib and NumPy raise anything
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a whole .npz file of arrays"
        raise UserError(f"cannot read {path}: {reason}; remove it to have it written again") from None


def array_names(path: Path) -> set[str]:
    """The names of the arrays of an .npz file, of which none is read; none if it is no such file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, ValueError, zipfile.BadZipFile):
        return set()


def _finite(text: str) -> float:
    """A number of a JSON file; Python would read NaN and infinities, which JSON does not have and nobody wrote."""
    if not isfinite(value := float(text)):
        raise ValueError(f"{text} is not a number")
    return value


def check_archive(path: Path) -> None:
    """Compares every part of a zip archive, as torch.save writes them, with its checksum: torch.load does not.

    Raises:
        ValueError: a part is not what was written.
        OSError, zipfile.BadZipFile: it can't be read, or is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        if (name := archive.testzip()) is not None:
            raise ValueError(f"{name} is not what was written")


def _seal(value: dict[str, Any]) -> str:
    plain = json.loads(json.dumps(value))  # as it comes back: keys are strings, tuples are lists
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=8).hexdigest()


def _short(name: str) -> str:
    """A file's name, or of a long one a part that no other file's shares: a temporary name is longer than it."""
    if len(os.fsencode(name)) <= 100:
        return name
    return f"{name[:20]}~{hashlib.blake2b(os.fsencode(name), digest_size=8).hexdigest()}"


def _remove_orphans(folder: Path, prefix: str) -> None:
    """Removes what writers of the same file left that were killed on this machine."""
    if os.name != "posix":
        return  # elsewhere a process can't be asked whether it lives without being signalled
    for orphan in folder.glob(glob.escape(prefix) + "*"):
        pid = orphan.name.removeprefix(prefix).partition(".")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            orphan.unlink(missing_ok=True)
        except (OSError, ValueError, OverflowError):
            continue
