"""Which runs share a table, a row and a cell, and how tables say in what they differ."""

import pytest
from rare import slow
from records import flat_scores, load_grids, record, write, write_many_classes

from pa_difc.report.choice_tables import candidates_table, predicted_table
from pa_difc.report.drawing import line_style
from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.over_targets import tables_over_targets
from pa_difc.report.selection import select
from pa_difc.report.tables import ablation


def scored(value):
    return {"source": flat_scores(7, 0.5), "target": flat_scores(7, value)}


OTHERS = [
    ({"epochs": 1, "confusion_epoch": 1}, ["epochs 8", "confusion_epoch 4"], ["epochs 1", "confusion_epoch 1"]),
    ({"optimiser": {"lr": 0.1}}, ["lr 0.02"], ["lr 0.1"]),
    ({"optimiser": {"name": "adamw"}}, ["optimiser sgd"], ["optimiser adamw"]),
    ({"data": {"crop_px": 48}}, ["crop_px 32"], ["crop_px 48"]),
    ({"common_code": "c1"}, ["other code (0.2.0)"], ["latest code (0.2.0)"]),
    ({"fingerprints": ("d2", "d1")}, ["other data"], ["latest data"]),
    (
        {"common_code": "c1", "optimiser": {"lr": 0.1}, "epochs": 1},
        ["epochs 8", "lr 0.02", "other code (0.2.0)"],
        ["epochs 1", "lr 0.1", "latest code (0.2.0)"],
    ),
]


@pytest.mark.parametrize(("change", "before", "after"), OTHERS)
def test_runs_that_differ_in_anything_are_never_pooled(change, before, after, tmp_path):
    for seed in (0, 1):
        write(tmp_path, record("mcd", "ce", seed, scores=scored(0.4)))
        write(tmp_path, record("mcd", "ce", seed, scores=scored(0.8), finished="2026-02-02", **change))
    first, second = load_grids(tmp_path)
    assert (list(first.differs), list(second.differs)) == (before, after)
    for grid, recall in ((first, "40.0 ± 0.0"), (second, "80.0 ± 0.0")):
        assert [row[3] for row in ablation(grid)[1:]] == [recall] and grid.replaced == 0
        assert grid.title.startswith(f"toy_studio → fer2013 · {grid.differs[0]}")


def test_the_overview_shows_every_lead_and_main_table_under_what_differs(tmp_path):
    for epochs, value in ((1, 0.4), (8, 0.8)):
        write(tmp_path, record("mcd", "ce", scores=scored(value), epochs=epochs))
    overview, *pages = write_grid_report(tmp_path, tmp_path / "out")
    assert [page.parent.name for page in pages] == [
        "toy-studio-to-fer2013--epochs-1",
        "toy-studio-to-fer2013--epochs-8",
    ]
    for text in (overview.read_text(), overview.with_suffix(".md").read_text()):
        for words in ("epochs 1", "epochs 8", "fer2013, 40.0 %", "fer2013, 80.0 %", "macro-F1"):
            assert words in text
    assert all(page.relative_to(overview.parent).as_posix() in overview.read_text() for page in pages)
    assert overview.read_text().count("no target label was used") == 1  # what holds for all stands once
    assert "These have: epochs 1." in pages[0].read_text()


def test_many_differences_are_short_in_the_title_and_whole_in_a_note(tmp_path):
    write(tmp_path, record("mcd", "ce"))
    write(tmp_path, record("mcd", "ce", epochs=1, optimiser={"lr": 1.0, "name": "adamw"}, data={"crop_px": 48}))
    grid = load_grids(tmp_path)[1]
    assert grid.title == "toy_studio → fer2013 · epochs 1, lr 1, optimiser adamw, …"
    page = write_grid_report(tmp_path, tmp_path / "out")[2]
    assert "These have: epochs 1, lr 1, optimiser adamw, crop_px 48." in page.read_text()


def test_a_title_names_as_many_differences_as_tell_grids_apart(tmp_path):
    changed = {"epochs": 1, "optimiser": {"lr": 1.0, "name": "adamw"}, "data": {"crop_px": 48}}
    write(tmp_path, record("mcd", "ce"))
    write(tmp_path, record("mcd", "ce", **changed))
    write(tmp_path, record("mcd", "ce", **changed, common_code="c1", finished="2026-02-02"))
    titles = [grid.title.partition(" · ")[2] for grid in load_grids(tmp_path)]
    assert titles == [
        "epochs 8, lr 0.02, optimiser sgd, other code (0.2.0), …",
        "epochs 1, lr 1, optimiser adamw, other code (0.2.0), …",
        "epochs 1, lr 1, optimiser adamw, latest code (0.2.0), …",
    ]


def test_other_classes_are_other_grids(tmp_path):
    for names in (["calm", "excited"], ["calm", "excited", "afraid"]):
        write(tmp_path, record("mcd", "ce", names=names))
    assert [grid.title for grid in load_grids(tmp_path)] == [
        "toy_studio → fer2013 · 2 classes",
        "toy_studio → fer2013 · 3 classes",
    ]


def test_titles_that_read_alike_are_other_folders(tmp_path):
    for i, code in enumerate(("a", "b", "c")):
        for lr in (0.1, 0.100000001):
            write(tmp_path, record("mcd", "ce", common_code=code, optimiser={"lr": lr}, finished=f"2026-01-0{i + 1}"))
    pages = write_grid_report(tmp_path, tmp_path / "out")[1:]
    assert len(set(pages)) == 6 and all(page.exists() for page in pages)


def test_option_sets_and_codes_of_an_entry_are_rows(tmp_path):
    for options, value in (({"max_margin": 0.3, "epsilon": 0.02}, 0.3), ({"max_margin": 1, "epsilon": 0.02}, 0.5)):
        write(tmp_path, record("mcd", "difc", scores=scored(value), loss_options=options))
    for weight in (0.1, 1.0):
        write(tmp_path, record("mdd", "ce", scores=scored(weight / 2), method_options={"weight": weight}))
    for i, code in enumerate(("x", "y")):
        write(tmp_path, record("coral", "ce", scores=scored(0.6 + 0.1 * i), code={"method": code}))
    (grid,) = load_grids(tmp_path)
    assert [[*row[:2], row[3]] for row in ablation(grid)[1:]] == [
        ["mcd", "difc max_margin=0.3", "30.0"],
        ["mcd", "difc max_margin=1", "50.0"],
        ["mdd weight=0.1", "ce", "5.0"],
        ["mdd weight=1", "ce", "50.0"],
        ["coral other code", "ce", "60.0"],
        ["coral", "ce", "70.0"],
    ]


def test_a_variant_is_compared_with_its_own_method_s_cross_entropy(tmp_path):
    for weight, base in ((0.1, 0.3), (1.0, 0.4)):
        write(tmp_path, record("mdd", "ce", scores=scored(base), method_options={"weight": weight}))
        write(tmp_path, record("mdd", "difc", scores=scored(0.5), method_options={"weight": weight}))
    (grid,) = load_grids(tmp_path)
    head, *rows = ablation(grid)
    column = next(i for i, name in enumerate(head) if "Δ recall" in name)
    gains = {(row[0], row[1]): row[column] for row in rows}
    assert gains["mdd weight=0.1", "difc"] == "+20.0" and gains["mdd weight=1", "difc"] == "+10.0"


@pytest.mark.parametrize("k", [2, 8, *slow(3, 31)])
def test_pages_of_any_number_of_classes(k, tmp_path):
    names = write_many_classes(tmp_path, k)
    (page,) = write_grid_report(tmp_path, tmp_path / "out")
    text = page.read_text()
    assert all(name in text for name in names)
    assert len(list((tmp_path / "out" / "figures").glob("*.svg"))) == 9
    head = (tmp_path / "out" / "tables" / "runs.csv").read_text().splitlines()[0]
    assert head.count(",recall_") == k and "nan" not in page.with_suffix(".md").read_text().lower()
    (grid,) = load_grids(tmp_path)
    selection = select(grid)
    assert len(predicted_table(selection)[0]) == 2 + k and candidates_table(selection)[1][-2] == f"{k} of {k}"


def test_thirty_one_classes_can_be_told_apart_and_seven_by_colour_alone():
    styles = [line_style(k) for k in range(31)]
    assert len({(s["color"], str(s["ls"]), s["marker"]) for s in styles}) == 31
    assert len({s["color"] for s in styles[:7]}) == 7 and len({s["marker"] for s in styles[:7]}) == 1


def on_features(key, target="fer2013", **more):
    """A record of heads on frozen features, whose fingerprints are those of the features."""
    one = record("mcd", "ce", target=target, fingerprints=(f"{key}0", f"{key}1"), **more)
    return one | {"common": one["common"] | {"features": key}}


def test_heads_on_frozen_features_and_whole_networks_of_the_same_images_are_named_so(tmp_path):
    write(tmp_path, record("mcd", "ce", epochs=1, finished="2026-01-01"))
    write(tmp_path, on_features("f", finished="2026-01-02"))
    assert [list(grid.differs) for grid in load_grids(tmp_path)] == [
        ["the whole network", "epochs 1"],
        ["frozen features", "epochs 8"],
    ]
    write(tmp_path, on_features("g", finished="2026-01-03"))
    assert [grid.differs[0] for grid in load_grids(tmp_path)] == [
        "the whole network",
        "other frozen features",
        "latest frozen features",
    ]
    write(tmp_path, on_features("h", finished="2026-01-04", counts={"train_counts": [9] * 7, "test_counts": [2] * 7}))
    assert [grid.differs[-1] for grid in load_grids(tmp_path)] == ["other data"] * 3 + ["latest data"]


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ((0, 3), ["features of the network of seed 0", "features of the network of seed 3"]),
        ((4, 4), ["other frozen features", "latest frozen features"]),  # networks that differ in something else
        ((0, None), ["other frozen features", "latest frozen features"]),  # an older record
    ],
)
def test_features_are_named_by_the_seed_of_their_network(seeds, said, tmp_path):
    for day, seed in enumerate(seeds, 1):
        one = on_features(f"f{day}", finished=f"2026-01-0{day}")
        one["data"]["source"]["features_seed"] = seed
        write(tmp_path, one)
    assert [grid.differs[0] for grid in load_grids(tmp_path)] == said


def test_a_table_over_pairs_names_its_setting_even_if_it_is_the_only_such_table(tmp_path):
    for target in ("fer2013", "sfew"):
        write(tmp_path, on_features(target, target))
    write(tmp_path, record("mcd", "ce", target="sfew"))
    titles = list(tables_over_targets(load_grids(tmp_path)))
    assert titles == ["Mean recall on every target (frozen features)", "Accuracy on every target (frozen features)"]


def test_other_code_has_its_version_and_commit(tmp_path):
    for code, version, commit in (("a", "0.3.0", None), ("b", "0.4.0", "54bd4c9a7731f27447")):
        git = {"git": commit} if commit else {}
        write(tmp_path, record("mcd", "ce", common_code=code, finished=version, versions={"pa-difc": version}, **git))
    assert [grid.heading for grid in load_grids(tmp_path)] == [
        "other code (0.3.0)",
        "latest code (0.4.0, commit 54bd4c9)",
    ]
