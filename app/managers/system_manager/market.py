"""Recorded data for the trading services: of the session, and of the catalog before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from app.calendar import Hours, TradingCalendar, TradingDay
from app.catalog.layout import side_path
from app.catalog.schema import NO_TIME_NS, column_times
from app.catalog.store import Catalog
from app.damage import UNREADABLE
from app.day_table import Grid
from app.errors import CatalogError
from app.feed.judge import RowJudge
from app.feed.resample import Resampler
from app.managers.data_manager.day_book import DayBook
from app.managers.data_manager.session_data import SessionData
from app.managers.system_manager.config import ResolvedConfig
from app.managers.time_manager import View
from app.model import (
    Dictionary,
    Items,
    Stream,
    StreamType,
    empty_items,
    join_items,
    pick_items,
)
from app.times import MINUTE_NS
from app.trading.adjust import adjust_splits, split_table
from app.trading.context import Close, CorporateAction

_EPOCH = date(1970, 1, 1)
_EVER_NS = 2**63 - 1
_CHANNELS = {StreamType.BAR: "bars_1m", StreamType.TRADE: "trades", StreamType.QUOTE: "quotes"}


class CatalogMarket:
    """The ``MarketReader`` of a session on a catalog. Every answer is bounded by a time."""

    def __init__(
        self, catalog: Catalog, config: ResolvedConfig, data: SessionData, book: DayBook,
        words: Dictionary,
    ) -> None:  # fmt: skip
        self.words = words
        self._catalog, self._config = catalog, config
        self._data, self._book = data, book
        self._ends_ns = np.array([day.end_ns for day in config.days])
        self._dates = {stream: stream_dates(catalog, stream) for stream in config.streams}
        self._dates_of: dict[tuple[int, StreamType], frozenset[int]] = {}  # by symbol, when asked
        self._numbers = [(day.date - _EPOCH).days for day in config.days]
        self._ends = lru_cache(maxsize=None)(self._find_end)
        self._regular = lru_cache(maxsize=None)(self._load_regular)

    def _view(self, now_ns: int) -> View:
        day = min(int(self._ends_ns.searchsorted(now_ns)), len(self._ends_ns) - 1)
        return View(1, 0, day, now_ns, "")

    # -- the session -------------------------------------------------------------------------

    def bars(self, symbol: int, interval_min: int, now_ns: int, count: int | None = None) -> Items:
        """The newest ``count`` bars released by ``now_ns``, oldest first; of the days kept."""
        stream = Stream(self._config.symbols[symbol], StreamType.BAR, interval_min)
        found = self._data.visible(stream, self._view(now_ns))
        return found if count is None else found[max(0, len(found) - count) :]

    def ticks(self, symbol: int, kind: StreamType, now_ns: int) -> Items:
        """Trades or quotes of the day of ``now_ns``, released by then, oldest first."""
        stream = Stream(self._config.symbols[symbol], kind)
        return self._data.today(stream, self._view(now_ns))

    def has(self, symbol: int, kind: StreamType, day: int) -> bool:
        """Whether the session delivers such items of this symbol on that day."""
        dates = self._dates_of.get((symbol, kind))
        if dates is None:
            dates = self._dates_of[symbol, kind] = self._find_dates(symbol, kind)
        return self._numbers[day] in dates

    def _find_dates(self, symbol: int, kind: StreamType) -> frozenset[int]:
        """The trading dates of such items, as days since 1970-01-01."""
        name = self._config.symbols[symbol]
        stream = Stream(name, kind, 1 if kind is StreamType.BAR else 0)
        if kind is StreamType.BAR and stream not in self._dates:
            stream = Stream(name, StreamType.TRADE)  # its bars are made of them
        return self._dates.get(stream, frozenset())

    def official_close(self, symbol: int, day: int, now_ns: int) -> Close | None:
        """The close of a day as far as it is known at ``now_ns``; None before it is."""
        if not self._book.has(day):
            return None
        found = self._book.official_close(day, symbol, now_ns)
        return None if found is None else Close(found.price, found.source, now_ns)

    def ends(self, symbol: int) -> int | None:
        """The release of the symbol's very last item in the catalog; None where it has none."""
        return self._ends(symbol)

    def _find_end(self, symbol: int) -> int | None:
        name = self._config.symbols[symbol]
        lasts = [
            piece.last_ns + (MINUTE_NS if channel == "bars_1m" else 0)
            for channel in _CHANNELS.values()
            for piece in self._catalog.pieces(channel, name)
        ]
        return max(lasts, default=None)

    # -- before the session ------------------------------------------------------------------

    def history(self, symbol: int, interval_min: int, before_ns: int, bars: int) -> Items:
        """Up to ``bars`` regular bars released by ``before_ns`` from the catalog, for warm-up."""
        days = max(1, bars * interval_min // 390 + 2)
        while True:
            found, all_read = self._before(symbol, interval_min, before_ns, days)
            if len(found) >= bars or all_read:
                return found[max(0, len(found) - bars) :]
            days *= 2

    def history_days(self, symbol: int, interval_min: int, day: int, days: int) -> Items:
        """Regular bars of up to ``days`` trading days before day number ``day``."""
        before_ns = self._config.days[day].first_ns - 1
        return self._before(symbol, interval_min, before_ns, days)[0]

    def session_bars(self, symbol: int, days: Sequence[TradingDay]) -> Items:
        """All regular 1m bars of these days as they are in the catalog."""
        return self._load_regular(symbol, 1, tuple(days))

    def daily_closes(self, symbol: int, days: Sequence[TradingDay]) -> dict[date, float]:
        """Closes by date, of the day before these too; split-adjusted to the last of them."""
        bars = self.session_bars(symbol, (*self._days_before_days(days), *days))
        splits = split_table(
            corporate_actions(self._catalog, [self._config.symbols[symbol]], days[-1].date),
            [self._config.symbols[symbol]], self._config.days, self._config.calendar.zone.key,
        )  # fmt: skip
        bars["symbol"] = 0  # of the one symbol that the table has
        starts = bars["release_ns"] - MINUTE_NS
        adjusted = adjust_splits(bars, starts, splits, days[-1].end_ns)
        dates = [self._config.calendar.local_date(ns) for ns in starts.tolist()]
        return dict(zip(dates, adjusted["v"][:, 3].tolist(), strict=True))  # the day's last stays

    def _days_before_days(self, days: Sequence[TradingDay]) -> Sequence[TradingDay]:
        number = self._config.days.index(days[0])
        if number:
            return self._config.days[number - 1 : number]
        return self._days_before(0, days[0].first_ns - 1, 1)

    def sessions_a_year(self) -> float:
        """The average of the calendar around the run."""
        return self._config.calendar.sessions_a_year

    def _before(
        self, symbol: int, interval_min: int, before_ns: int, days: int
    ) -> tuple[Items, bool]:
        """Regular bars of so many days up to ``before_ns``, and whether there are none earlier."""
        first_ns = self._first_ns(symbol)
        if first_ns is None:
            return empty_items(), True
        wanted = self._days_before(first_ns, before_ns, days)
        if not wanted:
            return empty_items(), True
        found = self._regular(symbol, interval_min, wanted)
        known = int(found["release_ns"].searchsorted(before_ns, "right"))
        return found[:known], wanted[0].first_ns <= first_ns

    def _first_ns(self, symbol: int) -> int | None:
        source = self._source(symbol)
        pieces = self._catalog.pieces(source.channel, source.symbol)
        return min((piece.first_ns for piece in pieces), default=None)

    def _source(self, symbol: int) -> Stream:
        """What bars of a symbol come from: its 1m bars, else its trades."""
        name = self._config.symbols[symbol]
        if self._catalog.pieces("bars_1m", name):
            return Stream(name, StreamType.BAR, 1)
        return Stream(name, StreamType.TRADE)

    def _days_before(self, first_ns: int, before_ns: int, days: int) -> tuple[TradingDay, ...]:
        last = self._config.calendar.local_date(before_ns)
        first = self._config.calendar.local_date(first_ns)
        if first > last:
            return ()
        name = self._config.calendar.name
        # Twice as many dates as sessions, and a fortnight for holidays: enough anywhere.
        low = max(first, last - timedelta(days=2 * days + 14))
        calendar = TradingCalendar(name, Hours.REGULAR, 0, low, last)
        found = [
            calendar.day(i)
            for i in range(calendar.index_from(low), calendar.index_from(last + timedelta(days=1)))
        ]
        return tuple(d for d in found if d.open_ns < before_ns)[-days:]

    def _load_regular(self, symbol: int, interval_min: int, days: tuple[TradingDay, ...]) -> Items:
        """Regular bars of these days, checked as a session's are."""
        source, grid = self._source(symbol), Grid(days, regular_only=True)
        judge = RowJudge(source.type, on_grid=True)
        low, high = days[0].open_ns, days[-1].close_ns
        words = Dictionary()  # of texts that no bar has
        rows = join_items(
            [
                self._catalog.read(piece, words)[0]
                for piece in self._catalog.pieces(source.channel, source.symbol)
                if piece.last_ns >= low and piece.first_ns < high
            ]
        )
        rows = pick_items(rows, judge.judge(rows) == 0)
        starts = rows["release_ns"] - source.interval_min * MINUTE_NS
        rows = pick_items(rows, grid.part_of(starts)[1])
        rows["symbol"] = symbol
        if source.type is StreamType.TRADE:
            (rows,) = Resampler(grid, StreamType.TRADE, 1).push(rows, _EVER_NS)
        if interval_min > 1:
            (rows,) = Resampler(grid, StreamType.BAR, interval_min).push(rows, _EVER_NS)
        return rows


def stream_dates(catalog: Catalog, stream: Stream) -> frozenset[int]:
    """The trading dates that a catalog has of a stream, as days since 1970-01-01."""
    pieces = catalog.pieces(stream.channel, stream.symbol)
    return frozenset(day for piece in pieces for day in piece.days)


def corporate_actions(
    catalog: Catalog, symbols: Sequence[str], until: date
) -> tuple[CorporateAction, ...]:
    """All actions of these symbols with an ex-date up to ``until``, by date, then symbol."""
    found = []
    for symbol in symbols:
        table = catalog.side_table("corporate_actions", symbol)
        place = side_path("corporate_actions", symbol)
        try:
            rows = [] if table is None else table.to_pylist()
        except UNREADABLE as error:
            raise CatalogError(f"{place}: cannot be read: {error}") from error
        for number, row in enumerate(rows, 1):
            action = _action(f"{place}: row {number}", symbol, row)
            if action.ex_date <= until:
                found.append(action)
    return tuple(sorted(found, key=lambda a: (a.ex_date, a.symbol, a.kind != "split")))


def halts(catalog: Catalog, symbols: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """Trading halts of these symbols: symbol, from, until (exclusive; far away where open)."""
    found = []
    for symbol in symbols:
        table = catalog.side_table("halts", symbol)
        if table is None:
            continue
        place = side_path("halts", symbol)
        try:
            starts, ends = (column_times(table.column(name)) for name in ("start", "end"))
        except (AttributeError, *UNREADABLE) as error:
            raise CatalogError(f"{place}: {error}; needed: start and end, timestamps") from error
        for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True), 1):
            until = _EVER_NS if end == NO_TIME_NS else end
            if start == NO_TIME_NS or until <= start:
                raise CatalogError(f"{place}: row {number}: a halt needs a start before its end")
            found.append((symbol, start, until))
    return tuple(sorted(found))


def _action(place: str, symbol: str, row: dict[str, object]) -> CorporateAction:
    kind, day = row.get("type"), row.get("date")
    value = row.get("ratio") if kind == "split" else row.get("amount")
    if kind not in ("split", "dividend") or not isinstance(day, date):
        raise CatalogError(f"{place}: {row}; needed: a date, and type split or dividend")
    if not isinstance(value, float) or not 0 < value < float("inf"):
        raise CatalogError(f"{place}: a {kind} of {value!r}; needed: a number above 0")
    if kind == "split":
        return CorporateAction(symbol, day, kind, ratio=value)
    return CorporateAction(symbol, day, kind, amount=value)
