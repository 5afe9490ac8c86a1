"""Two commands on one --out share the work: no cell is trained twice, and both end with the whole table."""

from collections import Counter

from processes import apart, start
from test_commands import flags, table

GRID = ["--methods", "source_only", "dann", "--losses", "ce", "difc", "--epochs", "6"]

#: A plugin that writes down which process trains what.
WITNESS = """
import os
import pathlib
import pa_difc.training.run as run

fit, log = run.fit, pathlib.Path(__file__).with_name("trained.txt")

def seen(*args, **kwargs):
    with log.open("a") as file:
        print(kwargs["title"].split("  ")[-1], os.getpid(), sep=",", file=file)
    return fit(*args, **kwargs)

run.fit = seen
"""


def witness(folder):
    """The plugin's flags, and what reads its log: cells, and who trained them, in order."""
    (folder / "witness.py").write_text(WITNESS)

    def trained():
        return [tuple(line.split(",")) for line in (folder / "trained.txt").read_text().splitlines()]

    return ["--plugin", str(folder / "witness.py")], trained


def test_no_cell_is_trained_twice(data_root, tmp_path):
    plugin, trained = witness(tmp_path)
    command = ("-m", "pa_difc", "compare", *flags(data_root, tmp_path / "out"), *GRID, *plugin)
    both = [start(*command) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert len(table(tmp_path / "out")) == 4
    cells, processes = zip(*trained(), strict=True)
    assert len(set(cells)) == 4 and set(Counter(cells).values()) == {1}
    assert len(set(processes)) == 2  # each did some of the work
    assert not [p for p in (tmp_path / "out").rglob(".*") if p.is_file()]
    code, _, err = apart(*command[2:3], *flags(data_root, tmp_path / "alone"), *GRID)
    assert code == 0, err
    assert table(tmp_path / "out") == table(tmp_path / "alone")


def test_features_are_made_once(data_root, tmp_path):
    command = ("-m", "pa_difc", "compare", *flags(data_root, tmp_path / "out"), "--features", "frozen", "--epochs", "2")
    both = [start(*command, "--methods", "source_only", "--losses", loss) for loss in ("ce", "di")]
    said = []
    for process in both:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        said.append("features: " in out)
    assert sorted(said) == [False, True]


def test_what_a_cell_raised_lies_in_a_file(data_root, tmp_path):
    (tmp_path / "broken.py").write_text(
        "import pa_difc.training.run as run\n"
        "make_adapter = run.make_adapter\n"
        "def broken(settings, *rest):\n"
        "    if settings.loss.name == 'di':\n"
        "        raise LookupError('no such\\nthing')\n"
        "    return make_adapter(settings, *rest)\n"
        "run.make_adapter = broken\n"
    )
    grid = ["--methods", "source_only", "--losses", "ce", "di", "difc", "--epochs", "1"]
    given = [*flags(data_root, tmp_path / "out"), *grid]
    code, out, err = apart("compare", *given, "--plugin", str(tmp_path / "broken.py"))
    (file,) = (tmp_path / "out" / "failed").iterdir()
    assert code == 1 and err == f"failed: source_only · di: LookupError: thing (broken.py, line 5) ({file})\n"
    assert "2/3  source_only · di  failed\n" in out
    assert "in broken" in file.read_text() and "LookupError: no such\nthing" in file.read_text()
    assert [row["loss"] for row in table(tmp_path / "out")] == ["ce", "difc"]
    code, _, err = apart("compare", *given)
    assert code == 0 and not file.exists(), err
