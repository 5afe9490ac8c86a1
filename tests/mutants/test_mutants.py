"""The driver of make mutants: what it changes, how a change reaches running code, and what it complains about."""

import os
import subprocess
import sys
import time

import pytest

pytest.importorskip("mutmut", reason="pip install 'pa-difc[mutants]'")

from mutants import accepted
from mutants.changed import ROOT, exchange
from mutants.mutations import functions, mutants
from mutants.processes import outcomes
from mutants.reach import Chooser, traced

CODE = '''
from functools import lru_cache

@lru_cache
def loss(x, scale=2.0):
    """A loss."""
    if x.numel() == 0:
        raise ValueError(f"{x}: must hold {1 + 1} numbers or more")
    return -scale * x.detach()

weight = option(0.5, "the weight", at_least=0)
'''


def becoming(code=CODE):
    return {m.becomes for m in mutants("pa_difc/toy.py", code)}


def test_formulas_are_changed_and_words_are_not():
    found = becoming()
    assert {
        "return +scale * x.detach()",
        "return -scale / x.detach()",
        "return -scale * x",
        "if x.numel() != 0:",
        "def loss(x, scale=3.0):",
        'weight = option(1.5, "the weight", at_least=0)',
        'weight = option(0.5, "the weight", )',
    } <= found
    assert not any("raise" in text or "lru_cache" in text or '"""' in text for text in found)
    assert all("the weight" in text for text in found if "option" in text)


def test_a_mutant_is_known_by_its_lines_wherever_they_stand():
    places = {(m.was, m.becomes) for m in mutants("a.py", CODE)}
    assert places == {(m.was, m.becomes) for m in mutants("a.py", "x = 'y'\n\n" + CODE)}
    assert all(CODE.splitlines()[m.line - 1].strip() == m.was for m in mutants("a.py", CODE))


def test_a_function_gets_its_changed_body_behind_its_decorators():
    code = CODE.replace("x.detach()", "x.value")
    space = {"option": lambda *_, **__: None}
    exec(compile(code, str(ROOT / "pa_difc/toy.py"), "exec"), space)
    (place,) = functions(code)
    assert (place.lines.start, place.body) == (4, 6)
    exchange([space["loss"].__wrapped__], "pa_difc/toy.py", code.replace("-scale * ", "-scale + "))

    class X:
        value = 5.0

        def numel(self):
            return 1

    assert space["loss"](X()) == 3.0


def test_a_function_that_makes_classes_is_known():
    """Their methods live on when it gets another body: it has to be imported again."""
    inner = "def make(base):\n    class Made(base):\n        def f(self):\n            return 1\n    return Made\n"
    assert [f.makes_class for f in functions(CODE + inner)] == [False, True]


def test_jobs_end_with_their_codes_and_one_that_hangs_is_killed():
    def work(job):
        if job == "hangs":
            while True:
                pass
        return job

    start = time.monotonic()
    found = dict(outcomes([0, 1, "hangs", 7], work, lambda _: 1.0, workers=2))
    assert found.pop("hangs") < 0 and found == {0: 0, 1: 1, 7: 7}
    assert time.monotonic() - start < 20


def test_the_tests_that_call_little_else_come_first_and_no_others():
    def test(seconds, *lines):
        return {"seconds": seconds, "places": [["pa_difc/a.py", line] for line in lines]}

    tests = {"wide": test(0.1, 3, 9, 20), "narrow": test(0.5, 9), "other": test(0.1, 3), "slow": test(99.0, 9)}
    choose = Chooser(tests)
    assert choose("pa_difc/a.py", range(8, 12)) == ["narrow", "wide"]
    assert choose("pa_difc/a.py", range(30, 40)) == []


def test_what_runs_at_import_is_shown_to_all_tests_the_file_s_own_first():
    tests = {
        "its own": {"seconds": 0.1, "places": [["pa_difc/a.py", 3], ["pa_difc/a.py", 9]]},
        "another's": {"seconds": 0.1, "places": [["pa_difc/b.py", 3]]},
        "names it[a-weight]": {"seconds": 0.1, "places": [["pa_difc/b.py", 3]]},
        "reads a constant": {"seconds": 0.1, "places": []},
    }
    assert Chooser(tests)("pa_difc/a.py") == ["names it[a-weight]", "its own", "reads a constant", "another's"]


def test_what_a_call_reaches_is_seen():
    from pa_difc.functional import class_margins

    places = traced(lambda: class_margins([3, 1]))["places"]
    lines = (ROOT / "pa_difc/functional.py").read_text().splitlines()
    called = {lines[line - 1].split("(")[0] for file, line in places if file == "pa_difc/functional.py"}
    assert "def class_margins" in called and "def imbalance_ratio" not in called


@pytest.mark.parametrize(
    ("survivors", "accept", "least", "complains"),
    [(0, 0, None, 0), (1, 0, None, 1), (1, 1, None, 0), (2, 1, None, 1), (1, 0, 0.5, 0), (5, 5, 0.9, 1)],
)
def test_survivors_have_a_reason_or_the_share_is_large_enough(survivors, accept, least, complains):
    found = mutants("pa_difc/toy.py", CODE)
    noticed = {m.key: i >= survivors for i, m in enumerate(found)}
    reasons = {(m.file, m.was, m.becomes): "no matter" for m in found[:accept]}
    tried = {"pa_difc/toy.py": found}
    assert len(accepted.complaints(tried, noticed, reasons, least)) == complains
    text = accepted.report(tried, noticed, reasons)
    assert text.count("= no matter") == min(accept, survivors)
    assert f"| all | {len(found)} | {len(found) - survivors} |" in text
    assert f"pa_difc/toy.py:{found[0].line}\n- {found[0].was}" in text or not survivors


def test_a_reason_for_a_mutant_that_is_gone_is_complained_about():
    existing = {"pa_difc/toy.py": mutants("pa_difc/toy.py", CODE)}
    reasons = {("pa_difc/toy.py", "x = 1", "x = 2"): "", ("pa_difc/other.py", "x = 1", "x = 2"): ""}
    (line,) = accepted.stale(existing, reasons)
    assert "pa_difc/toy.py has no such mutant of 'x = 1'" in line


def test_the_accepted_mutants_have_reasons():
    reasons = accepted.read()
    assert reasons and all(reason.endswith(".") for reason in reasons.values())
    assert all((ROOT / file).exists() for file, _, _ in reasons)


@pytest.mark.slow
def test_a_sample_is_tried_and_what_is_known_is_not_tried_again(tmp_path):
    command = [sys.executable, "-m", "mutants", "pa_difc/evaluation/metrics.py", "--sample", "3", "--out", tmp_path]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    told = []
    for _ in range(2):
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
        told.append(done.stderr)
    assert "3/3 tried" in told[0] and "tried" not in told[1]
    assert "| all | 3 |" in (tmp_path / "mutants.md").read_text() == done.stdout.removesuffix("\n")
