"""Whatever stands in a file that a person gives or that we have written: it is read, or refused in one line."""

import json
import math

import pytest
from damage import command, refused
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pa_difc.commands.plan_file import read_plan
from pa_difc.data.labels import read_label_file
from pa_difc.data.store import read_manifest
from pa_difc.training.face_model import load_model
from pa_difc.training.grid_file import read_grid_file
from pa_difc.training.record import read_record
from pa_difc.training.settings_file import read_settings
from pa_difc.util.errors import UserError
from pa_difc.util.files import read_arrays, read_json
from pa_difc.util.toml import read_toml, to_toml

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from([10**30, 1e308, -1, ""])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def keyed(*keys):
    """Objects with some of the right keys, and any values."""
    return st.dictionaries(st.sampled_from(keys) | st.text(max_size=6), VALUES, max_size=len(keys))


def whole(value):
    """Whether there is no number in it that is none."""
    if isinstance(value, dict):
        return all(map(whole, value.values()))
    if isinstance(value, list):
        return all(map(whole, value))
    return not isinstance(value, float) or math.isfinite(value)


def attempt(read, path):
    """What is read, or None for a refusal of one line that has the file's name in it."""
    try:
        return read(path)
    except UserError as error:
        text = str(error)
        assert text and len(text) < 5000
        return None


#: Readers of JSON, and keys that they look at.
READERS = {
    "record": (read_record, ("format", "key", "labels", "settings", "identity", "common", "data", "scores", "history")),
    "manifest": (lambda path: read_manifest(path.parent), ("format", "dataset", "faces", "splits", "files", "counts")),
    "plan": (lambda path: read_plan(path, "k"), ("key", "epochs", "steps", "faces", "scored", "precision", "seconds")),
    "model": (lambda path: load_model(path.parent), ("format", "weights", "classes", "backbone", "input", "head")),
}
NAMES = {"manifest": "manifest.json", "model": "config.json"}


@pytest.mark.parametrize("kind", READERS)
def test_json_of_ours(kind, tmp_path):
    read, keys = READERS[kind]
    path = tmp_path / NAMES.get(kind, "x.json")

    @QUICK
    @given(VALUES | keyed(*keys))
    @example(dict.fromkeys(keys))
    @example({"format": 2, "labels": {"names": ["a"], "synonyms": {}, "excluded": []}})
    @example([])
    def check(value):
        path.write_text(json.dumps(value))
        found = attempt(read, path)
        assert found is None or whole(value)

    check()


@QUICK
@given(st.binary(max_size=60))
@example(b"\xff\xfe[\x00")
@example(b"[" * 100_000)
@example(b'{"a": 1e999}')
@example(b'{"a": NaN}')
def test_bytes_of_any_kind(tmp_path, content):
    for name, read in {
        "x.json": read_json,
        "x.npz": read_arrays,
        "x.toml": read_settings,
        "labels.toml": read_label_file,
        "grid.toml": read_grid_file,
    }.items():
        (tmp_path / name).write_bytes(content)
        found = attempt(read, tmp_path / name)
        assert name != "x.json" or found is None or whole(found)


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(["a", "b", "happy"])
NAMED = st.fixed_dictionaries(
    {},
    optional={
        "names": st.lists(WORDS | st.integers(), max_size=4) | SCALARS,
        "exclude": st.lists(WORDS, max_size=3) | SCALARS,
        "synonyms": st.dictionaries(WORDS, WORDS | st.integers(), max_size=3) | SCALARS,
        "extra": SCALARS,
    },
)


def toml(values):
    """TOML of plain values; what it has no word for is left out."""
    lines, tables = [], []
    for key, value in values.items():
        if isinstance(value, dict):
            tables += [f"[{key}]", *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items())]
        elif value is not None and not (isinstance(value, float) and not math.isfinite(value)):
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join([*lines, *tables])


@QUICK
@given(NAMED)
@example({"names": ["a", "A "]})
@example({"names": ["0", "0"]})
@example({"names": ["a", "b"], "synonyms": {"b": "a"}})
@example({"names": ["a", "b"], "exclude": ["a"]})
def test_label_files(tmp_path, values):
    path = tmp_path / "labels.toml"
    path.write_text(toml(values), encoding="utf-8")
    found = attempt(read_label_file, path)
    if found is not None:
        assert len(found.names) >= 2 and len({n.strip().casefold() for n in found.names}) == len(found.names)
        assert all(found.index(name) == k for k, name in enumerate(found.names))


BLOCKS = st.lists(
    st.dictionaries(
        st.sampled_from(["title", "sources", "targets", "methods", "losses", "seeds", "features", "settings", "x"]),
        st.lists(WORDS | st.integers(), max_size=3) | WORDS | st.integers(),
        max_size=5,
    ),
    max_size=3,
)


@QUICK
@given(BLOCKS)
def test_files_of_grids(tmp_path, blocks):
    text = "\n".join("[[grid]]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in b.items()) for b in blocks)
    path = tmp_path / "grid.toml"
    path.write_text(text, encoding="utf-8")
    found = attempt(read_grid_file, path)
    assert found is None or len(found) == len(blocks) > 0


PLUGINS = {
    "nothing": "",
    "syntax": "def (",
    "raises": "raise ValueError('two\\nlines')",
    "exits": "import sys; sys.exit(3)",
    "interrupted": "raise SystemError",
    "missing": "import no_such_module_at_all",
    "bytes": b"\xff\xfe\x00",
    "null": b"x = 1\x00",
    "deep": "(" * 5000,
    "recursion": "def f(): f()\nf()",
    "twice": "from pa_difc.losses import register_loss",
}


@pytest.mark.parametrize("kind", PLUGINS)
def test_plugin_files(kind, tmp_path):
    path = tmp_path / "plugin.py"
    content = PLUGINS[kind]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, err = command("list", "losses", "--plugin", path)
    assert refused(code, err) or (code == 0 and kind in ("nothing", "twice")), (code, err)


SETTINGS = st.dictionaries(
    st.sampled_from(["data.source", "data.labels", "run.seed", "loss.max_margin"]),
    st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | WORDS,
)


@QUICK
@given(SETTINGS)
@example({"data.source": 'folder:"]\n[run]\\\x1b\u2028'})
def test_what_we_write_as_toml_we_read(tmp_path_factory, values):
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(to_toml(values), encoding="utf-8")
    read = {f"{group}.{key}": v for group, inner in read_toml(file).items() for key, v in inner.items()}
    assert read == values
