"""A setting without ``--set`` before it is told what would be right; words that are none stay argparse's."""

import re

import pytest

from pa_difc.commands.parser import main, run_script
from pa_difc.util.errors import UserError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "lr=0.05"], "lr=0.05: settings go after --set, as in --set lr=0.05"),
        (["train", "--method", "mcd", "lr=0.05", "method.weight=2"], "as in --set lr=0.05 method.weight=2"),
        (["adapt", "--budget", "5m", "optimiser.lr=1e-3"], "optimiser.lr=1e-3: settings go after --set"),
        (["compare", "--methods", "mcd", "lr=0.05"], "lr=0.05: not a method; settings go after --set"),
        (["compare", "--losses", "ce", "max_margin=0.5"], "max_margin=0.5: not a loss; settings go after --set"),
    ],
)
def test_a_setting_without_set(words, said):
    with pytest.raises(UserError, match=re.escape(said)) as refused:
        main(words)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [["compare", "lr"], ["compare", "--Lr=3"], ["report", "runs", "lr=0.05"], ["compare", "http://x?a=1"]],
)
def test_other_words_that_nobody_asked_for(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert f"unrecognized arguments: {words[-1]}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["search", "--log", "x"], ["report", "runs", "--jobs", "2"], ["doctor", "--out"]])
def test_a_flag_of_another_command_gets_the_usage_of_the_one_that_was_named(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    usage, _, error = capsys.readouterr().err.rpartition(f"\npa-difc {words[0]}: error: ")
    assert ended.value.code == 2 and error.startswith("unrecognized arguments: --") and error.count("\n") == 1
    assert usage.startswith(f"usage: pa-difc {words[0]} [-h]") and "COMMAND" not in usage


def test_a_script_of_one_command_names_itself(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["hpo/search.py", "--log", "x"])
    with pytest.raises(SystemExit) as ended:
        run_script("search")
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.startswith("usage: search.py [-h]")
    assert said.endswith("\nsearch.py: error: unrecognized arguments: --log x\n")
