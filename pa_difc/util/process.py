"""Facts on this process: its command line, its machine, and the checkout that the package runs from."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from .terminal import wrapped

PACKAGE = Path(__file__).parent.parent


def command_line() -> str:
    """The command line for records, in words for any machine, and without passwords of database addresses."""
    program = sys.argv[0]
    return _command("python", program if program.endswith(".py") else Path(program).name)


def typed_line() -> str:
    """The command line for running it again in this terminal: as :func:`command_line`, with the programs as typed."""
    python, program = sys.orig_argv[0], sys.argv[0]
    found = shutil.which(Path(program).name)
    name = Path(program).name if found and os.path.realpath(found) == os.path.realpath(program) else program
    return _command(python if "python" in Path(python).name else "python", name)


def _command(python: str, program: str) -> str:
    words = [program, *sys.argv[1:]]
    if Path(program).name == "__main__.py":
        words[0:1] = [python, "-m", Path(program).parent.name]
    elif program.endswith(".py"):
        words.insert(0, python)
    return " ".join(quoted(without_password(word)) for word in words)


def name_copy(flag: str, copy: Path) -> None:
    """Makes the command line name a copy of the file that a flag names, for when that file is edited later."""
    for number, word in enumerate(sys.argv):
        name, equals, _ = word.partition("=")
        if len(name) > len("--") and flag.startswith(name):  # argparse accepts the start of a flag
            if equals:
                sys.argv[number] = f"{name}={copy}"
            elif number + 1 < len(sys.argv):
                sys.argv[number + 1] = str(copy)


def quoted(word: str) -> str:
    """A word quoted for a shell, on one line; control characters are escaped for bash and zsh."""
    if word.isprintable() or not any(ord(letter) < 32 or ord(letter) == 127 for letter in word):
        return shlex.quote(word)
    inner = "".join(f"\\x{ord(c):02x}" if ord(c) < 32 or ord(c) == 127 else "\\" + c if c in "\\'" else c for c in word)
    return f"$'{inner}'"


_said: set[str] = set()


def say_once(line: str) -> None:
    """Prints a line unless this process has printed it before, such as a note that applies to many runs."""
    if is_news(line):
        print(wrapped(line, indent=2), flush=True)


def is_news(line: str) -> bool:
    """Whether this process has not printed a line yet; marks it as printed."""
    new = line not in _said
    _said.add(line)
    return new


def without_password(text: str) -> str:
    """An address without its passwords, in ``user:password@host`` and ``?password=``."""
    text = re.sub(r"(://[^:/@\s]*):.*@", r"\1@", text, flags=re.DOTALL)  # up to the last "@": a password may have one
    return re.sub(r"([?&](?:\w*pass(?:word|wd)?|pwd)=)[^&]*", r"\1", text, flags=re.IGNORECASE)


@cache
def machine_name() -> str:
    """A name for this machine since its last boot, within which process ids and locks are meaningful."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:  # not Linux
        boot = "0"
    return f"{platform.node()}:{boot}"


def machine() -> dict[str, str | int | None]:
    """Name, system and cores of this machine, for records."""
    return {"host": platform.node(), "system": platform.platform(), "cores": os.cpu_count()}


def package_digest() -> str:
    """A hash of the package's source files."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def git_revision() -> str | None:
    """The commit of the checkout that the package runs from, with "+changes" if its files differ; None without one.

    A repository that merely contains the environment in which the package is installed does not count.
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
