"""``tapedeck catalog``: what is in a catalog, and bringing data into its order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.reports import print_report
from app.cli.show import FAILURE, Json, out, print_json, progress_of, settings_of, table
from app.errors import SettingsError
from app.times import format_time

if TYPE_CHECKING:
    from app.catalog.store import CatalogEntry

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
To = Annotated[str, typer.Option(help="Folder or URI of the catalog to write.")]


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


@cli.command("build", epilog="Example: tapedeck catalog build big-files --to data/catalog")
def build(source: Source, to: To, zone: Zone = "America/New_York", json: Json = False) -> None:
    """Bring Parquet files of many symbols or dates, in any order, into the catalog's layout."""
    from app.catalog.build import build_catalog

    with progress_of("looking for files") as tell:
        report = build_catalog(source, to, zone=zone, progress=tell)
    if json:
        print_json(report.to_dict())
        return
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
