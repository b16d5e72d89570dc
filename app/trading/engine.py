"""The engine: the phases at each T, and nothing of what they are for.

It hands market data to services and publishes triggers; it calls into none of them. Its caller
(the merge thread, or the thread behind a live feed) tells it of days and windows, in order.

At T: what is due before the slice; the slice to execution and portfolio, drained, so fills are
booked; the slice to strategies, drained; valuation, drained; risk, drained; then timers. Where
nobody has an order at work, strategies get a run of slices at once and stop after the first one
at which they publish: the result is the same.
"""

from __future__ import annotations

from app.model import Window
from app.trading.bus import BusError, EventBus, Handler, Phase, nothing
from app.trading.data_events import MarketEvent
from app.trading.due import Agenda, When
from app.trading.events import (
    BacktestEndEvent,
    BacktestStartEvent,
    CashEvent,
    ControlEvent,
    CorporateActionEvent,
    DayEndEvent,
    DayOpenEvent,
    EventBase,
    FillEvent,
    ModifyRequestEvent,
    OrderRequestEvent,
    RiskEvaluationTriggerEvent,
    RiskHaltEvent,
    ScheduleEvent,
    SessionCloseEvent,
    SignalEvent,
    TimerEvent,
    ValuationTriggerEvent,
)

_RANK = 1  # on the bus; it publishes nothing there itself
_MOST_ROUNDS = 1000
_MARKET, _STRATEGY = Phase.MARKET, Phase.STRATEGY  # found through their class they cost a call
_STIRRING = (
    SignalEvent, OrderRequestEvent, ModifyRequestEvent, FillEvent, CashEvent,
    CorporateActionEvent, TimerEvent, SessionCloseEvent, RiskHaltEvent,
)  # fmt: skip


class Engine:
    """One run. Every method is called by one thread at a time, in order of time."""

    def __init__(self, bus: EventBus) -> None:
        self.now_ns = 0
        self._bus = bus
        self._context = bus.context
        self._agenda = Agenda()
        self._stirred = False
        self._valued = False  # since it was stirred; risk is to look now
        self._valuations = 0  # at this moment
        handlers: dict[type, Handler] = dict.fromkeys(_STIRRING, self._on_stir)
        handlers[ScheduleEvent] = self._on_schedule
        bus.subscribe("clock", _RANK, handlers)

    # -- life ------------------------------------------------------------------------------

    def start(self, now_ns: int, strategies: tuple[str, ...]) -> None:
        """All services are attached: say so, and begin."""
        self.now_ns = now_ns
        run = self._context
        self._publish(ControlEvent(ts_event_ns=now_ns, kind="engine_ready"))
        self._publish(
            BacktestStartEvent(
                ts_event_ns=now_ns, symbols=run.symbols, strategies=strategies, seed=run.seed,
            )
        )  # fmt: skip
        self._bus.drain()

    def open_day(self, day: int, now_ns: int) -> None:
        """A trading day begins; corporate actions come before its first item."""
        self.now_ns = max(self.now_ns, now_ns)
        one = self._context.days[day]
        self._publish(
            DayOpenEvent(
                ts_event_ns=self.now_ns, day=day, date=one.date.isoformat(), open_ns=one.open_ns,
                close_ns=one.close_ns, end_ns=one.end_ns, half_day=one.half_day,
            )
        )  # fmt: skip
        for action in self._context.actions_on(day):
            self._publish(
                CorporateActionEvent(
                    ts_event_ns=self.now_ns, symbol=action.symbol, kind=action.kind,
                    ratio=action.ratio, amount=action.amount,
                )
            )  # fmt: skip
        if self.now_ns < one.close_ns <= one.end_ns:
            self._agenda.add(one.close_ns, When.CLOSE, "engine", str(day))
        self._settle()

    def end_day(self, day: int, end_ns: int) -> None:
        """All up to the day's end is delivered."""
        self.advance(end_ns)
        self._publish(DayEndEvent(ts_event_ns=end_ns, day=day))
        self._settle()

    def finish(self, outcome: str, cause: str | None = None) -> None:
        """The last events. After a failure what was under way is dropped."""
        if outcome == "completed":
            self._publish(ControlEvent(ts_event_ns=self.now_ns, kind="eof"))
            self._settle()
        else:
            self._bus.abandon()
        self._publish(BacktestEndEvent(ts_event_ns=self.now_ns, outcome=outcome, cause=cause))
        self._bus.drain()

    # -- time and data -----------------------------------------------------------------------

    def on_window(self, window: Window) -> None:
        """All slices of a window, each finished before the next one begins."""
        times, agenda = window.times_ns, self._agenda
        at, count = 0, len(times)
        while at < count:
            if agenda.first_ns <= (now_ns := times.item(at)):
                self._run_due(now_ns, When.BEFORE_SLICE)
            at = self._run_slices(window, at, agenda.next_slice(times, at))
        self._run_due(self.now_ns, When.CLOSE)

    def advance(self, now_ns: int) -> None:
        """The clock stands on ``now_ns``: all slices released by then have been delivered."""
        self._run_due(now_ns, When.CLOSE)
        self.now_ns = max(self.now_ns, now_ns)

    def next_due_ns(self) -> int | None:
        """When something is to happen even without data."""
        return self._agenda.next_ns()

    def publish(self, event: EventBase) -> None:
        """An event from outside, at now; all that follows from it is settled on return."""
        self._publish(event)
        self._settle()

    def _run_slices(self, window: Window, at: int, high: int) -> int:
        """Handle one slice, or a run of quiet ones; the first that was not handled."""
        bus = self._bus
        all_quiet = MarketEvent(window, at, high)
        quiet = bus.quiet_until(all_quiet)
        alert = bus.alert
        if quiet > at and not alert and bus.runs_ahead:
            ahead = all_quiet if quiet == high else MarketEvent(window, at, quiet)
            high = bus.send_market(_STRATEGY, ahead)
            self.now_ns = window.times_ns.item(high - 1)
            seen = ahead if quiet == high else MarketEvent(window, at, high)
            bus.send_market(_MARKET, seen, self._follow)
            return high
        self.now_ns = window.times_ns.item(at)
        one = MarketEvent(window, at, at + 1)
        bus.send_market(_MARKET, one, nothing)
        self._stirred |= alert
        bus.send_market(_STRATEGY, one, self._follow)
        return at + 1

    # -- what follows ------------------------------------------------------------------------

    def _publish(self, event: EventBase) -> None:
        self._bus.publish(event)

    def _settle(self) -> None:
        """Drain, then value and evaluate until nothing more follows from T."""
        self._bus.drain(self._follow)

    def _follow(self) -> EventBase | None:
        """What is to come when all that was published is handled; None where T is finished."""
        if self._valued:
            self._valued = False
            return RiskEvaluationTriggerEvent(ts_event_ns=self.now_ns)
        if not self._stirred:
            self._valuations = 0
            return None
        if self._valuations == _MOST_ROUNDS:
            raise BusError(f"services answered each other {_MOST_ROUNDS} times at one moment")
        self._stirred, self._valued = False, True
        self._valuations += 1
        return ValuationTriggerEvent(ts_event_ns=self.now_ns)

    def _on_stir(self, event: EventBase) -> None:
        self._stirred = True

    def _on_schedule(self, event: ScheduleEvent) -> None:
        when = When.BEFORE_SLICE if event.before_slice else When.AFTER_SLICE
        self._agenda.add(event.at_ns, when, event.owner, event.token)

    def _run_due(self, now_ns: int, when: When) -> None:
        """All that is due before ``now_ns``, or at it and not after ``when``."""
        while (due := self._agenda.take(now_ns, when)) is not None:
            self.now_ns = max(self.now_ns, due.at_ns)
            if due.when is When.CLOSE:
                self._publish(SessionCloseEvent(ts_event_ns=self.now_ns, day=int(due.token)))
            else:
                self._publish(TimerEvent(ts_event_ns=self.now_ns, owner=due.owner, token=due.token))
            self._settle()
