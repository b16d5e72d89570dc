"""Which prepared cache a session may play from.

A cache is never needed: where there is none that fits, is whole and is of the files as they are
now, a session reads the catalog's Parquet files.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from blake3 import blake3

from app.calendar import TradingDay
from app.catalog.pieces import Piece
from app.catalog.schema import NO_TIME_NS
from app.catalog.store import Catalog
from app.day_table import DayTable
from app.errors import CatalogError
from app.managers.data_manager.data_upkeep_thread import derived_streams
from app.managers.data_manager.day_book import DayBook
from app.managers.data_manager.discards import REASONS, DiscardLog
from app.managers.data_manager.prepared import (
    LOST,
    Batches,
    Manifest,
    PreparedMerger,
    read_manifest,
)
from app.managers.system_manager.config import ResolvedConfig, midnight_ns
from app.model import Ints, Stream, StreamType
from app.runs.digest import DIGEST_VERSION
from app.runs.versions import versions

log = logging.getLogger(__name__)

_FORMAT = "1"
_AFTER_HOURS = REASONS.index("after_hours")
_AGAIN = "the session reads the Parquet files; 'tapedeck catalog build --cache' makes it again"


class PreparedFeed(NamedTuple):
    """A cache that fits a session, and where in it the session's days begin."""

    batches: Batches
    config: ResolvedConfig
    day: int

    @property
    def words(self) -> Sequence[str]:
        return self.batches.manifest.words

    def merger(self) -> PreparedMerger:
        """What stands in place of the queues, for one execution."""
        config = self.config
        ticks = [s for s in config.streams if s.type is not StreamType.BAR]
        return PreparedMerger(
            self.batches, config.days[0].first_ns, config.days[-1].end_ns, config.look_back_ns,
            {s: config.from_ns(s) for s in ticks} if config.first_day else {},
        )  # fmt: skip

    @property
    def streams(self) -> list[Stream]:
        """All that it has rows of."""
        config = self.config
        return [*config.streams, *derived_streams(config.streams, config.derived_intervals)]

    def fill(self, book: DayBook, discards: DiscardLog) -> None:
        """The records of the days, and what was discarded."""
        config, manifest = self.config, self.batches.manifest
        spans = {
            config.symbols.index(s.symbol): (config.from_ns(s), config.reads_until_ns(s))
            for s in config.streams
            if s.type is StreamType.TRADE
        }
        for number in range(len(config.days)):
            kept = manifest.records[self.day + number]
            auctions = {
                symbol: [one for one in prints if spans[symbol][0] <= one[0] < spans[symbol][1]]
                for symbol, prints in kept.auctions.items()
            }
            book.restore(number, kept._replace(auctions=auctions))
        lost = np.frombuffer(manifest.lost, LOST)
        if len(lost):
            lost = lost[self._counted(lost)]
            table = DayTable(config.days)
            after = lost["reason"] == _AFTER_HOURS
            discards.add(table.within_day(lost["released_ns"], after), lost["reason"])

    def _counted(self, lost: np.ndarray) -> np.ndarray:
        """Which of the rows the session would have read and counted."""
        config = self.config
        low = np.array([config.from_ns(s) for s in config.streams])[lost["stream"]]
        high = np.array([config.reads_until_ns(s) for s in config.streams])[lost["stream"]]
        start = lost["start_ns"]
        inside = (start >= np.maximum(low, config.counted_from_ns)) & (start < high)
        found: np.ndarray = inside | (start == NO_TIME_NS)
        return found


# -- looking for one ---------------------------------------------------------------------------


def find_prepared(catalog: Catalog, config: ResolvedConfig) -> PreparedFeed | None:
    """The cache that a session may play from; None, told in the log, where it may not."""
    paths = paths_of(catalog, config)
    if paths is None:
        return None
    try:
        manifest = read_manifest(paths.manifest)
        if manifest is None:
            return None
        stale = _why_stale(manifest, catalog, config)
        if stale is not None:
            log.warning("the prepared cache %s is not used: %s; %s", paths.data, stale, _AGAIN)
            return None
        day, unfit = _place_of(manifest, config, sequenced_of(catalog, config))
        if unfit is not None:
            log.info("the prepared cache %s is not for this session: %s", paths.data, unfit)
            return None
        batches = Batches(paths.data, manifest)
    except CatalogError as error:
        log.warning("the prepared cache is not used: %s; %s", error, _AGAIN)
        return None
    log.info("the session plays from the prepared cache %s", paths.data)
    return PreparedFeed(batches, config, day)


class CachePaths(NamedTuple):
    data: Path
    manifest: Path


def paths_of(catalog: Catalog, config: ResolvedConfig) -> CachePaths | None:
    """Where the cache of such sessions is; None where nothing is kept."""
    folder = catalog.cache_dir
    if folder is None:
        return None
    calendar = config.calendar
    named = repr((
        catalog.uri, catalog.root, config.symbols, [tuple(s) for s in config.streams],
        config.derived_intervals, calendar.name, calendar.hours.value, calendar.grace_s,
    ))  # fmt: skip
    name = f"prepared-{blake3(named.encode()).hexdigest()[:16]}"
    return CachePaths(folder / f"{name}.arrow", folder / f"{name}.msgpack")


def versions_of_now() -> dict[str, str]:
    """All that the same files might be judged otherwise by."""
    mine = versions()
    return {
        "cache format": _FORMAT, "digest": DIGEST_VERSION, "tapedeck": mine.tapedeck,
        "code of tapedeck": mine.code, "time zones": mine.time_zones,
        "exchange-calendars": mine.libraries["exchange-calendars"],
    }  # fmt: skip


def _why_stale(manifest: Manifest, catalog: Catalog, config: ResolvedConfig) -> str | None:
    """Why no session may use it any more."""
    now = versions_of_now()
    other = [name for name, value in now.items() if manifest.versions.get(name) != value]
    if other:
        return f"it was made with another version of {', '.join(other)}"
    if hash_of_sources(catalog, over_days(config, manifest.days)) != manifest.sources:
        return "the catalog's files are not those that it was made of"
    return None


def _place_of(
    manifest: Manifest, config: ResolvedConfig, sequenced: tuple[bool, ...]
) -> tuple[int, str | None]:
    """Which of its days is the session's first, and why it does not fit."""
    if sequenced != manifest.sequenced:
        return 0, "its trades and quotes are ordered otherwise than in these days alone"
    days, count = manifest.days, len(config.days)
    day = next((n for n, one in enumerate(days) if one.date == config.days[0].date), None)
    if day is None or days[day : day + count] != config.days:
        return 0, f"it is of the days {days[0].date} to {days[-1].date} and their hours"
    plain = over_days(config, config.days, config.first_day)
    if (config.counted_from_ns, config.until_ns) != (plain.counted_from_ns, plain.until_ns):
        return day, "the session begins or ends within a day"
    return day, _why_not_cut(manifest, config, day)


def _why_not_cut(manifest: Manifest, config: ResolvedConfig, day: int) -> str | None:
    """Why a session of some of its days would not get the same as from these alone."""
    days, end = manifest.days, day + len(config.days)
    for number in {day, day + config.first_day} - {0}:
        edge_ns = _begin_ns(config, days[number])
        if edge_ns in manifest.torn_ns or edge_ns <= days[number - 1].end_ns:
            return f"its rows are not cut clearly where {days[number].date} begins"
    if end < len(days):
        edge_ns = _until_ns(days[end - 1])
        if edge_ns in manifest.torn_ns or edge_ns > days[end].first_ns:
            return f"its rows are not cut clearly where {days[end - 1].date} ends"
    return None


def cuts_of(config: ResolvedConfig) -> Ints:
    """Where sessions of some of the days would begin or end to read, rising."""
    edges = {_begin_ns(config, day) for day in config.days} | {_until_ns(d) for d in config.days}
    return np.array(sorted(edges), np.int64)


def _begin_ns(config: ResolvedConfig, day: TradingDay) -> int:
    """Where a session that begins with a day reads from."""
    return min(day.first_ns, midnight_ns(config.calendar, day.date))


def _until_ns(day: TradingDay) -> int:
    """Where a session that ends with a day reads to."""
    return max(day.end_ns + 1, day.midnight_ns)


def over_days(
    config: ResolvedConfig, days: tuple[TradingDay, ...], first_day: int = 0
) -> ResolvedConfig:
    """The same session over whole days."""
    return config._replace(
        days=days, first_day=first_day, look_back_ns=days[first_day].first_ns - 1,
        counted_from_ns=_begin_ns(config, days[first_day]), until_ns=_until_ns(days[-1]),
    )  # fmt: skip


def hash_of_sources(catalog: Catalog, config: ResolvedConfig) -> str:
    """Of all pieces that a session reads: their files' sizes and times, and what is in them."""
    hasher = blake3()
    for stream in config.streams:
        hasher.update(msgspec.msgpack.encode(_pieces(catalog, config, stream)))
    return str(hasher.hexdigest())


def sequenced_of(catalog: Catalog, config: ResolvedConfig) -> tuple[bool, ...]:
    """By stream, whether all that is read of it has the sequence of trades and quotes."""
    read = [_pieces(catalog, config, stream) for stream in config.streams]
    return tuple(bool(pieces) and all(p.sequenced for p in pieces) for pieces in read)


def _pieces(catalog: Catalog, config: ResolvedConfig, stream: Stream) -> list[Piece]:
    low, high = config.from_ns(stream), config.reads_until_ns(stream)
    pieces = catalog.pieces(stream.channel, stream.symbol)
    return [p for p in pieces if p.last_ns >= low and p.first_ns < high]
