"""A strategy file played turn by turn, by the code that plays it inside a run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from app.calendar import Part, TradingDay
from app.lockstep.market import Ask, RemoteMarket
from app.lockstep.wishes import NotingContext
from app.model import ITEM, Items, StreamType, Window, channel_name
from app.trading.context import CorporateAction, Instrument, RunContext
from app.trading.events import EventBase, WarningEvent
from app.trading.sections import StrategySection
from app.trading.services.strategy.base import overridden
from app.trading.services.strategy.lane import Lane, Loaded
from app.trading.services.strategy.line import Fill, News, Reject, Split, Take, Told, Update
from app.trading.services.strategy.loading import forget_modules
from app.trading.services.strategy.rows import make_events
from app.trading.services.strategy.seat import Stage
from app.trading.services.strategy.slabs import LaneSlab, RawRows, Slab

CALLS = ("on_day_start", "on_order", "on_fill", "on_reject", "on_timer", "on_day_end", "on_end")
_ONE_SLICE = np.zeros(0, np.int64)  # of rows that are given as events: nobody looks


class Wanted:
    """What a strategy's class needs to be asked and shown, read of its file."""

    def __init__(self, file: Path, name: str | None, strategy_id: str) -> None:
        section = StrategySection(id=strategy_id, file=str(file), name=name)
        loaded = Loaded(section, Path())
        own, intervals = overridden(loaded.strategy), loaded.strategy.intervals
        forget_modules([loaded.module])
        self.calls = ["on_start", *(call for call in CALLS if call in own)]
        channels = [channel_name(StreamType.BAR, minutes) for minutes in intervals]
        wanted = channels if own & {"on_bar", "on_slice"} else []
        for kind, callback in ((StreamType.TRADE, "on_trade"), (StreamType.QUOTE, "on_quote")):
            if own & {callback, "on_slice"}:
                wanted.append(kind.value)
        self.channels = wanted or ["status"]


class StrategyPlayer:
    """One execution: from ``begin`` to its last turn."""

    def __init__(self, file: Path, name: str | None, begin: Mapping[str, Any], ask: Ask) -> None:
        run = _context(begin["run"], RemoteMarket(ask))
        wish = {**begin["strategy"], "file": str(file), "name": name, "lockstep": False}
        loaded = Loaded(StrategySection.model_validate(wish), Path())
        self.module = loaded.module
        self.number = int(begin["turn"])  # of the last turn that was played
        self._stage = Stage(run, self._sink)
        self._stage.clock.start_ns = self._stage.clock.now_ns = int(begin["time"])
        self._stage.clock.day = int(begin["day"])
        self._lane = Lane(loaded, self._stage)
        self._ctx = NotingContext(self._lane.seat, self._lane.book)
        self._lane.ctx = self._ctx
        self._ignored = 0

    def play(self, turn: Mapping[str, Any]) -> dict[str, Any]:
        """Play a turn; the answer to it. Raises what the strategy failed of."""
        clock, lane, call = self._stage.clock, self._lane, str(turn["call"])
        for news in turn.get("news", ()):
            self._learn(msgspec.convert(news, News, strict=False))
        clock.day = int(turn["day"])
        self._ignored = 0
        for at_ns, rows in turn.get("slices", ()):
            clock.now_ns = at_ns
            self._show(at_ns, np.frombuffer(rows, ITEM))
        clock.now_ns = int(turn["time"])
        if call == "on_start":
            lane.start()
        elif call != "on_slice":
            lane.seat.over = call == "on_end"
            lane.call(call, *self._arguments(turn))
        self.number = int(turn["turn"])
        answer: dict[str, Any] = {"action": "ack", "turn": self.number}
        wishes = self._ctx.take_wishes()
        if wishes:
            answer["wishes"] = wishes
        if self._ignored:
            answer["ignored"] = self._ignored
        return answer

    def close(self) -> None:
        forget_modules([self.module])

    def _arguments(self, turn: Mapping[str, Any]) -> list[Any]:
        if turn["call"] == "on_timer":
            return [turn["timer"]]
        event = turn.get("event")
        return [] if event is None else [msgspec.convert(event, Told, strict=False)]

    def _learn(self, news: News) -> None:
        """What became of the strategy's orders."""
        book = self._lane.book
        if isinstance(news, Take):
            book.take(news.order, news.state)
        elif isinstance(news, Update):
            book.update(news.event)
        elif isinstance(news, Fill):
            book.fill(news.event)
        elif isinstance(news, Reject):
            book.reject(news.event)
        elif isinstance(news, Split):
            book.split(news.symbol, news.ratio, news.lot)

    def _show(self, at_ns: int, items: Items) -> None:
        """One slice, through the slab that an engine's window goes through."""
        lane, stage = self._lane, self._stage
        stage.enter()
        if lane.on_slice is None:  # then all that was sent is for its callbacks by row
            rows = LaneSlab(lane.interest, RawRows(items, _ONE_SLICE, stage.grid))
            rows.events, _, rows.kinds = make_events(items, stage.run.symbols, stage.grid)
            rows.edges = [0, len(items)]
            lane.give(rows, 0)
            return
        window = Window(1, stage.clock.day, 1, np.array([at_ns]), np.array([0, len(items)]), items)
        slab = Slab(window, 0, [lane.interest], stage.run.symbols, stage.grid)
        if slab.busy:
            lane.give(slab.lanes[0], 0)

    def _sink(self, event: EventBase) -> None:
        """What the context would publish is made again at the server, of the wishes."""
        if isinstance(event, WarningEvent) and event.code == "warmup_ignored":
            self._ignored = self._lane.seat.ignored


def _context(run: Mapping[str, Any], market: RemoteMarket) -> RunContext:
    return RunContext(
        run_id=run["name"], symbols=tuple(run["symbols"]),
        days=tuple(_day(day) for day in run["days"]), first_day=run["first_day"], market=market,
        seed=run["seed"], currency=run["currency"], minor_digits=run["minor_digits"],
        zone=run["zone"],
        actions=tuple(
            CorporateAction(**{**one, "ex_date": _date(one["ex_date"])}) for one in run["actions"]
        ),
        instruments={name: Instrument(**one) for name, one in run["instruments"].items()},
        intervals=tuple(run["intervals"]),
    )  # fmt: skip


def _day(day: Mapping[str, Any]) -> TradingDay:
    breaks = tuple((low, high) for low, high in day["breaks"])
    parts = tuple(Part(**part) for part in day["parts"])
    return TradingDay(**{**day, "date": _date(day["date"]), "breaks": breaks, "parts": parts})


def _date(text: str) -> date:
    return datetime.fromisoformat(text).date()
