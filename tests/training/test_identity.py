"""What a run is known by, and what its record says of where it comes from."""

import json
import subprocess
import sys

import pytest
import torch
from made import ROOT, random_faces

from pa_difc import BACKBONES, LOSSES, METHODS
from pa_difc.backbones import BackboneSpec
from pa_difc.data import Domain
from pa_difc.data.labels import EXPRESSIONS8, VALENCE
from pa_difc.losses import LossSpec
from pa_difc.training.identity import common, identity
from pa_difc.training.record import RunFolder, read_record
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError
from pa_difc.util.process import command_line, git_revision, typed_line
from pa_difc.util.registry import load_module

SOURCE, TARGET = (
    Domain("s", random_faces(28, 0), random_faces(14, 1)),
    Domain("t", random_faces(35, 2), random_faces(7, 3)),
)


def settings(**values):
    return resolve(Settings.of(**{"crop_px": 32, "epochs": 1, "batch_size": 8, "method": "source_only", **values}))


def of(cfg, source=SOURCE, target=TARGET):
    return identity(cfg, source, target)


def test_the_classes_are_part_of_it():
    few = [
        Domain(d.name, random_faces(28, 0, num_classes=3), random_faces(14, 1, num_classes=3), VALENCE)
        for d in (SOURCE, TARGET)
    ]
    same = [Domain(d.name, d.train, d.test, EXPRESSIONS8) for d in few]
    assert of(settings(), *few)["labels"] != of(settings(), *same)["labels"]
    assert RunFolder.of(ROOT, settings(), *few).key != RunFolder.of(ROOT, settings(), *same).key


def test_what_a_table_holds_together_leaves_out_method_loss_and_seed():
    cells = [settings(method=m, loss=k, seed=s) for m, k, s in (("mcd", "ce", 0), ("mdd", "arcface", 1))]
    a, b = (common(of(cell), cell, None) for cell in cells)
    assert a == b
    for other in (settings(epochs=2), settings(lr=0.5)):
        assert common(of(other), other, None) != a
    assert common(of(cells[0]), cells[0], "features of a network") != a


def test_weights_count_by_their_content(tmp_path):
    for name, content in (("a.pt", b"1"), ("b.pt", b"1"), ("c.pt", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (of(settings(pretrained=str(tmp_path / name))) for name in ("a.pt", "b.pt", "c.pt"))
    assert a == b != c and of(settings())["weights"] is None


ENTRIES = """
import torch

class Net(torch.nn.Module):
    def __init__(self, feature_head, landmark_branch):
        super().__init__()
        self.layer, self.num_features = torch.nn.Linear(3, 4), 4

    def forward(self, face):
        return self.layer(face.image.mean(dim=(2, 3)))

def build(inputs):
    return lambda logits, labels: logits.logsumexp(dim=1).mean()
"""


@pytest.mark.parametrize("kind", ["backbone", "loss"])
def test_the_code_of_others_is_part_of_it(kind, tmp_path, monkeypatch):
    """Edited, it is another run; a file beside it that it imports counts, too."""
    keys = []
    for number, text in enumerate((ENTRIES, ENTRIES, ENTRIES + "\n# edited\n")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "mine.py").write_text(text)
        load_module.cache_clear()
        module = load_module(folder / "mine.py")
        if kind == "backbone":
            monkeypatch.setitem(BACKBONES, "mine", BackboneSpec(module.Net, 32, 0.1, "mine"))
            cfg = settings(backbone="mine")
        else:
            monkeypatch.setitem(LOSSES, "mine", LossSpec("mine", module.build))
            cfg = settings(loss="mine")
        assert set(of(cfg)["code"]) == {"pa_difc", kind}
        keys.append(RunFolder.of(tmp_path, cfg, SOURCE, TARGET).key)
    assert keys[0] == keys[1] != keys[2]
    assert "loss" not in of(settings(loss="ce"))["code"]  # ours has the package's hash


def test_whatever_a_plugin_imports_is_its_code(tmp_path, monkeypatch):
    """Helpers of helpers, constants, sub-packages: an edit of any of them is another run.

    An edit of a stranger's is not, nor of a package that is installed in whatever environment.
    """
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "other" / "site-packages")])
    files = {
        "mine.py": "from helper_one import f\nfrom constants_of_mine import GAIN\n"
        "from parts_of_mine.deep import extra\nimport installed_elsewhere\n" + ENTRIES,
        "helper_one.py": "import helper_two\nf = helper_two.f\n",
        "helper_two.py": "def f(): return 1\n",
        "constants_of_mine.py": "GAIN = 1\n",
        "parts_of_mine/__init__.py": "",
        "parts_of_mine/deep.py": "extra = 1\n",
        "stranger.py": "x = 1\n",
        "other/site-packages/installed_elsewhere.py": "x = 1\n",
    }
    others = {"stranger.py", "other/site-packages/installed_elsewhere.py"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setitem(BACKBONES, "mine", BackboneSpec(load_module(tmp_path / "mine.py").Net, 32, 0.1, "mine"))
    before = BACKBONES.digest("mine")
    for name in files:
        (tmp_path / name).write_text(files[name] + "# edited\n")
        assert (BACKBONES.digest("mine") != before) == (name not in others), name
        (tmp_path / name).write_text(files[name])
    assert BACKBONES.digest("mine") == before


def test_an_import_inside_a_function_counts_before_and_after_it_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "late_one.py").write_text("GAIN = 1\n")
    (tmp_path / "space_late" / "inner").mkdir(parents=True)  # folders without __init__.py are a package, too
    (tmp_path / "space_late" / "inner" / "part.py").write_text("GAIN = 0\n")
    late = "import late_one\n    from space_late.inner import part\n    return late_one.GAIN + part.GAIN\n"
    (tmp_path / "mine.py").write_text(f"{ENTRIES}\ndef later():\n    {late}")
    module = load_module(tmp_path / "mine.py")
    monkeypatch.setitem(BACKBONES, "mine", BackboneSpec(module.Net, 32, 0.1, "mine"))
    before = BACKBONES.digest("mine")
    assert module.later() == 1 and BACKBONES.digest("mine") == before
    for name in ("late_one.py", "space_late/inner/part.py"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text("GAIN = 2\n")
        assert BACKBONES.digest("mine") != before
        (tmp_path / name).write_text(text)


@pytest.mark.parametrize(
    "imports", ["import shared_name", "from shared_name import x", "def f():\n    import shared_name"]
)
def test_two_plugins_whose_modules_have_one_name_are_refused(imports, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shared_name.py").write_text("x = 1\n")
        (tmp_path / folder / "mine.py").write_text(f"{imports}\n")
    load_module(tmp_path / "one" / "mine.py")
    with pytest.raises(UserError, match=r"two.mine.py: its module shared_name would be that of .*one.shared_name.py"):
        load_module(tmp_path / "two" / "mine.py")
    sys.modules.pop("shared_name", None)


def test_code_in_no_file_is_refused(monkeypatch):
    scope = {"__name__": "in_no_file"}
    exec("class Net:\n    pass", scope)
    monkeypatch.setitem(BACKBONES, "mine", BackboneSpec(scope["Net"], 32, 0.1, "mine"))
    with pytest.raises(UserError, match="Net is in no file"):
        BACKBONES.digest("mine")


def test_the_record_says_where_it_was_made(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pa-difc", "search", "--storage", "postgresql://me:secret@host/db?password=x"])
    record = run_cell(settings(), SOURCE, TARGET, tmp_path, progress=False)
    assert record["machine"]["threads"] == torch.get_num_threads() and record["machine"]["processes"] == 1
    assert {"torch", "numpy", "pa-difc", "python"} <= set(record["versions"]) and record["machine"]["host"]
    assert record["command"].startswith("pa-difc search") and "secret" not in json.dumps(record)
    assert "password=x" not in json.dumps(record)


def test_the_command_can_be_given_again(monkeypatch):
    for argv, said in (
        (["/usr/bin/pa-difc", "train", "--out", "my runs"], "pa-difc train --out 'my runs'"),
        (["/a/pa_difc/__main__.py", "report"], "python -m pa_difc report"),
        (["recipes/compare.py", "--seeds", "0"], "python recipes/compare.py --seeds 0"),
    ):
        monkeypatch.setattr(sys, "argv", argv)
        assert command_line() == said


def test_the_line_to_resume_with_names_the_programs_as_they_were_typed(tmp_path, monkeypatch):
    """Outside an activated environment "python" is another one."""
    for name in ("pa-difc", "other/pa-difc"):
        (program := tmp_path / name).parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for python, argv, said in (
        ("python3", ["recipes/compare.py", "--seeds", "0"], "python3 recipes/compare.py --seeds 0"),
        (".venv/bin/python", ["hpo/search.py"], ".venv/bin/python hpo/search.py"),
        (".venv/bin/python", ["/a/pa_difc/__main__.py", "report"], ".venv/bin/python -m pa_difc report"),
        ("my app", ["recipes/compare.py"], "python recipes/compare.py"),
        ("python", [f"{tmp_path}/pa-difc", "train", "my runs"], "pa-difc train 'my runs'"),
        ("python", [f"{tmp_path}/other/pa-difc", "train"], f"{tmp_path}/other/pa-difc train"),
    ):
        monkeypatch.setattr(sys, "orig_argv", [python, *argv])
        monkeypatch.setattr(sys, "argv", argv)
        assert typed_line() == said


def test_the_git_revision_is_ours_and_not_that_of_a_repository_around_the_environment(tmp_path):
    """The package is copied into a folder that a foreign repository surrounds and ignores."""
    import shutil

    surrounding = tmp_path / "project"
    shutil.copytree(ROOT / "pa_difc", surrounding / "env" / "pa_difc")
    (surrounding / ".gitignore").write_text("env/\n")
    for words in (
        ["init", "-q"],
        ["add", ".gitignore"],
        ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", "-C", str(surrounding), *words], check=True)
    code = "from pa_difc.util.process import git_revision; print(git_revision())"
    run = subprocess.run([sys.executable, "-c", code], cwd=surrounding / "env", capture_output=True, text=True)
    assert run.stdout.strip() == "None", run.stderr
    assert git_revision() is None or len(git_revision().partition("+")[0]) == 40


def old_record(record):
    """A record as version 0.1 wrote it."""
    flat = {
        "source": "s", "target": "t", "method": "mcd", "loss": "difc", "seed": 3, "epochs": 1, "backbone": "small",
        "backbone_head": "global_only", "head": "linear", "scale": 1.0, "crop_px": 32, "max_margin": 0.3,
        "epsilon": 0.02,
        "weight": 1.0, "adjust": "none", "data_root": "data", "lr": 0.02, "unseen": "most",
    }  # fmt: skip
    old = {k: v for k, v in record.items() if k not in ("format", "labels", "settings", "common", "machine", "command")}
    old["history"] = [{("difc" if k == "state" else k): v for k, v in h.items()} for h in record["history"]]
    identity = {"config": flat, "package": {"version": "0.1.0", "code": "abc"}, "data": ["1", "2", "3", "4"]}
    return old | {"config": flat, "identity": identity}


def test_a_record_of_version_0_1_is_read(tmp_path):
    record = run_cell(settings(method="mcd", loss="difc"), SOURCE, TARGET, tmp_path / "new", progress=False)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "record.json").write_text(json.dumps(old_record(record)))
    old = read_record(tmp_path / "old" / "record.json")
    assert (
        old["settings"]["method"] == {"options": {"weight": 1.0}, "name": "mcd"} and old["settings"]["run"]["seed"] == 3
    )
    assert old["settings"]["model"]["feature_head"] == "global_only"
    assert old["history"][0]["state"]["margins"] == record["history"][0]["state"]["margins"]
    assert len(old["labels"]["names"]) == 7 and "seed" not in old["common"]["settings"]["run"]


def test_an_entry_of_ours_has_no_hash_of_its_own():
    for registry, names in (
        (METHODS, ("mcd", "agra")),
        (BACKBONES, ("small", "ir18")),
        (LOSSES, ("ce", "difc", "arcface")),
    ):
        assert {registry.digest(name) for name in names} == {None}
