"""``pa-difc errors``: pages of runs whose truth is known, read as a browser and a spreadsheet would."""

import csv
import json
import os
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from chromium import NEEDED, Chromium
from made import picture
from made_models import untrained
from records import SEVEN, flat_scores, outputs, record, write

from pa_difc.commands.parser import main
from pa_difc.data.labels import EXPRESSIONS
from pa_difc.data.loading import load_domain
from pa_difc.deploy.model import save_model
from pa_difc.report.reviewed import Reviewed
from pa_difc.report.words import lead
from pa_difc.util.errors import UserError

K = len(SEVEN)
HOSTILE = ['"><script>alert(1)<', "=HYPERLINK(A1).png", "two\nlines.png", "'><img src=x onerror=alert(1)>.png"]


class Page(HTMLParser):
    """A page as a browser sees it: its tags and its text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self._silent = [], "", False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._silent = tag == "style"

    def handle_data(self, data):
        self.text += "" if self._silent else data + " "

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def faces(root, names):
    for i, name in enumerate(names):
        picture(root / name, seed=i)


def folder_set(root, per_class=8):
    """Class folders: (labels of the test split in its order)."""
    for split in ("train", "test"):
        faces(root / "street", [f"{split}/{name}/{split}{i}.png" for name in SEVEN for i in range(per_class)])
    return load_domain("folder:street", root, size_px=32)


def run_of(tmp_path, domain, probs, target, loss="ce", seed=0, **more):
    """A run's folder, of a model that said this."""
    labels = domain.test.labels
    scores = {"source": flat_scores(K, 0.5)}
    if domain.labelled:
        scores["target"] = flat_scores(K, 0.5)
    else:
        scores["unlabelled_target"] = {"predicted": [1] * K, "collapsed": False}
    made = record("mcd", loss, seed, target=target, scores=scores, data={"root": str(tmp_path / "data")}, **more)
    made["data"]["target"]["test_fingerprint"] = domain.test.fingerprint
    made["data"]["target"]["transductive"] = domain.transductive
    arrays = outputs(np.maximum(labels, 0), probs)
    arrays["target_labels"] = labels.astype(np.int16)
    return write(tmp_path / "out", made, arrays)


def some_probs(n, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(K, 0.4), n).astype(np.float32)


def table_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def labelled(tmp_path):
    """A run on class folders: (its folder, the domain, its probabilities)."""
    domain = folder_set(tmp_path / "data")
    probs = some_probs(len(domain.test))
    probs[:20] = 0.1 * probs[:20] + 0.9 * np.eye(K)[domain.test.labels[:20]]
    return run_of(tmp_path, domain, probs, "folder:street"), domain, probs


@pytest.fixture
def unlabelled(tmp_path):
    """Three cells on images that nobody labelled, one with two seeds: (folders, the domain, their probabilities)."""
    faces(tmp_path / "data" / "loose", [f"happy/{i}.png" for i in range(30)])
    domain = load_domain("images:loose", tmp_path / "data", size_px=32)
    probs = [some_probs(30, seed) for seed in range(4)]
    cells = [("ce", 0), ("ce", 1), ("di", 0), ("difc", 0)]
    runs = [run_of(tmp_path, domain, p, "images:loose", *cell) for p, cell in zip(probs, cells, strict=True)]
    return runs, domain, probs


def test_a_budget_in_which_all_faces_were_scored_left_none_out(unlabelled, capsys):
    run = unlabelled[0][0]
    kept = json.loads((run / "record.json").read_text())
    kept["data"]["target"]["part_of"] = {"train": 90, "test": 30}
    (run / "record.json").write_text(json.dumps(kept))
    assert main(["errors", str(run)]) == 0
    assert "time budget" not in capsys.readouterr().out + Page(run / "errors" / "errors.html").text


@pytest.mark.parametrize(
    ("ages", "said"),
    [
        ([3] * 56, "There is one group: nothing to compare."),
        (range(56), "no gap is reported. Its values are numbers: write ranges instead, such as 20–29."),
        ([f"camera {i}" for i in range(56)], "Fewer than two groups have 20 faces: no gap is reported."),
        (["a"] * 24 + ["b"] * 32, "No class occurs in all groups with at least 20 faces"),
    ],
)
def test_why_there_is_no_gap_is_said(labelled, tmp_path, ages, said):
    run, domain, _ = labelled
    names = sorted(domain.test.names, key=lambda name: Path(name).parent.name)  # a class after the other
    groups = tmp_path / "groups.csv"
    groups.write_text("image,age\n" + "\n".join(f"{n},{age}" for n, age in zip(names, ages, strict=True)))
    assert main(["errors", str(run), "--groups", str(groups)]) == 0
    assert said in Page(run / "errors" / "errors.html").text


def test_predictions_are_those_of_the_run_with_their_faces(labelled):
    run, domain, probs = labelled
    assert main(["errors", str(run)]) == 0
    rows = table_of(run / "errors" / "predictions.csv")
    assert list(rows[0]) == ["path", "true", "predicted", "confidence", *(f"p_{name}" for name in SEVEN)]
    assert len(rows) == len(probs) == 56
    for row, name, p in zip(rows, domain.test.names, probs.tolist(), strict=True):
        assert row["path"] == name and row["true"] == Path(name).parent.name  # the folder is the label
        assert row["predicted"] == SEVEN[p.index(max(p))] and np.float32(row["confidence"]) == np.float32(max(p))
        assert [np.float32(row[f"p_{c}"]) for c in SEVEN] == np.array(p, np.float32).tolist()


def test_the_page_says_what_is_mixed_up(labelled):
    run, domain, probs = labelled
    main(["errors", str(run)])
    page = Page(run / "errors" / "errors.html")
    said, pairs = probs.argmax(axis=1).tolist(), {}
    for true, predicted in zip(domain.test.labels.tolist(), said, strict=True):
        if true != predicted:
            pairs[true, predicted] = pairs.get((true, predicted), 0) + 1
    wrong = sum(pairs.values())
    ((true, predicted), most), second = sorted(pairs.items(), key=lambda item: -item[1])[:2]
    assert most > second[1]
    assert f"Of 56 faces {wrong / 56:.0%} are wrong ({wrong};" in page.text
    assert f"{most / wrong:.0%} of all errors are {SEVEN[true]} → {SEVEN[predicted]}" in page.text
    assert "were read for this page, after training" in page.text and "oracle" in page.text
    titles = [image["title"] for image in page.all("img")]
    surest = max((i for i in range(56) if said[i] != domain.test.labels[i]), key=lambda i: probs[i].max())
    assert domain.test.names[surest] in titles and set(titles) <= set(domain.test.names)


def test_a_run_without_an_error_says_so(tmp_path):
    domain = folder_set(tmp_path / "data", per_class=2)
    run = run_of(tmp_path, domain, np.eye(K, dtype=np.float32)[domain.test.labels], "folder:street")
    main(["errors", str(run)])
    page = Page(run / "errors" / "errors.html")
    assert "All 14 faces are right (95% interval 78 to 100%)." in page.text and not page.all("img")


def test_a_face_that_is_shown_is_the_one_that_is_named(labelled):
    """Pictures are noise: each correlates with itself alone."""
    import base64
    import io

    from PIL import Image

    run, domain, _ = labelled
    main(["errors", str(run)])
    for image in Page(run / "errors" / "errors.html").all("img")[:12]:
        data = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
        shown = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(float).ravel()
        alike = [np.corrcoef(shown, domain.test.image(i)[0].astype(float).ravel())[0, 1] for i in range(56)]
        assert domain.test.names[int(np.argmax(alike))] == image["title"]


def test_a_target_without_labels_has_a_page_without_any(unlabelled):
    runs, domain, probs = unlabelled
    assert main(["errors", str(runs[3])]) == 0
    rows = table_of(runs[3] / "errors" / "predictions.csv")
    assert "true" not in rows[0] and len(rows) == 30
    page = Page(runs[3] / "errors" / "errors.html")
    assert "No label was read" in page.text and "oracle" not in page.text
    assert not any(word in page.text for word in ("wrong", "accuracy", "recall", "errors are"))
    order = sorted(range(30), key=lambda i: float(probs[3][i].max()))
    assert [image["title"] for image in page.all("img")][:24] == [domain.test.names[i] for i in order[:24]]


def test_cells_disagree_where_they_do_on_the_mean_of_their_seeds(unlabelled, capsys):
    runs, domain, probs = unlabelled
    main(["errors", str(runs[3])])
    rows = table_of(runs[3] / "errors" / "predictions.csv")

    def kl(p, q):
        return sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a)

    first, second, *others = (p.astype(float) for p in probs)
    cells = [(first + second) / 2, *others]
    for i, row in enumerate(rows):
        mean = sum(p[i] for p in cells) / 3
        expected = sum(kl(p[i], mean) for p in cells) / 3
        assert float(row["disagreement"]) == pytest.approx(expected, abs=2e-6)
    page = Page(runs[3] / "errors" / "errors.html")
    (runs[0] / "outputs.npz").rename(runs[0] / "whole.npz")
    (runs[0] / "outputs.npz").write_bytes(b"half")
    assert main(["errors", str(runs[3]), "--out", str(runs[3] / "without")]) == 0
    without = Page(runs[3] / "without" / "errors.html").text
    assert "3 cells" in without and f"was counted without {runs[0].name}, of which" in without
    for other in runs[1:3]:
        (other / "outputs.npz").rename(other / "whole.npz")
    assert main(["errors", str(runs[3]), "--out", str(runs[3] / "alone")]) == 0
    alone = Page(runs[3] / "alone" / "errors.html").text
    assert f"Where cells disagree is not known for want of {runs[0].name}, " in alone and "was counted" not in alone
    for other in runs[1:3]:
        (other / "whole.npz").rename(other / "outputs.npz")
    said = " ".join(capsys.readouterr().out.split())
    assert said.count(f"was counted without {runs[0].name}, of which no readable predictions are left.") == 1
    (runs[0] / "whole.npz").replace(runs[0] / "outputs.npz")
    same = sum(len({int(p[i].argmax()) for p in cells}) == 1 for i in range(30))
    assert same != sum(len({int(p[i].argmax()) for p in probs}) == 1 for i in range(30))  # seeds alone do not disagree
    assert "counted without" not in page.text
    assert f"On {30 - same} faces" in page.text and "3 cells" in page.text
    worst = max(range(30), key=lambda i: float(rows[i]["disagreement"]))
    assert page.all("img")[24]["title"] == domain.test.names[worst]


opened: list[str] | None = None


def _note(event, args):
    if opened is not None and event == "open" and isinstance(args[0], str | bytes):
        opened.append(os.fsdecode(args[0]))


sys.addaudithook(_note)  # of which no one can be taken away again


def test_nothing_but_the_images_and_the_runs_is_opened(unlabelled, tmp_path):
    global opened
    runs, *_ = unlabelled
    (tmp_path / "data" / "legend.csv").write_text("image,emotion\nhappy/1.png,fear\n")
    (tmp_path / "data" / "labels.csv").write_text("image,emotion\nhappy/1.png,fear\n")
    opened = []
    try:
        main(["errors", str(runs[0])])
        found = {path for path in opened if path.startswith(str(tmp_path))}
    finally:
        opened = None
    inside = [Path(path) for path in found if "/errors/" not in path and Path(path).is_file()]
    assert {path.suffix for path in inside} == {".png", ".json", ".npz"} and len(inside) > 30


def test_groups_need_labels(unlabelled, tmp_path):
    (tmp_path / "people.csv").write_text("image,age\nhappy/1.png,old\n")
    with pytest.raises(UserError, match="images:loose has no labels to count recall by"):
        main(["errors", str(unlabelled[0][0]), "--groups", str(tmp_path / "people.csv")])


def test_recall_by_group_stands_on_the_page_and_in_a_table(labelled, tmp_path):
    run, domain, probs = labelled
    groups = ["odd" if i % 2 else "even" for i in range(56)]
    rows = [
        f"{name};{group};{'=1+1' if i < 3 else 'Nikon'}"
        for i, (name, group) in enumerate(zip(domain.test.names, groups, strict=True))
    ]
    rows[7] = "test/happy/none.png;odd;"
    (tmp_path / "people.csv").write_text("\n".join(["image;parity;camera", *rows, f"{domain.train.names[0]};odd;"]))
    main(["errors", str(run), "--groups", str(tmp_path / "people.csv")])
    found = {(row["column"], row["group"]): row for row in table_of(run / "errors" / "groups.csv")}
    assert set(found) == {("parity", "even"), ("parity", "odd"), ("camera", r"\x3d1+1"), ("camera", "Nikon")}
    right = probs.argmax(axis=1) == domain.test.labels
    for group in ("even", "odd"):
        members = [i for i in range(56) if groups[i] == group and i != 7]
        row = found["parity", group]
        assert int(row["faces"]) == len(members) and int(row["right"]) == sum(right[members])
        assert float(row["accuracy"]) == pytest.approx(right[members].mean(), abs=1e-6)
        recalls = []
        for k, name in enumerate(SEVEN):
            mine = [i for i in members if domain.test.labels[i] == k]
            assert int(row[f"faces_{name}"]) == len(mine)
            recalls.append(right[mine].mean())
            assert float(row[f"recall_{name}"]) == pytest.approx(recalls[-1], abs=1e-6)
        assert row["mean_recall_classes"].count(",") == 6
        assert float(row["mean_recall"]) == pytest.approx(np.mean(recalls), abs=1e-6)
        assert float(row["mean_recall_low"]) < np.mean(recalls) < float(row["mean_recall_high"])
    text = Page(run / "errors" / "errors.html").text
    assert "Not in the dataset: 1 image of people.csv" in text and "Without parity: 1 of 56 faces." in text
    assert "Training faces, which are not scored here: 1 image" in text and "=1+1 †" in text
    assert "By parity, mean recall is" in text and "By camera" not in text  # of which one group is too small


def test_names_from_outside_are_text(tmp_path):
    """Classes and files that would be tags, formulas or lines of their own."""
    names = [*HOSTILE[1:], os.fsdecode(b"caf\xe9.png"), *(f"{i}.png" for i in range(8))]
    for i, name in enumerate(names):
        path = picture(tmp_path / "data" / "loose" / "new.png", seed=i)
        path.rename(tmp_path / "data" / "loose" / name)
    domain = load_domain("images:loose", tmp_path / "data", size_px=32)
    classes = [HOSTILE[0], "=1+1", *SEVEN[2:]]
    run = run_of(tmp_path, domain, some_probs(len(names)), "images:loose", names=classes)
    main(["errors", str(run)])
    page = Page(run / "errors" / "errors.html")
    assert not page.all("script") and not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert HOSTILE[0] in page.text and {HOSTILE[1], HOSTILE[3]} <= {image["title"] for image in page.all("img")}
    rows = table_of(run / "errors" / "predictions.csv")
    assert len(rows) == len(names)
    assert {r"\x3dHYPERLINK(A1).png", "two\nlines.png", "'><img src=x onerror=alert(1)>.png", "caf\\xe9.png"} <= {
        row["path"] for row in rows
    }
    assert all(cell[0] not in "=+-@\t\r" for row in rows for cell in (*row, *row.values()) if cell)


def test_the_page_needs_no_network_and_may_not_use_it(labelled):
    run, *_ = labelled
    main(["errors", str(run)])
    page = Page(run / "errors" / "errors.html")
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy and "img-src data:" in policy
    assert not page.all("link") and not page.all("script") and not page.all("iframe")
    assert {link["href"] for link in page.all("a") if link["href"][0] != "#"} == {"predictions.csv"}
    assert "//" not in "".join(v or "" for _, attrs in page.tags for k, v in attrs.items() if k != "src" and v)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("errors.html", "<h1>mine</h1>"),
        ("predictions.csv", "id,label\n1,happy\n"),
        ("predictions.csv", "path,true,predicted,confidence,p_happy,camera\na.png,sad,sad,1,1,Nikon\n"),
        ("groups.csv", "a,b\n"),
    ],
)
def test_no_file_of_somebody_else_is_written_over(labelled, name, text):
    run, *_ = labelled
    (run / "errors").mkdir()
    (run / "errors" / name).write_text(text)
    with pytest.raises(UserError, match=f"{name} was not written by this command"):
        main(["errors", str(run)])
    assert (run / "errors" / name).read_text() == text and len(list((run / "errors").iterdir())) == 1


def test_nothing_is_written_through_a_link(labelled, tmp_path):
    run, *_ = labelled
    (run / "errors").mkdir()
    (run / "errors" / "predictions.csv").symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(UserError, match="is a link"):
        main(["errors", str(run)])


def test_its_own_files_are_written_again(labelled, tmp_path):
    run, *_ = labelled
    main(["errors", str(run), "--out", str(tmp_path / "page")])
    before = {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()}
    main(["errors", str(run), "--out", str(tmp_path / "page")])
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()}
    assert set(before) == {"errors.html", "predictions.csv"} and not (run / "errors").exists()


def test_other_data_is_refused(labelled, tmp_path):
    run, domain, _ = labelled
    picture(tmp_path / "data" / "street" / domain.test.names[3], seed=99)  # one other picture in the place of one
    with pytest.raises(UserError, match=r"is not the data that .* was scored on"):
        main(["errors", str(run)])
    with pytest.raises(UserError, match="no folder"):
        main(["errors", str(run), "--data-root", str(tmp_path / "nowhere")])


def test_a_folder_of_runs_has_a_page_for_each(unlabelled, tmp_path, capsys):
    runs, *_ = unlabelled
    assert main(["errors", str(tmp_path / "out")]) == 0
    assert all((run / "errors" / "errors.html").exists() for run in runs)
    assert capsys.readouterr().out.count("written: ") == 4
    with pytest.raises(UserError, match="there are 4 runs"):
        main(["errors", str(tmp_path / "out"), "--out", str(tmp_path / "page")])


def test_what_it_says_is_wrapped_on_a_terminal(labelled, monkeypatch, capsys):
    assert main(["errors", str(labelled[0])]) == 0
    piped = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "70")
    assert main(["errors", str(labelled[0])]) == 0
    out = capsys.readouterr().out
    said, files = out.split("written: ")
    assert max(map(len, said.splitlines())) < 70 and files.count("\n") == 1
    assert out.split() == piped.split() and max(map(len, piped.split("written: ")[0].splitlines())) > 70


def test_the_run_that_was_exported_comes_first_and_says_so(unlabelled, tmp_path, capsys):
    runs, *_ = unlabelled
    model = untrained(EXPRESSIONS)
    model.settings["run"] = json.loads((runs[2] / "record.json").read_text())["key"]
    save_model(model, tmp_path / "out" / "model")
    for given, number in (("out", 4), ("out/model", 1)):
        assert main(["errors", str(tmp_path / given)]) == 0
        said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mcd + ")]
        marked = [line.endswith(f"{runs[2].name}: the run of the exported model") for line in said]
        assert marked == [True] + [False] * (number - 1)
        pages = [Page(run / "errors" / "errors.html").text for run in runs]
        assert ["the run of the exported model" in text for text in pages] == [False, False, True, False]


def test_what_has_no_predictions_says_so(unlabelled, tmp_path):
    runs, *_ = unlabelled
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").touch()
    with pytest.raises(UserError, match="is an exported model, which keeps no predictions: give the folder of its run"):
        main(["errors", str(tmp_path / "model")])
    (runs[0] / "outputs.npz").unlink()
    with pytest.raises(UserError, match=r"outputs.npz is gone"):
        main(["errors", str(runs[0])])
    assert main(["errors", str(runs[2])]) == 0  # of the other cells those that have theirs are compared
    assert "3 cells" in Page(runs[2] / "errors" / "errors.html").text


def test_a_run_on_frozen_features_shows_its_faces(data_root, tmp_path):
    """Predictions are of features; names and pictures are those of the faces."""
    out = tmp_path / "out"
    train = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", str(data_root), "--out", str(out)]
    train += ["--methods", "source_only", "--losses", "ce", "di", "--features", "frozen", "--epochs", "1"]
    assert main(["compare", *train, "--set", "crop_px=32", "batch_size=16"]) == 0
    runs = sorted((out / "runs").iterdir())
    assert main(["errors", str(runs[0])]) == 0
    rows = table_of(runs[0] / "errors" / "predictions.csv")
    domain = load_domain("folder:dim", data_root, size_px=32)
    assert [row["path"] for row in rows] == list(domain.test.names) and "disagreement" in rows[0]
    with np.load(runs[0] / "outputs.npz") as kept:
        assert [row["predicted"] for row in rows] == [SEVEN[k] for k in kept["target_probs"].argmax(axis=1)]
    assert "2 cells" in Page(runs[0] / "errors" / "errors.html").text


@pytest.mark.parametrize(
    ("confident", "said"),
    [
        (0, "All 4 faces without labels are predicted with less than 50% confidence."),
        (1, "Of 4 faces without labels 75% are predicted with less than 50% confidence."),
        (4, "None of 4 faces without labels are predicted with less than 50% confidence."),
    ],
)
def test_all_faces_are_all_and_none_are_none(confident, said):
    probs = np.full((4, 4), 0.25)
    probs[:confident] = [0.7, 0.1, 0.1, 0.1]
    assert lead(Reviewed("m", "a", "t", "abcd", None, None, probs))[0] == said


def counted(right_of):
    """Predictions by class as (right, all); the wrong ones are said to be the next class."""
    labels, said = [], []
    for k, (right, n) in enumerate(right_of.values()):
        labels += [k] * n
        said += [k] * right + [(k + 1) % len(right_of)] * (n - right)
    probs = np.full((len(labels), len(right_of)), 0.1)
    probs[np.arange(len(labels)), said] = 0.8
    return Reviewed("m", "a", "t", tuple(right_of), None, np.array(labels), probs)


@pytest.mark.parametrize(
    ("right_of", "said"),
    [
        (
            {"anger": (2, 11), "fear": (4, 18), "sad": (10, 20), "happy": (200, 230)},
            "anger is right least often: 2 of 11 (95% interval 5 to 48%); of classes with at least 20 faces, "
            "sad: 10 of 20.",
        ),
        (  # happy alone is the best and the worst of those with 20 faces
            {"anger": (6, 11), "fear": (3, 13), "sad": (10, 19), "happy": (22, 28)},
            "fear is right least often: 3 of 13 (95% interval 8 to 50%).",
        ),
        (
            {"anger": (1, 11), "sad": (10, 20), "neutral": (20, 40), "happy": (200, 230)},
            "anger is right least often: 1 of 11 (95% interval 2 to 38%); of classes with at least 20 faces, "
            "neutral: 20 of 40 and sad: 10 of 20.",
        ),
        ({"anger": (9, 11), "sad": (10, 20), "happy": (200, 230)}, "sad is right least often: 10 of 20."),
        (
            {"anger": (0, 3), "fear": (0, 25), "happy": (1, 60)},
            "fear and anger are right least often: 0 of 25 and 0 of 3 (95% interval 0 to 56%).",
        ),
        ({"anger": (2, 4), "fear": (1, 4)}, "fear is right least often: 1 of 4 (95% interval 5 to 70%)."),
        (dict.fromkeys("abcd", (0, 2)) | {"e": (30, 60)}, "a, b, c and d are right least often: 0 of 2 (95%"),
        (dict.fromkeys("abcde", (0, 2)) | {"f": (30, 60)}, "a, b, c and 2 others are right least often"),
        ({"anger": (9, 11), "sad": (10, 40)}, None),  # what the sentence on pairs says already
    ],
)
def test_the_classes_that_are_right_least_often_are_named_however_rare(right_of, said):
    found = [sentence for sentence in lead(counted(right_of)) if "least often" in sentence]
    assert len(found) == (said is not None) and all(sentence.startswith(said) for sentence in found)


@pytest.mark.parametrize(
    ("right_of", "said"),
    [
        ({"happy": (4, 12), "sad": (0, 0)}, "All of them are happy: of the other classes nothing is known."),
        ({"happy": (6, 12), "sad": (6, 11)}, "Always saying happy would be right as often or more often, for 52% of"),
        ({"happy": (7, 12), "sad": (6, 11)}, None),
    ],
)
def test_a_run_that_is_no_better_than_one_word_is_said_to_be(right_of, said):
    found = lead(counted(right_of))
    assert (said is None) == (not any(line.startswith(("All of them", "Always saying")) for line in found))
    assert said is None or found[1].startswith(said)
    assert any("least often" in line for line in found) <= all(n for _, n in right_of.values())


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ({"fear": 9, "sad": 4, "anger": 4}, "53% of all errors are fear → sad: 36% of the fear faces are predicted as"),
        (
            {"fear": 4, "sad": 4, "anger": 4},
            "fear → sad, sad → anger and anger → happy are the most frequent errors, 4 faces each.",
        ),
        ({"fear": 3, "sad": 1, "anger": 3}, "fear → sad and anger → happy are the most frequent errors, 3 faces each."),
        ({"fear": 1, "sad": 1}, "fear → sad and sad → anger are the most frequent errors, 1 face each."),
        (
            {"fear": 4, "sad": 4, "anger": 4, "happy": 4},
            "No error stands out: the most frequent, 4 pairs of classes, have 4 faces each.",
        ),
    ],
)
def test_errors_that_are_equally_frequent_are_all_named(errors, said):
    """Of 25 faces of each class; each is taken for the next class."""
    found = counted({name: (25 - errors.get(name, 0), 25) for name in ("fear", "sad", "anger", "happy")})
    assert lead(found)[1].startswith(said)


@pytest.mark.parametrize("what", ["record", "outputs", "data"])
def test_one_damaged_run_costs_no_other_its_page(what, unlabelled, tmp_path, capsys):
    runs, *_ = unlabelled
    if what == "record":
        (runs[1] / "record.json").write_text("{")
    elif what == "outputs":
        (runs[1] / "outputs.npz").write_bytes(b"no arrays")
    else:  # its faces were others
        changed = json.loads((runs[1] / "record.json").read_text())

        changed["data"]["target"]["test_fingerprint"] = "0"
        (runs[1] / "record.json").write_text(json.dumps(changed))
    for given in ([tmp_path / "out"], runs):
        assert main(["errors", *map(str, given)]) == 0
        said = capsys.readouterr().out
        (line,) = [line for line in said.splitlines() if line.startswith("left out: ")]
        assert str(runs[1].name) in line and said.count("written: ") == 3
        assert [(run / "errors" / "errors.html").exists() for run in runs] == [True, False, True, True]
    with pytest.raises(UserError, match=runs[1].name):  # alone it is an error
        main(["errors", str(runs[1])])


@NEEDED
def test_the_page_fits_a_phone_and_a_desktop(labelled, tmp_path):
    """Numbers first; wide tables scroll in their own frame, and no picture moves what is below it when it is drawn."""
    run, domain, _ = labelled
    groups = [f"{name},{('under 30', 'over 60 years of age')[i % 2]}" for i, name in enumerate(domain.test.names)]
    (tmp_path / "people.csv").write_text("\n".join(["image,age", *groups]))
    main(["errors", str(run), "--groups", str(tmp_path / "people.csv")])
    overhang = "[...document.querySelectorAll('.scroll')].map(s => [s.ariaLabel, s.scrollWidth - s.clientWidth])"
    low = "[...document.querySelectorAll('figure img')].filter(i => i.clientHeight < 0.9 * i.clientWidth).length"
    with Chromium() as tab:
        for width in (390, 1280):
            tab.show(run / "errors" / "errors.html", width)
            assert tab.run("document.documentElement.scrollWidth") <= width
            assert 0 < tab.run("document.querySelector('.lead b').getBoundingClientRect().bottom") < 300
            beyond = dict(tab.run(overhang))
            assert set(beyond) == {"All pairs", "How sure", "age"} and beyond["How sure"] <= 0
            assert width == 390 or max(beyond.values()) <= 0
            assert tab.run("document.images.length") > 20 and tab.run(low) == 0
            assert tab.complaints() == []
