"""One execution of a session from its start: a coordinator and all that belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.managers.data_manager.backtest_stream_coordinator import BacktestStreamCoordinator
from app.managers.data_manager.data_feed_loop import DataFeedLoop
from app.managers.data_manager.session_data import SessionData
from app.managers.system_manager.reader import SessionReader
from app.managers.time_manager import View
from app.trading.events import EventBase

if TYPE_CHECKING:
    from app.managers.system_manager.desk import TradingDesk
    from app.trading.services.blotter import Settled

_JOIN_S = 2.0


class Branch:
    """What is read of it stays readable after it was closed."""

    def __init__(
        self, coordinator: BacktestStreamCoordinator, reader: SessionReader, data: SessionData,
        feed: DataFeedLoop | None, desk: TradingDesk | None = None,
    ) -> None:  # fmt: skip
        self.coordinator, self.reader, self.data = coordinator, reader, data
        self.desk = desk  # None: nothing trades
        self._feed = feed  # None: a prepared cache has all
        self._began = False

    @property
    def view(self) -> View:
        return self.coordinator.view

    def look(self) -> tuple[TradingDesk, View, Settled] | None:
        """Its engine, a view, and all that is settled by its time; None where none is to be read.

        All of this branch: another one may take its place meanwhile.
        """
        desk = self.desk
        found = None if desk is None else desk.look(lambda: self.view)
        return None if desk is None or found is None else (desk, *found)

    def note_sent(self, event: EventBase) -> None:
        """An event from outside is about to be published: the journal of its run has it first."""
        record = None if self.desk is None else self.desk.record
        if record is not None:
            record.sent(event, self.coordinator.place, self.view)

    def start(self) -> None:
        """Start all threads."""
        self._began = True
        if self._feed is not None:
            self._feed.start()
        self.coordinator.start_worker()

    def stop(self) -> None:
        """Stop all threads; any thread, any number of times."""
        if self._feed is not None:
            self._feed.stop()
        self.coordinator.stop_worker()
        if self._feed is not None and self._feed.is_alive():
            self._feed.join(_JOIN_S)

    def close(self) -> None:
        """Stop, and let another be made."""
        self.stop()
        if self.desk is not None and not self._began:
            self._began = True
            self.desk.finish("stopped", None)  # or nobody would end its record
        self.coordinator.close()
