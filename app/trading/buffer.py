"""A ``MarketReader`` over what it was fed, for an engine that has no catalog behind it.

Look-back is loaded once, then windows are fed in order, before the engine gets them. Bars of the
last ``keep_days`` days before the running one stay, trades and quotes of the running day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app.calendar import TradingDay
from app.day_table import DayTable, Grid
from app.model import (
    TRADE_CODE,
    Dictionary,
    Flag,
    Floats,
    Ints,
    Items,
    Stream,
    StreamType,
    Window,
    copy_items,
    empty_items,
    pick_items,
    stream_code,
)
from app.times import MINUTE_NS
from app.trading.bus import EventBus
from app.trading.context import Close
from app.trading.engine import Engine

_AUCTION_NS = 10 * MINUTE_NS  # after the close, in which a closing auction is taken
_FIRST_ROWS = 256


class _Rows(NamedTuple):
    """One state of a growing store; later states change nothing of what it shows."""

    items: Items
    release_ns: Ints
    low: int
    high: int

    def between(self, from_ns: int, until_ns: int) -> Items:
        """Rows released from one time to another, both inside; not to be written to."""
        release = self.release_ns[self.low : self.high]
        first = self.low + int(release.searchsorted(from_ns, "left"))
        last = self.low + int(release.searchsorted(until_ns, "right"))
        shown: Items = self.items[first:last]
        shown.flags.writeable = False
        return shown

    def with_more(self, more: Items, keep_from_ns: int) -> _Rows:
        """With rows after the newest; those before ``keep_from_ns`` go when it has to grow."""
        items, release, low, high = self
        end = high + len(more)
        if end > len(items):
            low += int(release[low:high].searchsorted(keep_from_ns, "left"))
            kept = high - low
            size = max(_FIRST_ROWS, 2 * (kept + len(more)))
            grown, grown_ns = empty_items(size), np.zeros(size, np.int64)
            copy_items(grown[:kept], items[low:high])
            grown_ns[:kept] = release[low:high]
            items, release, low, high, end = grown, grown_ns, 0, kept, kept + len(more)
        copy_items(items[high:end], more)
        release[high:end] = more["release_ns"]
        return _Rows(items, release, low, end)


class MarketBuffer:
    """One writer (``load``, ``feed``); any readers, each bounded by the time it names.

    ``streams``: what the feed delivers, and on which day numbers, for ``has``; without it, what
    has come. ``closes``: official closes by symbol index and day, where the feed has them; else,
    and until they are known, of each day the last trade marked as the closing auction, or the
    last regular minute.
    """

    def __init__(
        self, symbols: Sequence[str], days: Sequence[TradingDay], *,
        words: Dictionary | None = None, keep_days: int = 5,
        streams: Mapping[Stream, Collection[int]] | None = None,
        closes: Mapping[tuple[int, int], Close] | None = None,
    ) -> None:  # fmt: skip
        self.words = Dictionary() if words is None else words
        self._symbols, self._days = tuple(symbols), tuple(days)
        self._keep_days = keep_days
        self._table, self._regular = DayTable(days), Grid(days, regular_only=True)
        self._streams = streams
        self._closes = dict(closes or {})
        self._auctions: dict[tuple[int, int], list[tuple[int, float]]] = {}
        self._rows: dict[tuple[int, int], _Rows] = {}  # by symbol and stream code

    # -- written by the feed -------------------------------------------------------------------

    def load(self, items: Items) -> None:
        """Rows from before the first window, of any symbols and streams, rising in time."""
        self._append(items, self._days[0].first_ns)

    def feed(self, window: Window) -> None:
        """The next window, before anybody is told of it."""
        first = window.day - self._keep_days
        self._auctions = {key: found for key, found in self._auctions.items() if key[1] >= first}
        self._append(window.items, self._kept_from(window.day, StreamType.BAR))

    def note_close(self, symbol: int, day: int, close: Close) -> None:
        """The feed has an official close; before anybody is told that the day has ended."""
        self._closes[symbol, day] = close

    def _append(self, items: Items, keep_from_ns: int) -> None:
        if not len(items):
            return
        key = items["stream"].astype(np.int64) * len(self._symbols) + items["symbol"]
        order = np.argsort(key, kind="stable")
        rows, key = pick_items(items, order), key[order]
        firsts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
        for first, last in zip(firsts, [*firsts[1:], len(rows)], strict=True):
            code, symbol = divmod(int(key[first]), len(self._symbols))
            self._add(symbol, code, rows[first:last], keep_from_ns)

    def _add(self, symbol: int, code: int, rows: Items, keep_from_ns: int) -> None:
        if code == TRADE_CODE:
            self._note_auctions(symbol, rows)
        if code >= TRADE_CODE:
            day = int(self._table.day_of(rows["release_ns"][:1])[0])
            keep_from_ns = self._days[min(day, len(self._days) - 1)].first_ns
        known = self._rows.get((symbol, code)) or _Rows(empty_items(), np.zeros(0, np.int64), 0, 0)
        self._rows[symbol, code] = known.with_more(rows, keep_from_ns)

    def _note_auctions(self, symbol: int, trades: Items) -> None:
        for row in np.flatnonzero(trades["flags"] & Flag.AUCTION_CLOSE):
            time_ns, price = int(trades["release_ns"][row]), float(trades["v"][row, 0])
            for number, day in enumerate(self._days):
                if day.close_ns <= time_ns <= day.close_ns + _AUCTION_NS:
                    self._auctions.setdefault((symbol, number), []).append((time_ns, price))

    # -- read by anyone --------------------------------------------------------------------------

    def bars(self, symbol: int, interval_min: int, now_ns: int, count: int | None = None) -> Items:
        """The newest ``count`` bars released by ``now_ns``, oldest first; of the days kept."""
        from_ns = self._kept_from(self._day_at(now_ns), StreamType.BAR)
        found = self._between(symbol, interval_min, from_ns, now_ns)
        return found if count is None else found[max(0, len(found) - count) :]

    def ticks(self, symbol: int, kind: StreamType, now_ns: int) -> Items:
        """Trades or quotes of the day of ``now_ns``, released by then, oldest first."""
        from_ns = self._kept_from(self._day_at(now_ns), kind)
        return self._between(symbol, stream_code(kind, 0), from_ns, now_ns)

    def history(self, symbol: int, interval_min: int, before_ns: int, bars: int) -> Items:
        """Up to ``bars`` regular bars released by ``before_ns``, of those that are here."""
        found = self._regular_bars(symbol, interval_min, 0, before_ns)
        return found[max(0, len(found) - bars) :]

    def history_days(self, symbol: int, interval_min: int, day: int, days: int) -> Items:
        """Regular bars of up to ``days`` trading days before day number ``day``."""
        first = self._days[max(0, day - days)].first_ns
        return self._regular_bars(symbol, interval_min, first, self._days[day].first_ns - 1)

    def has(self, symbol: int, kind: StreamType, day: int) -> bool:
        """Whether the feed delivers such items of this symbol on that day."""
        if self._streams is not None:
            name = self._symbols[symbol]
            return any(
                s.symbol == name and s.type is kind and day in days
                for s, days in self._streams.items()
            )
        code = stream_code(kind, 1 if kind is StreamType.BAR else 0)
        one = self._days[day]
        return len(self._between(symbol, code, one.first_ns, one.end_ns)) > 0

    def official_close(self, symbol: int, day: int, now_ns: int) -> Close | None:
        """The close of a day as far as it is known at ``now_ns``; None before the day's end."""
        one = self._days[day]
        if now_ns < max(one.end_ns, one.close_ns):
            return None
        given = self._closes.get((symbol, day))
        if given is not None and given.known_ns <= now_ns:
            return given
        prints = [p for p in self._auctions.get((symbol, day), ()) if p[0] <= now_ns]
        if prints:
            time_ns, price = prints[-1]
            return Close(price, "auction", max(time_ns, one.end_ns))
        bars = self._regular_bars(symbol, 1, one.first_ns, one.close_ns)
        if not len(bars):
            return None
        values: Floats = bars["v"][-1]
        return Close(float(values[3]), "last_minute", one.end_ns)

    def ends(self, symbol: int) -> int | None:
        """The end of the last day on which the feed delivers a symbol; None where it never does.

        Where nothing was said beforehand, a feed does not end.
        """
        if self._streams is None:
            return self._days[-1].end_ns
        name = self._symbols[symbol]
        days = [day for s, on in self._streams.items() if s.symbol == name for day in on]
        return self._days[max(days)].end_ns if days else None

    # -- how -------------------------------------------------------------------------------------

    def _between(self, symbol: int, code: int, from_ns: int, until_ns: int) -> Items:
        rows = self._rows.get((symbol, code))
        return empty_items() if rows is None else rows.between(from_ns, until_ns)

    def _regular_bars(self, symbol: int, interval_min: int, from_ns: int, until_ns: int) -> Items:
        bars = self._between(symbol, interval_min, from_ns, until_ns)
        _, regular = self._regular.part_of(self._regular.bar_starts(bars))
        return bars if regular.all() else pick_items(bars, regular)

    def _day_at(self, now_ns: int) -> int:
        return min(int(self._table.end_ns.searchsorted(now_ns, "left")), len(self._days) - 1)

    def _kept_from(self, day: int, kind: StreamType) -> int:
        back = self._keep_days if kind is StreamType.BAR else 0
        return self._days[max(0, day - back)].first_ns


class BufferedEngine(Engine):
    """An engine that puts each window into its buffer before anybody is told of it.

    On the thread that drives the engine: a feed that is ahead takes nothing away from readers.
    """

    def __init__(self, bus: EventBus, buffer: MarketBuffer) -> None:
        super().__init__(bus)
        self._buffer = buffer

    def on_window(self, window: Window) -> None:
        self._buffer.feed(window)
        super().on_window(window)
