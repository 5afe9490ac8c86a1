"""The docs' site opens from a file and reaches for nothing outside it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from chromium import NEEDED, Chromium

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / ".ci" / "mkdocs.yml"
MKDOCS = shutil.which("mkdocs", path=Path(sys.executable).parent) or shutil.which("mkdocs")


def test_every_page_is_in_the_site_s_contents():
    listed = re.findall(r"([\w-]+\.md)$", CONFIG.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as ``make docs`` builds it, in a folder."""
    if MKDOCS is None:
        pytest.skip("no mkdocs here")
    folder = tmp_path_factory.mktemp("site")
    command = [MKDOCS, "build", "--quiet", "--strict", "--config-file", str(CONFIG), "--site-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_opens_from_a_file_and_loads_nothing_from_elsewhere(site):
    pages = sorted(site.glob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").glob("*.md")))  # and one for what is not found
    for page in pages:
        text = page.read_text()
        for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", text):
            found = re.search(r"(?:src|href)=\"([^\"]*)\"", tag)
            where = found[1] if found else ""
            assert not re.match(r"(https?:)?//", where), (page.name, tag)
            if page.name != "404.html":  # it is served from everywhere
                assert not where or (page.parent / where.partition("?")[0]).is_file(), (page.name, tag)
        for place in re.findall(r"<a [^>]*href=\"(?![a-z]+:)([^\"#?]+)", text) if page.name != "404.html" else []:
            there = ROOT / ".site" if place.startswith("../") else site  # as make docs puts it into the checkout
            assert Path(os.path.normpath(there / place)).is_file(), (page.name, place)  # a folder opens as a listing
    styles = [*site.rglob("*.css"), *(site / "js").glob("*.js")]
    assert not [s for s in styles if re.search(r"(url\(|@import) ?[\"']?(https?:)?//", s.read_text(errors="replace"))]
    assert 'data-bs-theme-value="dark"' in (site / "index.html").read_text()


def test_the_api_page_shows_no_marks_of_docstrings(site):
    text = re.sub(r"<[^>]+>", "", (site / "api.html").read_text())
    assert not re.findall(r".*(?::(?:class|func|meth|mod|attr|data):|\w::\s).*", text)


@NEEDED
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_pages_fit_their_window(site, width):
    with Chromium() as page:
        for path in sorted(set(site.glob("*.html")) - {site / "404.html"}):  # which is served from everywhere
            page.show(path, width, dark=width == 768)
            assert page.run("document.documentElement.scrollWidth") <= width, path.name
            others = [c for c in page.complaints() if "search/worker.js" not in str(c)]  # no search from a file
            assert not others, path.name


@NEEDED
def test_on_a_phone_the_contents_have_a_name_and_rows_keep_theirs(site):
    with Chromium() as page:
        page.show(site / "methods.html", 390)
        label = "getComputedStyle(document.querySelector('.bs-sidebar button'), '::before').content"
        assert page.run(label) == '"On this page "'
        assert page.run("(t => t.scrollWidth <= t.clientWidth)(document.querySelector('[role=main] table'))")
        page.show(site / "results.html", 390)
        tables = "[...document.querySelectorAll('.two-names')].filter(t => t.scrollWidth > t.clientWidth + 150)"
        lefts = "t.scrollLeft = 150, [...t.rows[2].cells].map(c => c.getBoundingClientRect().left)"
        method, loss, accuracy, *_ = page.run(f"(t => ({lefts}))({tables}[0])")
        assert 0 <= method < loss and accuracy < loss  # the numbers pass below the names
