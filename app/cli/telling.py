"""What a run logs, on stderr: what strategies say, and what a user must know of the rest."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.cli.show import err
from app.errors import TapedeckError

if TYPE_CHECKING:
    from rich.console import Console

STRATEGY = "strategy"  # the logger of ``ctx.log``


class _Telling(logging.Handler):
    """One line a record. An error that the command itself will tell of is left out."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self.setFormatter(logging.Formatter())

    def filter(self, record: logging.LogRecord) -> bool:
        own = record.name.partition(".")[0] == STRATEGY or record.levelno >= logging.WARNING
        told = record.exc_info is not None and isinstance(record.exc_info[1], TapedeckError)
        return own and not told and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        source, _, strategy_id = record.name.partition(".")
        who = strategy_id if source == STRATEGY else "tapedeck"
        text = f"{who}: {self.format(record)}"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def logs_told(level: str) -> Iterator[None]:
    """Print them while a run goes on, those of strategies from ``level`` up."""
    handler, root = _Telling(err), logging.getLogger()
    own = logging.getLogger(STRATEGY)
    before = own.level
    root.addHandler(handler)
    own.setLevel(level.upper())
    try:
        yield
    finally:
        own.setLevel(before)
        root.removeHandler(handler)
