"""Outputs of every command: never over files of somebody else's, nor through or over links, devices and pipes."""

import argparse
import os
import shutil
import stat

import pytest
from damage import TRAIN, command, refused
from PIL import Image

from pa_difc.commands.parser import COMMANDS, make_parser

#: What lies where an output goes, and how it is made there.
ENTRIES = {
    "text": lambda path: path.write_text("mine\n"),
    "bytes": lambda path: path.write_bytes(b"\xff\x00mine"),
    "link": lambda path: path.symlink_to(next(p for p in path.parents if p.name == "out").parent / "mine.txt"),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "pipe": lambda path: os.mkfifo(path),
    "folder": lambda path: path.mkdir(),
}

#: Below ``--out``, of each command, the files whose names don't follow from a hash.
OUTPUTS = {
    "compare": ["table.csv", "table.md", "choice.csv", "choice.md", "command.txt"],
    "shift": [
        *(
            f"folder.bright-to-folder.dim--label-shift/label_shift{end}"
            for end in (".html", ".csv", "_statistics.csv", ".md")
        ),
        "command.txt",
    ],
    "adapt": ["report.html", "report.md", "command.txt"],
    "report": ["report.html", "report.md"],
    "export": [
        "model.safetensors",
        "config.json",
        "README.md",
        "model.onnx",
        "model.pt2",
        "use_onnx.py",
        "preprocessor_config.json",
    ],
    "errors": ["errors.html", "predictions.csv"],
    "prepare": ["manifest.json", "images.npy", ".part", "anything.txt"],
    "predict": ["predictions.csv", "drawn/face.png.png"],
}
#: Commands whose files lie in folders named by a hash below ``--out``; see the last test.
HASHED = {"train", "search"}
WRITES = ("--out", "--annotate")


@pytest.fixture(scope="module")
def place(data_root, run_folder, tmp_path_factory):
    """Words of each command, for an ``--out``."""
    folder = tmp_path_factory.mktemp("place")
    model = folder / "model"
    assert command("export", "--model", run_folder, "--out", model)[0] == 0
    Image.new("RGB", (32, 32)).save(folder / "face.png")
    pair = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", data_root]
    small = ["--set", "crop_px=32", "batch_size=64", "epochs=1"]
    return {
        "compare": lambda out: [*pair, *small, "--methods", "source_only", "--losses", "ce", "--out", out],
        "shift": lambda out: [*pair, *small, "--methods", "source_only", "--losses", "ce", "--out", out],
        "adapt": lambda out: [*pair, "--out", out],
        "report": lambda out: [run_folder.parent.parent, "--out", out],
        "export": lambda out: ["--model", model, "--out", out, "--format", "onnx", "pt2"],
        "errors": lambda out: [run_folder, "--data-root", data_root, "--out", out],
        "prepare": lambda out: ["--dataset", "folder:bright", "--data-root", data_root, "--out", out],
        "predict": lambda out: [
            *(folder / "face.png", "--model", model, "--crop", "none"),
            *("--out", out / "predictions.csv", "--annotate", out / "drawn"),
        ],
    }


def looks(path):
    status = path.lstat()
    content = path.read_bytes() if stat.S_ISREG(status.st_mode) else os.readlink(path) if path.is_symlink() else None
    return status.st_ino, status.st_mode, status.st_mtime_ns, content


CASES = [(name, output, entry) for name, outputs in OUTPUTS.items() for output in outputs for entry in ENTRIES]


@pytest.mark.parametrize(("name", "output", "entry"), CASES)
def test_what_lies_there_stays(name, output, entry, place, tmp_path):
    path = tmp_path / "out" / output
    path.parent.mkdir(parents=True)
    (tmp_path / "mine.txt").write_text("mine too")
    ENTRIES[entry](path)
    before = looks(path)
    code, _, err = command(name, *place[name](tmp_path / "out"))
    if entry == "folder" and name == "prepare" and output == ".part":  # chunks of ours lie in such a folder
        return
    assert refused(code, err), (code, err)
    assert looks(path) == before and (tmp_path / "mine.txt").read_text() == "mine too"
    assert not (tmp_path / "out" / "runs").exists()  # it was said before anything was trained


def test_every_command_that_writes_is_among_them():
    parser = make_parser()
    (commands,) = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    assert set(commands) == set(COMMANDS)
    writing = {
        name for name, one in commands.items() if {*WRITES} & {o for a in one._actions for o in a.option_strings}
    }
    assert writing == {*OUTPUTS, *HASHED}


@pytest.mark.parametrize("name", ["record.json", "settings.toml", "checkpoint.pt", "log.jsonl", "outputs.npz"])
def test_a_run_s_files_go_through_no_link(name, pair, run_folder, tmp_path):
    run = tmp_path / "runs" / run_folder.name
    run.mkdir(parents=True)
    (tmp_path / "mine.txt").write_text("mine")
    (run / name).symlink_to(tmp_path / "mine.txt")
    code, _, err = command("train", *pair, *TRAIN, "--out", tmp_path)
    assert refused(code, err), (code, err)
    assert (run / name).is_symlink() and (tmp_path / "mine.txt").read_text() == "mine"
    shutil.rmtree(run)
    code, _, err = command("train", *pair, *TRAIN, "--out", tmp_path)
    assert code == 0, err


def test_the_report_of_a_folder_is_not_written_over_another_one(run_folder, tmp_path):
    shutil.copytree(run_folder, tmp_path / "runs" / run_folder.name)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.md").write_text("mine")
    code, _, err = command("report", tmp_path)
    assert refused(code, err) and "was not written by this command" in err
    assert (tmp_path / "report" / "report.md").read_text() == "mine"
