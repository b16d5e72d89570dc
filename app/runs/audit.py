"""The audit's place on the bus: it hears every topic, after all other services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from app.runs.writer import AuditWriter
from app.trading.bus import EventBus
from app.trading.data_events import EquityEvent
from app.trading.service import BacktestService


class AuditRunner(BacktestService):
    """Hands every event to its writer, in the one order of the bus. Market data stays where it
    is: the manifest names its files, the digest of the items their content."""

    NAME, RANK = "audit", 90

    def __init__(self, event_bus: EventBus, writer: AuditWriter) -> None:
        super().__init__(event_bus)
        self.writer = writer

    @classmethod
    def from_config(cls, section: Path | None, event_bus: EventBus) -> Self:
        """``section`` is the run's folder; None for the digest alone."""
        return cls(event_bus, AuditWriter(section))

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        found: dict[type, Callable[[Any], None]] = dict.fromkeys(self.bus.topics, self.writer.add)
        found[EquityEvent] = self.writer.add_equity
        return found
