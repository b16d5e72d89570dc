"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "deploy" / "README.md"])
BASE = "http://127.0.0.1:8000"  # where the pages say that the server is
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: ``sh`` and ``python`` are run, ``console`` is for reading."""

    page: Path
    line: int  # of its first line
    kind: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text("utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 2, found[1], found[2])
        for found in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def code_words(page: Path) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def shell_lines(page: Path) -> list[str]:
    """Command lines of ``sh`` and ``console`` blocks (of the latter after ``$ ``), joined."""
    lines: list[str] = []
    for block in blocks(page):
        text = re.sub(r"\\\n\s*", " ", block.text)
        if block.kind == "sh":
            lines += text.splitlines()
        elif block.kind == "console":
            lines += [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    return [line.strip() for line in lines if line.strip()]
