"""One strategy at work: its instance, its context, its callbacks, and what it failed of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from operator import length_hint
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from app.errors import nearest
from app.model import QUOTE_CODE, TRADE_CODE, Ints
from app.times import format_time
from app.trading.context import RunContext
from app.trading.events import WarningEvent
from app.trading.sections import StrategySection
from app.trading.services.strategy.base import overridden
from app.trading.services.strategy.book import Book
from app.trading.services.strategy.columns import interval_minutes
from app.trading.services.strategy.ctx import Context
from app.trading.services.strategy.loading import (
    RAISED,
    StrategyError,
    StrategyFile,
    forget_modules,
)
from app.trading.services.strategy.rows import ROW_CALLBACKS
from app.trading.services.strategy.seat import Seat, Stage
from app.trading.services.strategy.slabs import Interest, LaneSlab, SliceView
from app.trading.services.strategy.warmup import warmup_bars


class Played(Protocol):
    """A strategy of a configuration that can be given a lane."""

    section: StrategySection

    @property
    def module(self) -> str:
        """The name that its file was loaded under, "" for none."""

    def lane(self, stage: Stage) -> Lane: ...


class Loaded:
    """A strategy of a configuration, its file and parameters checked."""

    def __init__(self, section: StrategySection, folder: Path) -> None:
        self.section = section
        self.file = StrategyFile((folder / section.file).resolve(), section.file)
        try:
            self.strategy = self.file.find(section.name)
            self.file.check(self.strategy)
            self._check_warmup()
            self.instance = self.file.make(self.strategy, section.params)
        except StrategyError:
            forget_modules([self.file.name])
            raise

    @property
    def module(self) -> str:
        return self.file.name

    def lane(self, stage: Stage) -> Lane:
        return Lane(self, stage)

    def _check_warmup(self) -> None:
        warmup = self.section.warmup
        if warmup is None:
            return
        line = self.file.lines.get(self.strategy.__name__)
        if (warmup.bars is None) == (warmup.days is None):
            raise self.file.error(f"{self.section.id}: a warm-up needs bars or days", line)
        if "on_bar" not in overridden(self.strategy):
            raise self.file.error(f"{self.section.id}: a warm-up needs on_bar", line)
        if interval_minutes(warmup.interval) not in self.strategy.intervals:
            text = f"a warm-up of {warmup.interval}; intervals is {self.strategy.intervals!r}"
            raise self.file.error(f"{self.section.id}: {text}", line)


def load_all(
    sections: Sequence[StrategySection], folder: Path,
    elsewhere: Callable[[StrategySection], Played] | None = None, all_inside: bool = False,
) -> list[Played]:  # fmt: skip
    """All strategies of a configuration; StrategyError for the first that cannot be used.

    ``elsewhere`` finds those that play in lockstep, over a line.
    """
    loaded: list[Played] = []
    try:
        for section in sections:
            if any(section.id == one.section.id for one in loaded):
                raise StrategyError(f"two strategies have the id {section.id!r}")
            if all_inside or not section.lockstep:
                loaded.append(Loaded(section, folder))
            elif elsewhere is not None:
                loaded.append(elsewhere(section))
            else:
                raise StrategyError(
                    f"strategy {section.id!r} plays in lockstep: only a server's session has a "
                    "place for its client; start one with this configuration, or set lockstep to "
                    "false"
                )
    except StrategyError:
        forget_modules([one.module for one in loaded])
        raise
    return loaded


class Walk:
    """Along a strategy's rows of a slab, from row ``first`` on: left anywhere, it goes on there."""

    __slots__ = ("_count", "_handlers", "rows", "steps")

    def __init__(self, lane: Lane, rows: LaneSlab, first: int) -> None:
        self._count = count = len(rows.times_ns)
        self._handlers = lane.handlers_of(rows, first, count)
        self.rows = rows
        self.steps = zip(rows.events[first:], rows.times_ns[first:], self._handlers, strict=True)

    @property
    def at(self) -> int:
        """The row that comes next."""
        return self._count - length_hint(self._handlers)


class Lane:
    """Calls one strategy. Callbacks that it has not overridden are None, and never called."""

    def __init__(self, loaded: Loaded, stage: Stage) -> None:
        section = loaded.section
        self.strategy_id, self.section, self._file = section.id, section, loaded.file
        self._class_line = loaded.file.lines.get(loaded.strategy.__name__)
        self.instance = loaded.instance
        symbols = lane_symbols(section, stage.run)
        self.interest = _interest(loaded, symbols, stage.run)
        self.seat = Seat(section.id, symbols, self.interest, stage)
        self.book = Book()
        self.ctx = Context(self.seat, self.book)
        own = overridden(loaded.strategy)
        self.callbacks = {name: getattr(self.instance, name) for name in sorted(own)}
        self.row_handlers: list[Any] = [self.callbacks.get(name) for name in ROW_CALLBACKS]
        self.on_slice = self.callbacks.get("on_slice")

    def call(self, name: str, *args: Any) -> None:
        """Call a callback, if it is overridden."""
        callback = self.callbacks.get(name)
        if callback is not None:
            self.seat.stage.enter()
            try:
                callback(self.ctx, *args)
            except RAISED as error:
                raise self.failure(error) from error

    def give(self, rows: LaneSlab, number: int) -> None:
        """Its part of one slice: row by row, then as columns."""
        try:
            if rows.edges:
                self._give_rows(rows, rows.edges[number], rows.edges[number + 1])
            if self.on_slice is not None and rows.sliced[number]:
                self.on_slice(self.ctx, SliceView(rows, number))
        except RAISED as error:
            raise self.failure(error) from error

    def _give_rows(self, rows: LaneSlab, low: int, high: int) -> None:
        ctx, handlers = self.ctx, self.handlers_of(rows, low, high)
        for event, handle in zip(rows.events[low:high], handlers, strict=True):
            handle(ctx, event)

    def handlers_of(self, rows: LaneSlab, low: int, high: int) -> Iterator[Any]:
        """The callback of each of these rows; it knows how many are left (``length_hint``)."""
        handlers, kinds = self.row_handlers, rows.kinds
        if len(kinds) == 1:
            return repeat(handlers[kinds[0]], high - low)
        return iter([handlers[kind] for kind in kinds[low:high]])

    def failure(self, error: BaseException) -> StrategyError:
        """What to raise of what a callback raised: file, line, callback and time."""
        line = self._file.line_of(error) or self._class_line or 1
        callback = self._file.callback_of(error)
        within = f", in {callback}" if callback else ""
        now_ns = self.seat.stage.clock.now_ns
        failure = StrategyError(
            f"{self._file.shown}, line {line}{within}: strategy {self.strategy_id!r} failed at "
            f"{format_time(now_ns)}: {type(error).__name__}: {error}"
        )
        failure.time_ns = now_ns
        return failure

    # -- before the first day ------------------------------------------------------------------

    def sit(self) -> None:
        """It is about to start."""

    def start(self) -> None:
        self.call("on_start")
        if self.section.warmup is not None:
            self._warm_up()

    def _warm_up(self) -> None:
        assert self.section.warmup is not None
        seat, clock = self.seat, self.seat.stage.clock
        on_bar, ctx = self.callbacks["on_bar"], self.ctx
        seat.warming = True
        for bars in warmup_bars(seat, self.section.warmup):
            try:
                for bar in bars:
                    clock.now_ns = bar.release_ns
                    on_bar(ctx, bar)
            except RAISED as error:
                raise self.failure(error) from error
        seat.warming = False
        clock.now_ns = clock.start_ns
        if seat.ignored:
            self.tell_ignored(seat.ignored)

    def tell_ignored(self, count: int) -> None:
        """So much was ordered in the warm-up."""
        self.seat.stage.publish(
            WarningEvent(
                ts_event_ns=self.seat.stage.clock.now_ns, code="warmup_ignored",
                strategy_id=self.strategy_id,
                text=f"{count} signals, orders and changes of the warm-up were ignored",
            )
        )  # fmt: skip


def lane_symbols(section: StrategySection, run: RunContext) -> tuple[str, ...]:
    symbols = run.symbols if section.symbols is None else tuple(section.symbols)
    for symbol in symbols:
        if symbol not in run.symbols:
            close = ", ".join(nearest(symbol, run.symbols)) or "none"
            raise StrategyError(
                f"strategy {section.id!r}: the run has no symbol {symbol!r}; nearest: {close}"
            )
    return symbols


def local_numbers(symbols: Sequence[str], run: RunContext) -> Ints:
    """For each symbol of the run its place among these, -1 for none."""
    local = np.full(len(run.symbols), -1, np.int64)
    local[[run.index(symbol) for symbol in symbols]] = np.arange(len(symbols))
    return local


def _interest(loaded: Loaded, symbols: Sequence[str], run: RunContext) -> Interest:
    """The rows that the callbacks need."""
    own, intervals = overridden(loaded.strategy), loaded.strategy.intervals
    unknown = [i for i in intervals if run.intervals and i not in run.intervals]
    if unknown:
        there = ", ".join(map(str, run.intervals))
        line = loaded.file.lines.get(f"{loaded.strategy.__name__}.intervals")
        raise loaded.file.error(f"intervals has {unknown[0]}; the run has bars of: {there}", line)
    local = local_numbers(symbols, run)
    rows = [("on_bar", intervals), ("on_trade", (TRADE_CODE,)), ("on_quote", (QUOTE_CODE,))]
    codes = frozenset(code for name, them in rows if name in own for code in them)
    every = frozenset((*intervals, TRADE_CODE, QUOTE_CODE))
    return Interest(local, codes, every if "on_slice" in own else frozenset())
