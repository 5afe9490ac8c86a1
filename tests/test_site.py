"""The docs' site opens from a file and reaches for nothing outside it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / ".ci" / "mkdocs.yml"
MKDOCS = shutil.which("mkdocs", path=Path(sys.executable).parent) or shutil.which("mkdocs")


def test_every_page_is_in_the_site_s_contents():
    listed = re.findall(r"([\w-]+\.md)$", CONFIG.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


@pytest.mark.skipif(MKDOCS is None, reason="no mkdocs here")
def test_the_site_opens_from_a_file_and_loads_nothing_from_elsewhere(tmp_path):
    command = [MKDOCS, "build", "--quiet", "--strict", "--config-file", str(CONFIG), "--site-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    pages = sorted(tmp_path.glob("*.html"))
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
            there = ROOT / ".site" if place.startswith("../") else tmp_path  # as make docs puts it into the checkout
            assert Path(os.path.normpath(there / place)).is_file(), (page.name, place)  # a folder opens as a listing
    styles = [*tmp_path.rglob("*.css"), *(tmp_path / "js").glob("*.js")]
    assert not [s for s in styles if re.search(r"(url\(|@import) ?[\"']?(https?:)?//", s.read_text(errors="replace"))]
    assert 'data-bs-theme-value="dark"' in (tmp_path / "index.html").read_text()
