"""``ctx``: all that a strategy may read and do."""

from __future__ import annotations

import logging
from datetime import datetime, time

from app.errors import RequestError
from app.times import format_time
from app.trading.events import ScheduleEvent
from app.trading.services.strategy.book import Book
from app.trading.services.strategy.market_access import MarketAccess
from app.trading.services.strategy.order_access import OrderAccess
from app.trading.services.strategy.schedule import (
    Rule,
    due_on,
    read_at,
    read_every,
    read_when,
)
from app.trading.services.strategy.seat import Seat

OWNER = "strategy:"
_log = logging.getLogger("strategy")


class Context(MarketAccess, OrderAccess):
    """One strategy's context. Its methods are called from the strategy's callbacks only.

    ``now`` is the T of what is being handled; nothing that it gives was released later.
    """

    def __init__(self, seat: Seat, book: Book) -> None:
        self._seat, self._book = seat, book
        self._orders_made = self._signals_made = 0
        self._rules: dict[tuple[Rule, str], None] = {}
        self._armed_day: int | None = None

    def schedule(
        self, when: str = "", name: str = "", *, at: str | time | datetime | None = None
    ) -> None:
        """Call ``on_timer`` with ``name`` each day at ``when``, as ``open+5m`` or ``close-10m``.

        Or ``at`` a time of day on the exchange's clock ("10:30"), or once at a moment with a
        zone. Right on half days and over clock changes; a time outside of a day's hours is left
        out that day. The same rule with the same name twice is one. ``name`` is ``when`` or
        ``at`` where it is not given.
        """
        if (not when) == (at is None):
            raise RequestError(f"schedule({when!r}, at={at!r}); needed: one of when and at")
        rule = read_when(when) if at is None else read_at(at, self._seat.stage.run.zone)
        self._add(rule, name or when or str(at))

    def every(self, minutes: float, name: str = "") -> None:
        """Call ``on_timer`` each so many minutes of regular hours, the first after the open."""
        self._add(read_every(minutes), name or f"every {minutes}m")

    def log(self, message: str, level: str = "info") -> None:
        """Write to the log, with the strategy's id and T."""
        known = logging.getLevelNamesMapping()
        if level.upper() not in known:
            raise RequestError(f"level is {level!r}; allowed: debug, info, warning, error")
        text = f"{format_time(self.now_ns)} {message}"
        _log.getChild(self.strategy_id).log(known[level.upper()], "%s", text)

    # -- schedules, as the runner keeps them -------------------------------------------------

    def arm(self, day: int) -> None:
        """A trading day begins: ask for all that is due on it."""
        self._armed_day = day
        for rule, name in self._rules:
            self._arm(rule, name)

    def _add(self, rule: Rule, name: str) -> None:
        run = self._seat.stage.run
        self._seat.stage.check_thread()
        if self._seat.warming:
            raise RequestError(
                "nothing can be scheduled by a bar of the warm-up; do it in on_start"
            )
        if not any(due_on(rule, d, self.now_ns) for d in run.days[run.first_day :]):
            raise RequestError(
                f"{name!r} at {format_time(self.now_ns)}: its time is past, or within no trading "
                "day's hours"
            )
        if (rule, name) in self._rules:
            return
        self._rules[rule, name] = None
        if self._armed_day is not None:
            self._arm(rule, name)

    def _arm(self, rule: Rule, name: str) -> None:
        assert self._armed_day is not None
        day = self._seat.stage.run.days[self._armed_day]
        for at_ns in due_on(rule, day, self.now_ns):
            self._seat.stage.publish(
                ScheduleEvent(
                    ts_event_ns=self.now_ns, owner=f"{OWNER}{self._seat.strategy_id}", token=name,
                    at_ns=at_ns,
                )
            )  # fmt: skip
