"""What a strategy's context stands on: whose it is, the time, and the way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import get_ident

from app.day_table import Grid
from app.errors import RequestError, nearest
from app.trading.adjust import Split, split_table
from app.trading.context import RunContext
from app.trading.events import EventBase
from app.trading.services.strategy.slabs import Interest


@dataclass
class Clock:
    """The time and day of the strategies; one for all of them. Written by the runner only."""

    now_ns: int = 0
    day: int = 0
    start_ns: int = 0  # of the run: prices of warm-up are on its basis


class Stage:
    """What all strategies of a run share."""

    def __init__(self, run: RunContext, publish: Callable[[EventBase], None]) -> None:
        self.run, self.publish = run, publish
        self.clock = Clock(day=run.first_day)
        self.grid = Grid(run.days)
        self.splits: tuple[Split, ...] = split_table(run.actions, run.symbols, run.days, run.zone)
        self.thread = 0  # on which the callbacks run

    def enter(self) -> None:
        """Callbacks will be called now, on this thread."""
        self.thread = get_ident()

    def check_thread(self) -> None:
        """RequestError on another one: when it asks depends on chance, and so would the run."""
        if get_ident() != self.thread:
            raise RequestError("asked from another thread; ctx is for the callbacks, on theirs")


@dataclass
class Seat:
    """One strategy's place in the run."""

    strategy_id: str
    symbols: tuple[str, ...]
    interest: Interest
    stage: Stage
    warming: bool = False
    over: bool = False
    ignored: int = 0  # signals, orders, changes and cancels of the warm-up

    def __post_init__(self) -> None:
        self._numbers = {symbol: self.stage.run.index(symbol) for symbol in self.symbols}

    def number(self, symbol: str) -> int:
        """A symbol's index in the run; RequestError where it is not this strategy's."""
        found = self._numbers.get(symbol)
        if found is None:
            close = ", ".join(nearest(str(symbol), self.symbols)) or ", ".join(self.symbols[:5])
            raise RequestError(f"{symbol!r} is no symbol of this strategy; nearest: {close}")
        return found
