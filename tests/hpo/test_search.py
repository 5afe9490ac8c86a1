"""The search command as people run it: real processes, kills, a real PostgreSQL server."""

import html
import json
import os
import re
import signal
import time
from collections import Counter
from datetime import date

import optuna
import pytest
from processes import apart, here, run, start
from rare import slow

from pa_difc.tuning.storage import open_storage
from pa_difc.util.toml import read_toml
from pa_difc.util.version import VERSION

SEARCH = "hpo/search.py"


def flags(data_root, out, *more, trials=3):
    return [
        "--source", "folder:bright", "--target", "folder:dim", "--data-root", str(data_root), "--out", str(out),
        "--epochs", "2", "--method", "source_only", "--trials", str(trials), "--confirm-seeds", "0", "1", *more,
        "--set", "crop_px=32", "batch_size=16",
    ]  # fmt: skip


def studies(out):
    (database,) = out.glob("*/study.db")
    url = f"sqlite:///{database}"
    (summary,) = optuna.get_all_study_summaries(url)
    return optuna.load_study(study_name=summary.study_name, storage=url)


def test_a_study_ends_in_a_report_and_a_file_that_recipes_take(data_root, tmp_path):
    code, out, err = apart("search", *flags(data_root, tmp_path, "--features", "frozen", "--confirm", "1"))
    assert code == 0, err
    assert "chosen: trial" in out and "defaults (trial 0)" in out and "uses target labels: for reference only" in out
    assert "is chosen by consensus over several criteria: mean rank by im" in out and "best im " in out
    assert {f"{name} · seed {n}" for name in ("source-only", "full network: defaults") for n in (0, 1)} <= names(out)
    assert "mean recall on folder:dim" in out.partition("written:")[0]
    assert [line.split()[1] for line in out.splitlines() if re.match(r"trial \d+  im ", line)] == ["0", "1", "2"]
    assert {"chosen · seed 0", "chosen, defaults · seed 0"} & names(out)
    (folder,) = tmp_path.iterdir()
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for word in (
        "Trained anew, scored on the target's test faces (mean ± standard deviation over 2 seeds)",
        "The trials themselves, scored on the target's test faces (one seed)",
        f"epochs 2, learning rate 0.02, seed 0; pa-difc {VERSION}, {date.today():%Y-%m}",
        "is chosen by consensus",
        "a pool that mostly fails agrees with the failure",
        "regret",
        "Spearman",
        "source-only",
        "worst of all trials",
        "best by target labels",
        "dashboard",
        "full network",
    ):
        assert word in html.unescape(page) and word in text, word
    assert not re.search(r"<th[^>]*></th>", page) and "class='words'" not in page  # which a phone breaks into syllables
    assert "<details><summary>What each criterion measures" in page
    assert page.count("<svg") >= 5 and not re.search(r"(src|href)=.https?:", page)  # nothing needs a network
    best = folder / "best.toml"
    assert "No target label was used" in best.read_text()
    assert read_toml(best).keys() == {"loss"} and read_toml(best)["loss"].keys() == {"max_margin", "epsilon"}
    recipe = [f for f in flags(data_root, tmp_path / "r") if f not in ("--confirm-seeds", "1")]
    recipe = recipe[: recipe.index("--method")] + recipe[recipe.index("--set") :]
    code, _, err = run("recipes/source_only.py", *recipe, "--config", best)
    assert code == 0, err
    record = json.loads(next((tmp_path / "r").glob("runs/*/record.json")).read_text())
    chosen = best.read_text()
    assert f"max_margin = {record['settings']['loss']['options']['max_margin']}" in chosen


def names(out):
    """Of the cells that were trained: "1/6  chosen · seed 0  …"."""
    return set(re.findall(r"^ *\d+/\d+  (.+? seed \d)", out, re.MULTILINE))


PLUGIN = """\
from dataclasses import dataclass
from pa_difc import METHODS, SourceOnly
from pa_difc.util.options import option

@METHODS.register("mine")
class Mine(SourceOnly):
    @dataclass(frozen=True)
    class Options(SourceOnly.Options):
        lr: float = option(0.5, "not the optimiser's", at_least=0, at_most=1)
"""


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("method.lr", "--jobs 0: must be at least 1"),
        ("lr", "key 'lr' is short for optimiser.lr and method.lr: give the"),
    ],
)
def test_a_plugin_s_option_with_a_setting_s_name_is_searched_by_its_whole_key(key, said, data_root, tmp_path):
    """Without a study: the number of jobs is checked after the space."""
    (tmp_path / "mine.py").write_text(PLUGIN)
    given = flags(data_root, tmp_path / "out", "--plugin", tmp_path / "mine.py", "--tune", key, "--jobs", "0")
    given[given.index("source_only")] = "mine"
    code, _, err = apart("search", *given)
    assert code == 2 and err.startswith(f"error: {said}")


def test_killed_and_given_again_it_ends_with_all_trials(data_root, tmp_path):
    process = start(SEARCH, *flags(data_root, tmp_path, trials=4))
    deadline = time.time() + 120
    while len(list(tmp_path.glob("*/runs/*difc*/checkpoint.pt"))) < 2:
        assert time.time() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(studies(tmp_path).trials) < 4
    code, _, err = apart("search", *flags(data_root, tmp_path, "--resume", trials=4))
    assert code == 0, err
    states = Counter(t.state.name for t in studies(tmp_path).trials)
    assert states["COMPLETE"] == 4 and states["RUNNING"] == states["WAITING"] == 0
    code, _, err = apart("search", *flags(data_root, tmp_path, trials=4))  # done already: the report again
    assert code == 0 and len(studies(tmp_path).trials) == sum(states.values())


@pytest.mark.slow
def test_several_jobs_make_one_study_and_a_killed_one_costs_a_try(data_root, tmp_path):
    arguments = flags(data_root, tmp_path, "--jobs", "2", "--study", "mine", "--confirm-seeds", "0", trials=5)
    arguments[arguments.index("--epochs") + 1] = "8"
    process = start(SEARCH, *arguments)
    deadline = time.time() + 200
    while len(locks := list((tmp_path / "mine" / "workers").glob("*.lock"))) < 2 or not list(
        tmp_path.glob("mine/runs/*difc*/checkpoint.pt")
    ):
        assert time.time() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.kill(int(locks[0].name.partition("-")[0]), signal.SIGKILL)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, out + err
    assert "was lost (signal 9); another takes its place" in out and "5 of 5 done" in out
    states = Counter(t.state.name for t in studies(tmp_path).trials)
    assert 5 <= states["COMPLETE"] <= 6 and states["RUNNING"] == 0
    assert (tmp_path / "mine" / "report.html").exists()
    assert not list((tmp_path / "mine" / "workers").iterdir())


@pytest.mark.parametrize("how", [signal.SIGINT, *slow(signal.SIGTERM)])
def test_stopped_jobs_leave_the_command_that_goes_on(data_root, tmp_path, how):
    process = start(SEARCH, *flags(data_root, tmp_path, "--jobs", "2", "--study", "mine", trials=400))
    deadline = time.time() + 200
    while not list(tmp_path.glob("mine/runs/*difc*/checkpoint.pt")):
        assert time.time() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(how)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + how and "Traceback" not in out + err, out + err
    assert "stopping\n" in out and (out + err).lower().count("resume with") == 1
    assert re.search(r"of 400 trials done\. Resume with: \S+/python \S*hpo/search\.py .*--jobs 2.*\n$", err), err
    assert all(t.state.name in ("COMPLETE", "WAITING", "FAIL") for t in studies(tmp_path).trials)


def test_one_line_for_what_can_t_work(data_root, tmp_path):
    (tmp_path / "file").write_text("")
    wrong = {
        "unknown selection 'consensu'": ["--select", "consensu"],
        "needs --allow-target-labels": ["--select", "oracle"],
        "must be sqlite:///FILE": ["--storage", "redis://x"],
        "can't be opened": ["--storage", "postgresql+psycopg2://me:secret@127.0.0.1:9/none"],
        "no study": ["--resume"],
        "has none of max_margin, epsilon": ["--loss", "focal"],
        "--jobs 0: must be at least 1": ["--jobs", "0"],
        "--heartbeat 0: must be at least 1": ["--heartbeat", "0"],
        "--study '..': must be a name": ["--study", ".."],
        "cannot write": ["--out", str(tmp_path / "file" / "out")],
    }
    for words, more in wrong.items():
        code, _, err = here("search", *flags(data_root, tmp_path / "out"), *more)
        assert code == 2 and err.count("\n") == 1 and words in err and "secret" not in err, err


def test_a_second_study_of_a_pair_in_one_storage_takes_the_name_that_the_error_asks_for(data_root, tmp_path):
    url = f"journal:{tmp_path / 'studies.log'}"
    words = flags(data_root, tmp_path / "out", "--storage", url, "--features", "frozen", trials=1)
    assert here("search", *words)[0] == 0
    code, _, err = here("search", *words, "lr=0.5")
    assert code == 2 and err.endswith("give this one a name of its own, --study NAME\n") and err.count("\n") == 1, err
    assert here("search", *words, "lr=0.5", "--study", "second")[0] == 0
    found = {s.study_name: s.n_trials for s in optuna.get_all_study_summaries(open_storage(url))}
    assert len(found) == 2 and "second" in found and set(found.values()) == {1}


def test_without_data_the_help_is_near(tmp_path):
    where = ["--target", "fer2013", "--data-root", tmp_path, "--out", tmp_path]
    for more, words in ((["--source", "muxspace"], "dataset muxspace"), ([], "dataset raf_db")):  # the paper's source
        code, _, err = here("search", *where, *more)
        assert code == 2 and f"{words}: no folder" in err and "--target toy_street needs none" in err
        assert err.count("\n") == 1


def test_sqlite_takes_one_writer(data_root, tmp_path):
    arguments = flags(data_root, tmp_path, trials=500)
    arguments[arguments.index("--epochs") + 1] = "60"  # so that Ctrl-C finds it in an epoch
    first = start(SEARCH, *arguments)
    deadline = time.time() + 120
    while not list(tmp_path.glob("*/study.db")):
        assert time.time() < deadline and first.poll() is None, first.communicate()
        time.sleep(0.05)
    code, _, err = apart("search", *arguments)
    assert code == 2 and f"process {first.pid} on " in err and "is writing there" in err and "postgresql" in err
    while not list(tmp_path.glob("*/runs/*difc*/checkpoint.pt")):
        assert time.time() < deadline and first.poll() is None, first.communicate()
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 130, err
    assert (out + err).lower().count("resume with") == 1
    assert re.search(
        r"^stopped .*; \d+ of 500 trials done\. Resume with: \S+/python .*hpo/search\.py ", err, re.MULTILINE
    ), err


def test_three_workers_one_killed_and_no_trial_is_lost(data_root, tmp_path, postgres):
    budget, workers = 8, 3
    more = ["--storage", postgres, "--heartbeat", "1", "--confirm-seeds", "0"]
    arguments = flags(data_root, tmp_path / "out", *more, trials=budget)
    arguments[arguments.index("--epochs") + 1] = "16"
    processes = [start(SEARCH, *arguments) for _ in range(workers)]
    storage = optuna.storages.get_storage(postgres)  # one, as each has connections of its own
    states = lambda: Counter(  # noqa: E731
        t.state.name
        for summary in optuna.get_all_study_summaries(storage)
        for t in optuna.load_study(study_name=summary.study_name, storage=storage).trials
    )
    deadline = time.time() + 200
    while states()["RUNNING"] < workers:
        assert time.time() < deadline and all(p.poll() is None for p in processes)
        time.sleep(0.2)
    processes[0].send_signal(signal.SIGKILL)
    outputs = [p.communicate(timeout=250) for p in processes]
    assert [p.returncode for p in processes[1:]] == [0, 0], outputs
    end = states()
    assert end["RUNNING"] == end["WAITING"] == 0, end
    assert budget <= end["COMPLETE"] + end["PRUNED"] <= budget + workers - 1
    assert end["FAIL"] >= 1  # the lost one, whose values were tried again
    (summary,) = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=summary.study_name, storage=storage).trials
    complete = [t.params for t in trials if t.state.name == "COMPLETE"]
    assert all(t.params in complete for t in trials if t.state.name == "FAIL" and t.params)
