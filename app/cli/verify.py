"""``tapedeck verify``: a recorded run executed again, and compared with its record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from app.cli.runs import RunId, Runs, print_event, shown, store_of
from app.cli.show import FAILURE, USAGE, Json, err, out, print_error, print_json, table
from app.cli.stopping import run_stoppable
from app.errors import TapedeckError

if TYPE_CHECKING:
    from app.managers.system_manager.verify import Verifier
    from app.runs.diff import Difference
    from app.runs.verify import Verification

EXAMPLE = "Example: tapedeck verify sma-20240102T150000Z-1a2b3c"
_SHOWN = 20  # of a kind, as a table
_HASH, _HASH_SHOWN = 64, 12

CatalogUri = Annotated[
    str | None,
    typer.Option("--catalog", help="Folder or URI of the catalog. [the run's or DATA_CATALOG_URI]"),
]
Strategies = Annotated[
    Path | None,
    typer.Option("--strategies", help="Folder of strategy files to execute, not the run's copies."),
]


def verify(
    run: RunId,
    catalog: CatalogUri = None,
    strategies: Strategies = None,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Execute a recorded run again, and compare its events, tables, digests and summary.

    Exit code 0 where it came to the same, 1 where it differs: then the first event at which it
    does is named, and what the run was made of that has changed; 2 where it cannot be verified.
    """
    import msgspec

    try:
        verifier = _verifier(run, catalog, strategies, runs)
        found = _verify(verifier)
    except TapedeckError as error:
        print_error(error)
        raise typer.Exit(USAGE) from error
    if json:
        print_json(msgspec.to_builtins(found))
    else:
        _print(found)
    if not found.equal:
        raise typer.Exit(FAILURE)


def _verifier(
    run: str, catalog: str | None, strategies: Path | None, runs: Path | None
) -> Verifier:
    from app.cli.show import settings_of
    from app.managers.system_manager.verify import Verifier

    folder = store_of(runs).open(run)
    return Verifier(folder, settings_of(), catalog=catalog, strategies=strategies)


def _verify(verifier: Verifier) -> Verification:
    """Ctrl-C gives up."""

    def work() -> Verification:
        with _progress() as tell:
            return verifier.run(tell)

    return run_stoppable("Verification", work, verifier.stop)


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """A bar on stderr where that is a terminal."""
    bar = Progress(
        TextColumn("verify"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        console=err, transient=True, disable=not err.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)


# -- what was found ----------------------------------------------------------------------------


def _print(found: Verification) -> None:
    for sentence in found.broken:
        typer.echo(f"broken: {sentence}")
    if found.first_event is not None:
        print_event(found.first_event, "recorded", "again")
    for title, some, headers in (
        ("It came to", found.came_to, ("recorded", "again")),
        ("Its summary", found.summary, ("recorded", "again")),
        ("It was made of", found.inputs, ("recorded", "now")),
        ("Strategies that were edited since; their copies were executed", found.edited,
         ("recorded", "now")),
    ):  # fmt: skip
        _print_differences(title, some, headers)
    typer.echo(_verdict(found))


def _print_differences(title: str, some: Sequence[Difference], headers: Sequence[str]) -> None:
    if not some:
        return
    rows = [(d.path, _cell(d.a), _cell(d.b)) for d in some[:_SHOWN]]
    out.print(table(title, ["", *headers], rows))
    if len(some) > _SHOWN:
        typer.echo(f"... and {len(some) - _SHOWN} more; --json shows all")


def _cell(value: Any) -> Any:
    """A hash by its beginning; what is not there is said to be so."""
    if value is None:
        return "none"
    is_hash = isinstance(value, str) and len(value) == _HASH and value.isalnum()
    return f"{value[:_HASH_SHOWN]}..." if is_hash else shown(value)


def _verdict(found: Verification) -> str:
    count = f"{found.events:,} events"
    if found.kind == "replay":
        count = f"{found.told:,} lines of its journal"
    if found.equal:
        so_far = "" if found.state in ("completed", "failed") else ", as far as it went"
        return f"{found.run} ({found.state}) is verified{so_far}: {count}, the same again."
    if found.first_event is not None:
        return f"{found.run} ({found.state}) differs, after {count} that are the same."
    return f"{found.run} ({found.state}) differs; its {count} are the same."


def add_to(cli: typer.Typer) -> None:
    cli.command(epilog=EXAMPLE)(verify)
