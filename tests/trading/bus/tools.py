"""What the tests of the bus share: a bus, plain events, an event loop on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from app.trading.bus import EventBus
from app.trading.context import RunContext
from app.trading.events import TimerEvent, WarningEvent
from tests.trading.harness import DAYS, HandMarket

T_NS = DAYS[0].open_ns
PATIENCE_S = 20.0  # until a test that hangs fails


def make_bus(watchdog_s: float | None = PATIENCE_S) -> EventBus:
    return EventBus(RunContext("run", ("AAA",), DAYS, 0, HandMarket(["AAA"])), watchdog_s)


def warning(text: str, code: str = "test") -> WarningEvent:
    return WarningEvent(ts_event_ns=T_NS, code=code, text=text)


def timer(token: str) -> TimerEvent:
    return TimerEvent(ts_event_ns=T_NS, owner="test", token=token)


class Texts:
    """An inline subscriber that keeps the texts of warnings."""

    def __init__(self, bus: EventBus, rank: int = 1000) -> None:
        self.seen: list[str] = []
        self.port = bus.subscribe(f"texts-{rank}", rank, {WarningEvent: self._on_warning})

    def _on_warning(self, event: WarningEvent) -> None:
        self.seen.append(event.text)


class Running(Thread):
    """A call on a thread; ``result`` waits for what it returned or raised."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._answer: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._answer = self._call()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self.join(PATIENCE_S)
        assert not self.is_alive(), "it hangs"
        if self._error is not None:
            raise self._error
        return self._answer


@contextmanager
def in_loop(*mains: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[Running]:
    """Coroutines in an event loop of a thread of their own, all begun; waited for at the end."""
    begun = Event()

    async def main() -> None:
        tasks = [asyncio.ensure_future(make()) for make in mains]
        await asyncio.sleep(0)  # each up to its first wait
        begun.set()
        await asyncio.gather(*tasks)

    thread = Running(lambda: asyncio.run(main()))
    assert begun.wait(PATIENCE_S)
    yield thread
    thread.result()


@contextmanager
def async_services(bus: EventBus) -> Iterator[None]:
    """The ASYNC ports of a bus at work; the bus is closed at the end."""
    with in_loop(bus.run_async_subscribers):
        try:
            yield
        finally:
            bus.close()
