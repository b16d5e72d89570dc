"""One replay session: what the outside may ask of it and tell it. Every method is thread-safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import date
from typing import TYPE_CHECKING, Literal, Protocol

from app.calendar import TradingDay
from app.errors import RequestError, StateError
from app.managers.data_manager.backtest_stream_coordinator import BacktestStreamCoordinator
from app.managers.data_manager.commands import Outcome, Unit
from app.managers.data_manager.data_feed_loop import DataFeedLoop
from app.managers.data_manager.merge import StreamStats
from app.managers.lifecycle import ENDED, State
from app.managers.system_manager.answers import (
    Answer,
    ClockInfo,
    DayRecord,
    Progress,
    Quality,
    SessionStatus,
    Summary,
)
from app.managers.system_manager.config import ResolvedConfig, check_speed
from app.managers.system_manager.reader import SessionReader
from app.managers.time_manager import View
from app.model import Dictionary, Ints, Items, StreamType, Window
from app.times import SECOND_NS
from app.trading.events import EventBase

if TYPE_CHECKING:
    from app.managers.system_manager.desk import TradingDesk

MAX_STEPS = 1_000_000


class StatusConsumer(Protocol):
    """A window consumer that is told the whole status; see ``WindowConsumer``."""

    def window_rows(self) -> int | None: ...

    def holding(self) -> float | None: ...

    def on_window(self, window: Window) -> None: ...

    def on_status(self, status: SessionStatus, why: str) -> None: ...


class _Adapter:
    def __init__(self, session: ReplaySession, consumer: StatusConsumer) -> None:
        self._session, self._consumer = session, consumer
        self.window_rows = consumer.window_rows
        self.holding = consumer.holding
        self.on_window = consumer.on_window

    def on_state(self, state: State, view: View, why: str) -> None:
        del state, view
        if why != "day_end":
            self._consumer.on_status(self._session.status(), why)


class ReplaySession:
    """One run of the server over a range of trading days."""

    def __init__(
        self,
        id: str,
        config: ResolvedConfig,
        coordinator: BacktestStreamCoordinator,
        reader: SessionReader,
        feed: DataFeedLoop,
        desk: TradingDesk | None = None,
    ) -> None:
        self.id = id
        self.desk = desk  # None: nothing trades
        self.config = config
        self.symbols = config.symbols
        self.days: tuple[TradingDay, ...] = config.days  # look-back too: View.day indexes it
        self._coordinator = coordinator
        self._reader = reader
        self._feed = feed
        self._began_s = time.monotonic()

    def start(self) -> None:
        """Start all threads; the session leaves STARTING once look-back is loaded."""
        self._feed.start()
        self._coordinator.start_worker()

    # -- seen ----------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._coordinator.state

    @property
    def words(self) -> Dictionary:
        """Texts of trades and quotes in windows."""
        return self._coordinator.delivered_words

    def view(self) -> View:
        return self._coordinator.view

    def status(self) -> SessionStatus:
        """What ``GET /session`` says, of one view."""
        view, discarded = self._coordinator.discarded()
        error = self._coordinator.error
        return SessionStatus(
            self.id, self.state, view.now_ns, view.epoch, view.seq, self._coordinator.speed,
            self._coordinator.lag_ns(), self.days[view.day].date, self._progress(view),
            view.digest, discarded,
            None if error is None else f"{type(error).__name__}: {error}",
        )  # fmt: skip

    def _progress(self, view: View) -> Progress:
        first = self.config.first_day
        total = len(self.days) - first
        over = self.state is State.COMPLETED
        done = total if over else view.day - first
        day = self.days[view.day]
        begin = max(day.first_ns, self.config.look_back_ns) if view.day == first else day.first_ns
        within = (view.now_ns - begin) / max(1, day.end_ns - begin)
        fraction = 1.0 if over else min(1.0, (done + max(0.0, min(1.0, within))) / total)
        eta_s = self._eta_s(view, fraction)
        return Progress(done, total, self._coordinator.items_delivered, fraction, eta_s)

    def _eta_s(self, view: View, fraction: float) -> float | None:
        if self.state is not State.RUNNING:
            return 0.0 if self.state is State.COMPLETED else None
        if not self._coordinator.speed:
            elapsed = time.monotonic() - self._began_s
            return elapsed * (1 - fraction) / fraction if fraction > 0 else None
        day = self.days[view.day]
        ahead = day.end_ns - view.now_ns
        ahead += sum(d.end_ns - d.first_ns for d in self.days[view.day + 1 :])
        return ahead / SECOND_NS / self._coordinator.speed

    def clock(self) -> ClockInfo:
        """What ``GET /time`` says."""
        view = self.view()
        day = self.days[view.day]
        is_open = any(p.start_ns <= view.now_ns < p.end_ns for p in day.regular_parts)
        return ClockInfo(
            view.now_ns, day.date, is_open, day.open_ns, day.close_ns,
            self.config.calendar.next_open_ns(view.now_ns), self._coordinator.speed, self.state,
        )  # fmt: skip

    def summary(self, symbols: Sequence[str] | None) -> Summary:
        return self._reader.summary(symbols)

    def bars(
        self, symbol: str, interval: str, limit: int, since_ns: int | None, day: date | None,
        adjusted: bool = False,
    ) -> Answer:  # fmt: skip
        return self._reader.bars(symbol, interval, limit, since_ns, day, adjusted)

    def ticks(
        self, symbol: str, kind: StreamType, limit: int, since_ns: int | None, day: date | None
    ) -> Answer:
        return self._reader.ticks(symbol, kind, limit, since_ns, day)

    def quality(self, symbol: str) -> Quality:
        return self._reader.quality(symbol)

    def day_records(self) -> tuple[View, list[DayRecord]]:
        return self._reader.day_records()

    def integral(self, symbol: str, kind: StreamType) -> bool:
        return self._reader.integral(symbol, kind)

    def bar_starts(self, bars: Items) -> Ints:
        """Starts of bars in a window, of any intervals."""
        return self._reader.grid.bar_starts(bars)

    def stream_stats(self) -> list[StreamStats]:
        return self._coordinator.get_queue_stats()

    # -- told ----------------------------------------------------------------------------

    def pause(self) -> Future[Outcome]:
        return self._coordinator.pause()

    def resume(self) -> Future[Outcome]:
        return self._coordinator.resume()

    def set_speed(self, speed: float) -> Future[Outcome]:
        return self._coordinator.set_speed(check_speed(speed))

    def step(self, unit: Literal["slice", "bar", "day"], count: int) -> Future[Outcome]:
        """Deliver ``count`` units, then pause; the future is answered when done."""
        if unit not in list(Unit):
            raise RequestError(f"unit is {unit!r}; allowed: {', '.join(Unit)}")
        if not 1 <= count <= MAX_STEPS:
            raise RequestError(f"count is {count}; allowed: 1 to {MAX_STEPS}")
        return self._coordinator.step(Unit(unit), count)

    def trade(self, make: Callable[[int], EventBase]) -> Future[Outcome]:
        """Publish the order, cancel or change that ``make`` makes of now, between two slices.

        All that follows from it at now is settled when the future is answered. StateError where
        the session has no engine.
        """
        desk = self.desk
        if desk is None:
            raise StateError("this session has no engine; start it with a config", self.state)
        return self._coordinator.call(lambda: desk.publish(make, self.view().now_ns))

    def stop(self) -> Outcome:
        """Stop for good; any thread, any number of times, at once where it has ended."""
        number = self._coordinator.next_number()
        self._feed.stop()
        self._coordinator.stop_worker()
        if self._feed.is_alive():
            self._feed.join(2.0)
        view = self.view()
        return Outcome(number, view.now_ns, view.seq, self.state)

    def close(self) -> None:
        """Stop, and free the place for another session; what was delivered stays readable."""
        self.stop()
        self._coordinator.close()

    def wait_started(self, timeout_s: float | None = None) -> State:
        return self._coordinator.wait_started(timeout_s)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the session has ended; False on a timeout."""
        return self._coordinator.wait_ended(timeout_s)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def add_commit_listener(self, callback: Callable[[View], None]) -> Callable[[], None]:
        """Call ``callback`` on the merge thread after each commit, until the result is called."""
        return self._coordinator.delivery.listen(callback)

    def attach(self, consumer: StatusConsumer) -> None:
        """Hand every window and status to ``consumer``; before the start."""
        self._coordinator.delivery.attach(_Adapter(self, consumer))

    def wake(self) -> None:
        """A consumer that held the clock may go on."""
        self._coordinator.wake()
