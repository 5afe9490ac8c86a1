"""Which tests call what, and which of them a mutant is shown to."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from .changed import ROOT

#: A mutant's tests take no longer than this.
MOST_SECONDS = 10.0

PACKAGE = str(ROOT / "pa_difc")


def traced(run: Callable[[], object]) -> dict[str, Any]:
    """The functions of the package that a call calls, by file and first line, and the seconds that it takes."""
    called = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    start = time.perf_counter()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    places = sorted((os.path.relpath(file, ROOT), line) for file, line in called)
    return {"seconds": time.perf_counter() - start, "places": places}


class Chooser:
    """The tests that call some lines: those first that call little else, as many as take :data:`MOST_SECONDS`.

    Args:
        tests: what :func:`traced` returns, by name.
    """

    def __init__(self, tests: Mapping[str, Mapping[str, Any]]) -> None:
        self.seconds = {name: test["seconds"] for name, test in tests.items()}
        self.calls = {name: len(test["places"]) for name, test in tests.items()}
        self.lines: dict[str, dict[str, set[int]]] = {}
        for name, test in tests.items():
            for file, line in test["places"]:
                self.lines.setdefault(file, {}).setdefault(name, set()).add(line)

    def __call__(self, file: str, lines: range | None = None) -> list[str]:
        """The names of the tests.

        What runs at import, where ``lines`` is None, may be seen by any test: those that call the file, or name it as
        a parameter, come first."""
        calling = self.lines.get(file, {})
        if lines is None:
            own = {n for n in self.seconds if n in calling or Path(file).stem in re.split(r"\W+", n.partition("[")[2])}
            names = sorted(self.seconds, key=lambda n: (n not in own, self.calls[n], self.seconds[n]))
        else:
            names = [name for name, called in calling.items() if not called.isdisjoint(lines)]
            names.sort(key=lambda n: (self.calls[n], self.seconds[n]))
        chosen, left = [], MOST_SECONDS
        for name in names:
            if self.seconds[name] <= left:
                chosen.append(name)
                left -= self.seconds[name]
        return chosen

    def limit(self, names: list[str]) -> float:
        """After how many seconds a mutant counts as one that hangs."""
        return 20 + 5 * sum(self.seconds[name] for name in names)
