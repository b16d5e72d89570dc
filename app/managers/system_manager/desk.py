"""The trading half of a session: bus, engine and services, at work on the merge thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING

from app.errors import StateError
from app.managers.time_manager import View
from app.model import Window
from app.runs.audit import AuditRunner
from app.trading.bus import EventBus, Kind
from app.trading.context import RunContext
from app.trading.engine import Engine
from app.trading.events import MANUAL, EventBase
from app.trading.sections import BacktestConfig
from app.trading.services.blotter import Blotter, Settled
from app.trading.services.execution import ExecutionSimulator
from app.trading.services.portfolio import PortfolioService
from app.trading.services.risk import RiskEngine
from app.trading.services.strategy import StrategyRunner
from app.trading.services.strategy.line import Lines

if TYPE_CHECKING:
    from app.managers.system_manager.recording import Recording

log = logging.getLogger(__name__)

WINDOW_ROWS = 16_384  # bounds what an order from outside waits for
_JOIN_S = 5.0
_LONG_S = 0.02  # of a window, where clients answer for it


class TradingDesk:
    """A ``WindowWorker``: it hands on what the merge thread tells it, and ends the run's record.

    With ``watched`` its account, orders and fills can be read while it trades.
    """

    def __init__(
        self, config: BacktestConfig, folder: Path, context: RunContext,
        record: Recording | None = None, make_engine: Callable[[EventBus], Engine] = Engine,
        watched: bool = False, lines: Lines | None = None, all_inside: bool = False,
    ) -> None:  # fmt: skip
        self.config, self.context = config, context
        self.bus = EventBus(context, watchdog_s=config.services.watchdog_s)
        self.engine = make_engine(self.bus)
        self.record = record
        self.blotter = Blotter.from_config(config.portfolio, self.bus) if watched else None
        self.orders_made = 0  # of those from outside
        self.why_stopped: str | None = None  # the cause of an end that was no failure
        self.lines = lines  # to the clients of strategies that play in lockstep
        self._rows = 1 if lines else WINDOW_ROWS
        self._loop: Thread | None = None
        self._attach(folder, all_inside)

    def _attach(self, folder: Path, all_inside: bool) -> None:
        """Every service of a run, each in the place that its configuration names."""
        config, bus, kinds = self.config, self.bus, self.config.services
        ExecutionSimulator.from_config(config.execution, bus).attach(kinds.execution)
        PortfolioService.from_config(config.portfolio, bus).attach(kinds.portfolio)
        strategies = StrategyRunner.from_config(
            config.strategies, bus, folder, self.lines, all_inside
        )
        strategies.attach(kinds.strategy)
        RiskEngine.from_config(config.risk, bus).attach(kinds.risk)
        if self.record is not None:
            AuditRunner(bus, self.record.writer).attach(kinds.audit)
        if self.blotter is not None:
            self.blotter.attach()

    # -- as a window worker --------------------------------------------------------------------

    def window_rows(self) -> int | None:
        return self._rows

    def begin(self, day: int, now_ns: int) -> None:
        self.prepare()
        self.engine.start(now_ns, self.strategy_ids)
        self.engine.open_day(day, now_ns)
        self._settled()

    def on_window(self, window: Window) -> None:
        began_s = monotonic()
        self.engine.on_window(window)
        self._settled()
        if self.lines:
            self._fit_rows(monotonic() - began_s)

    def _fit_rows(self, took_s: float) -> None:
        """Clients take a while for a slice; a command waits for a window's end."""
        if took_s > _LONG_S:
            self._rows = max(1, self._rows // 2)
        elif took_s < _LONG_S / 4:
            self._rows = min(WINDOW_ROWS, self._rows * 2)

    def advance(self, now_ns: int) -> None:
        self.engine.advance(now_ns)
        self._settled()

    def end_day(self, day: int, end_ns: int) -> None:
        self.engine.end_day(day, end_ns)
        self._settled()

    def open_day(self, day: int, now_ns: int) -> None:
        self.engine.open_day(day, now_ns)
        self._settled()

    def _settled(self) -> None:
        """What the clock shows next may be read as soon as it does."""
        if self.blotter is not None:
            self.blotter.settle(self.engine.now_ns)

    def due_ns(self) -> int | None:
        return self.engine.next_due_ns()

    def finish(self, outcome: str, cause: BaseException | None) -> None:
        """Settle the last events and end the record, whatever the outcome."""
        said = self.why_stopped if cause is None else _text(cause)
        try:
            self.engine.finish(outcome, said)
            if outcome != "failed":
                self._settled()
        except BaseException as error:
            outcome, said = "failed", said or _text(error)
            raise
        finally:
            self.close(outcome, said)

    # -- for whoever drives the engine itself ---------------------------------------------------

    @property
    def strategy_ids(self) -> tuple[str, ...]:
        return tuple(strategy.id for strategy in self.config.strategies)

    def prepare(self) -> None:
        """What the services need before the engine starts."""
        if Kind.ASYNC in self._kinds():
            self._run_loop()

    def close(self, outcome: str, cause: str | None) -> None:
        """After the engine has finished: end the bus and the record."""
        self.bus.close()
        if self._loop is not None:
            self._loop.join(_JOIN_S)
        if self.record is not None:
            self.record.finished(outcome, cause, self.engine.now_ns)

    # -- from outside, on the merge thread -------------------------------------------------------

    def publish(self, make: Callable[[int], EventBase], now_ns: int) -> EventBase:
        """An order or a cancel from outside, made of now; settled on return."""
        self.engine.advance(now_ns)
        event = make(self.engine.now_ns)
        self.engine.publish(event)
        self._settled()
        return event

    def republish(self, event: EventBase, now_ns: int, orders_made: int) -> None:
        """What came from outside in an earlier execution, at its time again."""
        self.orders_made = orders_made
        self.publish(lambda _: event, now_ns)

    def fills_made(self) -> int:
        """How many fills there were; StateError where nobody counts them."""
        if self.blotter is None:
            raise StateError("nobody counts the fills of this session", "RUNNING")
        return self.blotter.fills_made

    def number_orders(self, count: int) -> list[str]:
        """Ids of the next orders from outside; on the merge thread, where their order is known."""
        first = self.orders_made + 1
        self.orders_made += count
        return [f"{MANUAL}-{number}" for number in range(first, first + count)]

    # -- read by anyone --------------------------------------------------------------------------

    @property
    def run_id(self) -> str | None:
        """Of its record; None where it leaves none."""
        return None if self.record is None else self.record.run_id

    def look(self, clock: Callable[[], View]) -> tuple[View, Settled] | None:
        """A view, and all that is settled by its time; None where nobody is to look."""
        if self.blotter is None:
            return None
        return self.blotter.read(clock, lambda view: view.now_ns)

    # -- async services --------------------------------------------------------------------------

    def _kinds(self) -> set[Kind]:
        kinds = self.config.services
        return {kinds.execution, kinds.portfolio, kinds.strategy, kinds.risk, kinds.audit}

    def _run_loop(self) -> None:
        """An event loop of their own, for the merge thread waits for them."""
        started: Future[None] = Future()

        async def main() -> None:
            started.set_result(None)
            await self.bus.run_async_subscribers()

        self._loop = Thread(target=lambda: asyncio.run(main()), name="TradingLoop", daemon=True)
        self._loop.start()
        started.result()


def _text(cause: BaseException) -> str:
    return f"{type(cause).__name__}: {cause}"
