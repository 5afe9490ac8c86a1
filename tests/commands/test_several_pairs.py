"""``compare`` on several pairs, from a file of grids, told what is done, with tables of all that a folder holds."""

import csv
import json
import re
import shlex

import numpy as np
import pytest
from made import class_folders

from pa_difc.commands import tables
from pa_difc.commands.parser import main
from pa_difc.data.labels import SEVEN
from pa_difc.training import outcome
from pa_difc.training.expected import Expected
from pa_difc.util.errors import Stopped, UserError

SMALL = ["crop_px=32", "batch_size=16"]


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    home = tmp_path_factory.mktemp("several")
    for seed, domain in enumerate(("a", "b", "c")):
        class_folders(home / domain, SEVEN, seed, per_class=4)
    return home


@pytest.fixture
def home(domains, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for domain in ("a", "b", "c"):
        (tmp_path / domain).symlink_to(domains / domain)
    return tmp_path


def compare(*words):
    return main(["compare", "--data-root", ".", "--epochs", "1", "--out", "runs", *words, "--set", *SMALL])


def table(home, name="table.csv"):
    return list(csv.DictReader((home / "runs" / name).open()))


def recalls(home):
    records = [json.loads(path.read_text()) for path in (home / "runs" / "runs").glob("*/record.json")]
    return {
        (r["settings"]["data"]["target"], r["settings"]["method"]["name"], r["settings"]["run"]["seed"]): r["scores"][
            "target"
        ]["macro_recall"]
        for r in records
    }


def test_targets_are_columns_with_their_mean(home, capsys):
    given = ["--sources", "folder:a", "--targets", "folder:b", "folder:c", "folder:a"]  # a → a is no pair
    assert compare(*given, "--methods", "source_only", "dann", "--losses", "ce", "--seeds", "0", "1") == 0
    out = capsys.readouterr().out
    found = recalls(home)
    assert len(found) == 2 * 2 * 2
    pairs = {(row["source"], row["target"]) for row in table(home)}
    assert pairs == {("folder:a", "folder:b"), ("folder:a", "folder:c")} and len(table(home)) == 4
    both = [[100 * found[f"folder:{t}", "dann", seed] for seed in (0, 1)] for t in "bc"]
    shown = [f"{np.mean(two):.1f} ± {np.std(two, ddof=1):.1f}" for two in both]
    markdown = (home / "runs" / "table.md").read_text().replace(" †", "")  # whatever one epoch has made of them
    by_seed = np.mean(both, axis=0)
    row = f"| dann | ce | {shown[0]} | {shown[1]} | {np.mean(both):.1f} ± {np.std(by_seed, ddof=1):.1f} |"
    assert row in markdown.partition("# Mean recall on every target")[2].partition("\n# ")[0]
    assert "Accuracy on every target" in out and "grid 2/2" in out
    assert main(["report", "runs"]) == 0
    page = (home / "runs" / "report" / "report.html").read_text()
    assert "Mean recall on every target" in page and f"{np.mean(both):.1f}" in page


def test_no_mean_is_taken_over_other_settings_or_data(home):
    """Two pairs at one rate; then one of them at another rate, and once more with other data."""
    pairs = ["--sources", "folder:a", "--targets", "folder:b", "folder:c", "--methods", "source_only", "--losses", "ce"]
    assert compare(*pairs) == 0
    assert main(["compare", "--data-root", ".", "--epochs", "1", "--out", "runs", *pairs[:3], "folder:b", *pairs[5:],
                 "--set", *SMALL, "lr=0.5"]) == 0  # fmt: skip
    (home / "c").unlink()
    class_folders(home / "c", SEVEN, 9, per_class=4)
    assert compare(*pairs) == 0
    markdown = (home / "runs" / "table.md").read_text().partition("# Mean recall on every target")[2]
    assert "Mean recall on every target" not in markdown  # one table, for one pair alone has the other rate
    (row,) = [line for line in markdown.partition("\n# ")[0].splitlines() if line.startswith("| source_only")]
    of_b, of_c = newest_recall(home, "folder:b"), newest_recall(home, "folder:c")
    assert row.strip("| ").rpartition(" ")[2] == f"{(100 * of_b + 100 * of_c) / 2:.1f}"


def newest_recall(home, target):
    """Of the runs at the usual rate."""
    records = [json.loads(path.read_text()) for path in (home / "runs" / "runs").glob("*/record.json")]
    records = [
        r for r in records if r["settings"]["data"]["target"] == target and r["settings"]["optimiser"]["lr"] < 0.5
    ]
    return max(records, key=lambda r: r["finished"])["scores"]["target"]["macro_recall"]


def test_a_later_command_adds_to_tables_and_commands(home, capsys, monkeypatch):
    pair = ["--source", "folder:a", "--target", "folder:b", "--methods", "source_only"]
    for loss in ("ce", "di", "di"):
        monkeypatch.setattr("sys.argv", ["pa-difc", "compare", *pair, "--losses", loss])
        assert compare(*pair, "--losses", loss) == 0
    assert [row["loss"] for row in table(home)] == ["ce", "di"] and table(home)[1]["macro_recall_vs_ce"]
    commands = (home / "runs" / "command.txt").read_text().splitlines()
    assert [line.rpartition(" ")[2] for line in commands] == ["ce", "di"]
    assert main(["report", "runs"]) == 0
    again = (home / "runs" / "report" / "report.md").read_text().partition("## Commands to repeat this")[2]
    assert all(command in again for command in commands)
    rows = dict(re.findall(r"^# source_only · (\w+)\n(.*)$", again, re.MULTILINE))
    assert set(rows) == {"ce", "di"}
    assert main(shlex.split(rows["di"])[1:]) == 0
    (made,) = (home / "again" / "runs").iterdir()
    assert made.name.startswith("source_only-di-") and (home / "runs" / "runs" / made.name).is_dir()


def test_rows_stand_in_the_order_first_asked_for(home):
    """Those of an earlier command stay where they were."""
    pair = ["--source", "folder:a", "--target", "folder:b", "--methods", "source_only"]
    for losses in (["drw"], ["difc"], ["di"], ["ce"]):
        assert compare(*pair, "--losses", *losses) == 0
    assert [row["loss"] for row in table(home)] == ["drw", "difc", "di", "ce"]
    assert compare(*pair, "--losses", "ce", "di", "difc") == 0
    assert [row["loss"] for row in table(home)] == ["drw", "difc", "di", "ce"]


def test_a_damaged_record_costs_its_own_row_alone(home, capsys):
    pair = ["--source", "folder:a", "--target", "folder:b", "--methods", "source_only"]
    assert compare(*pair, "--losses", "ce", "drw") == 0
    damaged = next((home / "runs" / "runs").glob("source_only-drw-*")) / "record.json"
    damaged.write_text(damaged.read_text()[:-40])
    assert compare(*pair, "--losses", "ce", "di") == 0
    assert "left out of the tables: " in capsys.readouterr().out
    assert [row["loss"] for row in table(home)] == ["ce", "di"]
    assert compare(*pair[:2], "--targets", "folder:b", "folder:c", *pair[4:], "--losses", "ce") == 0
    assert capsys.readouterr().out.count("left out of the tables: ") == 1  # not after each pair


PAIRS = ["--source", "folder:a", "--methods", "source_only", "--losses", "ce", "--targets"]


def at_each_cell(monkeypatch, look):
    """Calls ``look`` with a cell's target before that cell is trained."""
    run_cell = outcome.run_cell

    def looked(cell, *args, **kwargs):
        look(cell.data.target)
        return run_cell(cell, *args, **kwargs)

    monkeypatch.setattr(outcome, "run_cell", looked)


def test_a_pair_s_table_lies_there_while_the_next_one_is_trained(home, monkeypatch, capsys):
    """So that a kill costs no table of pairs that are done."""
    seen, printed = {}, []

    def look(target):
        seen[target] = [row["target"] for row in table(home)] if (home / "runs" / "table.csv").exists() else []
        printed.append(capsys.readouterr().out)
        if target == "folder:c":
            raise KeyboardInterrupt

    at_each_cell(monkeypatch, look)
    with pytest.raises(Stopped):
        compare(*PAIRS, "folder:b", "folder:c")
    assert seen == {"folder:b": [], "folder:c": ["folder:b"]}
    assert "| source_only | ce |" in (home / "runs" / "table.md").read_text().replace(" †", "")
    assert "written: " not in "".join(printed) and "macro" not in "".join(printed)  # tables are printed at the end


def test_the_last_line_is_the_command_that_makes_a_page(home, capsys):
    assert compare(*PAIRS, "folder:b", "--out", "its runs") == 0
    said, command = capsys.readouterr().out.splitlines()[-1].split(": ", 1)
    words = shlex.split(command)
    assert said == "report" and words[0] == "pa-difc" and main(words[1:]) == 0
    assert (home / "its runs" / "report" / "report.html").exists()


def test_commands_that_a_choice_says_hold_any_path(home, capsys):
    """Without labels, the table's last line exports the chosen run."""
    (home / "some faces").symlink_to(home / "b")
    assert compare(*PAIRS, "images:some faces", "--out", "its runs") == 0
    (command,) = re.findall("to use it: (.*)", capsys.readouterr().out)
    assert main([*shlex.split(command)[1:-1], str(home / "exported")]) == 0


def test_the_time_left_is_that_of_all_pairs(home, monkeypatch, capsys):
    """As if every cell took six minutes. At last a run of the first pair and two of the second have to be repeated."""
    learn = Expected.learn
    monkeypatch.setattr(Expected, "learn", lambda self, number, seconds: learn(self, number, 360.0))

    def left(*targets, out):
        assert compare(*PAIRS, *targets, "--seeds", "0", "1", "2", "--out", out, "--jobs", "1") == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if re.match("[123]/3  source_only · ce", line)]
        assert [line[:3] for line in lines] == ["1/3", "2/3", "3/3"] * len(targets)
        return [
            found[1] if (found := re.search("(\\d+) min left$", line)) else "" for line in lines if "kept" not in line
        ]

    assert left("folder:b", out="one") == ["12", "6", ""]
    assert left("folder:b", "folder:c", out="both") == ["30", "24", "18", "12", "6", ""]
    for name, seed in (("b", 0), ("c", 1), ("c", 2)):
        for path in (home / "both" / "runs").glob(f"*-seed{seed}-*/record.json"):
            if json.loads(path.read_text())["settings"]["data"]["target"] == f"folder:{name}":
                path.unlink()
    assert left("folder:b", "folder:c", out="both") == ["12", "6", ""]


def test_what_a_choice_goes_by_is_computed_once_for_each_pair(home, monkeypatch):
    """It reads the predictions of all runs: tables after each of N pairs must not read them N times."""
    chosen, select = [], tables.select
    monkeypatch.setattr(tables, "select", lambda grid: (chosen.append(grid.target), select(grid))[1])
    targets = ["images:a", "images:b", "images:c"]
    seen = {}
    at_each_cell(monkeypatch, lambda target: seen.update({target: list(chosen)}))
    assert compare(*PAIRS, *targets) == 0
    assert seen == {"images:a": [], "images:b": ["images:a"], "images:c": ["images:a", "images:b"]}
    assert chosen == targets
    assert (home / "runs" / "table.md").read_text().count("# folder:a → images:") == 3


def test_a_pair_without_a_table_costs_no_other_pair_s_training(home, capsys):
    assert compare(*PAIRS, "images:b") == 0
    next((home / "runs" / "runs").glob("*/outputs.npz")).unlink()
    with pytest.raises(UserError, match=r"^runs: outputs\.npz of a run is missing"):
        compare(*PAIRS, "images:b", "folder:c")
    assert set(targets_of_all(home)) == {"images:b", "folder:c"}
    assert [row["target"] for row in table(home)] == ["folder:c"]


def targets_of_all(home):
    """The targets of all records."""
    records = [json.loads(path.read_text()) for path in (home / "runs" / "runs").glob("*/record.json")]
    return [r["settings"]["data"]["target"] for r in records]


def test_the_list_says_what_is_done_and_what_is_left_and_trains_nothing(home, capsys):
    given = ["--source", "folder:a", "--targets", "folder:b", "folder:c", "--methods", "source_only", "dann"]
    given += ["--losses", "ce", "--seeds", "0", "1"]
    assert compare(*given, "--list") == 0
    assert "8 runs: 0 done, 8 left" in capsys.readouterr().out and not (home / "runs").exists()
    assert compare(*given[:3], "folder:b", *given[5:]) == 0
    next((home / "runs" / "runs").glob("dann-ce-seed1-*/record.json")).unlink()
    capsys.readouterr()
    assert compare(*given, "--list") == 0
    out = capsys.readouterr().out
    assert "8 runs: 3 done, 5 left" in out
    first = out.partition("folder:a → folder:c")[0]
    assert re.search(r"dann +ce +0 +1\n", first) and re.search(r"source_only +ce +0 1 +–", first)
    assert compare(*given, "--list", "--epochs", "2") == 0  # other settings are other cells
    assert "8 runs: 0 done" in capsys.readouterr().out


def test_frozen_cells_are_known_again(home, capsys):
    given = ["--source", "folder:a", "--target", "folder:b", "--methods", "source_only", "--losses", "ce"]
    assert compare(*given, "--features", "frozen") == 0
    for frozen, done in ((["--features", "frozen"], 1), ([], 0)):
        capsys.readouterr()
        assert compare(*given, *frozen, "--list") == 0
        assert f"1 run: {done} done" in capsys.readouterr().out


GRIDS = """
[[grid]]
title = "First"
sources = ["folder:a"]
targets = ["folder:b", "folder:c"]
methods = ["source_only"]
losses = ["ce", "di"]
settings = {lr = 0.5, "loss.max_margin" = 0.1}

[[grid]]
title = "Second"
sources = ["folder:b"]
targets = ["folder:a"]
methods = ["dann"]
losses = ["ce"]
seeds = [3, 4]
features = "frozen"
"""


def test_a_file_holds_an_experiment_and_flags_win(home, capsys):
    (home / "grids.toml").write_text(GRIDS)
    assert compare("--grid", "grids.toml", "--list") == 0
    out = capsys.readouterr().out
    assert "First · folder:a → folder:c\n" in out and "Second · folder:b → folder:a · frozen features" in out
    assert "6 runs: 0 done, 6 left" in out
    assert compare("--grid", "grids.toml", "--losses", "di") == 0
    records = [json.loads(path.read_text()) for path in (home / "runs" / "runs").glob("*/record.json")]
    assert len(records) == 2 + 2 and {r["settings"]["loss"]["name"] for r in records} == {"di"}
    first = [r for r in records if r["settings"]["data"]["source"] == "folder:a"]
    assert {(r["settings"]["optimiser"]["lr"], r["settings"]["loss"]["options"]["max_margin"]) for r in first} == {
        (0.5, 0.1)
    }
    assert {r["settings"]["run"]["seed"] for r in records if r not in first} == {3, 4}
    assert all(r["common"]["features"] for r in records if r not in first)


def test_one_pair_s_missing_data_is_not_the_others(home, capsys):
    given = ["--source", "folder:a", "--targets", "folder:nowhere", "folder:b"]
    assert compare(*given, "--methods", "source_only", "--losses", "ce") == 2
    said = capsys.readouterr()
    assert "failed: folder:a → folder:nowhere: " in said.err
    assert [row["target"] for row in table(home)] == ["folder:b"]


def test_notes_below_tables_fit_the_terminal(home, capsys, monkeypatch):
    given = ["--source", "folder:a", "--targets", "folder:b", "folder:c", "--methods", "source_only", "--losses", "ce"]
    given += ["--features", "frozen", "--seeds", "0", "1"]
    assert compare(*given) == 0
    capsys.readouterr()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    assert compare(*given) == 0
    tables = capsys.readouterr().out.partition("\nmethod")[2].splitlines()
    assert any(line.startswith("Frozen features are of one network") for line in tables)
    assert max(map(len, tables)) < 60


def test_a_failing_cell_is_named_with_its_pair(home, capsys):
    given = ["--source", "folder:a", "--targets", "folder:b", "folder:c", "--methods", "source_only", "--losses", "ce"]
    assert compare(*given, "--set", "lr=1e30") == 2
    said = capsys.readouterr().err
    assert said.startswith("failed: folder:a → folder:b · source_only · ce: ") and said.endswith(" … and 1 more run\n")
    assert compare(*given[:3], "folder:b", *given[5:], "--set", "lr=1e30") == 2  # of one pair nobody need name it
    assert capsys.readouterr().err.startswith("failed: source_only · ce: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no grid; begin each with [[grid]]"),
        ("grid = 3", "has no grid"),
        ("lr = 1\n[[grid]]", "lr is outside of a grid"),
        ('[[grid]]\ntargts = ["a"]', "grid 1: unknown key 'targts': did you mean 'targets'"),
        ('[[grid]]\n[[grid]]\ntargets = "a"', "grid 2: targets='a': must be a list"),
        ("[[grid]]\nseeds = [0.5]", r"grid 1: seeds=[0.5]: must be a list of whole numbers"),
        ("[[grid]]\nlosses = []", r"grid 1: losses=[]: must be a list of names"),
        ('[[grid]]\nfeatures = "warm"', "features='warm': must be full or frozen"),
        ("[[grid]]\nsettings = {lr = -1}", "grid 1: settings: lr"),
        ("[[grid]]\nsettings = {lrr = 1}", "grid 1: settings: lrr"),
        ("[[grid]]\nsettings = {learning_rate = 1}", "unknown key 'learning_rate': did you mean 'lr'? ("),
        (
            '[[grid]]\nmethods = ["mcd", "dan"]',
            "grids.toml: grid 1: methods: unknown method 'dan': did you mean",
        ),
        (
            '[[grid]]\n[[grid]]\nlosses = ["dfic"]',
            "grids.toml: grid 2: losses: unknown loss 'dfic': did you mean",
        ),
        (
            '[[grid]]\n[[grid]]\ntargets = ["toy_stret"]',
            "grids.toml: grid 2: unknown dataset 'toy_stret': did you mean 'toy_street'",
        ),
        ("[[grid]", "not TOML"),
    ],
)
def test_files_that_are_none(home, text, said):
    (home / "grids.toml").write_text(text)
    with pytest.raises(UserError) as error:
        compare("--grid", "grids.toml", "--list")
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--source", "x", "--sources", "y"], "--source x and --sources y: give one of them"),
        (["--sources", "expw", "--targets", "expw"], "no pair of two different datasets"),
        (["--grid", "g.toml", "--config", "c.toml"], "--grid and --config"),
    ],
)
def test_flags_that_do_not_go_together(home, words, said):
    with pytest.raises(UserError, match=re.escape(said)):
        compare(*words)


def test_one_folder_under_two_names_is_one_dataset(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "--sources", "folder:a", "--targets", "folder:b", "folder:b/", "folder:./b", "--list"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "→" in line] == ["folder:a → folder:b"]
    with pytest.raises(UserError, match="there is no pair of two different datasets"):
        main(["compare", "--sources", "folder:b", "--targets", "folder:./b/", "--list"])


@pytest.mark.parametrize("target", ["folder:b", "folder:./b/"])
def test_a_dataset_is_no_target_of_its_own(tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="source and target are both folder:b: training would see the target's labels"):
        main(["compare", "--source", "folder:b", "--target", target, "--list"])


def test_a_misspelled_dataset_is_refused_before_other_pairs_are_trained(home):
    with pytest.raises(UserError, match=r"^unknown dataset 'fer213': did you mean 'fer2013'"):
        compare("--sources", "folder:bright", "--targets", "folder:dim", "fer213", "--out", "misspelled")
    assert not (home / "misspelled").exists()
