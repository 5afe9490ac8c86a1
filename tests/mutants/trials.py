"""A pytest session that collects once and shows its tests to one mutant after the other, each in a child."""

from __future__ import annotations

import contextlib
import importlib
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from .changed import ROOT, exchange, forget_and_import_changed, functions_by_place
from .mutations import Function, Mutant, functions
from .processes import outcomes
from .reach import Chooser, traced

# -s, or the session would keep the progress to itself.
OPTIONS = ["-q", "-s", "-p", "no:cacheprovider", "--disable-warnings", "--tb=short"]

#: What the session ends with where tests fail without a change.
BROKEN = 3


class Seeded:
    """A plugin: each test begins with the same random numbers, whichever have run before it."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)


class Trials(Seeded):
    """A plugin in the place of pytest's own loop over the tests.

    Args:
        mutants: to be tried.
        reached: where it is kept what each test calls; made if it isn't there.
        record: gets each mutant and whether the tests noticed it.
        workers: children at a time.
    """

    def __init__(
        self, mutants: Sequence[Mutant], reached: Path, record: Callable[[Mutant, bool], None], workers: int
    ) -> None:
        self.mutants, self.reached, self.record, self.workers = mutants, reached, record, workers
        self.codes = {file: (ROOT / file).read_text() for file in sorted({m.file for m in mutants})}
        self.functions = {file: functions(code) for file, code in self.codes.items()}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.session, self.items = session, {item.nodeid: item for item in session.items}
        if not self.reached.exists():
            print(f"running {len(self.items)} tests without a change", file=sys.stderr)
            self._unchanged(self._trace)
        seen = json.loads(self.reached.read_text())
        for name in seen["modules"]:  # once here instead of in each child
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        self.living, self.choose = functions_by_place(list(self.codes)), Chooser(seen["tests"])
        self._check()
        jobs = [(mutant, self._tests(mutant)) for mutant in self.mutants]
        for mutant in [m for m, tests in jobs if not tests]:
            self.record(mutant, False)
        self._try_all([(m, tests) for m, tests in jobs if tests])
        self._check()  # with the machine's memory full, say, everything would have seemed to be noticed
        return True

    def _try_all(self, jobs: list[tuple[Mutant, list[str]]]) -> None:
        random.Random(0).shuffle(jobs)  # so that the time left can be told from the time taken
        start = shown = time.monotonic()
        survived = 0
        ended = outcomes(jobs, lambda job: self._show(*job), lambda job: self.choose.limit(job[1]), self.workers)
        for done, ((mutant, _), code) in enumerate(ended, start=1):
            survived += code == 0
            self.record(mutant, code != 0)
            if time.monotonic() > shown + 15 or done == len(jobs):
                shown = time.monotonic()
                minutes = (shown - start) / done * (len(jobs) - done) / 60
                print(f"{done}/{len(jobs)} tried, {survived} survived, {minutes:.0f} min left", file=sys.stderr)

    def _place(self, mutant: Mutant) -> Function | None:
        return next((f for f in self.functions[mutant.file] if mutant.line in f.lines), None)

    def _tests(self, mutant: Mutant) -> list[str]:
        place = self._place(mutant)
        return self.choose(mutant.file, place.lines if place else None)

    def _show(self, mutant: Mutant, tests: list[str]) -> int:
        """In a child: 0 if no test fails."""
        place = self._place(mutant)
        within = place and mutant.line >= place.body and not place.makes_class
        living = self.living.get((mutant.file, place.lines.start)) if place and within else None
        if not living:  # what runs at import, a function's defaults, or a class that a function has made
            return self._import(mutant.file, mutant.code, tests)
        exchange(living, mutant.file, mutant.code)
        return self._run([self.items[name] for name in tests])

    def _import(self, file: str, code: str, tests: list[str]) -> int:
        forget_and_import_changed(file, code)
        return int(pytest.main([*OPTIONS, "-x", *tests], plugins=[Seeded()]))

    def _run(
        self, items: list[pytest.Item], around: Callable[[pytest.Item, Callable[[], object]], None] | None = None
    ) -> int:
        """Runs tests up to the first that fails; 1 if one does."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            run = partial(item.config.hook.pytest_runtest_protocol, item=item, nextitem=following)
            around(item, run) if around else run()
            if self.session.testsfailed:
                print(f"\nfailed: {item.nodeid}", file=sys.stderr)
                return 1
        return 0

    def _trace(self) -> int:
        tests: dict[str, Any] = {}
        if self._run(list(self.items.values()), lambda item, run: tests.update({item.nodeid: traced(run)})):
            return 1
        self.reached.write_text(json.dumps({"tests": tests, "modules": sorted(sys.modules)}))
        return 0

    def _check(self) -> None:
        """Each file's tests have to pass with the file as it is, or every mutant would seem to be noticed."""
        for file, code in self.codes.items():
            self._unchanged(partial(self._import, file, code, self.choose(file)))

    def _unchanged(self, work: Callable[[], int]) -> None:
        ((_, code),) = outcomes([None], lambda _: work(), lambda _: 3600.0, workers=1, shown=True)
        if code:
            pytest.exit("tests fail without any change: run them", returncode=BROKEN)
