"""Tables from records made by hand."""

import csv
import io

import pytest

from pa_difc.report import rows_from_records, to_csv, to_markdown, to_terminal


def record(
    method, loss, seed, recall, accuracy=0.5, f1=0.4, seconds=61.0, collapsed=False, transductive=False, frequent=None
):
    scores = {"accuracy": accuracy, "macro_recall": recall, "macro_f1": f1, "collapsed": collapsed}
    scores["macro_recall_20"] = frequent
    return {
        "settings": {"method": {"name": method}, "loss": {"name": loss}, "run": {"seed": seed}},
        "identity": {},
        "scores": {"target": scores},
        "data": {"target": {"transductive": transductive}},
        "seconds": {"training": seconds},
    }


RECORDS = [
    record("mcd", "ce", 0, 0.40),
    record("mcd", "ce", 1, 0.44),
    record("mcd", "difc", 0, 0.50, accuracy=0.6),
    record("mcd", "difc", 1, 0.52, accuracy=0.7),
    record("safn", "difc", 0, 0.2, collapsed=True),
]


def test_columns_and_numbers():
    rows = list(csv.DictReader(io.StringIO(to_csv(rows_from_records(RECORDS)))))
    assert list(rows[0])[:12] == [
        "method", "loss", "seeds", "accuracy_mean", "accuracy_std", "macro_recall_mean", "macro_recall_std",
        "macro_recall_20_mean", "macro_recall_20_std", "macro_f1_mean", "macro_f1_std", "seconds",
    ]  # fmt: skip
    difc = rows[1]
    assert (difc["method"], difc["loss"], difc["seeds"]) == ("mcd", "difc", "0 1")
    assert float(difc["macro_recall_mean"]) == pytest.approx(0.51)
    assert float(difc["macro_recall_std"]) == pytest.approx(0.0141421, abs=1e-6)
    assert float(difc["accuracy_mean"]) == pytest.approx(0.65)
    assert float(difc["macro_recall_vs_ce"]) == pytest.approx(0.09)
    assert float(difc["macro_recall_vs_ce_std"]) == pytest.approx(0.0141421, abs=1e-6)  # of 0.10 and 0.08
    assert "| +9.0 ± 1.4 |" in to_markdown(rows_from_records(RECORDS), "a → b")
    assert rows[2]["accuracy_std"] == "" and rows[2]["macro_recall_vs_ce"] == ""


def test_mean_recall_over_frequent_classes_stands_beside_it_or_a_dash():
    records = [record("mcd", "ce", seed, 0.4, frequent=value) for seed, value in ((0, 0.5), (1, 0.6))]
    rows = rows_from_records([*records, record("mcd", "difc", 0, 0.7)])
    (first, second) = csv.DictReader(io.StringIO(to_csv(rows)))
    assert float(first["macro_recall_20_mean"]) == pytest.approx(0.55) and second["macro_recall_20_mean"] == ""
    head, ce, difc = (line.split("|") for line in to_markdown(rows, "a → b").splitlines()[2:6] if "---" not in line)
    place = head.index(" ≥ 20 faces ")
    assert ce[place] == " 55.0 ± 7.1 " and difc[place] == " – "
    assert "mean recall over the classes with at least 20 test faces" in to_terminal(rows)


def test_differences_are_paired_over_shared_seeds():
    rows = rows_from_records([*RECORDS, record("mcd", "difc", 2, 0.99)])
    assert rows[1].recall_gain == pytest.approx(0.09) and rows[1].recall_gain_std == pytest.approx(0.0141421, abs=1e-6)
    (one,) = [row for row in rows_from_records(RECORDS[:3]) if row.loss == "difc"]
    assert one.recall_gain == pytest.approx(0.10) and one.recall_gain_std is None


def test_collapsed_cells_are_marked():
    rows = rows_from_records(RECORDS)
    markdown, terminal = to_markdown(rows, "a → b"), to_terminal(rows)
    for text in (markdown, terminal):
        assert "difc †" in text and "collapsed" in text and "+9.0" in text and "1:01" in text
    assert "†" not in to_terminal(rows_from_records(RECORDS[:4]))
    assert "no target label used" in markdown


def test_option_sets_have_rows_of_their_own():
    records = [record("mcd", "difc", seed, recall) for seed, recall in ((0, 0.5), (1, 0.6), (0, 0.1))]
    for one, margin in zip(records, (0.3, 0.3, 1), strict=True):
        one["settings"]["loss"]["options"] = {"max_margin": margin, "epsilon": 0.02}
    rows = rows_from_records(records)
    assert [(row.loss, row.seeds) for row in rows] == [("difc max_margin=0.3", (0, 1)), ("difc max_margin=1", (0,))]
    assert rows[0].means["macro_recall"] == pytest.approx(0.55)


@pytest.mark.parametrize("methods", [["mcd", "safn", "mcd", "safn"], ["mcd", "mcd", "safn", "mcd"]])
def test_no_row_of_a_terminal_stands_below_another_method_s_name(methods):
    losses = ["ce", "di", "difc", "drw"]
    rows = rows_from_records([record(m, loss, 0, 0.4) for m, loss in zip(methods, losses, strict=True)])
    found, method = {}, ""
    for line in to_terminal(rows).splitlines()[1 : 1 + len(rows)]:
        method = line.split()[0] if not line.startswith(" ") else method
        found[next(word for word in line.split() if word in losses)] = method
    assert found == dict(zip(losses, methods, strict=True))
