"""A strategy that plays elsewhere: a lane among the others, whose callbacks are turns on a line.

Its context and book are here as any strategy's: what the client wishes is done by them, so ids,
checks and order are those of the same strategy inside.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from app.errors import RequestError
from app.model import QUOTE_CODE, TRADE_CODE, Ints, Items, StreamType
from app.trading.bus import EventBus
from app.trading.events import FillEvent, OrderRejectedEvent, OrderUpdateEvent, WarningEvent
from app.trading.orders import Order, OrderState
from app.trading.sections import StrategySection
from app.trading.services.strategy.book import Book
from app.trading.services.strategy.ctx import Context
from app.trading.services.strategy.lane import Lane, lane_symbols, local_numbers
from app.trading.services.strategy.line import (
    Ack,
    Fill,
    Found,
    Line,
    Lines,
    Lost,
    News,
    Opening,
    Read,
    Reject,
    Split,
    Take,
    Told,
    Turn,
    Update,
)
from app.trading.services.strategy.loading import StrategyError
from app.trading.services.strategy.seat import Seat, Stage
from app.trading.services.strategy.slabs import Interest, LaneSlab


class TellingBook(Book):
    """A book that notes what it was told, for the client to have the same."""

    def __init__(self) -> None:
        super().__init__()
        self.news: list[News] = []

    def take(self, order: Order, state: OrderState = OrderState.NEW) -> None:
        super().take(order, state)
        self.news.append(Take(order, state))

    def update(self, event: OrderUpdateEvent) -> None:
        super().update(event)
        self.news.append(Update(event))

    def fill(self, event: FillEvent) -> None:
        super().fill(event)
        self.news.append(Fill(event))

    def reject(self, event: OrderRejectedEvent) -> None:
        super().reject(event)
        self.news.append(Reject(event))

    def split(self, symbol: str, ratio: float, lot: float) -> None:
        super().split(symbol, ratio, lot)
        self.news.append(Split(symbol, ratio, lot))

    def take_news(self) -> list[News]:
        news, self.news = self.news, []
        return news


class RemoteStrategy:
    """A strategy of a configuration that has no file here."""

    module = ""

    def __init__(self, lines: Lines, bus: EventBus, section: StrategySection) -> None:
        self.section, self._line, self._bus = section, lines[section.id], bus

    def lane(self, stage: Stage) -> Lane:
        return RemoteLane(self.section, self._line, self._bus, stage)


class RemoteLane(Lane):
    """Asks its client instead of calling an instance."""

    def __init__(self, section: StrategySection, line: Line, bus: EventBus, stage: Stage) -> None:
        self.strategy_id, self.section = section.id, section
        self._line, self._bus = line, bus
        symbols = lane_symbols(section, stage.run)
        self.interest = Interest(local_numbers(symbols, stage.run), frozenset(), frozenset())
        self.seat = Seat(section.id, symbols, self.interest, stage)
        self.book: TellingBook = TellingBook()
        self.ctx = Context(self.seat, self.book)
        self.callbacks, self.row_handlers, self.on_slice = {}, [], None
        self._calls: frozenset[str] = frozenset()
        self._lost = False
        self._until_ns = 0
        self._kept: list[tuple[int, Items]] = []  # slices that needed no turn
        self._picked: tuple[LaneSlab | None, Items | None, list[int]] = (None, None, [])

    # -- as a lane -----------------------------------------------------------------------------

    def sit(self) -> None:
        """Wait for the client; what it wants is known from here on."""
        stage = self.seat.stage
        opening = Opening(stage.run, self.section, stage.clock.start_ns, stage.clock.day)
        terms = self._bus.outside(lambda: self._line.open(opening))
        unknown = sorted(terms.codes - {*stage.run.intervals, TRADE_CODE, QUOTE_CODE})
        if unknown and stage.run.intervals:
            raise StrategyError(
                f"strategy {self.strategy_id!r}: its client wants bars of {unknown[0]}m; the run "
                f"has bars of: {', '.join(map(str, stage.run.intervals))}"
            )
        self._calls = terms.calls
        self.interest = self.interest._replace(slices=terms.codes)
        self.seat.interest = self.interest

    def start(self) -> None:
        self.call("on_start")

    def call(self, name: str, *args: Any) -> None:
        if not self._lost and name in self._calls:
            self.seat.stage.enter()
            timer = name == "on_timer"
            told = args[0] if args and not timer else None
            self._ask(name, told, args[0] if timer else "")
        if name == "on_end":
            self._line.tell_end()

    def give(self, rows: LaneSlab, number: int) -> None:
        """One slice: a turn, unless the client said that it needs none yet."""
        if self._lost:
            return
        now_ns = self.seat.stage.clock.now_ns
        self._kept.append((now_ns, self._rows(rows, number)))
        if now_ns >= self._until_ns:
            self._ask("on_slice")

    def _rows(self, rows: LaneSlab, number: int) -> Items:
        slab, items, edges = self._picked
        if slab is not rows or items is None:
            items, edges = rows.sliced_rows()
            self._picked = rows, items, edges
        return items[edges[number] : edges[number + 1]]

    def _ask(self, call: str, event: Told | None = None, token: str = "") -> None:
        clock = self.seat.stage.clock
        slices, self._kept = tuple(self._kept), []
        turn = Turn(
            call, clock.now_ns, clock.day, self.book.take_news(), event, token, slices,
        )  # fmt: skip
        answer = self._bus.outside(lambda: self._line.ask(turn, self))
        if isinstance(answer, Lost):
            self._lost = True
            self._warn("lockstep_lost", answer.reason)
            return
        self._until_ns = answer.until
        if answer.ignored:
            self.tell_ignored(answer.ignored)

    def _warn(self, code: str, text: str) -> None:
        now_ns = self.seat.stage.clock.now_ns
        self.seat.stage.publish(
            WarningEvent(ts_event_ns=now_ns, code=code, strategy_id=self.strategy_id, text=text)
        )

    # -- for the line --------------------------------------------------------------------------

    def play(self, ack: Ack) -> None:
        """Do what is wished, as calls of the context."""
        for number, (name, arguments) in enumerate(ack.wishes):
            try:
                getattr(self.ctx, name)(**arguments)
            except (RequestError, TypeError) as error:
                raise RequestError(f"wish {number}, {name}: {error}") from error

    def read(self, read: Read) -> Found:
        """Recorded data, of nothing that is not known at the turn's time."""
        market, clock = self.seat.stage.run.market, self.seat.stage.clock
        now_ns, symbol = clock.now_ns, read.symbol
        if not 0 <= symbol < len(self.seat.stage.run.symbols):
            raise RequestError(
                f"symbol is {symbol}; the run has {len(self.seat.stage.run.symbols)}"
            )
        if read.what == "official_close":
            found = None
            if 0 <= read.day <= clock.day:
                found = market.official_close(symbol, read.day, now_ns)
            return Found(close=found)
        if read.what == "history":
            before_ns = min(read.before_ns, now_ns)
            items = market.history(symbol, read.interval_min, before_ns, read.count)
            return Found(items, len(items))
        if read.what == "history_days":
            day = min(read.day, clock.day)
            items = market.history_days(symbol, read.interval_min, day, read.count)
            return Found(items, len(items))
        if read.what == "bars":
            items = market.bars(symbol, read.interval_min, now_ns)
        else:
            items = market.ticks(symbol, StreamType(read.what), now_ns)
        release: Ints = items["release_ns"]
        return Found(items[int(release.searchsorted(read.after_ns, "right")) :], len(items))


def rows_as_bytes(items: Items) -> bytes:
    """Records as they lie in memory."""
    return np.ascontiguousarray(items).tobytes()
