"""The lines of finished cells: they fit 80 columns, and count what is finished."""

import pytest

from pa_difc.commands.grid import _Grid, run_grid
from pa_difc.commands.grid_lines import done_line, in_brief
from pa_difc.commands.scores import print_scores
from pa_difc.training.expected import Expected
from pa_difc.training.grid import Step
from pa_difc.training.outcome import Failure, Outcome
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util.durations import duration, time_left

#: As long as a cell's name usually is, and that of one with the longest of the default methods.
NAME, LONG_NAME = "mean_teacher · di · se", "source_only · difc · seed 0"


def record(accuracy=0.393, recall=0.3471, frequent=0.3469, faces=1000):
    right = round(accuracy * faces)
    target = {"accuracy": accuracy, "macro_recall": recall, "macro_recall_20": frequent}
    target["confusion"] = [[right, faces - right], [0, 0]]
    return {"scores": {"target": target}, "seconds": {"training": 35.0}}


def unlabelled(**more):
    return {
        "scores": {"unlabelled_target": {"predicted": [3, 0, 9, 1, 1, 1, 1]}, **more},
        "labels": {"names": list("abcdefg")},
    }


@pytest.fixture
def terminal(monkeypatch):
    """Sets the width of a terminal that standard output goes to."""

    def set_width(columns):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(columns))

    return set_width


def test_recall_over_frequent_classes_is_told_where_it_differs_as_printed():
    assert str(in_brief(record())) == "accuracy 39.3%  mean recall 34.7%"
    assert str(in_brief(record(frequent=None))) == "accuracy 39.3%  mean recall 34.7%"
    assert str(in_brief(record(frequent=0.3466))) == "accuracy 39.3%  mean recall 34.7%"
    assert str(in_brief(record(frequent=0.348))) == "accuracy 39.3%  mean recall 34.7% (≥ 20 faces 34.8%)"
    assert str(in_brief(unlabelled(source={"macro_recall": 0.5}))) == "source recall 50.0%  classes 6 of 7"
    assert str(in_brief(unlabelled())) == "classes 6 of 7"


def test_of_fewer_than_500_faces_accuracy_has_its_interval(terminal):
    """Wilson's: 56 of 91 are right."""
    few, enough = record(56 / 91, 0.645, None, 91), record(0.5, 0.645, None, 500)
    assert str(in_brief(few)) == "accuracy 61.5% (51–71)  mean recall 64.5%"
    assert str(in_brief(enough)) == "accuracy 50.0%  mean recall 64.5%"
    assert str(in_brief(record(200 / 499, 0.645, None, 499))) == "accuracy 40.1% (36–44)  mean recall 64.5%"
    shown = []
    for width in (200, 80, 75, 71, 67):
        terminal(width)
        shown.append(done_line("1/9  dann · ce", in_brief(few), 35.0, "6 min left").removeprefix("1/9  dann · ce  "))
    assert shown == [
        "accuracy 61.5% (51–71)  mean recall 64.5%    35 s  6 min left",
        "accuracy 61.5% (51–71)  mean recall 64.5%    35 s  6 min left",
        "accuracy 61.5% (51–71)  mean recall 64.5%  6 min left",
        "accuracy 61.5% (51–71)  mean recall 64.5%  6 min left",
        "accuracy 61.5% (51–71)  recall 64.5%  6 min left",
    ]
    terminal(64)
    line = done_line("1/9  dann · ce", in_brief(few), 35.0, "6 min left")
    assert line == "1/9  dann · ce  accuracy 61.5%  mean recall 64.5%  6 min left"


def test_the_scores_of_one_run_have_the_interval_and_no_recall_of_one_class(capsys, tmp_path):
    scores = record(56 / 91, 0.645, None, 91)["scores"]["target"] | {"macro_f1": 0.6, "recall": [0.6, None]}
    one = {"labels": {"names": ["a", "b"]}, "settings": {"data": {"target": "t"}}}
    print_scores(one | {"scores": {"target": scores | {"collapsed": False}}}, tmp_path)
    said = capsys.readouterr().out.splitlines()[1]
    assert said.split("   ") == ["  accuracy 61.5% (51–71)", "mean recall 64.5%", "macro-F1 60.0%"]


@pytest.mark.parametrize("name", [NAME, LONG_NAME])
@pytest.mark.parametrize("seconds", [2, 99, 5900])
@pytest.mark.parametrize(
    "scores",
    [
        record(),
        record(frequent=0.36),
        record(accuracy=1.0, recall=1.0, frequent=0.36, faces=91),
        unlabelled(source={"macro_recall": 0.5}),
    ],
)
def test_a_line_fits_80_columns_with_its_score_and_the_time_left(name, seconds, scores, terminal):
    terminal(80)
    left = time_left(seconds)
    line = done_line(f"10/27  {name}", in_brief(scores), seconds, left)
    assert len(line) <= 79 and line.startswith(f"10/27  {name}  ") and line.endswith(f"  {left}")
    assert in_brief(scores).short in line


def test_what_a_narrower_terminal_leaves_out_first(terminal):
    scores = in_brief(record(frequent=0.36))
    shown = []
    for width in (200, 103, 82, 75, 60, 56, 30):
        terminal(width)
        shown.append(done_line(f"10/27  {NAME}", scores, 35.0, "6 min left").removeprefix(f"10/27  {NAME}  "))
    assert shown == [
        "accuracy 39.3%  mean recall 34.7% (≥ 20 faces 36.0%)    35 s  6 min left",
        "accuracy 39.3%  mean recall 34.7%    35 s  6 min left",
        "accuracy 39.3%  mean recall 34.7%  6 min left",
        "mean recall 34.7%  6 min left",
        "recall 34.7%  6 min left",
        "recall 34.7%",
        "recall 34.7%",
    ]


def test_all_lines_of_a_grid_leave_out_the_same(terminal):
    terminal(80)
    scores = in_brief(record())
    lines = [done_line(f"10/27  {NAME}", scores, 35.0, left) for left in ("12 min left", "5 s left", "")]
    assert {line.partition("34.7%")[0] for line in lines} == {f"10/27  {NAME}  accuracy 39.3%  mean recall "}
    assert not any(" 35 s" in line for line in lines)


def test_a_pipe_gets_whole_lines():
    line = done_line(f"10/27  {LONG_NAME}", in_brief(record(frequent=0.36)), 35.0, "6 min left")
    assert line.endswith("accuracy 39.3%  mean recall 34.7% (≥ 20 faces 36.0%)    35 s  6 min left")


def test_times_in_words():
    assert [duration(s) for s in (0.4, 99.4, 99.6, 720)] == ["0 s", "99 s", "2 min", "12 min"]
    assert time_left(360) == "6 min left"


class Silent:
    """A display whose time left is told."""

    def left(self, waiting):
        return f"{len(waiting)} s left"


def test_lines_count_finished_cells_in_whatever_order_they_come(tmp_path):
    """Of twelve cells the third, first and second finish first, one of them after its worker was killed."""
    cells = [Settings.of(method="dann", loss="ce", seed=seed) for seed in range(12)]
    grid = _Grid(cells, Expected(cells), tmp_path, None, in_brief)
    done, failed = Outcome(record=record()), Outcome(failure=Failure("dann · ce · seed 0: is nan", mendable=True))
    steps = [Step(2, done, 35.0, left=(3, 4)), Step(0, None, 1.0), Step(0, failed, 1.0), Step(1, done, 9.0)]
    lines = [line for step in steps for line in grid._lines(step, Silent())]
    assert lines == [
        " 1/12  dann · ce · seed 2   accuracy 39.3%  mean recall 34.7%    35 s  2 s left",
        "dann · ce · seed 0  its worker was killed; retrying",
        " 2/12  dann · ce · seed 0  failed",
        " 3/12  dann · ce · seed 1   accuracy 39.3%  mean recall 34.7%     9 s  0 s left",
    ]
    assert [(name, failure.reason) for name, failure in grid.failures] == [("dann · ce · seed 0", "is nan")]


def test_cells_that_have_a_record_are_kept_and_nothing_is_started_for_them(
    tmp_path, source, target, capsys, monkeypatch
):
    """A damaged record is its cell's failure, as if it were trained."""
    cells = [resolve(Settings.of(method="source_only", loss=loss, crop_px=32, epochs=1)) for loss in ("ce", "di")]
    shown = lambda: [line.split("  ")[1:] for line in capsys.readouterr().out.splitlines() if "/2" in line]  # noqa: E731
    first, _ = run_grid(cells[:1], source, target, tmp_path)
    capsys.readouterr()
    both, failures = run_grid(cells, source, target, tmp_path)
    lines = shown()
    assert both[0] == first[0] and not failures
    assert [line[0].strip() for line in lines] == ["source_only · ce", "source_only · di"]
    assert lines[0][-1].strip() == "kept" and lines[1][-1].endswith(" s")
    monkeypatch.setattr("pa_difc.commands.grid.here", None)
    monkeypatch.setattr("pa_difc.commands.grid.jobs_for", None)
    assert run_grid(cells, source, target, tmp_path) == (both, [])
    assert [line[-1].strip() for line in shown()] == ["kept", "kept"]
    monkeypatch.undo()
    damaged = next(tmp_path.glob("runs/source_only-di-*/record.json"))
    damaged.write_text(damaged.read_text()[:-40])
    (kept,), ((name, failure),) = run_grid(cells, source, target, tmp_path)
    assert kept == first[0] and name == "source_only · di" and str(damaged) in failure.reason
