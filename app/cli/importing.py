"""``tapedeck import``: data of others into a catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.reports import print_report
from app.cli.show import FAILURE, Json, print_json, progress_of, split_list
from app.errors import RequestError

if TYPE_CHECKING:
    from app.catalog.importers.report import ImportReport

cli = typer.Typer(
    help="Import data into a catalog; what is rejected is counted by reason.",
    epilog="Example: tapedeck import csv bars.csv --to data/catalog --symbol AIG",
    no_args_is_help=True,
)

Source = Annotated[str, typer.Argument(help="File, folder or URI to read.")]
To = Annotated[str, typer.Option(help="Folder or URI of the catalog to write.")]
Zone = Annotated[str, typer.Option(help="Zone of the exchange, which gives the trading date.")]
Dataset = Annotated[str, typer.Option(help="bars_1m, trades or quotes.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=SOURCE",
        help="A column of the catalog (or symbol) and its name in the source; may be repeated. "
        "A time in two columns: ts='date + time'.",
    ),
]
TimeFormat = Annotated[
    str, typer.Option(help="rfc3339, iso, s, ms, us, ns, or a strptime format such as %Y%m%d.")
]
TimeZone = Annotated[
    str | None, typer.Option(help="Zone of times that have none in the source. Default: --zone.")
]
Stamped = Annotated[str, typer.Option(help="Whether a bar's time is its start or its end.")]
Symbol = Annotated[str | None, typer.Option(help="Symbol of all rows.")]
SymbolFrom = Annotated[str | None, typer.Option(help="column or file, where both say one.")]
Fractional = Annotated[
    bool, typer.Option("--fractional-sizes", help="Keep sizes as floats even where all are whole.")
]
Market = Annotated[str, typer.Option(help="Market folder below equity/.")]
Calendar = Annotated[str, typer.Option(help="Exchange calendar that tells auctions apart.")]
Symbols = Annotated[str | None, typer.Option(help="Only these symbols, by commas.")]
Delimiter = Annotated[str, typer.Option(help="What stands between columns; 'tab' is a tab.")]
Header = Annotated[
    bool, typer.Option("--header/--no-header", help="Without: columns are named 1, 2, 3 ...")
]


@cli.command(
    epilog="Example: tapedeck import lean Lean/Data --to data/catalog --symbols SPY,AIG"
)  # fmt: skip
def lean(
    source: Source,
    to: To,
    market: Market = "usa",
    zone: Zone = "America/New_York",
    calendar: Calendar = "XNYS",
    symbols: Symbols = None,
    json: Json = False,
) -> None:
    """Lean equity data: minute and tick zips, daily zips, factor files."""
    from app.catalog.importers.lean import import_lean

    names = split_list(symbols)
    _run(
        json, import_lean, source, to, market=market, zone=zone, calendar=calendar, symbols=names
    )  # fmt: skip


@cli.command(
    epilog="Example: tapedeck import csv bars.csv --to data/catalog --symbol AIG "
    "--column ts='date + time' --time-format '%Y-%m-%d %H:%M' --stamped end"
)
def csv(
    source: Source,
    to: To,
    dataset: Dataset = "bars_1m",
    columns: Columns = None,
    time_format: TimeFormat = "rfc3339",
    zone: Zone = "America/New_York",
    time_zone: TimeZone = None,
    stamped: Stamped = "start",
    symbol: Symbol = None,
    symbol_from: SymbolFrom = None,
    delimiter: Delimiter = ",",
    header: Header = True,
    fractional_sizes: Fractional = False,
    json: Json = False,
) -> None:
    """CSV files, with a column map."""
    from app.catalog.importers.csv_files import import_csv

    _run(
        json, import_csv, source, to, dataset=dataset, columns=_column_map(columns),
        time_format=time_format, zone=zone, time_zone=time_zone, stamped=stamped, symbol=symbol,
        symbol_from=symbol_from, delimiter="\t" if delimiter == "tab" else delimiter,
        header=header, fractional_sizes=fractional_sizes,
    )  # fmt: skip


@cli.command(
    epilog="Example: tapedeck import parquet ticks/ --to data/catalog --dataset trades "
    "--column ts=timestamp --column size=qty"
)
def parquet(
    source: Source,
    to: To,
    dataset: Dataset = "bars_1m",
    columns: Columns = None,
    time_format: TimeFormat = "ns",
    zone: Zone = "America/New_York",
    time_zone: TimeZone = None,
    stamped: Stamped = "start",
    symbol: Symbol = None,
    symbol_from: SymbolFrom = None,
    fractional_sizes: Fractional = False,
    json: Json = False,
) -> None:
    """Parquet files, with a column map; the time format is for columns of numbers or text."""
    from app.catalog.importers.parquet_files import import_parquet

    _run(
        json, import_parquet, source, to, dataset=dataset, columns=_column_map(columns),
        time_format=time_format, zone=zone, time_zone=time_zone, stamped=stamped, symbol=symbol,
        symbol_from=symbol_from, fractional_sizes=fractional_sizes,
    )  # fmt: skip


def _column_map(columns: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in columns or []:
        name, equals, source = text.partition("=")
        if not (name and equals and source):
            raise RequestError(f"--column is {text!r}; write NAME=SOURCE, such as ts=timestamp")
        if name in found:
            raise RequestError(f"--column names {name} twice: {found[name]!r} and {source!r}")
        found[name] = source
    return found


def _run(
    json: bool, run: Callable[..., ImportReport], source: str, to: str, **options: Any
) -> None:
    """Import with a progress bar; exit code 1 where nothing could be written."""
    with progress_of("looking for files") as tell:
        report = run(source, to, progress=tell, **options)
    if json:
        print_json(report.to_dict())
    else:
        _print(report, to)
    if not report.files_written:
        raise typer.Exit(FAILURE)


def _print(report: ImportReport, to: str) -> None:
    print_report(
        f"Imported into {to}",
        [
            ("files read", report.files_read),
            ("files written", report.files_written),
            ("rows read", report.rows_read),
            ("rows written", report.rows_written),
            ("corporate actions", report.actions),
            ("rows rejected", report.rejected.total),
        ],
        [
            ("Rejected rows", report.rejected),
            ("Notes", report.notes),
            ("Skipped files", report.skipped),
        ],
    )
