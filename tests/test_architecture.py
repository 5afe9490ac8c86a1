"""The import table of the house: no import against the direction, one door to the host, one to optuna."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pa_difc"

#: Rooms that a room may import from; itself always. "" is the façade, whose names nothing inside uses.
ALLOWED = {
    "errors": set(),
    "names": {"errors"},
    "shapes": set(),
    "files": {"errors"},
    "distributed": {"errors"},
    "functional": set(),
    "schedule": set(),
    "losses": {"distributed", "functional", "schedule", "names"},
    "_host": set(),
    "hooks": {"_host", "losses"},
    "methods": {"_host", "distributed", "hooks", "losses", "functional", "schedule", "errors"},
    "plugins": set(),
    "installed": set(),
    "data": {"errors", "names", "functional", "files", "plugins", "installed", "shapes"},
    "backbones": {"data", "names", "errors", "files"},
    "evaluation": {"data", "hooks", "methods"},
    "report": {"data", "errors", "evaluation", "files", "record"},
    "loggers": {"data", "errors", "names", "plugins"},
    "model": {"backbones", "checkpoint", "config", "data", "errors", "files", "methods", "record", "shapes"},
    "predict": {"data", "errors", "model"},
    "export": {"data", "errors", "files", "model", "record", "report"},
    "config": {"backbones", "data", "errors", "evaluation", "files", "names", "losses", "methods", "shapes"},
    "checkpoint": {"errors", "files", "methods"},
    "record": {"config", "data", "distributed", "errors", "files", "installed", "losses", "methods", "shapes"},
    "engine": {"checkpoint", "data", "distributed", "errors", "evaluation", "files", "losses", "methods"},
}
#: Rooms in which everything meets.
MEETING = {"build", "frozen", "run", "cli", "__main__", "", "commands"}


def room(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imports(path):
    """Absolute names of everything that a file imports."""
    package = ("pa_difc", *path.relative_to(PACKAGE).with_suffix("").parts)[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1])
            yield from [f"{base}.{node.module}"] if node.module else [f"{base}.{alias.name}" for alias in node.names]


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_import_goes_against_the_direction(path):
    own = room(path)
    for name in imports(path):
        if not name.startswith("pa_difc"):
            continue
        other = name.split(".")[1] if "." in name else ""
        assert own in MEETING or other == own or other in ALLOWED[own], f"{own} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_packages_have_one_door(path):
    names = set(imports(path))
    top = {name.split(".")[0] for name in names}
    assert "optuna" not in top
    assert "ignite" not in top or path.stem == "distributed"
    assert "facenet_pytorch" not in top or path.stem in {"detect", "facenet"}
    if path.stem == "functional":
        assert top <= {"torch", "collections"}
    if room(path) in {"losses", "schedule", "functional"}:
        assert "pytorch_adapt" not in top
    exported = {"adapters", "adapters.utils", "containers", "hooks", "inference", "layers", "weighters"}
    private = {n for n in names if n.startswith("pytorch_adapt") and n.removeprefix("pytorch_adapt.") not in exported}
    assert not private or path.stem == "_host", private


def test_hpo_and_recipes_never_import_each_other():
    for here, there in (("hpo", "recipes"), ("recipes", "hpo")):
        for path in (ROOT / here).rglob("*.py"):
            text = path.read_text()
            assert f"import {there}" not in text and f"from {there}" not in text
            assert here == "hpo" or "optuna" not in text


def test_the_public_api():
    import pa_difc

    assert sorted(pa_difc.__all__) == [
        "DANN",
        "DIFCLoss",
        "LOSSES",
        "MCD",
        "METHODS",
        "Phase",
        "SAFN",
        "Schedule",
        "SourceOnly",
        "__version__",
        "make_loss",
    ]
    assert all(hasattr(pa_difc, name) for name in pa_difc.__all__)


def test_the_version_stands_once():
    import pa_difc

    assert f'version = "{pa_difc.__version__}"' in (ROOT / "pyproject.toml").read_text()
