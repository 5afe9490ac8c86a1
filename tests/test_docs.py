"""Every command and every program that the documentation shows, run; on less data and for fewer epochs."""

import dataclasses
import glob
import importlib
import json
import re
import runpy
import shlex
import sys

import numpy as np
import pytest
import torch
from made import OLD_TORCH, ROOT
from PIL import Image
from videos import write_video

from pa_difc import BACKBONES, CRITERIA, DATASETS, LOGGERS, LOSSES, METHODS, SAMPLERS, make_loss
from pa_difc.commands import budget
from pa_difc.commands.console import exit_with as run_command
from pa_difc.commands.parser import main
from pa_difc.data import toy
from pa_difc.data.labels import SEVEN

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

#: Added at the end, where the last flag wins: the same commands, smaller.
SMALLER = {
    "adapt": "--set batch_size=16",
    "compare": "--epochs 1 --methods source_only mcd --losses ce difc --seeds 0 --set batch_size=16",
    "label_shift": "--epochs 1 --methods source_only --losses ce difc --draws 1 --alphas none 1 --set batch_size=16",
    "train": "--epochs 1 --set batch_size=16",
    "search": "--epochs 1 --trials 2 --confirm-seeds 0 --set batch_size=16",
    "your_own_method": "--epochs 1 --set batch_size=16",
    "mcd": "--epochs 1 --set batch_size=16",
}
#: Not run here, and why.
ELSEWHERE = {
    "make": "test_readme.py; CI begins with make test",
    "python3 -m venv": "what make env does",
    ".venv/bin/pip": "what make env does",
    ".venv/bin/python -m pytest": "these are the tests",
    "torch.distributed.run": "contracts/test_distributed.py: processes of their own",
    "use_onnx.py": "deploy/test_explained.py: where this package is not installed",
    "pa-difc serve": "deploy/test_serve.py: it runs until Ctrl-C",
    "downloads/": "weights that are fetched under their own terms",
    "postgresql": "hpo/test_search.py starts a server",
    "runs/results/": "hours of training on real faces; their flags are those of other pages",
}


def commands(page):
    text = page.read_text()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and not any(key in line for key in ELSEWHERE):
                yield words


def balanced(path, rng, face, number):
    """Pictures with a face, of varied brightness: (file, class)."""
    path.mkdir(parents=True)
    for i in range(number):
        pixels = np.clip(face * rng.uniform(0.7, 1.2) + rng.normal(0, 3, face.shape), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(path / f"{i}.jpg")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder as a reader has it: the scripts, the datasets that the pages speak of, a photograph."""
    from skimage.data import astronaut

    home, rng = tmp_path_factory.mktemp("home"), np.random.default_rng(0)
    for name in ("recipes", "hpo"):
        (home / name).symlink_to(ROOT / name)
    face = np.asarray(Image.fromarray(astronaut()[30:220, 140:310]).resize((100, 112))).astype(float)
    (home / "data" / "muxspace" / "images").mkdir(parents=True)
    legend = ["image,emotion"]
    for expression in SEVEN:
        for split, number in (("train", 4), ("test", 2)):
            balanced(home / "data" / "fer2013" / split / expression, rng, face, number)
        balanced(home / "my_labelled_faces" / expression, rng, face, 9)
        for file in sorted((home / "my_labelled_faces" / expression).iterdir()):
            name = f"{expression}{file.stem}_0001.jpg"  # a person each: persons stay in one split
            (home / "data" / "muxspace" / "images" / name).write_bytes(file.read_bytes())
            legend.append(f"{name},{expression}")
    (home / "data" / "muxspace" / "legend.csv").write_text("\n".join(legend) + "\n")
    (home / "my_other_faces").symlink_to(home / "data" / "muxspace")
    Image.fromarray(astronaut()).save(home / "photo.jpg")
    write_video(home / "walk.mp4", [astronaut()[:300, 100:400]] * 3)
    (home / "holiday").mkdir()
    (home / "holiday" / "beach.jpg").write_bytes((home / "photo.jpg").read_bytes())
    return home


def run(words, monkeypatch):
    """A command line in this process; returns its exit code."""
    script = words.pop(0)
    if script.endswith("python"):
        script = words.pop(0)
    kind = words[0] if script == "pa-difc" else script.rpartition("/")[2].removesuffix(".py")
    words = [found for word in words for found in (sorted(glob.glob(word)) if "*" in word else [word])]
    smaller = shlex.split(SMALLER.get(kind, ""))
    if any(word.startswith("method.") for word in words):  # an option of the methods that the page compares
        smaller = ["--epochs", "1"]
    words += smaller
    monkeypatch.setattr(budget, "MOST_STEPS", 10)
    if "--jobs" in words:  # whose workers draw the whole toy sets
        words += ["--source", "muxspace", "--target", "fer2013", "--data-root", "data"]
    if "--backbone" in words:
        words += ["--methods", "source_only", "--losses", "difc"]
    if kind == "search":  # one writer to a study's file, and this process is still it
        words += ["--out", f"runs/search{len(glob.glob('runs/search*'))}"]
    monkeypatch.setattr(sys, "argv", [script, *words])
    for registry in (METHODS, LOSSES, BACKBONES):  # what a recipe registers as a script is no other test's
        monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    with pytest.raises(SystemExit) as stop:
        if script == "pa-difc":
            run_command(main)
        else:
            runpy.run_path(script, run_name="__main__")
    return stop.value.code


@pytest.mark.parametrize("page", [p for p in PAGES if list(commands(p))], ids=lambda p: p.stem)
def test_every_command_runs(page, home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "path", [str(ROOT / "hpo"), *sys.path])
    for name, domain in toy.TOY_DOMAINS.items():
        monkeypatch.setitem(toy.TOY_DOMAINS, name, dataclasses.replace(domain, train_count=80, test_count=60))
    for words in commands(page):
        said = shlex.join(words)
        if OLD_TORCH:  # which can't write ONNX, and says so
            words = [word for word in words if word not in ("--format", "onnx", "pt2")]
        code = run(words, monkeypatch)
        out = capsys.readouterr()
        assert code == 0, f"{said}\n{out.out}\n{out.err}"


def test_what_is_run_elsewhere_is_still_shown():
    text = "\n".join(p.read_text() for p in PAGES)
    assert all(key in text for key in ELSEWHERE)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_tables_are_whole(page):
    """Below a table's rule stand rows, each with as many cells as its head."""
    lines = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL).splitlines()
    for at, line in enumerate(lines):
        if not re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", line):
            continue
        end = next((i for i in range(at, len(lines)) if not lines[i].strip()), len(lines))
        assert end > at + 1, f"no row below line {at + 1}"
        for row in lines[at - 1 : end]:
            assert len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row))) == line.count("|"), row


def test_programs_in_the_page_on_adding_run(tmp_path):
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "adding.md").read_text(), re.DOTALL):
        exec(compile(block, "adding.md", "exec"), scope)
    logger = scope["Lines"](tmp_path, "mcd · difc", {"lr": 1})
    logger.log(1, {"lr": 0.5})
    logger.close()
    told = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert told == [{"title": "mcd · difc", "lr": 1}, {"epoch": 1, "lr": 0.5}]

    registered = (
        (METHODS, "mean_match"),
        (METHODS, "running_mean_match"),
        (LOSSES, "smooth"),
        (LOSSES, "prior"),
        (DATASETS, "our_faces"),
        (BACKBONES, "pooled"),
        (SAMPLERS, "with_replacement"),
        (CRITERIA, "confidence"),
        (LOGGERS, "lines"),
    )
    assert all(name in registry for registry, name in registered)
    z, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    expected = 0.95 * np.log1p(np.exp(-2)) + 0.05 * np.log1p(np.exp(2))
    assert make_loss("smooth")(z, y).item() == pytest.approx(expected)
    for registry, name in registered:  # other tests go over the registries
        del registry[name]


PUBLIC = ("", ".losses", ".methods", ".data", ".backbones", ".evaluation", ".tuning")


def test_everything_public_is_on_the_page_of_the_api():
    """The names of public modules, and all that the pages for developers import."""
    text = (ROOT / "docs" / "api.md").read_text()
    shown = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)
    for place in shown:
        module, _, name = place.rpartition(".")
        if place != "pa_difc.functional":
            assert getattr(importlib.import_module(module), name).__doc__, place
    named = {place.rpartition(".")[2] for place in shown} | set(re.findall(r"`(?:[\w.]+\.)?(\w+)`", text))
    wanted = {name for part in PUBLIC for name in importlib.import_module(f"pa_difc{part}").__all__}
    for page in ("adding.md", "inside.md"):
        for line in re.findall(r"^from pa_difc[\w.]* import (.+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE):
            wanted |= set(line.split(", "))
    in_functional = set(importlib.import_module("pa_difc.functional").__dict__)
    assert not wanted - named - in_functional - {"__version__"}
    assert len(shown) == len(set(shown))
