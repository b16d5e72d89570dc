"""The event bus: rounds under one barrier. Services meet only here."""

from app.trading.bus.event_bus import (
    BusError,
    EventBus,
    Handler,
    HandlerError,
    Kind,
    Phase,
    Port,
    TopicError,
)

__all__ = ["BusError", "EventBus", "Handler", "HandlerError", "Kind", "Phase", "Port", "TopicError"]
