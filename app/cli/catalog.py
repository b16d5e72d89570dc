"""``tapedeck catalog``: what is in a catalog, and bringing data into its order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.reports import print_report
from app.cli.show import (
    FAILURE,
    Json,
    out,
    print_json,
    progress_of,
    settings_of,
    split_list,
    table,
)
from app.errors import RequestError, SettingsError
from app.times import format_time

if TYPE_CHECKING:
    from app.catalog.build import BuildReport
    from app.catalog.store import CatalogEntry
    from app.managers.system_manager.preparing import PreparedReport

cli = typer.Typer(
    help="List a catalog, or build one from files in any order.",
    epilog="Example: tapedeck catalog list data/catalog",
    no_args_is_help=True,
)

CatalogUri = Annotated[
    str | None, typer.Argument(metavar="[CATALOG]", help="Folder or URI. [DATA_CATALOG_URI]")
]
Source = Annotated[str, typer.Argument(help="Catalog-like folder or URI in any order.")]
Zone = Annotated[str, typer.Option(help="Zone of the exchange, which gives the trading date.")]
To = Annotated[
    str | None, typer.Option(help="Folder or URI of the catalog to write; not needed with --cache.")
]
Cache = Annotated[
    bool,
    typer.Option("--cache", help="Keep a prepared cache of the catalog; needs 80 bytes an item."),
]
Symbols = Annotated[str | None, typer.Option(help="Cache sessions of these, with commas. [all]")]
Start = Annotated[str | None, typer.Option(help="First date that is cached. [the catalog's]")]
End = Annotated[str | None, typer.Option(help="Last date that is cached. [the catalog's]")]


@cli.command("list", epilog="Example: tapedeck catalog list data/catalog --json")
def list_(catalog: CatalogUri = None, json: Json = False) -> None:
    """Symbols and datasets, from when to when, days and rows; exit code 1 with broken files."""
    from app.catalog.store import Catalog

    settings = settings_of(data_catalog_uri=catalog)
    uri = settings.data_catalog_uri
    if uri is None:
        raise SettingsError("no catalog is named; give one, or set DATA_CATALOG_URI")
    found = Catalog.open(uri, cache_dir=settings.tapedeck_cache_dir)
    entries = {
        symbol: {dataset: _entry(e) for dataset, e in datasets.items()}
        for symbol, datasets in found.summary().items()
    }
    if json:
        print_json({"symbols": entries, "broken": found.broken_files})
    else:
        rows = [
            (symbol, dataset, _minute(e["first"]), _minute(e["last"]), e["days"], e["rows"])
            for symbol, datasets in entries.items()
            for dataset, e in datasets.items()
        ]
        out.print(
            table(
                found.uri, ["symbol", "dataset", "first (UTC)", "last (UTC)", "days", "rows"], rows
            )
        )
        for sentence in found.broken_files:
            typer.echo(f"broken: {sentence}", err=True)
    if found.broken_files:
        raise typer.Exit(FAILURE)


def _entry(entry: CatalogEntry) -> dict[str, Any]:
    return {
        "first": format_time(entry.first_ns), "last": format_time(entry.last_ns),
        "days": entry.days, "rows": entry.rows,
    }  # fmt: skip


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


@cli.command("build", epilog="Example: tapedeck catalog build big-files --to data/catalog --cache")
def build(
    source: Source, to: To = None, zone: Zone = "America/New_York", cache: Cache = False,
    symbols: Symbols = None, start: Start = None, end: End = None, json: Json = False,
) -> None:  # fmt: skip
    """Bring Parquet files of many symbols or dates, in any order, into the catalog's layout.

    With --cache also keep what sessions make of it, merged, for playing without reading Parquet.
    """
    if to is None and not cache:
        raise RequestError("name what is to be made: --to a catalog, --cache a cache, or both")
    if not cache and (symbols, start, end) != (None, None, None):
        raise RequestError("--symbols, --start and --end say what is cached: give --cache")
    report = None if to is None else _build_files(source, to, zone)
    prepared = None
    if cache:
        prepared = _prepare(source if to is None else to, split_list(symbols), start, end)
    if json:
        found = {} if report is None else report.to_dict()
        print_json(found if prepared is None else {**found, "cache": prepared.to_dict()})
        return
    if report is not None:
        print_report(
            f"Built {to}",
            [
                ("files read", report.files_read),
                ("files written", report.files_written),
                ("files copied", report.files_copied),
                ("rows read", report.rows_read),
                ("rows written", report.rows_written),
                ("rows rejected", report.rejected.total),
            ],
            [("Rejected rows", report.rejected)],
        )
    if prepared is not None:
        rows = [
            ("symbols", prepared.symbols),
            ("first day", prepared.first),
            ("last day", prepared.last),
            ("items", prepared.rows),
            ("disk space (MB)", round(prepared.bytes / 1e6, 1)),
        ]
        typer.echo(f"Prepared {prepared.path}")
        out.print(table("", ["", "count"], rows))


def _build_files(source: str, to: str, zone: str) -> BuildReport:
    from app.catalog.build import build_catalog

    with progress_of("looking for files") as tell:
        return build_catalog(source, to, zone=zone, progress=tell)


def _prepare(
    catalog: str, symbols: list[str] | None, start: str | None, end: str | None
) -> PreparedReport:
    from app.managers.system_manager import SystemManager

    manager = SystemManager.from_settings(settings_of(data_catalog_uri=catalog))
    with progress_of("preparing days") as tell:
        return manager.prepare(symbols or ["*"], start, end, tell)
