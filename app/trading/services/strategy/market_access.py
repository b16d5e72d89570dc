"""What a strategy may know of the market and of the day: nothing later than its own T."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from app.calendar import TradingDay
from app.errors import RequestError
from app.model import Flag, Items, StreamType
from app.times import SECOND_NS
from app.trading.adjust import adjust_splits, spans_split, split_ratios
from app.trading.services.strategy.columns import (
    Bars,
    Quotes,
    Store,
    Trades,
    bar_starts,
    interval_minutes,
)
from app.trading.services.strategy.seat import Seat

_FIRST_LOOK = 64  # rows from the newest; a last price is rarely further back


class MarketAccess:
    """Time, session and recorded data. Prices stand on the basis of now, as splits left it."""

    _seat: Seat

    # -- time and session ----------------------------------------------------------------------

    @property
    def strategy_id(self) -> str:
        return self._seat.strategy_id

    @property
    def symbols(self) -> tuple[str, ...]:
        """The strategy's symbols, as its configuration lists them."""
        return self._seat.symbols

    @property
    def now_ns(self) -> int:
        return self._seat.stage.clock.now_ns

    @property
    def now(self) -> datetime:
        """T, on the exchange's clock."""
        return self._local(self.now_ns)

    @property
    def is_warmup(self) -> bool:
        """Whether bars from before the start are being given: what is ordered is ignored."""
        return self._seat.warming

    @property
    def day(self) -> date:
        """The trading date."""
        return self._day.date

    @property
    def open(self) -> datetime:
        """The regular open of the day."""
        return self._local(self._day.open_ns)

    @property
    def close(self) -> datetime:
        """The regular close of the day."""
        return self._local(self._day.close_ns)

    @property
    def open_ns(self) -> int:
        return self._day.open_ns

    @property
    def close_ns(self) -> int:
        return self._day.close_ns

    @property
    def half_day(self) -> bool:
        return self._day.half_day

    @property
    def _day(self) -> TradingDay:
        return self._seat.stage.run.days[self._seat.stage.clock.day]

    def _local(self, ns: int) -> datetime:
        whole, fraction = divmod(ns, SECOND_NS)
        moment = datetime.fromtimestamp(whole, UTC).replace(microsecond=fraction // 1000)
        return moment.astimezone(ZoneInfo(self._seat.stage.run.zone))

    # -- recorded data -------------------------------------------------------------------------

    def bars(self, symbol: str, interval: str | int = "1m", count: int | None = None) -> Bars:
        """The newest ``count`` bars (all of the days kept) released by now, oldest first."""
        number, minutes = self._seat.number(symbol), interval_minutes(interval)
        derived = self._seat.stage.run.intervals
        if derived and minutes not in derived:
            there = ", ".join(f"{m}m" for m in derived)
            raise RequestError(f"this run has no bars of {interval!r}; it has: {there}")
        items = self._market.bars(number, minutes, self.now_ns, _checked(count))
        return Bars(self._store(StreamType.BAR, self._adjusted(items)))

    def trades(self, symbol: str, count: int | None = None) -> Trades:
        """The newest ``count`` trades (all) of the day up to now, oldest first."""
        return Trades(self._ticks(StreamType.TRADE, symbol, count))

    def quotes(self, symbol: str, count: int | None = None) -> Quotes:
        """The newest ``count`` quotes (all) of the day up to now, oldest first."""
        return Quotes(self._ticks(StreamType.QUOTE, symbol, count))

    def last(self, symbol: str) -> float | None:
        """The last price: of an eligible trade or a 1m bar, within the delivered hours."""
        number, now_ns = self._seat.number(symbol), self.now_ns
        trade = self._last_of(self._market.ticks(number, StreamType.TRADE, now_ns), Flag.LAST)
        bar = self._last_bar(number, now_ns)
        if bar is not None and (trade is None or bar["release_ns"] >= trade["release_ns"]):
            return float(bar["v"][3])
        return None if trade is None else float(trade["v"][0])

    def prev_close(self, symbol: str) -> float | None:
        """The official close of the newest earlier day that has one."""
        number, clock = self._seat.number(symbol), self._seat.stage.clock
        days = self._seat.stage.run.days
        for day in range(clock.day - 1, -1, -1):
            found = self._market.official_close(number, day, self.now_ns)
            if found is not None:
                price: float = found.price
                return price / self._ratio_since(number, days[day].first_ns)
        return None

    def round_price(self, symbol: str, price: float) -> float:
        """The nearest price that is a multiple of the symbol's tick."""
        self._seat.number(symbol)
        tick = self._seat.stage.run.instrument(symbol).tick
        return round(round(price / tick) * tick, 8) if tick else price

    @property
    def _market(self) -> Any:
        return self._seat.stage.run.market

    def _ticks(self, kind: StreamType, symbol: str, count: int | None) -> Store:
        items = self._market.ticks(self._seat.number(symbol), kind, self.now_ns)
        newest = _checked(count)
        return self._store(kind, items if newest is None else items[max(0, len(items) - newest) :])

    def _store(self, kind: StreamType, items: Items) -> Store:
        return Store(kind, items, self._seat.stage.grid, self._seat.interest.local)

    def _last_bar(self, number: int, now_ns: int) -> Any:
        bars = self._market.bars(number, 1, now_ns)
        ratios = split_ratios(self._seat.stage.run, self._seat.stage.clock.day)
        if number in ratios:
            today = bars["release_ns"] > self._day.first_ns
            bars = bars[~(today & spans_split(bars, ratios))]
        return self._last_of(bars)

    def _last_of(self, items: Items, needed: int = 0) -> Any:
        """The newest row that may set a price, with these flags; None without one."""
        for rows in (items[max(0, len(items) - _FIRST_LOOK) :], items):
            wanted = rows["flags"] & (Flag.POST_CLOSE | needed) == needed
            found = np.flatnonzero(wanted)
            if len(found):
                return self._adjusted(rows[found[-1:]])[0]
        return None

    # -- splits --------------------------------------------------------------------------------

    @property
    def _basis_ns(self) -> int:
        clock = self._seat.stage.clock
        return max(clock.now_ns, clock.start_ns)

    def _adjusted(self, items: Items) -> Items:
        splits = self._seat.stage.splits
        if not splits or not len(items):
            return items
        starts = bar_starts(items, self._seat.stage.grid)
        return adjust_splits(items, starts, splits, self._basis_ns)

    def _ratio_since(self, number: int, from_ns: int) -> float:
        """New shares for one of those of then."""
        ratio = 1.0
        for split in self._seat.stage.splits:
            if split.symbol == number and from_ns < split.from_ns <= self._basis_ns + 1:
                ratio *= split.ratio
        return ratio


def _checked(count: int | None) -> int | None:
    if count is not None and (type(count) is not int or count < 1):
        raise RequestError(f"count is {count!r}; needed: a whole number above 0")
    return count
