"""Reads and writes files; writing is atomic, so that a reader finds the old file or the new one, never a part."""

import glob
import hashlib
import json
import os
import platform
import secrets
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from math import isfinite
from pathlib import Path
from typing import IO, Any

import numpy as np

from .errors import UserError
from .names import as_utf8

#: The key under which a sealed JSON file keeps the hash of its other content.
_SEAL = "digest"


#: Where written files are noted; see :func:`noting`.
_noted: ContextVar[list[Path] | None] = ContextVar("noted", default=None)


@contextmanager
def noting() -> Iterator[list[Path]]:
    """The files that this thread writes within the block, in order."""
    paths: list[Path] = []
    token = _noted.set(paths)
    try:
        yield paths
    finally:
        _noted.reset(token)


def write_atomic(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Writes a file through a temporary one next to it, which replaces it once it is complete and on disk.

    A new file's permissions follow from the umask; a replaced file's are kept.

    Args:
        path: the file; its folder is made if needed.
        write: writes the content to the open file.

    Raises:
        UserError: the disk is full, the folder can't be written to, or the path is a link, a device or a folder. What
            was there is unchanged.
    """
    refuse_links(path, instead="another place")
    temporary = None
    try:
        mode = _mode(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = _prefix(path)
        _remove_orphans(path.parent, prefix)
        temporary = path.with_name(f"{prefix}{os.getpid()}.{secrets.token_hex(4)}")
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
        if (noted := _noted.get()) is not None:
            noted.append(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        if temporary is not None:
            with suppress(OSError):  # a broken disk may refuse this too; the error above is reported
                temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Removes a file, if it is there and can be removed, and what killed writers of it left."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        _remove_orphans(path.parent, _prefix(path))


def _prefix(path: Path) -> str:
    """How the names of temporary files begin that a process of this machine writes to replace a file."""
    return f".{_short(path.name)}.{platform.node()}-"


def _mode(path: Path) -> int | None:
    """The permissions of the file to be replaced; None if there is none."""
    try:
        status = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status):
        raise OSError("there is something that is not a file")
    return stat.S_IMODE(status)


def refuse_foreign(path: Path, *, ours: Callable[[Path], bool], writer: str, instead: str) -> None:
    """Refuses to overwrite a file that this program did not write.

    Args:
        path: the file to be written.
        ours: whether an existing file was written by this program; called for regular files only, as reading a pipe
            would never end.
        writer: the command that writes such files, for the error.
        instead: what to give instead, such as "another --out".

    Raises:
        UserError: there is a file that is not ours, or a link, a device or a folder.
    """
    refuse_links(path, instead=instead)
    if path.exists() and not (path.is_file() and ours(path)):
        raise UserError(f"{path} was not written by {writer}, and would be overwritten: give {instead}")


def refuse_links(*paths: Path, instead: str) -> None:
    """Refuses to write to a symbolic link, because neither it nor its target is ours.

    Args:
        paths: files and folders to be written.
        instead: see :func:`refuse_foreign`.

    Raises:
        UserError: one of them is a link, even a broken one.
    """
    for path in paths:
        if path.is_symlink():
            why = "is a link, and links are never written to"
            raise UserError(f"{path} {why}: remove it, or give {instead}")


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file atomically; see :func:`write_atomic`, and :func:`as_utf8` for other bytes."""
    write_atomic(path, lambda file: file.write(as_utf8(text).encode()))


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically; see :func:`write_atomic`."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Writes a JSON object with a hash of itself, by which :func:`read_json` detects later changes."""
    write_json(path, value | {_SEAL: _seal(value)})


def file_digest(path: Path) -> str:
    """A short hash of a file's content.

    Raises:
        UserError: the file can't be read.
    """
    return _hashed(path, hashlib.blake2b(digest_size=8))


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, as publishers state it.

    Raises:
        UserError: the file can't be read.
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
    """Reads a JSON file; verifies and removes its seal, if it has one.

    Args:
        path: the file.
        others_add: of an exported model: users may add keys to it, so its seal is not verified; the caller checks what
            it needs.

    Raises:
        UserError: the file can't be read, is incomplete, or was changed since it was sealed.
    """
    if path.exists() and not path.is_file():  # reading a pipe would block
        raise UserError(f"cannot read {path}: it is not a file")
    try:
        content = path.read_bytes()
        text = content.decode(json.detect_encoding(content))  # UTF-8, or what an editor on Windows may have made of it
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a whole JSON file"
        remedy = "export the run again" if others_add else "remove it to have it written again"
        raise UserError(f"cannot read {path}: {reason}; {remedy}") from None
    if isinstance(value, dict) and _SEAL in value and value.pop(_SEAL) != _seal(value) and not others_add:
        raise UserError(f"{path} was changed or damaged since it was written; remove it to have it written again")
    return value


def read_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """Reads the arrays of an .npz file, all or the named ones, without unpickling anything.

    Raises:
        UserError: the file can't be read, is damaged, or lacks an array.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in (file.files if names is None else names)}
    except Exception as error:  # a damaged archive can make zipfile, zlib and NumPy raise anything
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a whole .npz file of arrays"
        raise UserError(f"cannot read {path}: {reason}; remove it to have it written again") from None


def array_names(path: Path) -> set[str]:
    """The names of the arrays in an .npz file, without reading them; empty if it is not such a file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, ValueError, zipfile.BadZipFile):
        return set()


def _finite(text: str) -> float:
    """Parses a JSON number; refuses NaN and infinities, which Python would accept, but JSON does not have."""
    if not isfinite(value := float(text)):
        raise ValueError(f"{text} is not a number")
    return value


def check_archive(path: Path) -> None:
    """Verifies the checksums of a zip archive, such as a file of torch.save, which torch.load does not.

    Raises:
        ValueError: a part is damaged.
        OSError, zipfile.BadZipFile: the file can't be read, or is not an archive.
    """
    with zipfile.ZipFile(path) as archive:
        if (name := archive.testzip()) is not None:
            raise ValueError(f"{name} is not what was written")


def _seal(value: dict[str, Any]) -> str:
    plain = json.loads(json.dumps(value))  # as it will be read: keys are strings, tuples are lists
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=8).hexdigest()


def _short(name: str) -> str:
    """A file's name; a long one is cut and hashed, because temporary names are longer than it."""
    if len(os.fsencode(name)) <= 100:
        return name
    return f"{name[:20]}~{hashlib.blake2b(os.fsencode(name), digest_size=8).hexdigest()}"


def _remove_orphans(folder: Path, prefix: str) -> None:
    """Removes temporary files that killed writers of the same file left on this machine."""
    if os.name != "posix":
        return  # on Windows a signal would end a process instead of testing whether it is alive
    for orphan in folder.glob(glob.escape(prefix) + "*"):
        pid = orphan.name.removeprefix(prefix).partition(".")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            orphan.unlink(missing_ok=True)
        except (OSError, ValueError, OverflowError):
            continue
