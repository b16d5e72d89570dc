"""Reading a session: every answer from one committed view, nothing released after it."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from datetime import date
from threading import Lock

import numpy as np

from app.day_table import Grid
from app.feed.queues import BEFORE_ALL_NS
from app.managers.data_manager.day_board import DayBoard, Newest
from app.managers.data_manager.day_book import DayBook, SymbolDay
from app.managers.data_manager.gap_detection import coverage
from app.managers.data_manager.intake import AUCTION_GRACE_NS
from app.managers.data_manager.session_data import SessionData
from app.managers.system_manager.answers import (
    Answer,
    DayRecord,
    Quality,
    Summary,
    SymbolDayRecord,
    SymbolSummary,
)
from app.managers.time_manager import TimeManager, View
from app.model import (
    Dictionary,
    Flag,
    Items,
    Stream,
    StreamType,
    empty_items,
    make_items,
    parse_channel,
)
from app.trading.adjust import Split, adjust_splits

_DAY_MIN = 1440
_TRADES_BACK = 256
_BOARDS = 8  # that are kept, of different symbols
_NO_PRICES = (None, None, None, None)
Prices = tuple[float, float, float, float] | tuple[None, None, None, None]


class SessionReader:
    """Thread-safe: holds what it reads, and takes a view for every answer."""

    def __init__(
        self, time_manager: TimeManager, data: SessionData, book: DayBook, words: Dictionary,
        integral: dict[Stream, bool], splits: Sequence[Split] = (),
    ) -> None:  # fmt: skip
        self._time, self._data, self._book = time_manager, data, book
        self._words = words
        self._integral = {(s.symbol, s.type): whole for s, whole in integral.items()}
        for stream, whole in integral.items():
            if stream.type is StreamType.TRADE:  # its bars are made of them, where it has no own
                self._integral.setdefault((stream.symbol, StreamType.BAR), whole)
        ticks = {s.symbol for s in integral if s.type is not StreamType.BAR}
        self._with_ticks = [symbol in ticks for symbol in data.symbols]
        self._splits = tuple(splits)
        self.grid = Grid(time_manager.days)
        self._looking = Lock()
        self._boards: OrderedDict[tuple[str, ...], DayBoard] = OrderedDict()
        self._closes: tuple[int, int, list[float | None]] = (-1, BEFORE_ALL_NS, [])

    def integral(self, symbol: str, kind: StreamType) -> bool:
        """Whether sizes of a symbol's stream are whole numbers at their source."""
        return self._integral.get((symbol, kind), False)

    def summary(self, symbols: Sequence[str] | None) -> Summary:
        """The newest of each symbol, all at one view."""
        names = self._data.symbols if symbols is None else tuple(symbols)
        numbers = [self._check(name) for name in names]
        with self._looking:
            view = self._time.view
            newest = self._board(names).look(view)
            closes = self._prev_closes(view)
        bars = [newest.bars[i : i + 1] if there else None for i, there in enumerate(newest.there)]
        found = {
            name: SymbolSummary(
                last, bar, None, None, o, h, low, v, count, quality, closes[number]
            )
            for name, number, last, bar, (o, h, low, v), count, quality in zip(
                names, numbers, _lasts(newest), bars, _prices(newest), newest.counts.tolist(),
                newest.qualities, strict=True,
            )
        }  # fmt: skip
        for name, number in zip(names, numbers, strict=True):
            if self._with_ticks[number]:
                found[name] = self._with_newest_ticks(name, found[name], view)
        return Summary(view, found, self._words)

    def _with_newest_ticks(self, symbol: str, found: SymbolSummary, view: View) -> SymbolSummary:
        trade = self._data.newest(Stream(symbol, StreamType.TRADE), view)
        quote = self._data.newest(Stream(symbol, StreamType.QUOTE), view)
        last = found.last
        if trade is not None:
            last = _last_price(found.bar, self._newest_eligible(symbol, trade, view))
        return found._replace(last=last, trade=trade, quote=quote)

    def _newest_eligible(self, symbol: str, newest: Items, view: View) -> np.void | None:
        if newest["flags"][0] & Flag.LAST:
            found: np.void = newest[0]
            return found
        return _last_eligible(self._data.today(Stream(symbol, StreamType.TRADE), view))

    def _board(self, names: tuple[str, ...]) -> DayBoard:
        """Of those that were asked for last some are kept; under the lock."""
        board = self._boards.pop(names, None)
        if board is None:
            board = DayBoard(self._time, self._data, names)
        self._boards[names] = board
        while len(self._boards) > _BOARDS:
            self._boards.popitem(last=False)
        return board

    def _check(self, symbol: str) -> int:
        if symbol not in self._data.numbers:
            self._data.find(symbol, StreamType.BAR, 1)
        return self._data.numbers[symbol]

    def _prev_closes(self, view: View) -> list[float | None]:
        """By number of the symbol; kept while time cannot change them. Under the lock."""
        day, settled_ns, closes = self._closes
        if day == view.day and view.now_ns >= settled_ns:
            return closes
        closes = [self._prev_close(number, view) for number in range(len(self._data.symbols))]
        settled_ns = self._settled_ns(view.day)
        if view.begun and view.now_ns >= settled_ns:
            self._closes = view.day, settled_ns, closes
        return closes

    def _settled_ns(self, day: int) -> int:
        """From when on within a day its previous closes stay as they are."""
        end_ns = self._time.days[day].end_ns
        known = [s.from_ns for s in self._splits if s.from_ns - 1 <= end_ns]
        known += [one.close_ns + AUCTION_GRACE_NS for one in self._time.days[:day]]
        known += [one.end_ns for one in self._time.days[:day]]
        return max(known, default=BEFORE_ALL_NS)

    def _prev_close(self, number: int, view: View) -> float | None:
        for day in range(view.day - 1, -1, -1):
            if self._book.has(day):
                official = self._book.official_close(day, number, view.now_ns)
                if official is not None:
                    return official.price / self._split_since(number, day, view.now_ns)
        return None

    def _split_since(self, symbol: int, day: int, now_ns: int) -> float:
        """The shares that one share of a day's close has become."""
        end_ns = self._time.days[day].end_ns
        return math.prod(
            s.ratio
            for s in self._splits
            if s.symbol == symbol and end_ns <= s.from_ns and s.from_ns - 1 <= now_ns
        )

    def bars(
        self, symbol: str, interval: str, limit: int, since_ns: int | None, day: date | None,
        adjusted: bool = False,
    ) -> Answer:  # fmt: skip
        """The newest ``limit`` bars of the days kept; ``interval`` 1m, a derived one or 1d.

        ``adjusted``: prices and volumes on the basis of now, where a split came since.
        """
        view = self._time.view
        if interval == "1d":
            number = self._check(symbol)
            stream = Stream(symbol, StreamType.BAR, _DAY_MIN)
            items, starts = self._daily(number, view)
        else:
            _, minutes = parse_channel(f"bars_{interval}")
            stream = self._data.find(symbol, StreamType.BAR, minutes)
            items = self._data.visible(stream, view)
            starts = self.grid.bar_starts(items)
        answer = self._answer(view, stream, items, starts, limit, since_ns, day)
        if adjusted:
            on_now = adjust_splits(answer.items, answer.starts_ns, self._splits, view.now_ns)
            volumes = on_now["v"][:, 4]
            whole = answer.integral and bool((volumes == np.rint(volumes)).all())
            return answer._replace(items=on_now, integral=whole)
        return answer

    def ticks(
        self, symbol: str, kind: StreamType, limit: int, since_ns: int | None, day: date | None
    ) -> Answer:
        """The newest ``limit`` trades or quotes of the current day."""
        view = self._time.view
        stream = self._data.find(symbol, kind)
        items = self._data.today(stream, view)
        return self._answer(view, stream, items, items["release_ns"], limit, since_ns, day)

    def _answer(
        self, view: View, stream: Stream, items: Items, starts: np.ndarray, limit: int,
        since_ns: int | None, day: date | None,
    ) -> Answer:  # fmt: skip
        low, high = 0, len(items)
        if since_ns is not None:
            low = int(np.searchsorted(starts, since_ns, "right"))
        if day is not None:
            own = [n for n, one in enumerate(self._time.days) if one.date == day]
            begin, end = self._time.span_ns(own[0]) if own else (0, 0)
            release = items["release_ns"]
            low = max(low, int(np.searchsorted(release, begin, "right")))
            high = int(np.searchsorted(release, end, "right"))
        low = max(low, high - limit)
        high = max(low, high)
        integral = self.integral(stream.symbol, stream.type)
        return Answer(view, stream, items[low:high], starts[low:high], self._words, integral)

    def _daily(self, number: int, view: View) -> tuple[Items, np.ndarray]:
        """1d bars: the records of the days that are over at this view."""
        days = self._time.days
        over = [
            d for d in range(view.day + 1) if days[d].end_ns <= view.now_ns and self._book.has(d)
        ]
        rows = [(d, self._book.symbol_day(d, number)) for d in over]
        rows = [(d, record) for d, record in rows if record.open is not None]
        if not rows:
            return empty_items(), np.empty(0, np.int64)
        columns = np.array([_day_columns(record) for _, record in rows]).T
        full = [bool(r.coverage and r.coverage.received == r.coverage.expected) for _, r in rows]
        items = make_items(
            _DAY_MIN,
            [days[d].end_ns for d, _ in rows],
            np.where(full, np.uint16(Flag.COMPLETE), np.uint16(0)),
            *columns,
        )
        items["symbol"] = number
        return items, np.array([days[d].open_ns for d, _ in rows], np.int64)

    def quality(self, symbol: str) -> Quality:
        """Coverage and gaps of the running day."""
        view = self._time.view
        self._check(symbol)
        day = self._time.days[view.day]
        cover = coverage(day, self._data.regular_bars(symbol, view)[1], view.now_ns)
        if not self._data.has(Stream(symbol, StreamType.BAR, 1)):
            return Quality(view, day.date, None, 0, 0, [])
        return Quality(
            view, day.date, cover.quality, cover.received, cover.expected, list(cover.gaps)
        )

    def day_records(self) -> tuple[View, list[DayRecord]]:
        """The session's days up to the running one, that one as far as it is."""
        view = self._time.view
        found = []
        for number in range(self._time.first_day, view.day + 1):
            day = self._time.days[number]
            over = (number < view.day or view.now_ns >= day.end_ns) and self._book.has(number)
            symbols = {
                name: SymbolDayRecord.of(
                    self._book.symbol_day(number, i) if over else self._so_far(name, view),
                    self._book.official_close(number, i, view.now_ns) if over else None,
                )
                for i, name in enumerate(self._data.symbols)
            }
            found.append(DayRecord(day.date, day.open_ns, day.close_ns, day.half_day, symbols))
        return view, found

    def _so_far(self, symbol: str, view: View) -> SymbolDay:
        metrics = self._data.get_session_metrics(symbol, view)
        cover = None
        if self._data.has(Stream(symbol, StreamType.BAR, 1)):
            starts = self._data.regular_bars(symbol, view)[1]
            cover = coverage(self._time.days[view.day], starts, view.now_ns)
        return SymbolDay(
            metrics.open, metrics.high, metrics.low, metrics.close, metrics.volume, cover
        )


def _lasts(newest: Newest) -> list[float | None]:
    """By symbol the close of the newest bar."""
    closes = newest.bars["v"][:, 3].tolist()
    return [close if there else None for close, there in zip(closes, newest.there, strict=True)]


def _prices(newest: Newest) -> list[Prices]:
    """By symbol: open, high, low and volume; None before the first regular bar."""
    rows = newest.ohlcv[:, [0, 1, 2, 4]].tolist()
    return [(o, h, low, v) if o == o else _NO_PRICES for o, h, low, v in rows]


def _last_price(bar: Items | None, trade: np.void | None) -> float | None:
    """The close of the newest bar, or the newest eligible trade where that is not older."""
    if bar is None:
        return None if trade is None else float(trade["v"][0])
    if trade is not None and trade["release_ns"] >= bar["release_ns"][0]:
        return float(trade["v"][0])
    return float(bar["v"][0, 3])


def _last_eligible(trades: Items) -> np.void | None:
    high = len(trades)
    while high > 0:
        low = max(0, high - _TRADES_BACK)
        found = np.flatnonzero(trades["flags"][low:high] & Flag.LAST)
        if len(found):
            row: np.void = trades[low + int(found[-1])]
            return row
        high = low
    return None


def _day_columns(record: SymbolDay) -> list[float]:
    prices = [record.open, record.high, record.low, record.close, record.volume]
    minutes = record.coverage.received if record.coverage else 0
    return [*(np.nan if p is None else p for p in prices), np.nan, float(minutes)]
