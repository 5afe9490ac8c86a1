"""Pages in a browser: at several widths, in light and dark, on paper, and without scripts."""

import re

import numpy as np
import pytest
from chromium import NEEDED, Chromium
from matplotlib.figure import Figure as Drawn
from records import SEVEN, flat_scores, load_grids, outputs, record, write, write_many_classes

from pa_difc.report.drawing import COLORS
from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.interactive import chart, html_cells
from pa_difc.report.page import STYLE, html_page, html_table
from pa_difc.report.plane import SHAPES, Plane, Point, draw, plane_of
from pa_difc.report.selection import select
from pa_difc.report.shift_page import write_shift_report

HOSTILE = "</script><script>document.title='owned'</script>"

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:sklearn")


def grid_of(folder):
    (grid,) = load_grids(folder)
    return grid


@pytest.fixture(scope="module")
def tab():
    with Chromium() as tab:
        yield tab


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The pages of three methods and three losses on three classes; one method's name tries to break out."""
    folder = tmp_path_factory.mktemp("looks")
    write_many_classes(folder, 3, losses=("ce", "difc"), methods=("source_only", HOSTILE))
    scores = {"accuracy": 0.4, "macro_recall": 0.5, "macro_f1": 0.4, "recall": [0.5] * 3, "macro_recall_20": 0.5}
    scores |= {"confusion": np.eye(3, dtype=int).tolist(), "collapsed": False}
    labels = np.arange(60) % 3
    both, counts = {"source": scores, "target": scores}, {"train_counts": [400, 203, 136], "test_counts": [20] * 3}
    bar = record("as_is", "ce", names=SEVEN[:3], scores=both, counts=counts)
    write(folder, bar, outputs(labels, np.eye(3)[labels]))
    write_grid_report(folder, folder / "out")
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return folder / "out" / "report.html"


def test_a_page_is_one_file_that_may_load_nothing(page):
    text = page.read_text()
    assert not re.search(r"<(script|img|link|iframe)[^>]*\b(src|href)='?\"?(?!data:)", text)
    assert not re.search(r"url\((?!#)", text) and "@import" not in text
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; ") and "http" not in policy and "'unsafe-inline'; script" in policy
    assert "unsafe" not in re.search(r"script-src ([^;]*)", policy)[1].replace("'unsafe-eval'", "")
    assert page.stat().st_size < 2.5e6


def test_every_place_that_a_page_refers_to_is_there(page):
    text = page.read_text()
    ids = re.findall(r"\bid='([^']*)'", text)
    links = re.findall(r"href='#([^']*)'", text)
    assert len(links) >= 6 and set(links) <= set(ids) and len(set(ids)) == len(ids)


def test_a_page_without_a_picture_needs_no_compiler():
    assert "unsafe-eval" not in html_page("t", "<h2>a</h2>")


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    """WCAG 2.2, 1.4.3."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_in_light_and_dark():
    light, dark = (dict(re.findall(r"--(\w+): (#\w{6});", part)) for part in STYLE.split("@media screen", 1))
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for colors in (light, dark):
        assert set(colors) >= {"page", "ink", "muted", "link", "mark", "panel"}
        for name in ("ink", "muted", "link", "mark"):
            for ground in ("page", "panel"):
                assert contrast(colors[name], colors[ground]) >= 4.5, (name, ground)


def test_methods_have_colours_and_losses_shapes_however_many_there_are(tmp_path):
    for i in range(9):
        for j in range(10):
            value = 0.3 + 0.01 * i + 0.02 * j
            scores = {"accuracy": value, "macro_recall": value, "macro_f1": value, "recall": [value] * 7}
            scores |= {"confusion": np.eye(7, dtype=int).tolist(), "collapsed": False}
            write(tmp_path, record(f"m{i}", f"l{j}", scores={"source": scores, "target": scores}))
    plane = plane_of(grid_of(tmp_path), None)
    assert list(plane.colors) == [*(f"m{i}" for i in range(8, 2, -1)), "others"]  # the best have their own
    assert len(set(plane.colors.values())) == 7 and len(set(plane.shapes.values())) == 8
    assert set(plane.colors.values()) == set(COLORS) and set(plane.shapes.values()) == set(SHAPES)
    rows, _ = layers(plane)
    assert len(rows) == 90 and {row["method_key"] for row in rows if row["method"] in ("m0", "m1", "m2")} == {"others"}


def layers(plane):
    """The data of each layer of the picture."""
    spec = chart(plane).to_dict()
    return [spec["datasets"][layer["data"]["name"]] for layer in spec["layer"]]


def test_large_points_are_means_and_small_ones_seeds(folder):
    grid = grid_of(folder)
    rules, _, small, large, names = layers(plane_of(grid, None))
    runs = grid.of("source_only", "difc")
    values = [(100 * r.scores["macro_recall"], 100 * r.scores["accuracy"]) for r in runs.values()]

    def found(rows):
        return [(r["x"], r["y"]) for r in rows if (r["method"], r["loss"]) == ("source_only", "difc")]

    np.testing.assert_allclose(found(small), values)
    np.testing.assert_allclose(found(large), [np.mean(values, axis=0)])
    assert rules == [{"x": pytest.approx(50), "y": pytest.approx(40)}]  # as_is
    labels = {row["label"] for row in names}
    assert "as_is" in labels and any(label.startswith("source_only") for label in labels)
    assert sum("highest mean recall" in label for label in labels) == 1


def test_the_axes_of_both_pictures_span_enough_for_a_small_difference_to_look_small():
    """Differences of 0.002, and of 2 points; the values are centred, and a wide axis ends near its values."""
    for digits, step, least in ((3, 0.001, 0.05), (1, 1.0, 5.0)):
        points = [Point("mcd", loss, [0], [500 * step + i * step], [i * 100 * step]) for i, loss in enumerate("abc")]
        plane = Plane("t", "c", ("x", "y"), digits, points)
        np.testing.assert_allclose(plane.spans[0], (501 * step - least / 2, 501 * step + least / 2))
        np.testing.assert_allclose(plane.spans[1], (0, 200 * step))
        ax = Drawn().subplots()
        draw(ax, plane)
        for (low, high), (start, end) in zip(plane.spans, (ax.get_xlim(), ax.get_ylim()), strict=True):
            assert start < low < high < end and end - start < 1.3 * (high - low)
        spec = chart(plane).to_dict()["layer"][-1]["encoding"]
        np.testing.assert_allclose([spec[place]["scale"]["domain"] for place in "xy"], plane.spans)


def test_without_labels_the_picture_is_of_criteria(tmp_path):
    rng, labels = np.random.default_rng(0), np.full(60, -1)
    for i, loss in enumerate(("ce", "difc")):
        probs = rng.dirichlet(np.ones(3) * (1 + i), 60)
        arrays = outputs(np.arange(60) % 3, probs) | {"target_labels": labels.astype(np.int8)}
        counts = np.bincount(probs.argmax(1), minlength=3).tolist()
        scores = {"source": flat_scores(3, 0.5), "unlabelled_target": {"predicted": counts, "collapsed": False}}
        write(tmp_path, record("mcd", loss, names=SEVEN[:3], scores=scores), arrays)
    grid = grid_of(tmp_path)
    selection = select(grid)
    plane = plane_of(grid, selection)
    assert plane.axes == ("class_ami", "ensv") and "Neither is accuracy" in plane.caption
    assert [p.x for p in plane.points] == [[c.scores["class_ami"]] for c in selection.candidates]
    assert [p.label for p in plane.points if p.label] == [f"{selection.chosen.name} (chosen)"]
    text = html_cells(plane, "<svg></svg>")
    assert "accuracy (%)" not in text and "mean recall" not in text


def test_one_cell_has_no_picture(tmp_path):
    write(tmp_path, record("mcd", "ce"))
    assert plane_of(grid_of(tmp_path), None) is None


@NEEDED
@pytest.mark.parametrize("width", [390, 768, 1280, 1600])
def test_nothing_is_wider_than_the_window_and_nothing_complains(tab, page, width):
    tab.show(page, width)
    assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    assert tab.complaints() == [] and tab.asked() and all(url.startswith("file:") for url in tab.asked())
    assert tab.run("document.title") != "owned"


@NEEDED
def test_on_a_phone_numbers_are_in_sight_and_what_is_cut_says_so(tab, page):
    tab.show(page, 390, 844)
    first = "document.querySelector('table').tBodies[0].rows[0]"
    edges = tab.run(f"[...{first}.cells].map(c => [c.textContent, c.getBoundingClientRect().right])")
    assert [text for text, right in edges if right <= 390 and re.match(r"\d", text)][1:]  # at least two
    assert tab.run(f"{first}.getBoundingClientRect().top < 1000")  # before the picture
    cut = "[...document.querySelectorAll('.scroll')].filter(s => s.scrollWidth > s.clientWidth + 1)"
    assert tab.run(f"{cut}.length > 0 && {cut}.every(s => s.previousElementSibling.matches('.hint:not([hidden])'))")


@NEEDED
def test_contents_stay_in_sight(tab, page):
    for width, side in ((1280, "right"), (390, "bottom")):
        tab.show(page, width)
        tab.run("scrollTo(0, 1500)")
        box = tab.run("document.querySelector('.contents').getBoundingClientRect().toJSON()")
        assert box["top"] == 0 and 0 < box[side] < 300


@NEEDED
def test_the_picture_is_drawn_and_its_keys_single_out(tab, page):
    tab.show(page)
    drawn = "new Promise(done => { const look = () => document.documentElement.dataset.drawn ? done(true) : "
    assert tab.run(drawn + "setTimeout(look, 100); look(); })")
    points = "[...document.querySelectorAll('.plot .mark-symbol path')]"
    pale = f"{points}.filter(p => Number(p.getAttribute('opacity')) < 0.1).length"
    total = tab.run(f"{points}.length")
    assert total == 4 * 3 + 5 and tab.run(pale) == 0
    tab.run("document.querySelector(\".keys button[data-value='source_only']\").click()")
    assert tab.run(f"new Promise(done => setTimeout(() => done({pale}), 300))") == total - 2 * 4
    assert tab.run("getComputedStyle(document.querySelector('.still')).display") == "none"


@NEEDED
def test_without_scripts_all_is_there(tab, page):
    text = page.read_text()
    tab.show(page, scripts=False)
    path = page.with_name("without.png")
    tab.picture(path)
    assert path.stat().st_size > 20_000
    folded = re.findall(r"<details[^>]*>", text)
    assert len(folded) > 3 and all(" open" in tag for tag in folded)  # only a script folds
    body = re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.DOTALL)
    assert body.count("<table>") == text.count("<table>") > 5 and "class='still'" in body


@NEEDED
def test_on_paper_the_still_picture_stands_and_nothing_is_folded(tab, page):
    tab.show(page, media="print")
    shown = "getComputedStyle(document.querySelector('{}')).display"
    assert tab.run(shown.format(".still")) == "block" and tab.run(shown.format(".live")) == "none"
    assert tab.run(shown.format(".contents")) == "none"
    tab.run("window.dispatchEvent(new Event('beforeprint'))")
    assert tab.run("[...document.querySelectorAll('details')].every(d => d.open)")


@NEEDED
def test_a_table_sorts_filters_and_goes_back(tab, tmp_path):
    rows = [["name", "value"], *([f"row {i}", text] for i, text in enumerate(VALUES))]
    path = tmp_path / "t.html"
    path.write_text(html_page("t", html_table(rows, "t")), encoding="utf-8")
    tab.show(path)
    assert tab.complaints() == []
    values = "[...document.querySelectorAll('tbody tr:not([hidden]) td:last-child')].map(c => c.textContent)"
    press = "document.querySelectorAll('th button')[1].click()"
    said = "document.querySelectorAll('th')[1].getAttribute('aria-sort')"
    known = ["2,000", "1,200", "+53.9 ± 1.7", "17 : 1", "9.5", "0:05", "2 of 7", "0:01", "< 0.001", "-3.0", "-4.5"]
    known, first = ([text.replace("-", "−") for text in texts] for texts in (known, VALUES))
    for order, name in (([*known, "–", ""], "descending"), ([*known[::-1], "–", ""], "ascending"), (first, None)):
        tab.run(press)
        assert (tab.run(values), tab.run(said)) == (order, name)
    tab.run(
        "const i = document.querySelector('.filter input'); i.value = '1,2 ROW'; i.dispatchEvent(new Event('input'))"
    )
    assert tab.run(values) == [VALUES[1]] and tab.run("document.querySelector('output').textContent") == "1 of 13 rows"
    assert tab.run("document.querySelector('th button').tabIndex") == 0


@NEEDED
@pytest.mark.parametrize("width", [390, 1280])
def test_a_table_s_methods_stay_whole_words_and_its_heads_wrap(tab, tmp_path, width):
    """Nine columns with long heads fit a window of 1,280 pixels; names break at a joint, so into two lines at most."""
    head = ["method", "loss", "source recall", *["a head of four words"] * 5, "time"]
    rows = [[m, "difc", "52.1 (44–60)", *["0.123"] * 5, "1:23"] for m in ("mean_teacher", "mcc+mean_teacher")]
    path = tmp_path / "t.html"
    body = "<h2>a</h2>" + html_table([head, *rows], "t") + "<h2>b</h2>"
    path.write_text(html_page("t", body), encoding="utf-8")
    tab.show(path, width=width)
    box = "document.querySelector('.scroll')"
    assert width < 600 or tab.run(f"{box}.scrollWidth <= {box}.clientWidth")
    cells = "[...document.querySelectorAll('tbody td:first-child')]"
    assert tab.run(f"{cells}.map(c => c.textContent)") == ["mean_teacher", "mcc+mean_teacher"]
    lines = f"{cells}.map(c => {{const r = document.createRange(); r.selectNodeContents(c); "
    lines += "return new Set([...r.getClientRects()].filter(b => b.width).map(b => b.top)).size})"
    assert max(tab.run(lines)) <= 2


def test_labels_are_short_where_the_plot_is_narrow(folder):
    """A long label would cover the axis: it keeps what tells the point apart."""
    plane = plane_of(grid_of(folder), None)
    (best,) = [p for p in plane.points if "highest mean recall" in p.label]
    assert best.short == "highest mean recall" != best.label
    assert "width < 480 ? datum.short : datum.label" in str(chart(plane).to_dict())


VALUES = [
    "9.5",
    "1,200",
    "–",
    "-3.0",
    "< 0.001",
    "",
    "+53.9 ± 1.7",
    "2 of 7",
    "0:01",
    "17 : 1",
    "2,000",
    "0:05",
    "-4.5",
]


@NEEDED
def test_a_label_shift_page_shows_numbers_on_a_phone(tab, tmp_path):
    from test_shift import RECORDS

    tab.show(write_shift_report(RECORDS, tmp_path), 390, 844)
    assert tab.complaints() == [] and tab.run("document.documentElement.scrollWidth <= innerWidth")
    cells = "[...t.querySelectorAll('td')].map(c => [c.textContent, c.getBoundingClientRect().right])"
    tables = tab.run(f"[...document.querySelectorAll('table')].map(t => {cells})")
    assert len(tables) == 5  # two metrics' scores and differences, and the draws' classes
    for table in tables:
        assert [text for text, right in table if right <= 390 and re.match(r"[+-]?\d", text)], table
    assert tab.run("document.querySelector('tbody tr').getBoundingClientRect().bottom < 844")


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A grid with all columns: several seeds, the pretrained classifier, a long method's name and a loss's option."""
    folder = tmp_path_factory.mktemp("wide")
    write_many_classes(folder, 7, losses=("ce", "drw", "difc"), methods=("source_only", "mcd+mean_teacher"))
    rng, labels = np.random.default_rng(3), np.arange(140) % 7
    counts = {"train_counts": (400 // (1 + np.arange(7)) + 3).tolist(), "test_counts": [20] * 7}
    both = {side: flat_scores(7, 0.4) | {"macro_recall_20": 0.4} for side in ("source", "target")}
    write(folder, record("as_is", "ce", scores=both, counts=counts), outputs(labels, rng.dirichlet(np.ones(7), 140)))
    for seed in range(3):
        options = {"scores": both, "counts": counts, "loss_options": {"max_margin": 0.5}}
        write(folder, record("dann", "difc", seed, **options), outputs(labels, rng.dirichlet(np.ones(7), 140)))
        options["loss_options"] = {"max_margin": 2.0}
        write(folder, record("dann", "difc", seed, **options), outputs(labels, rng.dirichlet(np.ones(7), 140)))
    write_grid_report(folder, folder / "out")
    return folder / "out" / "report.html"


@NEEDED
def test_tables_fit_a_desktop_with_the_contents_in_sight(tab, wide):
    tab.show(wide, 1280)
    assert tab.run("document.querySelector('.contents').getBoundingClientRect().right > 100")
    sizes = "[...document.querySelectorAll('.scroll')].map(s => [s.ariaLabel, s.scrollWidth - s.clientWidth])"
    found = tab.run(sizes)
    assert len(found) > 6 and [name for name, more in found if more > 1] == []


@NEEDED
def test_a_phone_breaks_names_at_their_joints_only(tab, wide):
    """The lines of a cell, by the positions of its letters, have whole words."""
    tab.show(wide, 390, 844)
    lines = tab.run(
        """[...document.querySelectorAll('td')].filter(c => /[_=]/.test(c.textContent)).map(c => {
        const lines = [], range = document.createRange(); let last = null;
        for (const node of [...c.childNodes].filter(n => n.nodeType === 3))
            for (let i = 0; i < node.length; i++) {
                range.setStart(node, i); range.setEnd(node, i + 1);
                const box = range.getBoundingClientRect();
                if (!box.width) continue;
                if (last === null || box.top > last + 3) { lines.push(''); last = box.top; }
                lines[lines.length - 1] += node.data[i];
            }
        return lines; })"""
    )
    assert any("mean_" in line for cell in lines for line in cell) and any(len(cell) > 1 for cell in lines)
    whole = {"mcd", "mean", "teacher", "max", "margin", "source", "only", "as", "is", "difc", "drw", "ce", "dann", "di"}
    whole |= {"class", "ami", "src", "macro", "seed"}
    words = {word for cell in lines for line in cell for word in re.findall("[a-z]+", line)}
    assert words <= whole, words - whole


def test_a_flag_in_a_page_s_text_does_not_break_after_its_hyphens():
    page = html_page("t", "<p data-x='--no'>give --seeds 0, a--b</p><pre>x --out y</pre><svg>--z</svg>")
    assert re.findall("<span class='flag'>(.*?)</span>", page) == ["--seeds"]
    assert "white-space: nowrap" in re.search(r"\.flag \{(.*?)\}", STYLE)[1]


@NEEDED
def test_notes_are_folded_on_a_phone_only(tab, page):
    opened = "document.querySelector('.notes details').open"
    for width, is_open in ((390, False), (1280, True)):
        tab.show(page, width)
        assert tab.run(opened) is is_open


@NEEDED
def test_an_option_s_name_is_whole_in_a_table(tab, tmp_path):
    rows = [["method", "loss", *(f"metric {i}" for i in range(9))]]
    rows += [["mcd", f"difc max_margin=0.3{mark}", *["55.5 ± 10.0"] * 9] for mark in ("", " (seeds 0, 1, 2)")]
    path = tmp_path / "page.html"
    path.write_text(html_page("a page", html_table(rows, "a table")))
    for width, most in ((390, 3), (1280, 2)):
        tab.show(path, width)
        lines = "c => Math.round((c.clientHeight - 8) / parseFloat(getComputedStyle(c).lineHeight))"
        assert tab.run(f"({lines})(document.querySelector('tbody tr td:nth-child(2)'))") <= most


@NEEDED
def test_a_phone_shows_several_shifts_and_breaks_no_mark(tab, tmp_path):
    """Draws that a number is over stand on a line of their own, and a row's name takes one column."""
    from test_shift import record as shifted

    cells = [(loss, alpha, draw) for loss in ("ce", "difc") for alpha in (None, 10.0, 3.0, 0.3) for draw in range(3)]
    records = [shifted(*cell, 0.4 + 0.03 * cell[2]) for cell in cells if cell != ("difc", 3.0, 2)]
    tab.show(write_shift_report(records, tmp_path), 390, 844)
    ends = tab.run("[...document.querySelector('table').tHead.rows[0].cells].map(c => c.getBoundingClientRect().right)")
    assert sum(end <= 390 for end in ends) >= 3  # the name, and two of α
    marks = tab.run(
        "[...document.querySelectorAll('td .flag')].map(f => [f.textContent, f.getClientRects().length, "
        "f.getBoundingClientRect().height])"
    )
    assert sorted({text for text, *_ in marks if "draw" in text}) == ["(draws 0, 1)"]
    assert all(lines == 1 and height < 25 for _, lines, height in marks)


@NEEDED
def test_a_study_s_table_of_trials_fits_a_desktop(tab, tmp_path):
    """Four dimensions with long names and every criterion: heads take several lines rather than more width."""
    searched = ["max_margin", "epsilon", "confusion_weight", "entropy_weight"]
    scores = [
        "consensus (objective)",
        "im",
        "class_ami",
        "ensv",
        "rank",
        "keeps source recall",
        "target mean recall, %",
    ]
    values = ["0.523", "0.0123", "0.00431", "0.1", "9.0000", "-0.8123", "0.4567", "0.9012", "3.33", "yes", "55.1"]
    rows = [["trial", *searched, *scores], ["3 (chosen)", *values], ["4", *values]]
    page = tmp_path / "report.html"
    page.write_text(html_page("A study", f"<h2>Facts</h2><h2>Trials</h2>{html_table(rows, 'Trials')}"))
    tab.show(page, 1280, 900)
    assert tab.run("(s => s.scrollWidth <= s.clientWidth)(document.querySelector('.scroll'))")
