"""SIGTERM, SIGHUP and an output that is gone are like Ctrl-C: work is kept, a line says so, the code says which."""

import io
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from damage import TRAIN, command
from faults import InTurn
from processes import start
from test_every_write import KINDS, forked, result
from work import SMALL, trained, training

from pa_difc.commands.console import exit_with
from pa_difc.data.prepare import run as prepare_run
from pa_difc.deploy import predictor as predict_module
from pa_difc.training import engine
from pa_difc.training.slots import STOP_S, Slot, Slots, stopped_at_the_end
from pa_difc.util import stops

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def shift(root, out, pair):
    grid = ["--methods", "source_only", "--losses", "ce", "--epochs", "1", "--alphas", "none", "--draws", "1"]
    return ["shift", *pair, *grid, "--target-samplers", "shuffled", "--out", out, *SMALL]


def adapt(root, out, pair):
    return ["adapt", *pair, "--budget", "30s", "--out", out]


COMMANDS = {name: KINDS[name] for name in ("train", "compare", "prepare", "predict")} | {"shift": shift, "adapt": adapt}


def after(monkeypatch, module, name, action):
    """From now on ``action`` follows the first call of a function."""
    original, done = getattr(module, name), []

    def wrapper(*args, **kwargs):
        value = original(*args, **kwargs)
        if not done:
            done.append(True)
            action()
        return value

    monkeypatch.setattr(module, name, wrapper)


def interrupt(monkeypatch, name, action):
    """``action`` comes in the midst of a command's work."""
    if name == "prepare":
        after(monkeypatch, prepare_run, "read_notes", action)
    elif name == "predict":
        find = predict_module.predict_images

        def found(*args, **kwargs):
            for i, faces in enumerate(find(*args, **kwargs)):
                if i == 1:
                    action()
                yield faces

        monkeypatch.setattr(predict_module, "predict_images", found)
    else:
        after(monkeypatch, engine, "save_checkpoint", action)


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # it comes between two lines of Python


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    "name", [*(n for n in COMMANDS if n != "adapt"), pytest.param("adapt", marks=pytest.mark.slow)]
)
def test_a_signal_stops_a_command_that_goes_on(name, number, workplace, pair, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_run, "ProcessPoolExecutor", InTurn)
    words = COMMANDS[name](workplace, tmp_path / "out", pair)
    (tmp_path / "out").mkdir()
    with monkeypatch.context() as patch:
        interrupt(patch, name, lambda: send(number))
        code, out, err = command(*words)
    assert code == 128 + number, (code, err)
    assert err.count("\n") == 1 and "Traceback" not in err
    grid = name in ("compare", "shift", "adapt")
    assert (out + err).lower().count("resume with") == 1 and ("Resume with the same command." in err) != grid
    if grid:
        assert "\nresume with: " in out and err.endswith("runs are done and kept.\n")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # for whatever comes after
    code, _, err = command(*words)
    assert code == 0, err
    assert not [p for p in (tmp_path / "out").rglob(".*") if p.is_file()]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_comes_while_a_finaliser_runs_is_not_lost(number, capsys):
    """Python prints what is raised in ``__del__`` or a weak reference's callback, and goes on."""

    class Held:
        def __del__(self):
            send(number)

    def work():
        held = [Held()]
        held.clear()
        for _ in range(500):
            time.sleep(0.01)
        return 0

    with pytest.raises(SystemExit) as stop:
        exit_with(work)
    assert stop.value.code == 128 + number
    err = capsys.readouterr().err
    assert err.startswith("stopped. ") and "ignored" not in err


def test_what_else_a_finaliser_raises_is_said_as_ever(capsys, monkeypatch):
    class Held:
        def __del__(self):
            raise ValueError("in a finaliser")

    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: seen.append(dropped.exc_type))
    hook = sys.unraisablehook
    with pytest.raises(SystemExit):
        exit_with(lambda: [Held()].clear())
    assert seen == [ValueError] and sys.unraisablehook is hook


@pytest.mark.parametrize("name", ["train", "compare"])
def test_an_output_that_nobody_reads_stops_a_command_that_goes_on(name, workplace, pair, tmp_path, monkeypatch):
    """As `| head -1` does: what is printed next meets a pipe without a reader."""
    words = [*map(str, COMMANDS[name](workplace, tmp_path / "out", pair))]
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(sys, "argv", ["pa-difc", *words])  # which command.txt is made of

    def work():
        from pa_difc.commands.parser import main

        read, write = os.pipe()
        os.close(read)
        sys.stdout = io.TextIOWrapper(os.fdopen(write, "wb"), encoding="utf-8")
        sys.stderr = (tmp_path / "err.txt").open("w")
        try:
            exit_with(lambda: main(words))
        except SystemExit as stop:
            sys.stderr.flush()
            sys.stdout.flush()  # as at the interpreter's end
            return stop.code

    assert forked(work) == 128 + signal.SIGPIPE
    assert "Traceback" not in (tmp_path / "err.txt").read_text()
    code, _, err = command(*words)
    assert code == 0, err


def test_a_second_signal_does_not_cut_off_what_is_kept():
    """A closed terminal sends SIGHUP twice: the shell does, and the system."""
    kept = []

    def work():
        try:
            send(signal.SIGHUP)
        finally:
            send(signal.SIGHUP)
            kept.append(True)

    with pytest.raises(SystemExit) as stop:
        exit_with(work)
    assert kept and stop.value.code == 129


@pytest.mark.parametrize("impatience_s", [60, 0])
def test_a_quick_second_ctrl_c_is_part_of_the_first(impatience_s, monkeypatch):
    monkeypatch.setattr(stops, "IMPATIENCE_S", impatience_s)
    cleared = []
    with pytest.raises(KeyboardInterrupt), stops.like_ctrl_c():
        try:
            send(signal.SIGINT)
        finally:
            send(signal.SIGINT)
            cleared.append(True)
    assert cleared == [True] * bool(impatience_s)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Go:
    """A file of a grid, and a second Ctrl-C while it is removed."""

    def unlink(self, *, missing_ok):
        send(signal.SIGINT)


def test_ctrl_c_while_workers_are_told_to_stop_ends_the_waiting_not_the_clearing_away(monkeypatch, capsys):
    closed = []
    slot = Slot(lambda: None, lambda *_: None, Path("none"), number=0)
    monkeypatch.setattr(Slot, "close", lambda slot: closed.append(slot))
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), stopped_at_the_end(SimpleNamespace(go=Go()), Slots([slot])):
        send(signal.SIGINT)
    assert closed == [slot] and time.monotonic() - begun < STOP_S / 2
    assert "stopping" in capsys.readouterr().out


def test_what_is_ignored_stays_ignored():
    """Below nohup SIGHUP is."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stops.like_ctrl_c():
            send(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_process_that_waits_in_a_library_ends_all_the_same():
    def work():
        stops.end_within(0.2)
        signal.signal(signal.SIGTERM, lambda *_: None)
        read, _ = os.pipe()
        os.kill(os.getpid(), signal.SIGTERM)
        os.read(read, 1)  # for ever: Python takes it up again after a signal

    begun = time.monotonic()
    assert forked(work) == 143 and time.monotonic() - begun < 30


@pytest.mark.parametrize("name", ["train", "compare"])
def test_a_folder_that_vanishes(name, workplace, pair, tmp_path, monkeypatch):
    """As a network disk does: a line, no traceback; the same command makes it all again."""
    out = tmp_path / "out"
    words = COMMANDS[name](workplace, out, pair)
    assert command(*words)[0] == 0
    expected = result(out)
    shutil.rmtree(out)
    with monkeypatch.context() as patch:
        after(patch, engine, "save_checkpoint", lambda: shutil.rmtree(out))
        code, _, err = command(*words)
    assert code in (0, 2) and "Traceback" not in err and err.count("\n") <= 2, (code, err)
    code, _, err = command(*words)
    assert code == 0, err
    assert result(out) == expected


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_paused_and_waked_it_ends_as_if_nothing_had_been(data_root, tmp_path):
    whole = start("-m", "pa_difc", *training(data_root, tmp_path / "whole"))
    assert whole.wait(400) == 0
    process = start("-m", "pa_difc", *training(data_root, tmp_path / "out"))
    deadline = time.monotonic() + 300
    while not list((tmp_path / "out").glob("runs/*/checkpoint.pt")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    process.send_signal(signal.SIGCONT)
    assert process.wait(400) == 0
    assert trained(tmp_path / "out") == trained(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("megabytes", [600, 1200, 2000])
def test_a_limit_of_memory_is_a_line(megabytes, pair, tmp_path):
    import resource

    limit = megabytes << 20
    process = start(
        *("-m", "pa_difc", "train", *pair, *TRAIN, "--out", tmp_path),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    _, err = process.communicate(timeout=400)
    if process.returncode == 0:
        pytest.skip("that was enough")
    lines = [line for line in err.splitlines() if not line.startswith("OpenBLAS")]  # which speaks for itself
    assert process.returncode == 2 and "Traceback" not in err, err
    assert lines and lines[-1].startswith("error: too little memory"), err
