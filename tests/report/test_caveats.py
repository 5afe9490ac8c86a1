"""What a table must not keep to itself: mixed versions, shared features, overlapping splits, exchanged outputs."""

import shutil

import numpy as np
import pytest
from records import SEVEN, outputs, record, write

from pa_difc.commands.parser import main
from pa_difc.report.again import set_for_all
from pa_difc.report.grid import make_grids
from pa_difc.report.layout import settings
from pa_difc.report.run import all_runs
from pa_difc.util.errors import UserError
from pa_difc.util.files import file_digest, write_sealed

LABELS = np.arange(70) % 7


def run_with(folder, loss, seed, **more):
    probs = np.random.default_rng([seed, len(loss)]).dirichlet(np.ones(len(SEVEN)), len(LABELS))
    return write(folder, record("mcd", loss, seed, **more), outputs(LABELS, probs, seed))


def caveats(folder):
    (grid,) = make_grids(all_runs(folder).runs)
    return grid.caveats


def test_mixed_versions_are_named_with_their_runs(tmp_path):
    for seed, torch in enumerate(("2.14.1", "2.15.0", "2.15.0")):
        run_with(tmp_path, "ce", seed, versions={"torch": torch, "numpy": "2.4.6", "python": f"3.1{seed}"})
    assert caveats(tmp_path) == ["Trained with different versions: torch 2.14.1 (1 run) and 2.15.0 (2 runs)"]


def test_different_numbers_of_threads_are_named_with_their_runs(tmp_path):
    """Sums differ by rounding then, and after some epochs so do scores."""
    for seed, threads in enumerate((1, 2, 2)):
        run_with(tmp_path, "ce", seed, machine={"threads": threads})
    assert caveats(tmp_path) == [
        "Trained with different numbers of threads, which changes scores: 1 (1 run) and 2 (2 runs)"
    ]


def test_settings_that_all_runs_share_are_named_unless_they_are_the_defaults(tmp_path):
    for loss in ("ce", "difc"):
        one = record("mcd", loss)
        one["settings"]["run"] |= {"label_smoothing": 0.1, "epochs": 8}
        write(tmp_path, one)
    (grid,) = make_grids(all_runs(tmp_path).runs)
    assert "label_smoothing=0.1" in settings(grid) and "epochs=" not in settings(grid)


def test_a_setting_of_some_runs_is_not_said_of_all(tmp_path):
    for margin in (0.3, 2.0):  # the first is the default
        one = record("mcd", "difc", key=f"mcd-difc-{margin}")
        one["settings"]["loss"]["options"] |= {"max_margin": margin, "epsilon": 0.5}
        write(tmp_path, one)
    runs = all_runs(tmp_path).runs
    said = set_for_all(runs)
    assert len(runs) == 2 and "loss.epsilon=0.5" in said and not any("max_margin" in line for line in said)


@pytest.mark.parametrize("seeds", [1, 2])
def test_seeds_on_frozen_features_share_their_network(seeds, tmp_path):
    for seed in range(seeds):
        one = record("mcd", "ce", seed)
        one["data"]["target"]["features_of"] = "a"
        write(tmp_path, one)
    assert [line.startswith("Frozen features are of one network") for line in caveats(tmp_path)] == [True] * (seeds - 1)


@pytest.mark.parametrize(("found", "said"), [((3, 2, 0), 1), ((3, 2, 4), 0), ((3, 0, 0), 0)])
def test_scored_faces_that_were_trained_on(found, said, tmp_path):
    groups, across, dropped = found
    one = record("mcd", "ce")
    counts = {"groups": groups, "across_splits": across, "conflicting": 0, "dropped": dropped}
    one["data"]["target"]["duplicates"] = counts
    write(tmp_path, one)
    assert [line.startswith("2 images of fer2013 in both splits") for line in caveats(tmp_path)] == [True] * said


def sealed(folder, *runs):
    """As training writes them: each record knows its outputs."""
    for path, one in runs:
        write_sealed(path / "record.json", one | {"outputs": file_digest(path / "outputs.npz")})


@pytest.mark.parametrize("name", ["outputs.npz", "record.json"])
def test_outputs_of_another_run_are_refused(name, tmp_path):
    """Of two runs whose files were exchanged, no interval or figure is drawn."""
    runs = [(run_with(tmp_path, loss, 0), record("mcd", loss, 0)) for loss in ("ce", "difc")]
    sealed(tmp_path, *runs)
    assert all(run.outputs is not None for run in all_runs(tmp_path).runs)
    one, other = (path / name for path, _ in runs)
    shutil.move(one, tmp_path / "aside")
    shutil.move(other, one)
    shutil.move(tmp_path / "aside", other)
    for run in all_runs(tmp_path).runs:
        with pytest.raises(UserError, match=r"outputs\.npz is not what this run wrote"):
            _ = run.outputs
    with pytest.raises(UserError, match="is not what this run wrote"):
        main(["report", str(tmp_path)])


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"excluded": {"contempt": 30, "none": 0}}, "30 contempt"),
        ({"duplicates": {"groups": 5, "across_splits": 0, "conflicting": 2, "dropped": 9}}, "images whose copies have"),
        ({"duplicates": {"groups": 5, "across_splits": 0, "conflicting": 2, "dropped": 0}}, None),
        ({"excluded": {}}, None),
    ],
)
def test_target_faces_that_labels_kept_out_of_training_are_named(tmp_path, target, said):
    one = record("dann", "ce")
    one["data"]["target"] |= target
    write(tmp_path, one)
    found = [line for line in caveats(tmp_path) if line.startswith("Left out of")]
    assert len(found) == bool(said) and (not said or f"by their labels, also of its training faces: {said}" in found[0])
