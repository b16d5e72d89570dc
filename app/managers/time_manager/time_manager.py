"""Simulated time: one committed view that all read, one writer that commits it.

At speed > 0 now = anchor + (wall - wall anchor) x speed. Every pause, change of
speed, hold and day change sets a new anchor, so wall time that passed in
between never reaches the market.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from app.calendar import TradingDay
from app.errors import NotFoundError, StateError
from app.managers.time_manager.wall import Wall

_FAR_NS = 1e18  # thirty years of wall time: at a speed of next to nothing
MAX_SPEED = 1_000_000.0


class View(NamedTuple):
    """What is known at one moment. Readers take one and see nothing released after ``now_ns``."""

    epoch: int
    seq: int  # slices delivered in this epoch
    day: int  # index of the trading day
    now_ns: int
    link: object  # the digest: its text costs hashing what was delivered

    @property
    def digest(self) -> str:
        """Of all that was delivered by this view."""
        return str(self.link)

    @property
    def begun(self) -> bool:
        """Whether it was committed: before the first one look-back is being loaded."""
        return self.link != ""


class TimeManager:
    """The only source of time. ``take_writer`` hands the right to set it to one owner, once."""

    def __init__(self, days: Sequence[TradingDay], first_day: int = 0, epoch: int = 1) -> None:
        self.days = tuple(days)
        self.first_day = first_day  # the days before it are look-back
        self._view = View(epoch, 0, first_day, self.days[first_day].first_ns - 1, "")
        self._writer: ClockWriter | None = None

    @property
    def view(self) -> View:
        """The committed view; one read of one attribute, whatever thread asks."""
        return self._view

    def get_current_time(self) -> int:
        """Now, in nanoseconds since the epoch, UTC."""
        return self._view.now_ns

    def get_trading_session(self, day: date | None = None) -> TradingDay:
        """The trading day at now, or of a date (NotFoundError for a date that is none of these)."""
        if day is None:
            return self.days[self._view.day]
        for known in self.days:
            if known.date == day:
                return known
        raise NotFoundError(f"{day} is no trading day of this replay")

    def span_ns(self, number: int) -> tuple[int, int]:
        """Items released after the first and at or before the second belong to the day."""
        day = self.days[number]
        begin = self.days[number - 1].end_ns if number else day.first_ns - 1
        return begin, day.end_ns

    def take_writer(self, wall: Wall, speed: float) -> ClockWriter:
        """Hand the clock to its one writer; a second taker is refused."""
        if self._writer is not None:
            raise StateError("the clock already has its writer", "OWNED")
        self._writer = ClockWriter(self, wall, speed)
        return self._writer

    def set_backtest_time(self, view: View, writer: ClockWriter) -> None:
        """Commit a view. Only the writer may; time never runs backward within an epoch."""
        if writer is not self._writer:
            raise StateError("only the coordinator that holds the clock may set it", "OWNED")
        last = self._view
        if view.epoch == last.epoch and (view.now_ns < last.now_ns or view.seq < last.seq):
            raise StateError(
                f"time would run backward in epoch {view.epoch}: from {last.now_ns} ns (seq "
                f"{last.seq}) to {view.now_ns} ns (seq {view.seq})",
                "OWNED",
            )
        self._view = view


class ClockWriter:
    """The right to set the clock, and the schedule it keeps. Not thread-safe: under one lock."""

    def __init__(self, manager: TimeManager, wall: Wall, speed: float) -> None:
        self._manager = manager
        self._wall = wall
        self.speed = speed
        self._anchor_ns = manager.view.now_ns
        self._wall_anchor_ns = wall.now_ns()

    def commit(self, view: View) -> None:
        self._manager.set_backtest_time(view, self)

    def anchor(self, now_ns: int) -> None:
        """From here on the schedule runs from ``now_ns``."""
        self._anchor_ns = now_ns
        self._wall_anchor_ns = self._wall.now_ns()

    def hold(self, since_wall_ns: int) -> None:
        """The schedule stood still from ``since_wall_ns`` until now."""
        self._wall_anchor_ns += self._wall.now_ns() - max(since_wall_ns, self._wall_anchor_ns)

    def set_speed(self, speed: float) -> None:
        """Another speed, from now on: a backlog of the old one is not caught up with."""
        self.speed = speed
        self.anchor(self._manager.view.now_ns)

    def scheduled_ns(self) -> int:
        """Where the market should be at this moment, at speed > 0."""
        elapsed = self._wall.now_ns() - self._wall_anchor_ns
        return self._anchor_ns + int(elapsed * self.speed)

    def deadline_ns(self, market_ns: int) -> int:
        """The wall time at which the market reaches ``market_ns``, rounded up."""
        elapsed = min((market_ns - self._anchor_ns) / self.speed, _FAR_NS)
        return self._wall_anchor_ns - int(-elapsed // 1)
