"""Pages of several pairs: each pair has a folder of its own, the same whatever else is there, on any file system."""

import itertools
import unicodedata

import pytest
from records import record, write

from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.paths import page_folder

PAIRS = [
    ("folder:a/b", "t"), ("folder:a_b", "t"), ("folder:a b", "t"), ("folder:A_B", "t"), ("folder:a-b", "t"),
    ("folder_a_b", "t"), ("a", "b_to_c"), ("a_to_b", "c"), ("a", "b"), ("A", "b"), ("a", "B"), ("b", "a"),
    ("a:b", "c"), ("a", "b:c"), ("a_b", "c"), ("a", "b_c"), ("folder:é", "t"), ("folder:e\u0301", "t"),
    ("x" * 200, "t"), ("x" * 199 + "y", "t"), ("folder:表情" * 40, "t"), ("folder:表情" * 40 + "の", "t"),
    ("folder:\udce9", "t"), ("folder:\udce8", "t"), ("???", "t"), ("!!!", "t"), ("..", ".."),
    ("a\nb", "c"), ("a", "b\nc"),
]  # fmt: skip


def as_a_file_system_sees_it(name):
    """The widest of what file systems take for one name: case and composed letters do not count."""
    return unicodedata.normalize("NFC", name).casefold()


def test_no_two_pairs_share_a_folder():
    names = {pair: as_a_file_system_sees_it(page_folder(*pair)) for pair in PAIRS}
    for one, other in itertools.combinations(PAIRS, 2):
        assert names[one] != names[other], (one, other)


@pytest.mark.parametrize("heading", ["", "epochs 8, lr 0.05", "max_margin -1", "x" * 300, "…"])
@pytest.mark.parametrize("pair", PAIRS)
def test_every_file_system_can_hold_it(pair, heading):
    name = page_folder(*pair, heading)
    assert len(name.encode()) < 255 and not set(name) & set('/\\:*?"<>|~ \n') and name.strip(".") == name
    assert (name == page_folder(*pair)) == (not heading)


def test_headings_are_told_apart_and_from_pairs():
    names = [page_folder("a", "b", heading) for heading in ("max_margin 1", "max_margin -1", "Max_margin 1", "")]
    assert len({name.lower() for name in names}) == 4
    assert page_folder("a", "b", "epochs 8") != page_folder("a", "b__epochs_8")


def test_plain_names_stay_readable():
    assert page_folder("toy_studio", "toy_street") == "toy-studio-to-toy-street"
    assert page_folder("folder:faces", "images:loose") == "folder.faces-to-images.loose"
    assert page_folder("raf_db", "sfew", "epochs 8, lr 0.05") == "raf-db-to-sfew--epochs-8-lr-0-05"


def test_pages_of_such_names_and_the_links_to_them(tmp_path):
    """A pair's page lies where it did after others were trained, and shows its own numbers."""
    sources = ["folder:a/b", "folder:a_b", "folder:A_b", "folder:plain"]
    written = {}
    for number, source in enumerate(sources):
        scores = {side: flat(0.1 * (number + 1)) for side in ("source", "target")}
        write(tmp_path / f"runs{number}", record("dann", "ce", source=source, scores=scores))
        if not number:
            continue
        pages = write_grid_report(tmp_path, tmp_path / "report")[1:]
        assert len({str(page).lower() for page in pages}) == number + 1
        written = {path: text for path, text in written.items() if path not in pages}
        assert not written  # what was there is still among the pages
        written = {page: page.read_text() for page in pages}
        for page in pages:
            (shown,) = [s for s in sources if f"<h1>{s} → fer2013</h1>" in written[page]]
            assert f"{10 * (sources.index(shown) + 1):.1f} %" in written[page]
    overview = (tmp_path / "report" / "report.html").read_text()
    for page in written:
        assert f"href='{page.relative_to(tmp_path / 'report').as_posix()}'" in overview


def flat(recall):
    confusion = [[0] * 7 for _ in range(7)]
    for k in range(7):
        confusion[k][k], confusion[k][(k + 1) % 7] = round(100 * recall), 100 - round(100 * recall)
    same = dict.fromkeys(("accuracy", "macro_recall", "macro_f1", "macro_recall_20"), recall)
    return {**same, "recall": [recall] * 7, "confusion": confusion, "collapsed": False}
