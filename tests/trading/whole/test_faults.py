"""Every fault of earlier designs has its tests: ``docs/faults.md`` names them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "faults.md").read_text("utf-8")
ROWS = [row for row in PAGE.splitlines() if row.startswith("| ")][1:]
DEF = re.compile(r"^def (test_\w+)\(", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def named_in(path: str) -> set[str]:
    return set(DEF.findall((ROOT / path).read_text("utf-8")))


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_that_it_names_are_there(row: str) -> None:
    named = TEST.findall(row)
    assert named
    assert [name for path, name in named if name not in named_in(path)] == []


def test_all_are_listed() -> None:
    """Each test of a module of old faults stands in some row."""
    listed = TEST.findall(PAGE)
    for path in {path for path, _ in listed if path.endswith("faults.py")}:
        assert named_in(path) == {name for at, name in listed if at == path}
