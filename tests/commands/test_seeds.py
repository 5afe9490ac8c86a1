"""Seeds on the command line."""

import pytest

from pa_difc.commands.parser import main


@pytest.mark.parametrize(("command", "flag"), [("compare", "--seeds"), ("search", "--confirm-seeds")])
@pytest.mark.parametrize("given", ["0-2", "0,1,2", "1.5"])
def test_seeds_that_are_no_numbers_are_refused_with_what_would_be_right(command, flag, given, capsys):
    with pytest.raises(SystemExit):
        main([command, flag, "7", given])
    said = f"argument {flag}: '{given}': must be whole numbers separated by spaces, such as 0 1 2\n"
    assert capsys.readouterr().err.endswith(said)
