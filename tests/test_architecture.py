"""The import table: no import against the direction, no circle, and nothing heavier than a name needs."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pa_difc"

#: What a part may import from, beside itself. "" is the façade, of which insiders take the version alone.
ALLOWED = {
    "util": set(),
    "counts": set(),
    "functional": {"counts"},
    "losses": {"util", "counts", "functional"},
    "data": {"util"},
    "backbones": {"util", "data"},
    "methods": {"util", "counts", "functional", "losses"},
    "evaluation": {"util", "data", "methods"},
    "training": {"util", "data", "backbones", "losses", "methods", "evaluation"},
    "report": {"util", "data", "evaluation", "training"},
    "deploy": {"util", "data", "backbones", "losses", "methods", "training"},
    "tuning": {"util", "data", "methods", "evaluation", "training", "report"},
    "commands": {
        "", "util", "data", "backbones", "losses", "methods", "evaluation", "training", "report", "deploy", "tuning",
    },
    "__main__": {"commands"},
    "": {
        "util", "functional", "losses", "data", "backbones", "methods", "evaluation", "training", "deploy", "commands",
    },
}  # fmt: skip

FILES = sorted(PACKAGE.rglob("*.py"))


def part(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imports(path):
    """Absolute names of everything that a file imports, and whether the import is only for type checkers."""
    package = ("pa_difc", *path.relative_to(PACKAGE).with_suffix("").parts)[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1])
            yield from [f"{base}.{node.module}"] if node.module else [f"{base}.{alias.name}" for alias in node.names]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_import_goes_against_the_direction(path):
    own = part(path)
    for name in imports(path):
        if name.startswith("pa_difc"):
            other = name.split(".")[1] if "." in name else ""
            other = "" if other == "__version__" else other
            assert other == own or other in ALLOWED[own], f"{own} imports {name}"


def test_the_table_has_no_circle():
    """Every part but the façade, which hands names on, stands above all that it imports."""
    left, placed = {k: v - {""} for k, v in ALLOWED.items() if k}, set()
    while left:
        free = [name for name, below in left.items() if below <= placed]
        assert free, f"a circle among {sorted(left)}"
        placed |= set(free)
        left = {k: v for k, v in left.items() if k not in placed}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_packages_have_one_door(path):
    names = set(imports(path))
    top = {name.split(".")[0] for name in names}
    assert "optuna" not in top or part(path) == "tuning"
    assert "loky" not in top or path.stem == "ready"
    assert "distributed" not in top or path.stem in {"cluster", "on_cluster"}
    assert "ignite" not in top or path.stem == "distributed"
    assert "facenet_pytorch" not in top or path.stem in {"detect", "facenet"}
    if part(path) in {"counts", "functional"}:
        assert top <= {"torch", "collections", "pa_difc"}  # of which the table allows counts alone
    if part(path) == "losses":
        assert "pytorch_adapt" not in top
    if part(path) == "report":
        assert not top & {"torch", "pytorch_adapt"}
    exported = {"adapters", "adapters.utils", "containers", "hooks", "inference", "layers", "weighters"}
    private = {n for n in names if n.startswith("pytorch_adapt") and n.removeprefix("pytorch_adapt.") not in exported}
    assert not private or path.stem == "_host", private


def test_the_package_never_imports_hpo_or_recipes_and_they_use_public_names():
    import pa_difc
    import pa_difc.tuning

    for here in ("hpo", "recipes"):
        for path in (ROOT / here).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module.startswith("pa_difc"):
                    assert node.module in ("pa_difc", "pa_difc.tuning"), f"{path.name} imports {node.module}"
                    public = pa_difc.__all__ if node.module == "pa_difc" else pa_difc.tuning.__all__
                    assert {alias.name for alias in node.names} <= set(public)


def test_the_public_api():
    """A snapshot: a name that leaves it is deprecated first (docs/stability.md)."""
    import pa_difc

    kept = (ROOT / "tests" / "public_api.txt").read_text().split()
    assert sorted(pa_difc.__all__) == kept
    assert all(hasattr(pa_difc, name) for name in pa_difc.__all__)


def test_the_version_stands_once():
    import pa_difc

    assert f'version = "{pa_difc.__version__}"' in (ROOT / "pyproject.toml").read_text()


HEAVY = (
    "pytorch_adapt", "torchvision", "sklearn", "scipy", "matplotlib", "optuna", "pytorch_metric_learning", "ignite",
    "PIL", "ot", "facenet_pytorch", "pandas", "torchmetrics", "sqlalchemy", "loky",
    "distributed", "dask",
)  # fmt: skip


def loaded_after(program):
    """Which packages are loaded after a program, in a process of its own."""
    code = f"import sys, json\n{program}\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "program",
    [
        "import pa_difc; pa_difc.DIFCLoss",
        "from pa_difc import DIFCLoss, Schedule, make_loss; make_loss('difc', [3, 2], Schedule(4))",
        "from pa_difc.functional import di_loss",
        "from pa_difc import FocalLoss, WeightedLoss, LogitAdjustedLoss",
    ],
)
def test_the_loss_needs_torch_and_nothing_heavier(program):
    found = loaded_after(program)
    assert "torch" in found and not found & set(HEAVY), found & set(HEAVY)


@pytest.mark.parametrize(
    "program",
    [
        "import pa_difc",
        "from pa_difc import METHODS, LOSSES, BACKBONES, DATASETS, CRITERIA, SAMPLERS, LOGGERS, LabelSet\n"
        "[list(r) for r in (METHODS, LOSSES, BACKBONES, DATASETS, CRITERIA, SAMPLERS, LOGGERS)]",
    ],
)
def test_names_alone_need_no_torch(program):
    found = loaded_after(program)
    assert not found & {"torch", "numpy", *HEAVY}, found & {"torch", "numpy", *HEAVY}


def command_names():
    from pa_difc.commands.parser import COMMANDS

    return ["", *COMMANDS]


@pytest.mark.parametrize("command", command_names())
def test_help_needs_no_torch(command):
    words = [*command.split(), "--help"]
    program = (
        f"from pa_difc.commands.parser import main\ntry:\n    main({words})\nexcept SystemExit as stop:\n"
        "    assert stop.code == 0"
    )
    found = loaded_after(program)
    assert not found & {"torch", "numpy", *HEAVY}, found & {"torch", "numpy", *HEAVY}
