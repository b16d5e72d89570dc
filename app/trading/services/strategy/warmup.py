"""Warm-up: regular bars from before the start of a run, for one strategy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from app.model import Ints, Items, join_items, pick_items
from app.times import DAY_NS, MINUTE_NS, SECOND_NS
from app.trading.adjust import adjust_splits
from app.trading.data_events import BarEvent
from app.trading.sections import WarmupSection
from app.trading.services.strategy.columns import bar_starts, interval_minutes
from app.trading.services.strategy.loading import StrategyError
from app.trading.services.strategy.rows import make_warmup_bars
from app.trading.services.strategy.seat import Seat

_SLAB = 16_384


def warmup_bars(seat: Seat, section: WarmupSection) -> Iterator[list[BarEvent]]:
    """The bars in order of release, then symbol; prices on the basis of the start.

    StrategyError names each symbol that has fewer than asked for, unless that is allowed.
    """
    found: list[tuple[Items, Ints]] = []
    missing: list[str] = []
    for symbol in seat.symbols:
        items, came, unit = _bars_of(seat, seat.number(symbol), section)
        asked = section.days if section.bars is None else section.bars
        if asked is not None and came < asked:
            missing.append(f"{symbol} has {came} of {asked} {unit}")
        found.append(_adjusted(seat, items))
    if missing and not section.allow_short:
        raise StrategyError(
            f"strategy {seat.strategy_id!r}: too little data for its warm-up: {_listed(missing)}; "
            "start later, ask for less, or set warmup.allow_short"
        )
    items = join_items([part for part, _ in found])
    starts: Any = np.concatenate([starts for _, starts in found])
    order = np.lexsort((items["symbol"], items["release_ns"]))
    for low in range(0, len(order), _SLAB):
        rows = order[low : low + _SLAB]
        yield make_warmup_bars(pick_items(items, rows), seat.stage.run.symbols, starts[rows])


def _bars_of(seat: Seat, number: int, section: WarmupSection) -> tuple[Items, int, str]:
    """One symbol's bars, how many came, and of what."""
    run, start_ns = seat.stage.run, seat.stage.clock.start_ns
    minutes = interval_minutes(section.interval)
    if section.bars is not None:
        items = run.market.history(number, minutes, start_ns, section.bars)
        return items, len(items), f"bars of {section.interval}"
    assert section.days is not None
    items = run.market.history_days(number, minutes, run.day_at(start_ns), section.days)
    return items, _days_in(items["release_ns"] - minutes * MINUTE_NS, run.zone), "days"


def _adjusted(seat: Seat, items: Items) -> tuple[Items, Ints]:
    """On the basis of the start, and where each bar starts."""
    stage = seat.stage
    starts = bar_starts(items, stage.grid)
    return adjust_splits(items, starts, stage.splits, stage.clock.start_ns), starts


def _days_in(times_ns: Ints, zone: str) -> int:
    """How many dates of the exchange these times lie on."""
    utc_days, back = np.unique(times_ns // DAY_NS, return_inverse=True)
    local = ZoneInfo(zone)
    offsets = [
        datetime.fromtimestamp(day * DAY_NS // SECOND_NS, UTC).astimezone(local).utcoffset()
        for day in utc_days.tolist()
    ]
    seconds = np.array([0 if o is None else int(o.total_seconds()) for o in offsets], np.int64)
    return len(np.unique((times_ns + seconds[back] * SECOND_NS) // DAY_NS))


def _listed(texts: list[str]) -> str:
    more = f", and {len(texts) - 3} more" if len(texts) > 3 else ""
    return ", ".join(texts[:3]) + more
