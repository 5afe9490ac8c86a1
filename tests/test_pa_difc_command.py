"""``pa-difc`` as one thing: its commands, doctor, train, search and completion."""

import re
import runpy
import subprocess
import sys

import pytest
from made import ROOT, TRAINED
from processes import PYTHON, here, run

from pa_difc.commands import doctor
from pa_difc.commands.parser import COMMANDS, main, make_parser
from pa_difc.methods import METHODS


def test_help_lists_every_command_and_each_has_examples_that_parse(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    parser = make_parser(None)
    for name in COMMANDS:
        assert f"\n    {name} " in text
        with pytest.raises(SystemExit):
            main([name, "--help"])
        shown = capsys.readouterr().out
        examples = re.findall(r"^  pa-difc (.*)$", shown.replace("\\\n", ""), re.MULTILINE)
        assert examples, name
        for example in examples:
            words = example.partition("#")[0].split()
            assert words[0] in COMMANDS
            parser.parse_args(words)  # exits if a flag is not there


def help_of(words, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)])
def test_help_fits_80_columns(words, monkeypatch, capsys):
    assert not [line for line in help_of(words, 80, monkeypatch, capsys) if len(line) > 80]


def test_the_keys_of_set_are_wrapped_to_the_terminal_with_a_hanging_indent(monkeypatch, capsys):
    for columns in (60, 130):
        lines = help_of(["train"], columns, monkeypatch, capsys)
        keys = lines[lines.index("keys for --set, by full or short name:") + 1 :]
        assert 0.8 * columns < max(map(len, keys)) <= columns
        begun = [line for line in keys[:-1] if not line.startswith("      ")]
        assert len(begun) > 40 and all(re.match(r"  \w+\.\w+=", line) for line in begun if line[0] == " ")


def test_a_recipe_s_help_fits_too(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["recipes/dann.py", "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "recipes" / "dann.py"), run_name="__main__")
    assert not [line for line in capsys.readouterr().out.splitlines() if len(line) > 80]


def test_recipes_and_commands_are_the_same_thing(data_root, tmp_path, monkeypatch, capsys):
    given = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", data_root, "--epochs", "1"]
    given += ["--set", "crop_px=32", "batch_size=16"]
    code, out, err = run("-m", "pa_difc", "train", "--method", "dann", *given, "--out", tmp_path / "a")
    assert code == 0 and "mean recall" in out, err
    grid = ["--methods", "dann", "--losses", "difc"]
    code, _, err = here("compare", *grid, *given, "--out", tmp_path / "0")
    assert code == 0, err
    monkeypatch.setattr(sys, "argv", ["recipes/compare.py", *grid, *map(str, given), "--out", str(tmp_path / "1")])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "recipes" / "compare.py"), run_name="__main__")
    assert stop.value.code == 0, capsys.readouterr().err
    names = {p.parent.name for p in tmp_path.rglob("record.json")}
    assert len(names) == 1 and len(list(tmp_path.rglob("record.json"))) == 3
    tables = {re.sub(r"\d:\d\d|,\d+\.\d,", "", (tmp_path / n / "table.csv").read_text()) for n in "01"}
    assert len(tables) == 1


def test_search_is_the_study(tmp_path):
    code, _, err = here("search", "--trials", "0", "--target", "toy_street", "--out", tmp_path)
    assert code == 2 and "--trials 0: must be at least 1" in err and "Traceback" not in err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_commands_and_flags(shell):
    code, out, err = here("--print-completion", shell)
    assert code == 0, err
    assert all(word in out for word in (*COMMANDS, "--target-sampler", "--annotate", "--trials"))
    if shell == "bash":
        asked = """
        COMP_WORDS=(pa-difc compare --methods dann m); COMP_CWORD=4; _shtab_pa_difc; echo "${COMPREPLY[@]}"
        COMPREPLY=(); COMP_WORDS=(pa-difc train --loss di); COMP_CWORD=3; _shtab_pa_difc; echo "${COMPREPLY[@]}"
        """
        done = subprocess.run(["bash"], input=out + asked, text=True, check=True, capture_output=True)
        methods, losses = (line.split() for line in done.stdout.splitlines())
        assert set(methods) == {name for name in METHODS if name.startswith("m")} and losses == ["di", "difc"]


def test_doctor_finds_a_sound_house(data_root, tmp_path, capsys):
    code = main(["doctor", "--data-root", str(tmp_path)])
    out = capsys.readouterr().out
    assert code == 0 and out.strip().endswith("everything works")
    assert all(re.search(rf"✓ {name}: \d+ ms", out) for name in TRAINED)
    assert "· none; toy_studio and toy_street need none" in out
    (tmp_path / "afe").symlink_to(data_root / "bright")  # class folders under a known name
    assert main(["doctor", "--data-root", str(tmp_path)]) == 0
    assert "✓ afe (images), train: 42 faces" in capsys.readouterr().out


def test_doctor_says_what_to_do(tmp_path, capsys, monkeypatch):
    versions = {"torch": "2.4.1", "optuna": None, "pytorch-adapt": "0.0.82", "onnxruntime": None}
    known = doctor.installed_version
    monkeypatch.setattr(doctor, "installed_version", lambda name: versions.get(name, known(name)))

    def broken(*args, **kwargs):
        raise TypeError("no such argument\nmore")

    monkeypatch.setattr(METHODS["dann"], "schedule_options", broken)
    (tmp_path / "fer2013").mkdir()
    code = main(["doctor", "--data-root", str(tmp_path)])
    out = capsys.readouterr().out
    assert code == 1 and "4 problems" in out
    assert "· torch 2.4.1 [" in out
    assert "✗ optuna is not installed\n      → pip install optuna==" in out
    assert "✗ pytorch-adapt 0.0.82 does not work" in out
    assert "· export --format onnx: pip install 'pa-difc[onnx]'" in out
    assert "✗ dann: TypeError: no such argument\n" in out
    assert "✗ fer2013: " in out and "→ pa-difc datasets fer2013" in out


def test_doctor_on_a_device_that_is_not_there(capsys, tmp_path):
    assert main(["doctor", "--device", "tpu", "--data-root", str(tmp_path)]) == 1
    assert "device 'tpu' can't be used" in capsys.readouterr().out


def test_the_tested_versions_are_the_constraints():
    text = (ROOT / ".ci" / "constraints.txt").read_text()
    pinned = dict(re.findall(r"^([\w-]+)==([^;\s]+)", text, re.MULTILINE))
    assert {name: pinned[name] for name in doctor.TESTED} == doctor.TESTED


def test_without_a_command_it_lists_them(capsys):
    assert main([]) == 2
    shown = capsys.readouterr()
    assert not shown.out and shown.err.startswith("usage: pa-difc")
    assert all(name in shown.err for name in COMMANDS)


def test_version():
    done = subprocess.run([*PYTHON, "-m", "pa_difc", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert re.fullmatch(r"pa-difc \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "--model", "m", ""], "an argument is empty"),
        (["predict", "--model", "", "a.jpg"], "--model: its value is empty"),
        (["compare", "--out="], "--out=: its value is empty"),
    ],
)
def test_an_unset_variable_is_no_folder(words, said):
    code, out, err = here(*words)
    assert (code, out) == (2, "") and err == f"error: {said}; is a variable unset? (. is this folder)\n"
