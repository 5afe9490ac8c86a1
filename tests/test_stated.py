"""What the pages state of flags, keys and defaults is what the code has."""

import argparse
import re

import pytest
from made import ROOT

from pa_difc import LOSSES, METHODS
from pa_difc.commands.parser import COMMANDS, make_parser
from pa_difc.methods.joined import ADDITIONS
from pa_difc.training.keys import fixed_keys
from pa_difc.util.options import describe

PAGES = {p.name: p.read_text() for p in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
PAGES.pop("changelog.md")  # which also names what is no more
#: Programs with flags of their own, by a word of the line; they may start a command of ours.
FOREIGN = r"\b(pip|docker|apt-get|dask|tensorboard|make|distributed\.run)\b"
#: Flags of programs that prose speaks of.
ALSO = {"--extra-index-url", "--gpus", "--nproc-per-node", "--standalone", "--editable"}
#: What has the form of a key: an example's own option, files, a predictor's attributes and a part of a record.
NO_KEYS = {"method.power", "model.safetensors", "model.onnx", "model.pt2"}
NO_KEYS |= {"model.labels", "model.video", "model.model", "model.features", "model.adjustment"}
#: Defaults that prose states: page, a pattern with the value, and the command and flag, or the key.
DEFAULTS = [
    ("using.md", r"`--detect-px` \((\d+)\)", "predict", "--detect-px"),
    ("using.md", r"the default, `--crop (\w+)`", "predict", "--crop"),
    ("comparing.md", r"`--draws`, (\d+) by default", "shift", "--draws"),
    ("many-machines.md", r"`--heartbeat`, (\d+) seconds", "search", "--heartbeat"),
    ("protocol.md", r"--prior-correction` \(default: `(\w+)`\)", "shift", "--prior-correction"),
    ("settings.md", r"`(\w+)` \(default\) \|", "compare", "--labels"),
    ("README.md", r"--features frozen # (\d+) trials", "search", "--trials"),
    ("method.md", r"`max_margin` = ([\d.]+), ", "difc", "max_margin"),
    ("method.md", r"with ε = ([\d.]+)\.", "difc", "epsilon"),
    ("method.md", r"with β = ([\d.]+):", "difc", "beta"),
    ("methods.md", r"`abc_threshold` \(([\d.]+)\)", "+abc", "abc_threshold"),
    ("methods.md", r"`abc_weight` \(([\d.]+)\)", "+abc", "abc_weight"),
    ("methods.md", r"focal loss, γ = ([\d.]+)", "focal", "gamma"),
    ("methods.md", r"class proportions, τ = ([\d.]+)", "logit_adjusted", "tau"),
    ("settings.md", r"the protocol's, with momentum ([\d.]+)", "", "optimiser.momentum"),
    ("settings.md", r"`eval.product_power` \| a; by default (\d+)", "", "eval.product_power"),
    ("protocol.md", r"weight decay ([\de-]+)", "", "optimiser.weight_decay"),
    ("protocol.md", r"batches of (\d+) \+ \d+", "", "data.batch_size"),
]


def flags(command):
    """The actions of a command's parser, by flag."""
    (commands,) = [a for a in make_parser(command)._actions if isinstance(a, argparse._SubParsersAction)]
    return commands.choices[command]._option_string_actions


def options(name):
    """The defaults of an entry's options, by name."""
    kind = (
        ADDITIONS[name[1:]][1] if name[0] == "+" else LOSSES[name].options if name in LOSSES else METHODS[name].Options
    )
    return {key: about.default for key, about in describe(kind).items()}


@pytest.fixture(scope="module")
def known():
    return {flag for command in COMMANDS for flag in flags(command)} | {"--print-completion"}


@pytest.mark.parametrize("name", PAGES)
def test_every_flag_on_a_page_exists(name, known):
    lines = [line for line in PAGES[name].replace("\\\n", " ").splitlines() if not re.search(FOREIGN, line)]
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", "\n".join(lines)))
    assert not told - known - ALSO


@pytest.mark.parametrize("name", PAGES)
def test_every_key_on_a_page_exists(name):
    groups = {key.partition(".")[0] for key in fixed_keys()}
    own = {f"method.{key}" for m in METHODS for key in options(m)} | {
        f"method.{k}" for a in ADDITIONS for k in options(f"+{a}")
    }
    own |= {f"loss.{key}" for loss in LOSSES for key in options(loss)}
    told = re.findall(rf"`((?:{'|'.join(groups)})\.[a-z]\w*)(?:=[^`]*)?`", PAGES[name])
    told += re.findall(rf"(?<=[ {{\"])((?:{'|'.join(groups)})\.\w+)(?==)", PAGES[name])
    assert not set(told) - {*fixed_keys(), *own} - NO_KEYS


@pytest.mark.parametrize(("page", "pattern", "owner", "name"), DEFAULTS, ids=lambda v: str(v)[-30:])
def test_a_stated_default_is_the_default(page, pattern, owner, name):
    stated = re.findall(pattern, re.sub(r"\s+", " ", PAGES[page]))
    assert stated, "the page states it in other words"
    if not owner:
        default = fixed_keys()[name].default
    else:
        default = flags(owner)[name].default if owner in COMMANDS else options(owner)[name]
    default = flags(owner)[name].help if default is None else default
    assert all(value in default if isinstance(default, str) else float(value) == default for value in stated), default


def test_the_defaults_of_self_training_are_those_of_its_table():
    table = (
        PAGES["methods.md"].partition("| option | values | default |\n| --- | --- | --- |\n")[2].partition("\n\n")[0]
    )
    for line in table.splitlines():
        names, *_, told = [cell.strip() for cell in line.replace("`", "").strip("|").split("|")]
        common, *others = told.split("; ")
        names = names.split(", ")
        for method in ("mean_teacher", "adamatch", "source_free"):
            own = [told.partition(": ")[2] for told in others if told.startswith(method)]
            values = (own or [common])[0].split(", ")
            found = [options(method).get(name) for name in names]
            stated = zip(names, found, values, strict=False)
            assert all(str(f).lower() == v or f == float(v) for _, f, v in stated if f is not None), (
                method,
                names,
                found,
            )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_every_flag_is_for_and_defaults_as_they_are_typed(command):
    texts = {flag: action.help for flag, action in flags(command).items()}
    assert not [flag for flag, text in texts.items() if not text or text.startswith("(")]
    (commands,) = [a for a in make_parser(command)._actions if isinstance(a, argparse._SubParsersAction)]
    assert not re.findall(r"\S+=(?:None|True|False)\b", commands.choices[command].format_help())
