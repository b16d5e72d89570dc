"""What all commands that call a server share: where it is, its key, and how answers are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.show import out, print_json, table

if TYPE_CHECKING:
    from app.client import Tapedeck

SERVER = "http://127.0.0.1:8000"
_EMPTY: tuple[Any, ...] = (None, "", [])

Url = Annotated[str, typer.Option("--url", help="URL of the server.")]
Key = Annotated[str | None, typer.Option("--api-key", envvar="TAPEDECK_API_KEY", help="Its key.")]


@contextmanager
def server_at(url: str, api_key: str | None) -> Iterator[Tapedeck]:
    """The client, which is light; imported here so that --help is quick."""
    from app.client import Tapedeck

    with Tapedeck(url, api_key) as deck:
        yield deck


def plain(answer: Any) -> Any:
    """An answer under the contract's names, times as text."""
    from app.client.answers import to_plain

    return to_plain(answer)


def print_list(
    answer: Any, name: str, columns: Mapping[str, str], json: bool, title: str | None = None
) -> None:
    """A list of an answer: as JSON all of it, else a table of ``columns`` (field to heading)."""
    found = plain(answer)
    if json:
        print_json(found)
        return
    print_rows(title or f"{name.capitalize()} at {found['time']}", found[name], columns)


def print_rows(title: str, found: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """A table; a column that is empty in all rows is left out, for narrow terminals."""
    shown = [c for c in columns if not found or any(row[c] not in _EMPTY for row in found)]
    rows = [[_cell(row[column]) for column in shown] for row in found]
    out.print(table(title, [columns[column] for column in shown], rows))


def print_fields(title: str, fields: Iterable[tuple[str, Any]]) -> None:
    """What is known of one thing, a row a field."""
    rows = [(name.replace("_", " "), _cell(v)) for name, v in fields if v not in _EMPTY]
    out.print(table(title, ["", "value"], rows))


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(v)}" for name, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
