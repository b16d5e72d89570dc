"""What an import or a build did, printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.cli.show import out, table

if TYPE_CHECKING:
    from app.catalog.importers.report import Counts, Example


def print_report(
    title: str, done: Sequence[tuple[str, int]], reasons: Sequence[tuple[str, Counts]]
) -> None:
    """A table of numbers, then one of each kind of oddity with its first examples."""
    out.print(table(title, ["", "count"], done))
    for name, counts in reasons:
        if counts.total:
            out.print(table(name, ["reason", "count", "first examples"], _rows(counts)))


def _rows(counts: Counts) -> list[tuple[str, int, str]]:
    return [
        (reason, counts.by_reason[reason], _examples(counts, reason))
        for reason in sorted(counts.by_reason)
    ]


def _examples(counts: Counts, reason: str) -> str:
    return "\n".join(_example(example, reason) for example in counts.examples[reason])


def _example(example: Example, reason: str) -> str:
    place = f"{example.file} row {example.row}" if example.row else example.file
    return place if example.what in ("", reason) else f"{place}: {example.what}"
