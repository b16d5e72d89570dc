"""The strategies' place on the bus: what comes is handed to each, by their ids' order."""

from __future__ import annotations

import weakref
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

from app.model import Block, Window
from app.trading.bus import EventBus, Kind, Phase
from app.trading.data_events import MarketEvent
from app.trading.events import (
    BacktestEndEvent,
    BacktestStartEvent,
    CorporateActionEvent,
    DayEndEvent,
    DayOpenEvent,
    EventBase,
    FillEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    OrderUpdateEvent,
    TimerEvent,
)
from app.trading.orders import OrderState
from app.trading.sections import StrategySection
from app.trading.service import BacktestService
from app.trading.services.strategy.ctx import OWNER
from app.trading.services.strategy.lane import Lane, Played, Walk, load_all
from app.trading.services.strategy.line import Lines
from app.trading.services.strategy.loading import RAISED, forget_modules
from app.trading.services.strategy.remote import RemoteStrategy
from app.trading.services.strategy.seat import Stage
from app.trading.services.strategy.slabs import Slab

_TOLD = frozenset(
    {OrderState.ACCEPTED, OrderState.WORKING, OrderState.CANCELLED, OrderState.EXPIRED}
)


def check_strategies(section: Sequence[StrategySection], folder: Path) -> None:
    """Load every strategy and make it with its parameters; StrategyError with file and line."""
    inside = [one for one in section if not one.lockstep]
    forget_modules([one.module for one in load_all(inside, folder)])


class StrategyRunner(BacktestService):
    """Runs all strategies of a configuration. They know nothing of each other."""

    NAME: ClassVar[str] = "strategy"
    RANK: ClassVar[int] = 30
    PHASE: ClassVar[Phase | None] = Phase.STRATEGY

    def __init__(self, event_bus: EventBus, loaded: Sequence[Played]) -> None:
        super().__init__(event_bus)
        # By name: whoever is held here may hold the runner.
        weakref.finalize(self, forget_modules, [one.module for one in loaded])
        self._stage = Stage(self.context, self.publish)
        self._clock = self._stage.clock
        self._lanes = [one.lane(self._stage) for one in loaded]
        self._of = {lane.strategy_id: lane for lane in self._lanes}
        self._with_rows: list[Lane] = []  # those that get market data, known at the start
        self._slab: Slab | None = None
        self._walk: Walk | None = None  # of the slab, where one strategy wants rows only
        self._awaited = 0  # corporate actions of the day that are still to come

    @classmethod
    def from_config(
        cls, section: Sequence[StrategySection], event_bus: EventBus, folder: Path | None = None,
        lines: Lines | None = None, all_inside: bool = False,
    ) -> Self:  # fmt: skip
        """Strategies of a configuration; their files are relative to ``folder``.

        ``lines`` lead to the clients of those that play in lockstep, unless all are played
        inside. StrategyError names the file and the line of what cannot be used.
        """
        elsewhere = None if lines is None else partial(RemoteStrategy, lines, event_bus)
        in_turn = sorted(section, key=lambda one: one.id)
        loaded = load_all(in_turn, folder or Path(), elsewhere, all_inside)
        return cls(event_bus, loaded)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {
            BacktestStartEvent: self._on_start,
            DayOpenEvent: self._on_day_open,
            CorporateActionEvent: self._on_corporate_action,
            MarketEvent: self._on_market,
            OrderApprovedEvent: self._on_approved,
            OrderUpdateEvent: self._on_update,
            OrderRejectedEvent: self._on_rejected,
            FillEvent: self._on_fill,
            TimerEvent: self._on_timer,
            DayEndEvent: self._on_day_end,
            BacktestEndEvent: self._on_end,
        }

    def attach(self, kind: Kind = Kind.INLINE) -> None:
        super().attach(kind)
        self._stage.publish = self.publish

    # -- days ----------------------------------------------------------------------------------

    def _on_start(self, event: BacktestStartEvent) -> None:
        self._set_time(event)
        self._clock.start_ns = event.ts_event_ns
        self._clock.day = self.context.day_at(event.ts_event_ns)
        for lane in self._lanes:
            lane.sit()
        self._with_rows = [i for i in self._lanes if i.interest.rows or i.interest.slices]
        for lane in self._lanes:
            lane.start()

    def _on_day_open(self, event: DayOpenEvent) -> None:
        """The day starts for strategies when its corporate actions have come too."""
        self._set_time(event)
        self._clock.day = event.day
        self._awaited = len(self.context.actions_on(event.day))
        if not self._awaited:
            self._start_day()

    def _on_corporate_action(self, event: CorporateActionEvent) -> None:
        self._set_time(event)
        if event.kind == "split":
            lot = self.context.instrument(event.symbol).lot
            for lane in self._lanes:
                lane.book.split(event.symbol, event.ratio, lot)
        if self._awaited:
            self._awaited -= 1
            if not self._awaited:
                self._start_day()

    def _start_day(self) -> None:
        for lane in self._lanes:
            lane.ctx.arm(self._clock.day)
            lane.call("on_day_start")

    def _on_day_end(self, event: DayEndEvent) -> None:
        self._set_time(event)
        for lane in self._lanes:
            lane.call("on_day_end")

    def _on_end(self, event: BacktestEndEvent) -> None:
        self._set_time(event)
        if event.outcome == "failed":
            return
        for lane in self._lanes:
            lane.seat.over = True
            lane.call("on_end")

    # -- what became of wishes -------------------------------------------------------------------

    def _on_approved(self, event: OrderApprovedEvent) -> None:
        for order in event.orders:
            lane = self._of.get(order.strategy_id)
            if lane is not None:
                lane.book.take(order, OrderState.ACCEPTED)

    def _on_update(self, event: OrderUpdateEvent) -> None:
        self._clock.now_ns = event.ts_event_ns
        lane = self._of.get(event.strategy_id)
        if lane is not None:
            lane.book.update(event)
            if event.state in _TOLD:
                lane.call("on_order", event)

    def _on_rejected(self, event: OrderRejectedEvent) -> None:
        self._clock.now_ns = event.ts_event_ns
        lane = self._of.get(event.strategy_id)
        if lane is not None:
            lane.book.reject(event)
            lane.call("on_reject", event)

    def _on_fill(self, event: FillEvent) -> None:
        self._clock.now_ns = event.ts_event_ns
        lane = self._of.get(event.strategy_id)
        if lane is not None:
            lane.book.fill(event)
            lane.call("on_fill", event)

    def _on_timer(self, event: TimerEvent) -> None:
        lane = self._of.get(event.owner.removeprefix(OWNER))
        if lane is not None and event.owner.startswith(OWNER):
            self._set_time(event)
            lane.call("on_timer", event.token)

    def _set_time(self, event: EventBase) -> None:
        self._clock.now_ns = event.ts_event_ns

    # -- market data -----------------------------------------------------------------------------

    def _on_market(self, event: MarketEvent) -> None:
        """All slices, or up to the first one at which something was published."""
        port = self.port
        assert port is not None
        self._stage.enter()
        window = event.window
        source, at = (window, 0) if window.block is None else (window.block, window.at)
        low, high = at + event.low, at + event.high
        if not self._with_rows:
            low = high
        while low < high:
            slab = self._slab
            if slab is None or slab.source is not source or not slab.low <= low < slab.high:
                slab = self._slab = self._make_slab(source, low)
            first = slab.low
            end = (slab.high if slab.high < high else high) - first
            run = self._run_rows if slab.by_row else self._run_slices
            low = first + run(slab, low - first, end)
            if port.outbox:
                break
        port.reached = low - at

    def _make_slab(self, source: Block | Window, low: int) -> Slab:
        self._slab = self._walk = None  # its memory is taken again at once
        interests = [lane.interest for lane in self._with_rows]
        return Slab(source, low, interests, self.context.symbols, self._stage.grid)

    def _run_rows(self, slab: Slab, low: int, high: int) -> int:
        """One strategy that only wants rows: slices of a slab, the first that was not handled.

        Both count from the slab's first slice.
        """
        assert self.port is not None
        lane, rows, clock, outbox = self._with_rows[0], slab.lanes[0], self._clock, self.port.outbox
        edges, walk = rows.edges, self._walk
        first = edges[low]
        if walk is None or walk.rows is not rows or walk.at != first:
            walk = self._walk = Walk(lane, rows, first)
        ctx, steps = lane.ctx, walk.steps
        try:
            for event, clock.now_ns, handle in islice(steps, edges[high] - first):
                handle(ctx, event)
                if outbox:
                    break
            else:
                return high
            after = bisect_left(slab.times_ns, clock.now_ns, low, high) + 1
            for event, _, handle in islice(steps, edges[after] - walk.at):
                handle(ctx, event)
        except RAISED as error:
            raise lane.failure(error) from error
        return after

    def _run_slices(self, slab: Slab, low: int, high: int) -> int:
        """Every strategy gets each slice, up to the first at which one of them published.

        As ``_run_rows``.
        """
        assert self.port is not None
        clock, outbox, busy = self._clock, self.port.outbox, slab.busy
        start, stop = bisect_left(busy, low), bisect_left(busy, high)
        lanes = list(zip(self._with_rows, slab.lanes, strict=True))
        numbers, times = busy[start:stop], slab.busy_ns[start:stop]
        for number, clock.now_ns in zip(numbers, times, strict=True):
            for lane, rows in lanes:
                lane.give(rows, number)
            if outbox:
                return number + 1
        return high
