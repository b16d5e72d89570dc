"""Printing: tables and sentences for people, JSON for programs, and how errors end a command."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.errors import ConfigError, RequestError, SettingsError, TapedeckError

if TYPE_CHECKING:
    from settings import Settings

FAILURE, USAGE, INTERRUPTED = 1, 2, 130
UNPROCESSABLE = 422  # the status of a ServerProblem, which is not imported here: it is heavy

out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs, not a table.")]


def exit_code(error: TapedeckError) -> int:
    """2 where what was asked for is wrong, here or to a server (422), 1 where it did not work."""
    wrong = isinstance(error, RequestError | SettingsError)
    return USAGE if wrong or getattr(error, "status", None) == UNPROCESSABLE else FAILURE


def problems_of(error: TapedeckError) -> list[str]:
    """Its message on one line; of a configuration one for each problem."""
    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    return [" ".join(problem.split()) for problem in problems]


def print_error(error: TapedeckError) -> None:
    """Lines on stderr."""
    for problem in problems_of(error):
        typer.echo(f"tapedeck: {problem}", err=True)


def settings_of(**options: Any) -> Settings:
    """The settings, with the options that were given above them."""
    from settings import load_settings

    given = {name: value for name, value in options.items() if value is not None}
    return load_settings(**given)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


def table(title: str, headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table; columns of numbers are set to the right. What is too wide is folded, never cut,
    and the first column, which names the row, comes whole."""
    cells = [list(row) for row in rows]
    made = Table(title=title, title_justify="left", header_style="bold")
    for place, header in enumerate(headers):
        numbers = all(isinstance(row[place], int | float | None) for row in cells)
        if numbers:
            made.add_column(header, justify="right", overflow="fold")
        else:
            made.add_column(header, overflow="fold", no_wrap=place == 0)
    for row in cells:
        made.add_row(*(Text(cell_text(value)) for value in row))
    return made


def cell_text(value: Any) -> str:
    """Numbers with thousands apart, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def split_list(text: str | None) -> list[str] | None:
    """``a,b`` as a list; None where nothing was given."""
    return None if text is None else [piece.strip() for piece in text.split(",")]


@contextmanager
def progress_of(title: str) -> Iterator[Any]:
    """A bar on stderr where that is a terminal; gives the ``(done, total, label)`` to tell it."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=err, transient=True, disable=not err.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task(title, total=None)

        def tell(done: int, total: int, label: str) -> None:
            bar.update(task, completed=done, total=total, description=label)

        yield tell
