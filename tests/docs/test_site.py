"""The docs site is built without a warning, and loads nothing from other machines."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT

yaml: Any = importlib.import_module("yaml")  # it ships no types
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
# What a browser fetches by itself; links (<a>) are for people.
_FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=[\"']?((?:https?:)?//[^\s\"'>]+)"
    r"|<link\b(?![^>]*rel=[\"']?(?:canonical|prev|next))[^>]*\bhref=[\"']?((?:https?:)?//[^\s\"'>]+)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, of a copy of the pages."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", folder)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "No issues found" in done.stdout, done.stdout
    return folder / "site"


def in_nav(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    else:
        for below in part.values() if isinstance(part, dict) else part:
            yield from in_nav(below)


def test_every_page_is_in_the_navigation() -> None:
    pages = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    decisions = {page for page in pages if re.match(r"decisions/\d", page)}
    assert set(in_nav(CONFIG["nav"])) == pages - decisions


def test_every_page_is_built(site: Path) -> None:
    for page in in_nav(CONFIG["nav"]):
        built = site / page.replace("README.md", "index.md").replace(".md", ".html")
        assert built.is_file(), page
        assert "<h1" in built.read_text("utf-8"), page


def test_nothing_is_loaded_from_other_machines(site: Path) -> None:
    found = {
        f"{path.name}: {url}"
        for path in site.rglob("*.html")
        for pair in _FETCHED.findall(path.read_text("utf-8"))
        for url in pair
        if url
    }
    for path in site.rglob("*.css"):
        found |= set(re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)\s]+", path.read_text()))
    assert not found


def test_a_request_to_another_machine_would_be_found() -> None:
    for html in (
        "<script async src=https://x.example/a.js></script>",
        '<link rel="stylesheet" href="//x.example/a.css">',
        "<img alt='' src='http://x.example/a.png'>",
    ):
        assert _FETCHED.search(html)
    assert not _FETCHED.search('<a href="https://x.example">x</a><link rel=canonical href=//x>')


def test_what_people_search_is_there(site: Path) -> None:
    assert "barrier" in (site / "search.json").read_text("utf-8")
