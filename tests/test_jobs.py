"""``compare --jobs``: real workers, real kills, the same numbers to the bit."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import ROOT, alive, apart, start
from rare import slow
from test_commands import flags, table
from test_two_commands import witness

from pa_difc.backbones import make_backbone

pytestmark = [
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc"),
    pytest.mark.timeout(1500),
]

COMMAND = ("-m", "pa_difc", "compare")
GRID = ["--methods", "source_only", "dann", "--losses", "ce", "difc"]

#: A plugin that gives workers which are to stop no time.
HURRY = "import pa_difc.training.slots\npa_difc.training.slots.STOP_S = 1.0\n"


#: Seconds that a command may take on a machine that is busy with other work.
LONG_S = 500


def content(out):
    """Of every run: scores, history, threads; weights and predictions, to the bit."""
    found = {}
    for path in sorted(out.glob("runs/*/record.json")):
        record = json.loads(path.read_text())
        history = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in record["history"]]
        state = torch.load(path.with_name("checkpoint.pt"), weights_only=True)["models"]
        weights = {f"{m}.{k}": v.numpy().tobytes() for m, values in state.items() for k, v in values.items()}
        with np.load(path.with_name("outputs.npz")) as arrays:
            outputs = {name: arrays[name].tobytes() for name in arrays.files}
        found[path.parent.name] = record["scores"], history, record["machine"]["threads"], weights, outputs
    return found


def children(pid):
    """The processes that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(status.parent.name))
    return found


def workers_of(pid):
    """The processes that work on a command's cells: they are forked from one that has imported all."""
    (server,) = [one for one in children(pid) if b"forkserver" in Path(f"/proc/{one}/cmdline").read_bytes()]
    return children(server)


def until(condition, process=None):
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Flags of four cells that start from weights."""
    file = tmp_path_factory.mktemp("weights") / "small.pt"
    torch.manual_seed(1)
    torch.save(make_backbone("small").state_dict(), file)
    return [*GRID, "--epochs", "16", "--pretrained", str(file)]


@pytest.fixture(scope="module")
def undisturbed(data_root, grid, tmp_path_factory):
    """The grid by one worker."""
    out = tmp_path_factory.mktemp("undisturbed")
    code, said, err = apart(*COMMAND[2:], *flags(data_root, out), *grid, "--jobs", "1")
    assert code == 0, err
    return content(out), table(out), said


def files_of_processes(out):
    """What only processes at work have: locks, files that are being written."""
    return [path for path in out.rglob(".*") if path.is_file()]


def test_the_same_to_the_bit_with_two_workers_one_of_which_is_killed(data_root, grid, tmp_path, undisturbed):
    plugin, trained = witness(tmp_path)
    out = tmp_path / "out"
    process = start(*COMMAND, *flags(data_root, out), *grid, "--jobs", "2", *plugin)
    until(lambda: list(out.glob("runs/*/checkpoint.pt")), process)
    _, pid = trained()[0]
    os.kill(int(pid), signal.SIGKILL)
    said, err = process.communicate(timeout=LONG_S)
    assert process.returncode == 0, err
    lines = said.splitlines()
    assert len([line for line in lines if line.endswith("its worker was killed; retrying")]) == 1
    assert len([line for line in lines if line.startswith("weights ")]) == 1  # as this process and both workers say
    cells = [cell for cell, _ in trained()]
    assert len(cells) == 5 and len(set(cells)) == 4  # one of them twice
    found = content(out)
    assert found == undisturbed[0]
    assert table(out) == undisturbed[1]
    assert {threads for *_, threads, _, _ in found.values()} == {1}
    assert not files_of_processes(out) and not (out / "failed").exists()
    record = json.loads(next(out.glob("runs/*/record.json")).read_text())
    assert record["command"].startswith("python -m pa_difc compare --source folder:bright")


@pytest.mark.parametrize("stop", [signal.SIGINT, *slow(signal.SIGTERM)])
def test_stopped_it_says_how_to_go_on_and_does(stop, data_root, grid, tmp_path, undisturbed):
    out = tmp_path / "out"
    given = [*flags(data_root, out), *grid, "--jobs", "2"]
    process = start(*COMMAND, *given, start_new_session=True)
    until(lambda: list(out.glob("runs/*/checkpoint.pt")), process)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    if stop == signal.SIGINT:  # a terminal's Ctrl-C goes to all
        os.killpg(process.pid, stop)
    else:
        process.send_signal(stop)
    said, err = process.communicate(timeout=LONG_S)
    if process.returncode == 0:
        pytest.skip("it was done before the signal came")
    assert process.returncode == 128 + stop and "Traceback" not in err, err
    assert re.search(r"stopped; [0-3] of 4 runs are done and kept\.\n$", err), err
    assert f"resume with: {sys.executable} -m pa_difc compare {' '.join(given)}" in said.replace("'", "")
    until(lambda: not any(map(alive, workers)))
    assert not files_of_processes(out)  # nobody holds anything
    code, _, err = apart(*COMMAND[2:], *given)
    assert code == 0, err
    assert content(out) == undisturbed[0]


@pytest.mark.slow
def test_killed_its_workers_end_and_the_same_command_goes_on(data_root, grid, tmp_path, undisturbed, monkeypatch):
    out = tmp_path / "out"
    given = [*flags(data_root, out), *grid, "--jobs", "2"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    process = start(*COMMAND, *given)
    until(lambda: list(out.glob("runs/*/checkpoint.pt")), process)
    workers = workers_of(process.pid)
    assert len(workers) == 2 and list(temporary.glob("pa_difc-*"))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=LONG_S)  # until the last of them has closed what it prints to
    until(lambda: not any(map(alive, workers)))
    assert not list(temporary.glob("pa_difc-*"))  # the last one has tidied up
    code, _, err = apart(*COMMAND[2:], *given)
    assert code == 0, err
    assert content(out) == undisturbed[0]
    assert not files_of_processes(out)


def test_two_commands_of_three_and_of_one_worker_share_the_cells(data_root, grid, tmp_path, undisturbed):
    plugin, trained = witness(tmp_path)
    out = tmp_path / "out"
    both = [start(*COMMAND, *flags(data_root, out), *grid, *plugin, "--jobs", jobs) for jobs in "31"]
    for process in both:
        said, err = process.communicate(timeout=LONG_S)
        assert process.returncode == 0, err
        assert len([line for line in said.splitlines() if re.match(r"[1-4]/4 .* accuracy ", line)]) == 4
    cells = [cell for cell, _ in trained()]
    assert len(cells) == len(set(cells)) == 4  # none of them twice
    assert content(out) == undisturbed[0] and table(out) == undisturbed[1]
    assert not files_of_processes(out)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_without_workers_it_stops_within_a_cell(stop, data_root, tmp_path):
    out = tmp_path / "out"
    process = start(*COMMAND, *flags(data_root, out), *GRID, "--epochs", "100000")
    until(lambda: list(out.glob("runs/*/checkpoint.pt")), process)
    process.send_signal(stop)
    said, err = process.communicate(timeout=LONG_S)
    assert process.returncode == 128 + stop, err
    about = r"^stopped after epoch \d+ of 100000 \(checkpoint \d+ written\); 0 of 4 runs are done and kept\.\n$"
    assert re.search(about, err) and f"\nresume with: {sys.executable} -m pa_difc compare " in said, err
    assert not files_of_processes(out)


def test_a_worker_that_does_not_stop_is_killed(data_root, tmp_path):
    (tmp_path / "hurry.py").write_text(HURRY)
    out = tmp_path / "out"
    given = ["--epochs", "100000", "--jobs", "1", "--plugin", str(tmp_path / "hurry.py")]
    process = start(*COMMAND, *flags(data_root, out), *GRID, *given)
    until(lambda: list(out.glob("runs/*/checkpoint.pt")), process)
    (worker,) = workers_of(process.pid)
    os.kill(worker, signal.SIGSTOP)  # as one that hangs on a disk
    process.send_signal(signal.SIGINT)
    said, err = process.communicate(timeout=LONG_S)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert "\nstopping; resumed runs begin at the start of their current epoch\n" in said and not alive(worker)


def test_lines_without_a_terminal(undisturbed):
    said = undisturbed[2]
    assert "\r" not in said and "\x1b" not in said
    done = [line for line in said.splitlines() if re.match(r"[1-4]/4  ", line)]
    assert [line[:3] for line in done] == ["1/4", "2/4", "3/4", "4/4"] and all("accuracy" in line for line in done)
    assert " left" not in done[3]  # before that, these runs may take under a second: see test_time_left.py


def test_frozen_features_and_a_failing_cell(data_root, tmp_path):
    given = ["--features", "frozen", "--methods", "source_only", "--losses", "ce", "di", "difc", "--epochs", "2"]
    (tmp_path / "broken.py").write_text(
        "import pa_difc.training.run as run\n"
        "make_adapter = run.make_adapter\n"
        "def broken(settings, *rest):\n"
        "    print('made by', settings.method.name)\n"
        "    if settings.loss.name == 'di':\n"
        "        raise LookupError(lambda: 'this cannot be pickled')\n"
        "    return make_adapter(settings, *rest)\n"
        "run.make_adapter = broken\n"
    )
    out = tmp_path / "out"
    plugin = ["--plugin", str(tmp_path / "broken.py"), "--jobs", "2"]
    code, said, err = apart(*COMMAND[2:], *flags(data_root, out), *given, *plugin)
    (file,) = (out / "failed").iterdir()
    assert code == 1 and err.count("\n") == 1 and err.endswith(f" ({file})\n"), err
    assert "in broken" in file.read_text()
    assert said.count("made by source_only") == 1  # what every cell says is said once
    code, _, err = apart(*COMMAND[2:], *flags(data_root, out), *given, "--jobs", "2")
    assert code == 0 and len(table(out)) == 3, err
    code, _, err = apart(*COMMAND[2:], *flags(data_root, tmp_path / "one"), *given)  # by one process
    assert content(out) == content(tmp_path / "one"), err


@pytest.mark.slow
def test_a_terminal_has_a_line_for_the_grid_and_one_for_each_worker(data_root, tmp_path):
    """In a window of 80 columns no line is longer, and in the end only the results are there."""
    import pty
    import struct
    from fcntl import ioctl
    from termios import TIOCSWINSZ

    main, terminal = pty.openpty()
    ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    given = [*flags(data_root, tmp_path / "out"), *GRID, "--epochs", "30", "--jobs", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [sys.executable, "-W", "ignore", *COMMAND, *given]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    while True:
        try:
            shown += os.read(main, 65536)
        except OSError:
            break
    assert process.wait(LONG_S) == 0, shown
    text = shown.decode()
    pieces = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", p) for p in re.split(r"[\r\n]+", text)]
    bars = [p for p in pieces if re.match(r" *\d of 4 runs done|  [12]  ", p)]
    assert any(p.startswith("0 of 4 runs done") for p in bars)
    assert any(re.match(r"  [12]  \w+ · \w+ epoch \d+/30 +\d+%", p) for p in bars), bars[:30]
    assert {p[:3] for p in bars} >= {"  1", "  2"} and max(map(len, bars)) < 80


def test_shift_is_the_same_with_two_workers(data_root, tmp_path):
    """Cells of all draws at once, each on its own draw's target."""
    given = ["--features", "frozen", "--methods", "source_only", "--losses", "ce", "difc", "--epochs", "2"]
    given += ["--alphas", "none", "1", "--draws", "2", "--target-samplers", "shuffled"]
    found = []
    for jobs in "12":
        out = tmp_path / jobs
        code, said, err = apart("shift", *flags(data_root, out), *given, "--jobs", jobs)
        assert code == 0, err
        assert len(re.findall(r"\n[1-8]/8  source_only · \w+ · (?:α = 1|no shift) · seed [01] +accuracy ", said)) == 8
        found.append(content(out))
    assert found[0] == found[1] and len(found[0]) == 8
    targets = {tuple(outputs["target_labels"]) for *_, outputs in found[0].values()}
    assert len(targets) == 3  # as it is, and two draws


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", "<&-"])
def test_closed_standard_streams_hinder_no_worker(closed, data_root, tmp_path):
    """The next pipe would get the number of a closed stream."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        *COMMAND,
        *flags(data_root, tmp_path / "out"),
        "--methods",
        "source_only",
    ]
    line = f"{shlex.join(map(str, [*command, '--epochs', '1', '--jobs', '1']))} {closed}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=LONG_S)
    assert done.returncode == 0 and len(table(tmp_path / "out")) == 3, done.stdout


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 can't leave the working directory out")
@pytest.mark.slow
def test_the_working_directory_may_hold_files_that_are_named_like_modules(data_root, tmp_path):
    for name in ("select", "random", "torch"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit({name!r})")
    script = tmp_path / "elsewhere" / "pa-difc.py"
    script.parent.mkdir()
    script.write_text("import sys\nfrom pa_difc.commands.parser import main\nsys.exit(main(sys.argv[1:]))\n")
    given = [*flags(data_root, tmp_path / "out"), "--methods", "source_only", "--epochs", "1", "--jobs", "1"]
    command = [sys.executable, "-W", "ignore", script, "compare", *given]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LONG_S
    )  # fmt: skip
    assert done.returncode == 0 and len(table(tmp_path / "out")) == 3, done.stdout + done.stderr
