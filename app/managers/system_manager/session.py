"""One replay session: what the outside may ask of it and tell it. Every method is thread-safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Literal, Protocol

from app.calendar import TradingDay
from app.errors import NotFoundError, RequestError, StateError, nearest
from app.managers.data_manager.commands import Outcome, Unit
from app.managers.data_manager.delivery import Cutter
from app.managers.data_manager.goals import (
    CloseGoal,
    FillGoal,
    GapGoal,
    Goal,
    Place,
    PriceGoal,
    place_of,
)
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
from app.managers.system_manager.branch import Branch
from app.managers.system_manager.config import ResolvedConfig, check_speed
from app.managers.system_manager.journal import Journal
from app.managers.system_manager.lockstep import Chair
from app.managers.system_manager.session_record import SessionRecord
from app.managers.system_manager.transport import Transport
from app.managers.system_manager.way_back import Builder
from app.managers.time_manager import View
from app.model import Dictionary, Ints, Items, Stream, StreamType, Window
from app.times import SECOND_NS
from app.trading.events import EventBase

if TYPE_CHECKING:
    from app.managers.system_manager.desk import TradingDesk
    from app.trading.services.blotter import Settled

MAX_STEPS = 1_000_000
UNTIL = ("fill", "gap", "close")
_EPOCH = date(1970, 1, 1)


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


class _CuttingAdapter(_Adapter):
    def __init__(self, session: ReplaySession, consumer: StatusConsumer, cutter: Cutter) -> None:
        super().__init__(session, consumer)
        self.cut = cutter.cut


class ReplaySession:
    """One run of the server over a range of trading days."""

    def __init__(
        self,
        id: str,
        config: ResolvedConfig,
        branch: Branch,
        builder: Builder,
        dates: Mapping[Stream, frozenset[int]] | None = None,
        record: SessionRecord | None = None,
        chairs: Mapping[str, Chair] | None = None,
    ) -> None:
        self.id = id
        self.config = config
        self.symbols = config.symbols
        self.days: tuple[TradingDay, ...] = config.days  # look-back too: View.day indexes it
        self.record = record  # of a session without an engine; an engine has its own
        self._transport = Transport(branch, builder, record)
        self._dates = dates or {}
        self._chairs = chairs or {}
        self._began_s = time.monotonic()

    def start(self) -> None:
        """Start all threads; the session leaves STARTING once look-back is loaded."""
        self._branch.start()

    @property
    def _branch(self) -> Branch:
        """The one that is shown; an answer is read of one."""
        return self._transport.shown.branch

    # -- seen ----------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._transport.shown.state

    @property
    def desk(self) -> TradingDesk | None:
        """None: nothing trades."""
        return self._branch.desk

    @property
    def run_id(self) -> str | None:
        """Of its record; None where it leaves none."""
        desk = self.desk
        if self.record is not None:
            return self.record.run_id
        return None if desk is None else desk.run_id

    @property
    def chairs(self) -> Mapping[str, Chair]:
        """Of its strategies that play in lockstep, by id."""
        return self._chairs

    @property
    def journal(self) -> Journal:
        """What came from outside and changed what the session became."""
        return self._transport.journal

    def look(self) -> tuple[TradingDesk, View, Settled] | None:
        """Its engine, a view, and all that is settled by its time; None where none is read."""
        return self._branch.look()

    @property
    def words(self) -> Dictionary:
        """Texts of trades and quotes in windows."""
        return self._branch.coordinator.delivered_words

    def view(self) -> View:
        return self._branch.view

    def status(self) -> SessionStatus:
        """What ``GET /session`` says, of one view."""
        shown = self._transport.shown
        coordinator = shown.branch.coordinator
        view, discarded = coordinator.discarded()
        error, state = shown.error or coordinator.error, shown.state
        lag_ns = 0 if shown.going_back else coordinator.lag_ns()
        return SessionStatus(
            self.id, state, view.now_ns, view.epoch, view.seq, self._transport.speed, lag_ns,
            self.days[view.day].date, self._progress(view, state, coordinator.items_delivered),
            view.digest, discarded,
            None if error is None else f"{type(error).__name__}: {error}",
            self.run_id,
        )  # fmt: skip

    def _progress(self, view: View, state: State, items: int) -> Progress:
        first = self.config.first_day
        total = len(self.days) - first
        over = state is State.COMPLETED
        done = total if over else view.day - first
        day = self.days[view.day]
        begin = max(day.first_ns, self.config.look_back_ns) if view.day == first else day.first_ns
        within = (view.now_ns - begin) / max(1, day.end_ns - begin)
        fraction = 1.0 if over else min(1.0, (done + max(0.0, min(1.0, within))) / total)
        return Progress(done, total, items, fraction, self._eta_s(view, state, fraction))

    def _eta_s(self, view: View, state: State, fraction: float) -> float | None:
        if state is not State.RUNNING:
            return 0.0 if state is State.COMPLETED else None
        speed = self._transport.speed
        if not speed:
            elapsed = time.monotonic() - self._began_s
            return elapsed * (1 - fraction) / fraction if fraction > 0 else None
        day = self.days[view.day]
        ahead = day.end_ns - view.now_ns
        ahead += sum(d.end_ns - d.first_ns for d in self.days[view.day + 1 :])
        return ahead / SECOND_NS / speed

    def clock(self) -> ClockInfo:
        """What ``GET /time`` says."""
        view = self.view()
        day = self.days[view.day]
        is_open = any(p.start_ns <= view.now_ns < p.end_ns for p in day.regular_parts)
        return ClockInfo(
            view.now_ns, day.date, is_open, day.open_ns, day.close_ns,
            self.config.calendar.next_open_ns(view.now_ns), self._transport.speed, self.state,
        )  # fmt: skip

    def summary(self, symbols: Sequence[str] | None) -> Summary:
        return self._branch.reader.summary(symbols)

    def bars(
        self, symbol: str, interval: str, limit: int, since_ns: int | None, day: date | None,
        adjusted: bool = False,
    ) -> Answer:  # fmt: skip
        return self._branch.reader.bars(symbol, interval, limit, since_ns, day, adjusted)

    def ticks(
        self, symbol: str, kind: StreamType, limit: int, since_ns: int | None, day: date | None
    ) -> Answer:
        return self._branch.reader.ticks(symbol, kind, limit, since_ns, day)

    def quality(self, symbol: str) -> Quality:
        return self._branch.reader.quality(symbol)

    def day_records(self) -> tuple[View, list[DayRecord]]:
        return self._branch.reader.day_records()

    def integral(self, symbol: str, kind: StreamType) -> bool:
        return self._branch.reader.integral(symbol, kind)

    def bar_starts(self, bars: Items) -> Ints:
        """Starts of bars in a window, of any intervals."""
        return self._branch.reader.grid.bar_starts(bars)

    def stream_stats(self) -> list[StreamStats]:
        return self._branch.coordinator.get_queue_stats()

    def data_days(self, symbol: str, kind: StreamType) -> list[tuple[date, date]]:
        """Runs of the session's days on which the catalog has rows of a symbol: first and last.

        Of bars that are made of trades, those of the trades.
        """
        found = self._dates.get(Stream(symbol, kind, 1 if kind is StreamType.BAR else 0))
        if found is None and kind is StreamType.BAR:
            found = self._dates.get(Stream(symbol, StreamType.TRADE))
        there = found or frozenset()
        days = [day.date for day in self.days[self.config.first_day :]]
        runs = groupby(days, lambda day: (day - _EPOCH).days in there)
        spans = [list(run) for is_there, run in runs if is_there]
        return [(span[0], span[-1]) for span in spans]

    # -- told ----------------------------------------------------------------------------

    def pause(self) -> Future[Outcome]:
        return self._transport.pause()

    def resume(self) -> Future[Outcome]:
        return self._transport.resume()

    def set_speed(self, speed: float) -> Future[Outcome]:
        return self._transport.set_speed(check_speed(speed))

    def step(self, unit: Literal["slice", "bar", "day"], count: int) -> Future[Outcome]:
        """Deliver ``count`` units, then pause; the future is answered when done."""
        if unit not in list(Unit):
            raise RequestError(f"unit is {unit!r}; allowed: {', '.join(Unit)}")
        if not 1 <= count <= MAX_STEPS:
            raise RequestError(f"count is {count}; allowed: 1 to {MAX_STEPS}")
        return self._transport.apply("step", lambda b: b.coordinator.step(Unit(unit), count))

    def seek(self, time_ns: int) -> Future[Outcome]:
        """Go to a time, ahead or behind, then pause; answered when done.

        RequestError for a time outside of the session. What was going on is interrupted.
        """
        return self._transport.seek(self._place(time_ns))

    def go(self, place: Place) -> Future[Outcome]:
        """As ``seek``, to a place of a journal."""
        return self._transport.seek(place)

    def run_to(self, time_ns: int) -> Future[Outcome]:
        """Go on to a time, then pause; RequestError for one in the past."""
        return self._transport.run_to(Goal(self._place(time_ns)))

    def run_until(self, event: Literal["fill", "gap", "close"]) -> Future[Outcome]:
        """Go on to the next of these, then pause; where none comes the session is COMPLETED."""
        if event not in UNTIL:
            raise RequestError(f"until is {event!r}; allowed: {', '.join(UNTIL)}")
        if event == "fill":
            desk = self.desk
            if desk is None:
                raise StateError("this session has no engine; start one with a config", self.state)
            return self._transport.run_to(FillGoal(self._fills))
        if event == "gap":
            return self._transport.run_to(GapGoal(self._branch.data, self.days))
        return self._transport.run_to(CloseGoal())

    def run_until_price(
        self, symbol: str, above: float | None = None, below: float | None = None
    ) -> Future[Outcome]:
        """Go on until a 1m bar of a symbol closes, or it trades, above or below a price."""
        if symbol not in self.symbols:
            close = ", ".join(nearest(symbol, self.symbols)) or ", ".join(self.symbols[:5])
            raise NotFoundError(f"this session has no symbol {symbol!r}; nearest: {close}")
        if above is None and below is None:
            raise RequestError("neither above nor below is given; give a price")
        number = self.symbols.index(symbol)
        return self._transport.run_to(PriceGoal(number, above, below, self.days, symbol))

    def _fills(self) -> int:
        desk = self.desk
        return 0 if desk is None else desk.fills_made()

    def _place(self, time_ns: int) -> Place:
        return place_of(self.days, self.config.first_day, self.config.look_back_ns, time_ns)

    def trade(self, make: Callable[[int], EventBase]) -> Future[Outcome]:
        """Publish the order, cancel or change that ``make`` makes of now, between two slices.

        All that follows from it at now is settled when the future is answered. StateError where
        the session has no engine.
        """
        if self.desk is None:
            raise StateError("this session has no engine; start it with a config", self.state)
        return self._transport.publish(make)

    def fail(self, error: BaseException) -> None:
        """End it as FAILED, with this cause; any thread."""
        self._branch.coordinator.fail(error)

    def stop(self) -> Outcome:
        """Stop for good; any thread, any number of times, at once where it has ended."""
        return self._transport.stop()

    def close(self) -> None:
        """Stop, and free the place for another session; what was delivered stays readable."""
        self._transport.close()

    def wait_started(self, timeout_s: float | None = None) -> State:
        return self._branch.coordinator.wait_started(timeout_s)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the session has ended; False on a timeout."""
        return self._transport.wait(timeout_s)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def add_commit_listener(self, callback: Callable[[View], None]) -> Callable[[], None]:
        """Call ``callback`` on the merge thread after each commit, until the result is called."""
        return self._transport.listen(callback)

    def attach(self, consumer: StatusConsumer) -> None:
        """Hand every window and status to ``consumer``; before the start."""
        if isinstance(consumer, Cutter):
            self._transport.attach(_CuttingAdapter(self, consumer, consumer))
        else:
            self._transport.attach(_Adapter(self, consumer))

    def wake(self) -> None:
        """A consumer that held the clock may go on."""
        self._branch.coordinator.wake()
