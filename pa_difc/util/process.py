"""What this process is: its command line, its machine, the checkout that the package runs from."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def command_line() -> str:
    """The command line, to be given again; passwords of database addresses are left out."""
    words = list(sys.argv)
    if Path(words[0]).name == "__main__.py":
        words[0:1] = ["python", "-m", Path(words[0]).parent.name]
    elif words[0].endswith(".py"):
        words.insert(0, "python")
    else:
        words[0] = Path(words[0]).name
    return " ".join(_quoted(without_password(word)) for word in words)


def _quoted(word: str) -> str:
    """A word for a shell, on one line: control characters in it are written as bash and zsh read them."""
    if word.isprintable() or not any(ord(letter) < 32 or ord(letter) == 127 for letter in word):
        return shlex.quote(word)
    inner = "".join(f"\\x{ord(c):02x}" if ord(c) < 32 or ord(c) == 127 else "\\" + c if c in "\\'" else c for c in word)
    return f"$'{inner}'"


_said: set[str] = set()


def say_once(line: str) -> None:
    """Prints a line that holds for the whole process, such as what was read from a file for each of many runs."""
    if is_news(line):
        print(line, flush=True)


def is_news(line: str) -> bool:
    """Whether this process has never said a line; it is about to."""
    new = line not in _said
    _said.add(line)
    return new


def without_password(text: str) -> str:
    """An address without the passwords in it: of ``user:password@host``, and of ``?password=``."""
    text = re.sub(r"(://[^:/@\s]*):.*@", r"\1@", text, flags=re.DOTALL)  # up to the last "@": it may have one in it
    return re.sub(r"([?&](?:\w*pass(?:word|wd)?|pwd)=)[^&]*", r"\1", text, flags=re.IGNORECASE)


@cache
def machine_name() -> str:
    """This machine since it was started: what holds for its processes says nothing of another's, or of before."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:  # not Linux
        boot = "0"
    return f"{platform.node()}:{boot}"


def machine() -> dict[str, str | int | None]:
    """The machine that this process runs on."""
    return {"host": platform.node(), "system": platform.platform(), "cores": os.cpu_count()}


def package_digest() -> str:
    """A hash of the package's source files."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def git_revision() -> str | None:
    """The commit of the checkout that the package runs from, "+changes" if its files differ; None outside of one.

    A repository that merely surrounds the environment in which the package is installed does not count.
    """
    try:
        _git("ls-files", "--error-unmatch", str(PACKAGE / "__init__.py"))
        head = _git("rev-parse", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str) -> str:
    command = ["git", "-C", str(PACKAGE.parent), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
