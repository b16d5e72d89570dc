"""Making the prepared cache of a catalog, for sessions of its days: ``tapedeck catalog build``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from app.catalog.store import Catalog
from app.errors import CatalogError, RequestError
from app.managers.data_manager.data_feed_loop import READERS
from app.managers.data_manager.preparing import Wanted, prepare
from app.managers.system_manager.config import (
    ResolvedConfig,
    SessionConfig,
    SessionDefaults,
    resolve,
)
from app.managers.system_manager.prepared import (
    cuts_of,
    hash_of_sources,
    paths_of,
    versions_of_now,
)
from app.managers.system_manager.sources import open_sources, symbols_with_bars
from app.managers.time_manager import TimeManager
from app.model import Dictionary
from app.times import SECOND_NS, parse_date

Progress = Callable[[int, int, str], None]


class PreparedReport(NamedTuple):
    """What was written; ``first`` is the first day of the look-back."""

    path: Path
    symbols: int
    first: date
    last: date
    rows: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "path": str(self.path), "symbols": self.symbols, "first": self.first.isoformat(),
            "last": self.last.isoformat(), "rows": self.rows, "bytes": self.bytes,
        }  # fmt: skip


def whole_range(catalog: Catalog, symbols: Sequence[str], zone: ZoneInfo) -> tuple[str, str]:
    """The first and the last date that the catalog has of these symbols; ["*"] for all."""
    named = catalog.symbols if list(symbols) == ["*"] else symbols
    catalog.check_symbols(named)
    pieces = [p for s in named for d in catalog.datasets(s) for p in catalog.pieces(d, s)]
    if not pieces:
        raise CatalogError(f"the catalog {catalog.uri} has no data: there is nothing to prepare")
    first, last = min(p.first_ns for p in pieces), max(p.last_ns for p in pieces)
    days = [datetime.fromtimestamp(ns // SECOND_NS, zone).date() for ns in (first, last)]
    return days[0].isoformat(), days[1].isoformat()


def prepare_cache(
    catalog: Catalog, wish: SessionConfig, defaults: SessionDefaults, progress: Progress
) -> PreparedReport:
    """Write the cache of all sessions of this wish over some of its days, look-back included."""
    config = _with_look_back(wish, defaults, catalog)
    paths = paths_of(catalog, config)
    if paths is None:
        raise RequestError("no folder for caches is named; set TAPEDECK_CACHE_DIR")
    words = Dictionary()
    days = config.days
    with ThreadPoolExecutor(READERS, thread_name_prefix="CatalogReader") as pool:
        wanted = Wanted(
            config.streams, config.symbols, config.derived_intervals, symbols_with_bars(config),
            config.counted_from_ns, cuts_of(config), versions_of_now(),
            hash_of_sources(catalog, config), defaults.buffer_rows,
        )  # fmt: skip
        sources = open_sources(config, defaults, catalog, words, pool)
        ends = [day.end_ns for day in days]

        def told(through_ns: int) -> None:
            done = sum(end <= through_ns for end in ends)
            progress(done, len(days), "preparing days")

        manifest = prepare(
            paths.data, paths.manifest, TimeManager(days, 0, 1), wanted, sources, pool, words, told
        )
    made = manifest.file_bytes + paths.manifest.stat().st_size
    return PreparedReport(
        paths.data, len(config.symbols), days[0].date, days[-1].date, manifest.rows, made
    )


def _with_look_back(
    wish: SessionConfig, defaults: SessionDefaults, catalog: Catalog
) -> ResolvedConfig:
    """The days of the wish and those before that its sessions look back to, as one range."""
    for moment in (wish.start, wish.end):
        if parse_date(moment) is None:
            raise RequestError(f"a cache is of whole days: give dates, not {moment!r}")
    first = resolve(wish, defaults, catalog).days[0].date.isoformat()
    return resolve(replace(wish, start=first, history_days=0), defaults, catalog)
