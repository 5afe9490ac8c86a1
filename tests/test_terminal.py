"""What is printed: no commands from names, and ASCII where a stream has no other letters; bars by a steady clock."""

import io
import math
import os
import subprocess
import sys
import time
from collections import Counter

import pytest
from made import class_folders
from processes import PYTHON, ROOT

from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import COMMANDS, main
from pa_difc.data.labels import SEVEN
from pa_difc.report.printed import aligned, notes
from pa_difc.training.progress import ProgressFile, read_progress
from pa_difc.util.bars import tqdm
from pa_difc.util.terminal import columns, for_programs, guarded, harmless, wrapped


def printed(monkeypatch, work, encoding, errors="strict"):
    """What ``work`` prints to streams of an encoding, and its exit code."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit) as stop:
        exit_with(work)
    monkeypatch.undo()
    for stream in streams:
        stream.flush()
    return stop.value.code, *(stream.buffer.getvalue().decode(encoding) for stream in streams)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_a_table_is_aligned_in_what_letters_there_are(encoding, monkeypatch):
    rows = [["method", "Δ recall", "≥ 20"], ["a → b", "1.0 ± 0.2", "–"], ["caf\udce9", "2.0 ± 0.3", "開"]]

    def work():
        lines = aligned(rows)
        print("\n".join(lines))
        starts = {line.find("0.") for line in lines[1:]}
        assert len(starts) == 1 and lines[0].find("recall") > 0

    code, out, _ = printed(monkeypatch, work, encoding)
    assert code == 0 and len(out.splitlines()) == 3
    wanted = {"ascii": ["a -> b", "1.0 +/- 0.2", ">= 20", r"caf\xe9", r"\u958b"], "utf-8": ["a → b", "±", "≥", "開"]}
    wanted["cp1252"] = wanted["latin-1"] = ["a -> b", "±", ">= 20", r"\u958b"]
    assert all(words in out for words in wanted[encoding]), out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(
    "words", [[name, "--help"] for name in COMMANDS] + [["list", "methods"], ["datasets"], ["weights"]]
)
def test_no_command_fails_for_its_letters(words, encoding, monkeypatch):
    code, out, err = printed(monkeypatch, lambda: main(words), encoding)
    assert code == 0 and out and "Traceback" not in err
    assert "\\u" not in out, [line for line in out.splitlines() if "\\u" in line]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("can't start new thread"), "too little memory or too many processes (ulimit -u): can't start"),
        (MemoryError(), "too little memory: MemoryError"),
    ],
)
def test_what_the_system_refuses_is_a_line(error, words, monkeypatch):
    def work():
        raise error

    code, out, err = printed(monkeypatch, work, "utf-8")
    assert (code, out) == (2, "") and err.startswith(f"error: {words}") and err.count("\n") == 1


@pytest.mark.parametrize("words", [["weights"], ["datasets", "affectnet"], ["datasets", "fer2013"]])
def test_prose_is_as_wide_as_the_terminal(words, monkeypatch, capsys):
    for given, widest in ((80, 80), (60, 60), (200, 110)):
        monkeypatch.setenv("COLUMNS", str(given))
        main(words)
        lines = capsys.readouterr().out.splitlines()
        long = [line for line in lines if len(line) > widest and line.startswith("  ")]
        assert not [line for line in long if " " in line.strip()], long  # a long address stays whole
        assert max(map(len, lines)) > 0.8 * widest


def test_names_command_no_terminal(monkeypatch):
    def work():
        print("a\x1b[31mb\x07c\x9bd\u202ee\ttab\nline")
        print("x\x1b]0;title\x07", file=sys.stderr)
        print("bar\r\x1b[A", end="", file=sys.stderr)

    code, out, err = printed(monkeypatch, work, "utf-8")
    assert code == 0 and out == "a\\x1b[31mb\\x07c\\x9bd\\u202ee\ttab\nline\n"
    assert err == "x\\x1b]0;title\\x07\nbar\r\x1b[A"
    assert harmless("é開 →\n") == "é開 →\n"


def test_a_table_for_programs_has_names_as_they_are(monkeypatch):
    _, out, _ = printed(monkeypatch, lambda: print("a\x1bb", file=for_programs(sys.stdout)), "utf-8")
    assert out == "a\x1bb\n"
    with guarded():
        pass


def test_errors_are_on_one_line(monkeypatch):
    code, _, err = printed(monkeypatch, lambda: main(["train", "--source", "folder:a\n\x1b[2Jerror: b"]), "ascii")
    assert code == 2 and err.count("\n") == 1 and "\x1b" not in err


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, -1e9])
def test_a_clock_that_jumps_makes_no_time_left_negative(jump, tmp_path, monkeypatch):
    """tqdm takes the time of the day where it is imported, and so does the host."""
    now, shift = time.time, [0.0]
    for place in ("time.time", "tqdm.std.time"):
        monkeypatch.setattr(place, lambda: now() + shift[0])
    out = io.StringIO()
    bar = tqdm(total=10, file=out, mininterval=0)
    progress = ProgressFile(tmp_path / "p.json", total=10)
    progress.mininterval = 0
    for i in range(8):
        if i == 3:
            shift[0] = jump
        time.sleep(0.005)
        bar.update()
        progress.update()
        about = bar.format_dict
        assert about["elapsed"] >= 0 and (about["rate"] is None or 0 < about["rate"] < 10_000)
        found = read_progress(tmp_path / "p.json")
        if found and found.seconds_left is not None:
            assert 0 <= found.seconds_left < 60 and not math.isnan(found.seconds_left)
    bar.close()
    assert "-" not in out.getvalue().split("|")[-1]


def test_long_lines_are_wrapped_on_a_terminal_and_whole_in_a_pipe(monkeypatch, capsys):
    text = "mcd  " + " ".join(["discrepancy"] * 12)
    assert wrapped(text, 5) == text and columns(110) == 110
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    first, *rest = wrapped(text, 5).splitlines()
    assert first.startswith("mcd  d") and rest and all(line.startswith("     d") for line in rest)
    assert all(len(line) < 80 for line in (first, *rest))
    assert columns(110) == 79 and columns(40) == 40


def test_notes_below_a_table_are_told_apart_by_their_indent(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    both = ["recall is averaged over the classes that occur", "loss is that of the last epoch of the training"]
    lines = "\n".join(notes(both)).splitlines()
    assert [line.split()[0] for line in lines if not line.startswith("  ")] == ["recall", "loss"] and len(lines) == 4


def table_of(monkeypatch, width):
    """The lines of a table whose rows have two columns for their names, on a terminal of that width."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    heads = ["method", "loss", "accuracy", "mean recall", "Δ recall vs ce"]
    rows = [["dann", "ce", "41.4 ± 0.4", "39.0 ± 1.2", ""], ["", "difc", "45.9 ± 0.3", "47.1", "+6.8"]]
    return aligned([heads, *rows], keys=2)


@pytest.mark.parametrize(("width", "tables", "height"), [(60, 1, 1), (52, 1, 2), (46, 1, 3), (36, 2, 1), (30, 2, 2)])
def test_a_table_fits_the_terminal_with_heads_no_taller_than_needed(width, tables, height, monkeypatch):
    lines = table_of(monkeypatch, width)
    assert max(map(len, lines)) < width
    texts = "\n".join(lines).split("\n\n")
    assert len(texts) == tables and max(len(text.splitlines()) for text in texts) == height + 2
    assert "method  loss" in texts[0] and "\ndann    ce" in texts[0] and "\n        difc" in texts[0]
    for text in texts[1:]:  # each says whose numbers they are
        assert "loss  " in text and "\nce  " in text and "\ndifc" in text
    assert all(number in "\n".join(lines) for number in ("41.4 ± 0.4", "39.0 ± 1.2", "45.9 ± 0.3", "47.1", "+6.8"))
    assert Counter("".join(lines).replace(" ", ""))["Δ"] == 1


def keyed(monkeypatch, names, room=30):
    """The heads of the tables that rows with such names and four wide columns are split into."""
    monkeypatch.setattr("pa_difc.report.printed.columns", lambda: room)
    lines = aligned([["method", "loss", *["wide"] * 4], *([*name, *["12345678"] * 4] for name in names)], keys=2)
    return [line.split() for line in lines if "wide" in line]


@pytest.mark.parametrize(
    ("names", "key"),
    [
        ([("mcd", "ce"), ("", "difc"), ("", "di")], ["loss"]),
        ([("mcd", "ce"), ("dann", "ce")], ["method"]),
        ([("mcd", "ce"), ("", "difc"), ("dann", "ce"), ("", "difc")], ["method", "loss"]),
        ([("mcd", "ce"), ("mcd", "ce")], ["method", "loss"]),
    ],
)
def test_the_second_part_of_a_wide_table_repeats_only_what_tells_rows_apart(names, key, monkeypatch):
    first, *others = keyed(monkeypatch, names)
    assert first[:2] == ["method", "loss"] and others
    for heads in others:
        assert [head for head in heads if head != "wide"] == key


@pytest.mark.slow
def test_a_locale_without_utf_8_changes_no_file(tmp_path):
    """As `LC_ALL=C PYTHONUTF8=0` does, under which Python opens files as ASCII unless it is told otherwise."""
    for name, seed in (("größe", 0), ("小さい", 1)):
        class_folders(tmp_path / name, SEVEN, seed, per_class=4)
    words = [
        "--source",
        "folder:größe",
        "--target",
        "folder:小さい",
        "--data-root",
        tmp_path,
        "--methods",
        "source_only",
    ]
    words += ["--losses", "ce", "--epochs", "1", "--set", "crop_px=32", "batch_size=16"]
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LOKY_MAX_CPU_COUNT": "1"}
    for command in (["compare", *words, "--out", tmp_path / "ö"], ["report", tmp_path / "ö"]):
        done = subprocess.run(
            [*PYTHON, "-m", "pa_difc", *map(str, command)],
            capture_output=True,
            env=os.environ | plain | {"PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
        assert done.stdout.decode("ascii")
    page = (tmp_path / "ö" / "report" / "report.md").read_text(encoding="utf-8")
    assert "folder:größe" in page and "folder:小さい" in page
