"""What a service of the engine is: handlers on the bus, and nothing that others call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from app.trading.bus import EventBus, Handler, Kind, Phase, Port
from app.trading.context import RunContext
from app.trading.data_events import EquityEvent, MarketEvent
from app.trading.events import EventBase


class BacktestService(ABC):
    """A service knows its own inbox and the run's context. It is wired by ``attach``.

    ``RANK`` orders what services publish in the same round: execution 10, portfolio 20,
    strategies 30, risk 40, audit 90.
    """

    NAME: ClassVar[str]
    RANK: ClassVar[int]
    PHASE: ClassVar[Phase | None] = None

    def __init__(self, event_bus: EventBus) -> None:
        self.bus = event_bus
        self.context: RunContext = event_bus.context
        self.port: Port | None = None
        # In the next round, from a handler of this service: the port's own, to save a call each.
        self.publish: Callable[[EventBase | EquityEvent], None] = self._refuse
        self.looks_ahead = True  # whether ``scan`` and ``alert`` are to be asked in this run

    @classmethod
    @abstractmethod
    def from_config(cls, section: Any, event_bus: EventBus) -> Self:
        """A service as its section of the configuration wants it; not yet attached."""

    @abstractmethod
    def handlers(self) -> Mapping[type, Handler]:
        """The events it handles, by exact type; ``MarketEvent`` where it has a phase."""

    def scan(self, event: MarketEvent) -> int:
        """The first slice of these that this service must be given alone; ``high`` for none."""
        return event.high

    def alert(self) -> bool:
        """Whether valuation and risk are to be triggered at the slice that was scanned first."""
        return False

    def attach(self, kind: Kind = Kind.INLINE) -> None:
        """Take a place on the bus; parts that publish by themselves are told their port then."""
        has_scan = self.looks_ahead and type(self).scan is not BacktestService.scan
        has_alert = self.looks_ahead and type(self).alert is not BacktestService.alert
        self.port = self.bus.subscribe(
            self.NAME, self.RANK, self.handlers(), kind=kind, phase=self.PHASE,
            scan=self.scan if has_scan else None, alert=self.alert if has_alert else None,
        )  # fmt: skip
        self.publish = self.port.publish

    def _refuse(self, event: EventBase | EquityEvent) -> None:
        raise AssertionError(f"{self.NAME} is not attached")
