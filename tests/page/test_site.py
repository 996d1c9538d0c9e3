"""The docs as a site, opened from the disk as one without network would: it fetches nothing, and its search answers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEARCH = """(word => new Promise(done => {
    document.querySelector("#__search").click();
    const field = document.querySelector(".md-search__input"), found = document.querySelector(".md-search-result");
    new MutationObserver(() => found.querySelector("article") && done(found.innerText)).observe(
        found, {childList: true, subtree: true});
    field.focus();
    field.value = word;
    field.dispatchEvent(new KeyboardEvent("keyup", {bubbles: true}));
}))"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="mkdocs builds it: `make docs` installs it")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_nothing_is_fetched_from_elsewhere(site):
    pages = [page.read_text() for page in site.rglob("*.html")]
    loaded = [found for page in pages for found in re.findall(r"<(?:script|img|link)\b[^>]*https?://[^>]*>", page)]
    assert len(pages) > 15
    assert loaded == []


def test_search_answers_on_a_page_from_the_disk(site, browser):
    browser.open((site / "speed.html").as_uri())
    assert "isoflop" in browser.run(f'{SEARCH}("isoflop")')
    assert browser.errors == []
