"""``tapedeck doctor``: what is wrong with a catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.show import Json, err, out, print_json, settings_of, split_list, table
from app.errors import SettingsError

if TYPE_CHECKING:
    from app.catalog.doctor import Finding

SHOWN = ("severity", "check", "stream", "count", "days", "first example")

CatalogUri = Annotated[
    str | None, typer.Argument(metavar="[CATALOG]", help="Folder or URI. [DATA_CATALOG_URI]")
]
Calendar = Annotated[str, typer.Option(help="Exchange calendar that its days are held against.")]
Symbols = Annotated[str | None, typer.Option(help="Only these symbols, by commas.")]
Datasets = Annotated[str | None, typer.Option(help="Only these datasets, by commas.")]


def doctor(
    catalog: CatalogUri = None,
    calendar: Calendar = "XNYS",
    symbols: Symbols = None,
    datasets: Datasets = None,
    json: Json = False,
) -> None:
    """Look for gaps, duplicates, disorder and worse; exit code 1 where there are errors."""
    from app.catalog.doctor import diagnose

    uri = settings_of(data_catalog_uri=catalog).data_catalog_uri
    if uri is None:
        raise SettingsError("no catalog is named; give one, or set DATA_CATALOG_URI")
    with err.status(f"examining {uri}"):
        found = diagnose(
            uri, calendar=calendar, symbols=split_list(symbols), datasets=split_list(datasets)
        )
    if json:
        print_json(found.to_dict())
        raise typer.Exit(found.exit_code)
    title = f"{uri}: {found.files:,} files, {found.items:,} rows, calendar {calendar}"
    if found.findings:
        out.print(table(title, SHOWN, map(_row, found.findings)))
        mends = {finding.check: finding.mend for finding in found.findings}
        out.print(table("What to do", ["check", "what to do"], mends.items()))
    else:
        out.print(f"{title}: nothing found")
    raise typer.Exit(found.exit_code)


def _row(finding: Finding) -> tuple[str, str, str, int, int, str]:
    """A finding as one row; its file is named as far as the stream does not."""
    place = finding.place
    stream = f"{place.dataset} {place.symbol or ''}".strip()
    file = (place.file or "").removeprefix(f"{place.dataset}/symbol={place.symbol}/")
    where = f"{file} row {place.row}" if place.row else file
    example = f"{where}: {finding.example}" if where else finding.example
    severity = finding.severity.value
    return severity, finding.check, stream, finding.count, finding.days, example


def add_to(cli: typer.Typer) -> None:
    cli.command(epilog="Example: tapedeck doctor data/catalog --calendar XNYS --json")(doctor)
