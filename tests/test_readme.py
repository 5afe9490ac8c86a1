"""What the README shows, runs."""

import re
from pathlib import Path

from pa_difc.util.version import VERSION

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_plain_loop_runs_and_is_short(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (loop,) = [b for b in blocks if "DIFCLoss(" in b]
    body = loop[loop.index("criterion = ") :]
    assert len(body.splitlines()) <= 20
    exec(compile(loop, "README.md", "exec"), {})
    phases = re.findall(r"'phase': '(\w+)'", capsys.readouterr().out)
    assert phases == ["di", "di", "difc", "difc"]


def test_the_two_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test", "env"):
        assert f"make {target}" in README and f"\n{target}:" in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_nothing_else_lies_at_the_top():
    import subprocess

    tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True)
    if tracked.returncode:
        return  # not a checkout
    top = {name.split("/")[0] for name in tracked.stdout.split()}
    allowed = {"pa_difc", "hpo", "recipes", "tests", "docs", "pyproject.toml", "README.md", "LICENSE", "Makefile"}
    allowed.add("CITATION.cff")
    assert {name for name in top if not name.startswith(".")} <= allowed


def test_all_places_say_the_same_version():
    found = {
        "pyproject.toml": r'^version = "(.+)"$',
        "CITATION.cff": r"^version: (.+)$",
        "docs/changelog.md": r"^## Version (.+), ",
    }
    assert {first(line, name) for name, line in found.items()} == {VERSION}


def test_every_version_has_a_date_and_the_citation_the_last_one():
    heads = re.findall(r"^## (.+)$", (ROOT / "docs" / "changelog.md").read_text(), re.MULTILINE)
    dates = [re.fullmatch(r"Version \d+\.\d+\.\d+, (\d{4}-\d\d-\d\d)", head)[1] for head in heads]
    assert dates == sorted(dates, reverse=True)
    assert first(r"^date-released: (.+)$", "CITATION.cff") == dates[0]


def first(pattern, name):
    """What the group of a pattern has found in a line of a file."""
    return re.search(pattern, (ROOT / name).read_text(), re.MULTILINE)[1]
