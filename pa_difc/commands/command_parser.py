"""Parsers whose errors name what was probably meant, and whose help fits the terminal."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

EXAMPLES_HEAD = "examples:\n"  #: of the part of an epilog that is never wrapped


class HelpFormatter(argparse.HelpFormatter):
    """Wraps descriptions and epilogs line by line to the terminal's width; examples stay as they are written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = (part if part.startswith(EXAMPLES_HEAD) else _hanging(part, width) for part in text.split("\n\n"))
        return "\n\n".join(parts)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)


def _hanging(text: str, width: int) -> str:
    """Lines wrapped to a width; what continues an indented line is indented by four more."""
    lines = []
    for line in text.split("\n"):
        own = len(line) - len(line.lstrip())
        rest = " " * (own + 4 if own else 0)
        lines.append(textwrap.fill(line, width, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False))
    return "\n".join(lines)


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors name the flags, commands and values most like unknown ones."""

    _argv: Sequence[str] = ()

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": HelpFormatter} | settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._argv = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
        given = [word.partition("=")[0] for word in self._argv if word.startswith("--") and len(word) > 2]
        unknown = [word for word in given if not any(flag.startswith(word) for flag in flags)]
        near = [(word, get_close_matches(word, flags, n=2, cutoff=0.8)) for word in unknown]
        hints = [f"{word} is unknown: did you mean {' or '.join(found)}?" for word, found in near if found]
        super().error("; ".join([message, *hints]))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = list(map(str, action.choices))
        near = get_close_matches(str(value).lower(), choices, n=2)
        hint = f": did you mean {' or '.join(near)}?" if near else ""
        if isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(None, f"unknown command {value!r}{hint or f': {self.prog} --help lists them'}")
        raise argparse.ArgumentError(action, f"invalid choice: {value!r} (choose from {', '.join(choices)}){hint}")
