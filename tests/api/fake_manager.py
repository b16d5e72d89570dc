"""A manager whose one session does what the test says, when it says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import date
from threading import Condition
from types import SimpleNamespace
from typing import Any

import numpy as np

from app.calendar import Hours, TradingCalendar
from app.day_table import Grid
from app.errors import StateError
from app.managers.data_manager.commands import Outcome
from app.managers.right_of_way import RightOfWay
from app.managers.system_manager import SessionStatus, State
from app.managers.system_manager.answers import Answer, Progress, Summary, SymbolSummary
from app.managers.time_manager import View
from app.model import Dictionary, Ints, Items, Stream, StreamType, Window, empty_items
from app.times import MINUTE_NS

DAY = TradingCalendar("XNYS", Hours.REGULAR, 60, date(2013, 10, 7), date(2013, 10, 7)).range(
    date(2013, 10, 7), date(2013, 10, 7)
)[0][0]


def bar_window(first_seq: int, slices: int, symbols: int = 2, epoch: int = 1) -> Window:
    """So many minutes with a 1m bar of every symbol; slice n ends n minutes after the open."""
    rows = slices * symbols
    numbers = np.arange(first_seq, first_seq + slices)
    times_ns = DAY.open_ns + numbers * MINUTE_NS
    items = empty_items(rows)
    items["release_ns"] = np.repeat(times_ns, symbols)
    items["symbol"] = np.tile(np.arange(symbols), slices)
    items["stream"] = 1
    items["v"][:, :5] = np.repeat(numbers, symbols)[:, None]
    items["v"][:, 5] = np.nan
    items["v"][:, 6] = 1
    items.flags.writeable = False
    return Window(epoch, 0, first_seq, times_ns, np.arange(slices + 1) * symbols, items)


class FakeSession:
    """Delivers the windows it is given on the thread that gives them, as a merge thread would."""

    def __init__(self, number: int, symbols: Sequence[str] = ("A", "B")) -> None:
        self.id = f"fake{number}"
        self.symbols = tuple(symbols)
        self.days = (DAY,)
        self.words = Dictionary()
        self.config = SimpleNamespace(derived_intervals=(5, 15))
        self.chairs: dict[str, Any] = {}
        self.state = State.STARTING
        self.speed = 0.0
        self.pending: list[Future[Outcome]] = []
        self.held_asks = 0
        self.broken: Exception | None = None
        self._view = View(1, 0, 0, DAY.first_ns - 1, "td1:00")
        self._listeners: list[Callable[[View], None]] = []
        self._consumers: list[Any] = []
        self._changed = Condition()
        self._last = empty_items(len(symbols))
        self._number = 0

    # -- what the test does ----------------------------------------------------------------

    def deliver(self, window: Window) -> None:
        """Hold as long as a consumer says so, then hand the window over and commit."""
        for consumer in self._consumers:
            while (held_s := consumer.holding()) is not None:
                self.held_asks += 1
                with self._changed:
                    self._changed.wait(held_s)
        self._last[window.items["symbol"]] = window.items
        now_ns = int(window.times_ns[-1])
        self._view = self._view._replace(epoch=window.epoch, seq=window.last_seq, now_ns=now_ns)
        for consumer in self._consumers:
            consumer.on_window(window)
        self._tell_listeners()

    def become(self, state: State, why: str = "state") -> None:
        self.state = state
        self.tell(why)

    def tell(self, why: str) -> None:
        for consumer in self._consumers:
            consumer.on_status(self.status(), why)
        self._tell_listeners()

    def begin_epoch(self, epoch: int, seq: int) -> None:
        self._view = self._view._replace(epoch=epoch, seq=seq)
        self.tell("epoch")

    def finish_step(self, interrupted: bool = False) -> None:
        self.state = State.PAUSED
        self.pending.pop(0).set_result(self._outcome(interrupted))

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the API does to this session."""
        with self._changed:
            assert self._changed.wait_for(condition, 10)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def window_rows(self) -> int | None:
        rows: int | None = self._consumers[0].window_rows()
        return rows

    # -- what the API does -----------------------------------------------------------------

    def view(self) -> View:
        if self.broken is not None:
            raise self.broken
        return self._view

    def status(self) -> SessionStatus:
        view = self.view()
        progress = Progress(0, 1, 0, 0.0, None)
        return SessionStatus(
            self.id, self.state, view.now_ns, view.epoch, view.seq, self.speed, 0, DAY.date,
            progress, view.digest, {}, None,
        )  # fmt: skip

    def summary(self, symbols: Sequence[str] | None) -> Summary:
        bars = {name: self._last[i : i + 1] for i, name in enumerate(self.symbols)}
        return Summary(
            self._view,
            {
                name: SymbolSummary(
                    float(bars[name]["v"][0, 3]), bars[name], None, None,
                    None, None, None, None, 0, None, None,
                )
                for name in symbols or self.symbols
            },
            self.words,
        )  # fmt: skip

    def ticks(self, symbol: str, kind: StreamType, *_: Any) -> Answer:
        items: Items = empty_items()
        return Answer(self._view, Stream(symbol, kind), items, np.empty(0, int), self.words, True)

    def integral(self, symbol: str, kind: StreamType) -> bool:
        return symbol == "A" and kind is StreamType.BAR

    def bar_starts(self, bars: Items) -> Ints:
        return Grid([DAY]).bar_starts(bars)

    def stream_stats(self) -> list[Any]:
        return []

    def pause(self) -> Future[Outcome]:
        return self._done(State.PAUSED)

    def resume(self) -> Future[Outcome]:
        return self._done(State.RUNNING)

    def set_speed(self, speed: float) -> Future[Outcome]:
        self.speed = speed
        return self._done(self.state)

    def step(self, unit: str, count: int) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        if self.state is not State.PAUSED:
            future.set_exception(StateError(f"{unit} x {count}: not PAUSED", self.state))
        else:
            self.state = State.RUNNING
            self.pending.append(future)
            self.wake()
        return future

    def stop(self) -> Outcome:
        while self.pending:
            self.finish_step(interrupted=True)
        if self.state is not State.STOPPED:
            self.become(State.STOPPED, "end")
        return self._outcome()

    def add_commit_listener(self, callback: Callable[[View], None]) -> Callable[[], None]:
        self._listeners.append(callback)
        self.wake()

        def remove() -> None:
            self._listeners.remove(callback)
            self.wake()

        return remove

    def attach(self, consumer: Any) -> None:
        self._consumers.append(consumer)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _tell_listeners(self) -> None:
        for listener in list(self._listeners):
            listener(self._view)

    def _done(self, state: State) -> Future[Outcome]:
        self.state = state
        future: Future[Outcome] = Future()
        future.set_result(self._outcome())
        return future

    def _outcome(self, interrupted: bool = False) -> Outcome:
        self._number += 1
        view = self._view
        return Outcome(self._number, view.now_ns, view.seq, self.state, interrupted)


class FakeManager:
    """Starts fake sessions; nothing on disk."""

    def __init__(self) -> None:
        self.session: FakeSession | None = None
        self.right_of_way = RightOfWay()
        self._callbacks: list[Callable[[Any], None]] = []
        self._count = 0

    def start_session(self, config: Any) -> FakeSession:
        last = self.session
        if last is not None and last.state not in (State.STOPPED, State.COMPLETED, State.FAILED):
            raise StateError(f"session {last.id} is {last.state}", last.state)
        self._count += 1
        symbols = ("A", "B") if list(config.symbols) == ["*"] else tuple(config.symbols)
        session = FakeSession(self._count, symbols)
        for callback in self._callbacks:
            callback(session)
        self.session = session
        session.become(State.PAUSED if config.start_paused else State.RUNNING)
        return session

    def on_session(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def catalog(self) -> Any:
        return SimpleNamespace(summary=dict, broken_files=["bars_1m/X.parquet: no column ts"])

    def ready(self) -> str | None:
        return "the fake has no catalog"

    def close(self) -> None:
        if self.session is not None:
            self.session.stop()
