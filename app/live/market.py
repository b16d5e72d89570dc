"""What a live run knows of its market: the buffer of what came, and what its report asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from app.calendar import TradingCalendar, TradingDay
from app.day_table import Grid
from app.model import Dictionary, Items, Stream, Window, join_items, pick_items
from app.times import MINUTE_NS
from app.trading.adjust import adjust_splits, split_table
from app.trading.buffer import MarketBuffer
from app.trading.context import CorporateAction


class LiveMarket(MarketBuffer):
    """A ``MarketBuffer`` that also keeps the 1m bars of the whole run where a report is wanted."""

    def __init__(
        self, symbols: Sequence[str], days: Sequence[TradingDay], *, words: Dictionary,
        keep_days: int, streams: Mapping[Stream, Collection[int]], calendar: TradingCalendar,
        actions: Sequence[CorporateAction], report: bool,
    ) -> None:  # fmt: skip
        super().__init__(symbols, days, words=words, keep_days=keep_days, streams=streams)
        self._calendar, self._actions = calendar, actions
        self._report = report
        self._minutes: list[Items] = []  # 1m bars

    def load(self, items: Items) -> None:
        super().load(items)
        self._keep(items)

    def feed(self, window: Window) -> None:
        super().feed(window)
        self._keep(window.items)

    def _keep(self, items: Items) -> None:
        if self._report:
            self._minutes.append(pick_items(items, items["stream"] == 1))

    # -- for the report ------------------------------------------------------------------------

    def session_bars(self, symbol: int, days: Sequence[TradingDay]) -> Items:
        """All regular 1m bars of these days."""
        self._minutes = [join_items(self._minutes)]
        bars = pick_items(self._minutes[0], self._minutes[0]["symbol"] == symbol)
        _, regular = Grid(days, regular_only=True).part_of(bars["release_ns"] - MINUTE_NS)
        return pick_items(bars, regular)

    def daily_closes(self, symbol: int, days: Sequence[TradingDay]) -> dict[date, float]:
        """Closes by date, of the day before these too; split-adjusted to the last of them."""
        first = self._days.index(days[0])
        bars = self.session_bars(symbol, (*self._days[max(0, first - 1) : first], *days))
        bars["symbol"] = 0  # of the one symbol that the table has
        name = self._symbols[symbol]
        splits = split_table(
            [a for a in self._actions if a.symbol == name], [name], self._days,
            self._calendar.zone.key,
        )  # fmt: skip
        starts = bars["release_ns"] - MINUTE_NS
        adjusted = adjust_splits(bars, starts, splits, days[-1].end_ns)
        dates = [self._calendar.local_date(ns) for ns in starts.tolist()]
        return dict(zip(dates, adjusted["v"][:, 3].tolist(), strict=True))  # the day's last stays

    def sessions_a_year(self) -> float:
        """The average of the calendar around the run."""
        return self._calendar.sessions_a_year
