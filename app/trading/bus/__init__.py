"""The event bus: rounds under one barrier. Services meet only here."""

from app.trading.bus.errors import (
    BusError,
    ClosedError,
    HandlerError,
    TopicError,
    WatchdogError,
)
from app.trading.bus.event_bus import EventBus
from app.trading.bus.port import Envelope, Handler, Kind, Phase, Port
from app.trading.bus.rounds import nothing
from app.trading.bus.subscriber import Subscriber
from app.trading.bus.subscription import AsyncSubscription

__all__ = [
    "AsyncSubscription",
    "BusError",
    "ClosedError",
    "Envelope",
    "EventBus",
    "Handler",
    "HandlerError",
    "Kind",
    "Phase",
    "Port",
    "Subscriber",
    "TopicError",
    "WatchdogError",
    "nothing",
]
