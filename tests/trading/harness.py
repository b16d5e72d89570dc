"""A bus, an engine and services on a stage: market data by hand, every event recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from app.calendar import Hours, TradingCalendar, TradingDay
from app.model import (
    QUOTE_CODE,
    TRADE_CODE,
    Dictionary,
    Flag,
    Items,
    Stream,
    StreamType,
    Window,
    code_rank,
    empty_items,
    join_items,
    make_items,
)
from app.times import MINUTE_NS
from app.trading.bus import EventBus, Kind
from app.trading.context import Close, CorporateAction, Instrument, RunContext
from app.trading.data_events import EquityEvent
from app.trading.engine import Engine
from app.trading.events import EventBase
from app.trading.service import BacktestService

E = TypeVar("E")
ELIGIBLE = int(Flag.LAST | Flag.HIGH_LOW | Flag.VOLUME)


@lru_cache
def days_of(
    start: str, end: str, hours: str = "regular", grace_s: int = 60
) -> tuple[TradingDay, ...]:
    low, high = date.fromisoformat(start), date.fromisoformat(end)
    calendar = TradingCalendar("XNYS", Hours(hours), grace_s, low, high)
    return tuple(calendar.range(low, high)[0])


DAYS = days_of("2013-10-04", "2013-10-08")  # Friday, Monday, Tuesday


def minute(number: int, day: TradingDay = DAYS[0]) -> int:
    """The time ``number`` minutes after a day's open."""
    return day.open_ns + number * MINUTE_NS


def bar(
    symbol: int, start_ns: int, open: float, high: float, low: float, close: float,
    volume: float = 1000, vwap: float = np.nan, interval_min: int = 1, flags: int = Flag.COMPLETE,
) -> Items:  # fmt: skip
    """One bar that starts at ``start_ns``."""
    release = start_ns + interval_min * MINUTE_NS
    row = make_items(
        interval_min, [release], flags, open, high, low, close, volume, vwap, interval_min
    )
    row["symbol"] = symbol
    return row


def trade(symbol: int, ts_ns: int, price: float, size: float = 100, flags: int = ELIGIBLE) -> Items:
    row = make_items(TRADE_CODE, [ts_ns], flags, price, size, -1, -1)
    row["symbol"] = symbol
    return row


def quote(
    symbol: int, ts_ns: int, bid: float, ask: float, bid_size: float = 500, ask_size: float = 500,
    flags: int = 0,
) -> Items:  # fmt: skip
    row = make_items(QUOTE_CODE, [ts_ns], flags, bid, bid_size, ask, ask_size, -1, -1)
    row["symbol"] = symbol
    return row


def in_order(rows: Iterable[Items]) -> Items:
    """Rows in the total order (of one kind a symbol: as they come)."""
    items = join_items(list(rows))
    rank = np.array([code_rank(int(c)) for c in items["stream"]], np.int64)
    order: Any = np.lexsort((items["symbol"], rank, items["release_ns"]))
    found: Items = items[order]
    return found


def window(rows: Iterable[Items], day: int = 0, first_seq: int = 1) -> Window:
    """All these rows as one window of slices."""
    items = in_order(rows)
    times, starts = np.unique(items["release_ns"], return_index=True)
    return Window(1, day, first_seq, times, np.append(starts, len(items)), items)


class HandMarket:
    """Recorded data by hand: ``add`` rows before they are played."""

    def __init__(self, symbols: Sequence[str], days: Sequence[TradingDay] = DAYS) -> None:
        self.words = Dictionary()
        self.closes: dict[tuple[int, int], Close] = {}  # by symbol and day
        self.last_ns: dict[int, int] = {}
        self._symbols, self._days = tuple(symbols), tuple(days)
        self._items = empty_items()

    def add(self, rows: Iterable[Items]) -> None:
        self._items = in_order([self._items, *rows])

    def _of(self, symbol: int, code: int, now_ns: int) -> Items:
        items = self._items
        found: Items = items[
            (items["symbol"] == symbol)
            & (items["stream"] == code)
            & (items["release_ns"] <= now_ns)
        ]
        return found

    def bars(self, symbol: int, interval_min: int, now_ns: int, count: int | None = None) -> Items:
        found = self._of(symbol, interval_min, now_ns)
        return found if count is None else found[max(0, len(found) - count) :]

    def ticks(self, symbol: int, kind: StreamType, now_ns: int) -> Items:
        found = self._of(symbol, Stream("", kind).code, now_ns)
        first = max((d.first_ns for d in self._days if d.first_ns <= now_ns), default=0)
        rows: Items = found[found["release_ns"] >= first]
        return rows

    def history(self, symbol: int, interval_min: int, before_ns: int, bars: int) -> Items:
        return self.bars(symbol, interval_min, before_ns, bars)

    def history_days(self, symbol: int, interval_min: int, day: int, days: int) -> Items:
        first, last = self._days[max(0, day - days)], self._days[max(0, day - 1)]
        found = self._of(symbol, interval_min, last.end_ns if day else 0)
        rows: Items = found[found["release_ns"] > first.first_ns]
        return rows

    def has(self, symbol: int, kind: StreamType, day: int) -> bool:
        items, one = self._items, self._days[day]
        code = Stream("", kind, 1 if kind is StreamType.BAR else 0).code
        mine = (items["symbol"] == symbol) & (items["stream"] == code)
        release = items["release_ns"][mine]
        return bool(((release > one.first_ns - 1) & (release <= one.end_ns)).any())

    def official_close(self, symbol: int, day: int, now_ns: int) -> Close | None:
        found = self.closes.get((symbol, day))
        return found if found is not None and found.known_ns <= now_ns else None

    def ends(self, symbol: int) -> int | None:
        if symbol in self.last_ns:
            return self.last_ns[symbol]
        mine = self._items["release_ns"][self._items["symbol"] == symbol]
        return int(mine.max()) if len(mine) else None


class Recorder:
    """Hears every topic, after all services."""

    def __init__(self, bus: EventBus) -> None:
        self.events: list[EventBase] = []
        self.curves: list[EquityEvent] = []
        handlers: dict[type, Any] = dict.fromkeys(bus.topics, self.events.append)
        handlers[EquityEvent] = self.curves.append
        bus.subscribe("recorder", 1000, handlers)

    def of(self, kind: type[E]) -> list[E]:
        return [e for e in self.events if type(e) is kind]


class Stage:
    """One run by hand: ``play`` windows within days that are opened and ended."""

    def __init__(
        self, symbols: Sequence[str] = ("AAA",), *, days: Sequence[TradingDay] = DAYS,
        actions: Sequence[CorporateAction] = (),
        instruments: Mapping[str, Instrument] | None = None, **context: Any,
    ) -> None:  # fmt: skip
        self.market = HandMarket(symbols, days)
        self.context = RunContext(
            "run", tuple(symbols), tuple(days), 0, self.market, actions=tuple(actions),
            instruments=dict(instruments or {}), **context,
        )  # fmt: skip
        self.bus = EventBus(self.context)
        self.engine = Engine(self.bus)
        self.seen = Recorder(self.bus)
        self.day = -1

    def attach(self, *services: BacktestService, kind: Kind = Kind.INLINE) -> None:
        for service in services:
            service.attach(kind)

    def start(self, day: int = 0) -> None:
        """Begin the run and its first day."""
        self.engine.start(self.context.days[day].first_ns - 1, ())
        self.open(day)

    def open(self, day: int) -> None:
        self.day = day
        self.engine.open_day(day, self.context.days[day].first_ns - 1)

    def end(self) -> None:
        self.engine.end_day(self.day, self.context.days[self.day].end_ns)

    def roll(self) -> None:
        """End the day and open the next."""
        self.end()
        self.open(self.day + 1)

    def play(self, *rows: Items) -> None:
        """Deliver rows: one window of all of them. They are recorded data as well."""
        self.market.add(rows)
        self.engine.on_window(window(rows, self.day))

    def send(self, *events: EventBase) -> None:
        """Publish events from outside, each settled before the next."""
        for event in events:
            self.engine.publish(event)
