"""Messages of a session's stream, as what a free-running engine is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from app.client import End, Message, Slices, Status
from app.client import Error as StreamError
from app.errors import SessionFailedError, StateError
from app.live.windows import WindowMaker
from app.managers.system_manager.config import SessionDays
from app.trading.live import FreeRunner

MOST_WAITING = 64  # steps of the engine: then the server is left to wait


class Feeder:
    """Feeds one session, from its beginning; days without a slice are told of as well.

    ``before_end`` is called with a day's number when the server has finished it, before the
    engine is told that it ends.
    """

    def __init__(
        self, runner: FreeRunner, maker: WindowMaker, span: SessionDays,
        before_end: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.end: End | None = None
        self._runner, self._maker, self._span = runner, maker, span
        self._before_end = before_end
        self._day = span.first_day
        self._dates = [day.date for day in span.days]

    def begin(self, strategies: tuple[str, ...]) -> None:
        """Start the engine just before the session's first slice."""
        now_ns = self._span.look_back_ns
        self._runner.start(now_ns, strategies)
        self._runner.open_day(self._day, now_ns)

    def follow(self, messages: Iterable[Message]) -> None:
        """Until the session's end, or the end of the messages.

        StateError where another session or epoch begins, SessionFailedError where the session
        failed at the server.
        """
        for message in messages:
            if isinstance(message, Slices):
                self._feed(message)
            elif isinstance(message, Status):
                self._take_status(message)
            elif isinstance(message, End):
                self._take_end(message)
            elif isinstance(message, StreamError):
                raise SessionFailedError(f"the server's stream: {message.detail}")
            else:
                raise StateError("the session was moved to another time", "SNAPSHOT")

    def _feed(self, slices: Slices) -> None:
        if slices.epoch != 1:
            raise StateError("the session was moved to another time", f"epoch {slices.epoch}")
        for window in self._maker.windows(slices):
            self._go_to(window.day)
            self._runner.feed(window)
        if self._runner.backlog > MOST_WAITING:
            self._runner.wait_until_idle()

    def _take_status(self, status: Status) -> None:
        why = status.raw.get("why")
        if why == "session":
            raise StateError("another session was started at the server", status.state)
        if why == "day" and status.trading_day is not None:
            self._go_to(self._dates.index(date.fromisoformat(status.trading_day)))

    def _take_end(self, end: End) -> None:
        self.end = end
        if end.state == "FAILED":
            raise SessionFailedError(f"the session failed at the server: {end.raw.get('error')}")
        if end.state == "COMPLETED":
            self._go_to(len(self._span.days) - 1)
            self._end_day()

    def _go_to(self, day: int) -> None:
        """End the running day, and each until ``day``, which begins."""
        while self._day < day:
            self._end_day()
            ended_ns = self._span.days[self._day].end_ns
            self._day += 1
            # Where days touch the clock stands on the edge already.
            first_ns = max(self._span.days[self._day].first_ns - 1, ended_ns)
            self._runner.open_day(self._day, first_ns)

    def _end_day(self) -> None:
        self._before_end(self._day)
        self._runner.end_day(self._day, self._span.days[self._day].end_ns)
