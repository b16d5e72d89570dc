"""``tapedeck init``: a folder in which a first backtest runs as it is."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.show import settings_of
from app.cli.starter import ENV, RUN, STRATEGY, STRATEGY_TEXT, Market, env_text, run_text
from app.errors import CatalogError, RequestError, SettingsError

if TYPE_CHECKING:
    from app.calendar import TradingDay
    from app.catalog.store import Catalog
    from settings import Settings

DAYS, SYMBOLS = 5, 2  # of the first run, at most
_REPLAYED = {"bars_1m", "trades"}
_EPOCH = date(1970, 1, 1)

Folder = Annotated[Path, typer.Argument(help="Folder to write into; made where it is absent.")]
CatalogUri = Annotated[
    str | None, typer.Option("--catalog", help="Folder or URI of the catalog. [DATA_CATALOG_URI]")
]
Synthetic = Annotated[
    bool, typer.Option("--synthetic", help="Write an invented catalog too, and use that.")
]


def init(
    folder: Folder = Path(),
    catalog: CatalogUri = None,
    synthetic: Synthetic = False,
) -> None:
    """Write a commented run.yaml, a strategy and a .env that run as they are.

    Symbols and days are chosen from the catalog. Nothing that is there is overwritten.
    """
    there = [name for name in (RUN, STRATEGY, ENV) if (folder / name).exists()]
    if there:
        raise RequestError(f"{folder} has {', '.join(there)} already; name another folder")
    settings = settings_of(data_catalog_uri=catalog)
    try:
        _write(folder, settings, synthetic)
    except OSError as error:
        raise RequestError(f"{folder} cannot be written: {error.strerror or error}") from error
    way = "" if folder == Path() else f"cd {folder} && "
    typer.echo(f"Now: {way}tapedeck backtest {RUN}")


def _write(folder: Path, settings: Settings, synthetic: bool) -> None:
    uri = _synthetic(folder) if synthetic else _absolute(settings.data_catalog_uri)
    market = _choose(uri if "://" in uri else str(folder / uri), settings)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        (RUN, run_text(market)), (STRATEGY, STRATEGY_TEXT), (ENV, env_text(uri)),
    ):  # fmt: skip
        (folder / name).write_text(text, "utf-8")
        typer.echo(f"wrote {folder / name}")


def _synthetic(folder: Path) -> str:
    """The URI of an invented catalog, as seen from ``folder``."""
    from app.catalog.synthetic import is_synthetic_complete, write_synthetic

    place = Path(".tapedeck") / "synthetic"
    if not is_synthetic_complete(folder / place):
        write_synthetic(folder / place)
    return str(place)


def _absolute(uri: str | None) -> str:
    if uri is None:
        raise SettingsError(
            "no catalog is named; give --catalog, set DATA_CATALOG_URI, or take --synthetic "
            "for an invented one"
        )
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())


def _choose(uri: str, settings: Settings) -> Market:
    """The symbols with most rows, and the last days that the first of them has."""
    from app.catalog.store import Catalog

    found = Catalog.open(uri, cache_dir=settings.tapedeck_cache_dir)
    rows = {
        symbol: max(entry.rows for name, entry in datasets.items() if name in _REPLAYED)
        for symbol, datasets in found.summary().items()
        if _REPLAYED & set(datasets)
    }
    symbols = sorted(rows, key=lambda symbol: (-rows[symbol], symbol))
    if not symbols:
        raise CatalogError(f"{uri} has neither bars_1m nor trades; import some (tapedeck import)")
    days = _days_of(found, symbols[0], settings)[-DAYS:]
    if not days:
        raise CatalogError(
            f"{uri} has no row of {symbols[0]} on a trading day of {settings.session_calendar}; "
            "name its exchange in SESSION_CALENDAR"
        )
    others = [s for s in symbols[1:] if _days_of(found, s, settings)[-len(days) :] == days]
    start, end = days[0].date.isoformat(), days[-1].date.isoformat()
    return Market([symbols[0], *others[: SYMBOLS - 1]], start, end, settings.session_calendar)


def _days_of(catalog: Catalog, symbol: str, settings: Settings) -> list[TradingDay]:
    """The newest trading days on which the catalog has bars or trades of a symbol."""
    from app.calendar import Hours, TradingCalendar

    pieces = [p for dataset in sorted(_REPLAYED) for p in catalog.pieces(dataset, symbol)]
    last = _EPOCH + timedelta(days=max(day for p in pieces for day in p.days))
    first = last - timedelta(days=4 * DAYS)
    calendar = TradingCalendar(settings.session_calendar, Hours.REGULAR, 0, first, last)
    days, _ = calendar.range(first, last)
    return [
        day
        for day in days
        if any(p.first_ns < day.close_ns and p.last_ns >= day.open_ns for p in pieces)
    ]


def add_to(cli: typer.Typer) -> None:
    cli.command(epilog="Example: tapedeck init demo --synthetic")(init)
