"""What may go wrong on the bus.

TapedeckError
|-- BusError            the bus was used in a way that it cannot be
|   |-- TopicError      published or subscribed to something that is no topic
|   |-- ClosedError     the bus, or the subscriber's place on it, has been closed
|   '-- WatchdogError   a handler held the barrier for too long
'-- HandlerError        a subscriber raised, or held the barrier for too long (its cause)
"""

from __future__ import annotations

from typing import Any

from app.errors import TapedeckError
from app.times import format_time
from app.trading.data_events import EquityEvent, MarketEvent


class BusError(TapedeckError):
    """The bus was used in a way that it cannot be."""


class TopicError(BusError):
    """Something was published, or subscribed to, that is no topic."""


class ClosedError(BusError):
    """The bus, or the subscriber's place on it, has been closed."""


class WatchdogError(BusError):
    """A handler held the barrier for too long."""


class HandlerInterrupt(BaseException):
    """Ends an inline handler that holds the barrier; what catches Exception lets it pass."""

    def __init__(self) -> None:
        super().__init__("it held the barrier for too long (services.watchdog_s)")


def event_time_ns(event: Any) -> int:
    """The T of an event; 0 for what has none."""
    if isinstance(event, MarketEvent):
        return event.last_ns
    if isinstance(event, EquityEvent):
        return int(event.times_ns[-1]) if len(event.times_ns) else 0
    return int(getattr(event, "ts_event_ns", 0))


class HandlerError(TapedeckError):
    """A subscriber raised; ``__cause__`` is what it raised.

    ``time_ns`` is the T of the event, or the one that the cause names: a run of slices is one
    event, and where it was cut must not be seen.
    """

    def __init__(self, subscriber: str, event: Any, cause: BaseException) -> None:
        self.subscriber, self.event = subscriber, event
        self.time_ns: int = getattr(cause, "time_ns", 0) or event_time_ns(event)
        self.__cause__ = cause
        when = f" at {format_time(self.time_ns)}" if self.time_ns else ""
        super().__init__(
            f"{subscriber} failed on {type(event).__name__}{when}: {type(cause).__name__}: {cause}"
        )
