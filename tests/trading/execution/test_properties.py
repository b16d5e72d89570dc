"""Properties over random markets and orders; windows may be cut anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model import Items
from app.trading.bus import EventBus, Kind, Phase
from app.trading.data_events import MarketEvent
from app.trading.events import (
    CancelRequestEvent,
    EventBase,
    FillEvent,
    ModifyApprovedEvent,
    OrderApprovedEvent,
    OrderUpdateEvent,
)
from app.trading.orders import Order, OrderState, OrderType, Role
from app.trading.service import BacktestService
from tests.trading.execution.kit import Pit, order
from tests.trading.harness import bar, in_order, minute, quote, trade, window

SYMBOLS = ("BARS", "QUOTES", "TRADES")
MINUTES = 12
Script = Mapping[int, Sequence[EventBase]]


class Player(BacktestService):
    """Publishes what its script has for a time, as a strategy does: runs end there."""

    NAME: ClassVar[str] = "player"
    RANK: ClassVar[int] = 30
    PHASE: ClassVar[Phase | None] = Phase.STRATEGY

    def __init__(self, script: Script, bus: EventBus, alone: bool) -> None:
        super().__init__(bus)
        self._script, self._alone = script, alone

    @classmethod
    def from_config(cls, section: Any, event_bus: EventBus) -> Player:
        return cls(section, event_bus, False)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        return {MarketEvent: self._on_market}

    def alert(self) -> bool:
        return self._alone  # every slice comes alone then

    def _on_market(self, event: MarketEvent) -> None:
        assert self.port is not None
        for number in range(event.low, event.high):
            found = self._script.get(int(event.window.times_ns[number]), ())
            for one in found:
                self.publish(one)
            if found:
                self.port.reached = number + 1
                return


def rows_of(seed: int) -> Items:
    """A walk of each symbol on a grid of 0.25, with gaps, thin volume and bad quotes."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(MINUTES):
        at = minute(number)
        if rng.random() < 0.85:
            o, h, low, c = (100 + 0.25 * rng.integers(-8, 9, 4)).tolist()
            h, low = max(o, h, low, c), min(o, h, low, c)
            volume = float(rng.integers(0, 12) * 100)
            rows.append(bar(0, at, o, h, low, c, volume))
        for _ in range(int(rng.integers(0, 4))):
            when = at + int(rng.integers(0, 6)) * 10_000_000_000
            bid = 100 + 0.25 * int(rng.integers(-8, 9))
            rows.append(quote(1, when, bid, bid + 0.25 * int(rng.integers(-1, 4)),
                              100.0 * int(rng.integers(0, 9)), 500))  # fmt: skip
            rows.append(trade(2, when, 100 + 0.25 * int(rng.integers(-8, 9)),
                              100.0 * int(rng.integers(1, 12)),
                              flags=int(rng.choice([16, 16, 16, 64, 16 | 256]))))  # fmt: skip
    rows += [quote(1, minute(0), 99, 101), trade(2, minute(0), 100.0)]
    return in_order(rows)


PRICES = st.integers(-8, 8).map(lambda ticks: 100 + 0.25 * ticks)
TYPES = st.sampled_from([*OrderType])


@st.composite
def terms(draw: Any) -> dict[str, Any]:
    type = draw(TYPES)
    found: dict[str, Any] = {
        "type": type.value, "side": draw(st.sampled_from(["buy", "sell"])),
        "quantity": float(draw(st.integers(1, 300))),
    }  # fmt: skip
    if type in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        found["limit"] = draw(PRICES)
    if type in (OrderType.STOP, OrderType.STOP_LIMIT):
        found["stop"] = draw(PRICES)
    if type is OrderType.TRAILING_STOP:
        found["trail"] = 0.25 * draw(st.integers(1, 6))
    if type in (OrderType.LIMIT, OrderType.MARKET):
        found["tif"] = draw(st.sampled_from(["day", "gtc", "ioc", "fok"]))
    found["reduce_only"] = draw(st.booleans()) and draw(st.booleans())
    found["post_only"] = type is OrderType.LIMIT and found["tif"] == "gtc" and draw(st.booleans())
    return found


@st.composite
def groups(draw: Any, number: int) -> tuple[Order, ...]:
    """A single order, a bracket or an OCO group."""
    symbol = draw(st.sampled_from(SYMBOLS))
    facts: dict[str, Any] = {"symbol": symbol, "strategy_id": draw(st.sampled_from(["s", "t"]))}
    one = {**draw(terms()), **facts}
    form = draw(st.sampled_from(["single", "bracket", "oco"]))
    if form == "single":
        return (order(f"{number}a", **one),)
    group = {"group_id": f"g{number}"}
    if form == "oco":
        two = {**draw(terms()), **facts}
        return tuple(
            order(f"{number}{n}", **{**o, **group, "role": Role.OCO})
            for n, o in (("a", one), ("b", two))
        )
    entry = order(f"{number}a", **{**one, **group, "role": Role.ENTRY, "reduce_only": False})
    exits: dict[str, Any] = {
        **facts, **group, "parent_id": entry.order_id, "side": entry.side.opposite.value,
        "quantity": entry.quantity, "reduce_only": True, "tif": "gtc",
    }  # fmt: skip
    sign = entry.side.sign
    profit = order(f"{number}b", "limit", limit=draw(PRICES) + sign, role="take_profit", **exits)
    if draw(st.booleans()):
        loss = order(f"{number}c", "stop", stop=draw(PRICES) - sign, role="stop_loss", **exits)
    else:
        loss = order(f"{number}c", "trailing_stop", trail=0.5, role="stop_loss", **exits)
    return entry, profit, loss


@st.composite
def scripts(draw: Any) -> tuple[int, dict[int, list[EventBase]]]:
    """A market's seed, and what is said at which of its times."""
    seed = draw(st.integers(0, 10_000))
    times = np.unique(rows_of(seed)["release_ns"]).tolist()
    script: dict[int, list[EventBase]] = {}
    ids: list[str] = []
    for number in range(draw(st.integers(1, 6))):
        at = draw(st.sampled_from(times))
        approved = draw(groups(number))
        script.setdefault(at, []).append(OrderApprovedEvent(ts_event_ns=at, orders=approved))
        ids += [o.order_id for o in approved]
    for _ in range(draw(st.integers(0, 3))):
        at, order_id = draw(st.sampled_from(times)), draw(st.sampled_from(ids))
        facts = {"ts_event_ns": at, "strategy_id": "s", "order_id": order_id}
        if draw(st.booleans()):
            script.setdefault(at, []).append(CancelRequestEvent(**facts))
        else:
            change = draw(st.sampled_from([
                {"limit_price": 100.0}, {"stop_price": 100.5}, {"quantity": 50.0}, {"trail": 0.75},
            ]))  # fmt: skip
            script.setdefault(at, []).append(ModifyApprovedEvent(**facts, **change))
    return seed, script


SECTIONS: list[dict[str, Any]] = [
    {}, {"fill_on_touch": True, "slippage": {"model": "fixed_bps", "bps": 7.0}},
    {"policy": "immediate"}, {"policy": "realistic", "slippage": {"model": "spread", "bps": 4.0}},
    {"policy": "realistic", "latency_ms": 9_000.0, "latency_jitter_ms": 30_000.0},
]  # fmt: skip


def run(
    section: dict[str, Any], seed: int, script: Script, cuts: Sequence[int] = (), *,
    alone: bool = False, kind: Kind = Kind.INLINE,
) -> Pit:  # fmt: skip
    """Play a market with a script, its rows cut into windows at these slices."""
    pit = Pit(section, SYMBOLS, seed=seed, kind=kind)
    pit.attach(Player(script, pit.bus, alone))
    items = rows_of(seed)
    pit.market.add([items])
    whole = window([items], 0)
    edges = sorted({0, len(whole.times_ns), *(c % len(whole.times_ns) for c in cuts)})
    for low, high in pairwise(edges):
        part = items[int(whole.bounds[low]) : int(whole.bounds[high])]
        pit.engine.on_window(window([part], 0, 1 + low))
    pit.end()
    return pit


def said(pit: Pit) -> list[Any]:
    """All events but their wall time."""
    return [
        (type(e).__name__, {**msgspec.structs.asdict(e), "ts_created_ns": 0})
        for e in pit.seen.events
    ]


@pytest.mark.parametrize("section", SECTIONS)
@settings(max_examples=25, deadline=None)
@given(played=scripts(), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_where_windows_are_cut_changes_no_event(
    section: dict[str, Any], played: tuple[int, dict[int, list[EventBase]]], cuts: list[int]
) -> None:
    seed, script = played
    one = said(run(section, seed, script))
    assert said(run(section, seed, script, cuts)) == one
    assert said(run(section, seed, script, range(500))) == one


@pytest.mark.parametrize("section", SECTIONS)
@settings(max_examples=25, deadline=None)
@given(played=scripts())
def test_slices_one_by_one_fill_as_runs_do(
    section: dict[str, Any], played: tuple[int, dict[int, list[EventBase]]]
) -> None:
    """Far-away orders are passed over in runs; met one by one they do nothing more."""
    seed, script = played

    def fills(alone: bool) -> list[Any]:
        kinds = ("FillEvent", "OrderUpdateEvent", "OrderRejectedEvent")
        return [e for e in said(run(section, seed, script, alone=alone)) if e[0] in kinds]

    assert fills(True) == fills(False)


@pytest.mark.parametrize("section", SECTIONS)
@settings(max_examples=60, deadline=None)
@given(played=scripts())
def test_what_always_holds(
    section: dict[str, Any], played: tuple[int, dict[int, list[EventBase]]]
) -> None:
    seed, script = played
    pit = run(section, seed, script)
    orders = {
        o.order_id: o for events in script.values() for e in events
        if isinstance(e, OrderApprovedEvent) for o in e.orders
    }  # fmt: skip
    positions: dict[tuple[str, str], float] = {}
    filled: dict[str, float] = {}
    terms: dict[str, OrderUpdateEvent] = {}
    for event in pit.seen.events:
        if isinstance(event, OrderUpdateEvent):
            before = terms.get(event.order_id)
            assert before is None or not before.state.final, "an end is an end"
            terms[event.order_id] = event
            assert event.filled == filled.get(event.order_id, 0.0)
            assert event.filled <= event.quantity
            assert (event.state is OrderState.FILLED) == (event.filled >= event.quantity)
        if isinstance(event, FillEvent):
            one, now = orders[event.order_id], terms[event.order_id]
            assert now.state in (OrderState.WORKING, OrderState.PARTIALLY_FILLED)
            filled[event.order_id] = filled.get(event.order_id, 0.0) + event.quantity
            assert 0 < filled[event.order_id] <= now.quantity, "never above the quantity"
            if now.limit_price is not None:
                assert one.side.sign * (now.limit_price - event.price) >= 0, "a limit is a limit"
            holder = event.strategy_id, event.symbol
            position = positions.get(holder, 0.0)
            after = position + event.quantity * event.side.sign
            if one.reduce_only:
                assert abs(after) < abs(position)
                assert after * position >= 0, "it only reduces"
            positions[holder] = after
    assert all(e.quantity >= e.filled for e in terms.values())
    assert_group_exits(orders, filled)
    changed = {
        e.order_id for events in script.values() for e in events
        if isinstance(e, ModifyApprovedEvent)
    }  # fmt: skip
    assert_oco({k: o for k, o in orders.items() if o.role is Role.OCO}, changed, filled)


def assert_oco(orders: dict[str, Order], changed: set[str], filled: dict[str, float]) -> None:
    """A group fills no more than its largest order, where none was changed."""
    for group in {o.group_id for o in orders.values()}:
        members = [o for o in orders.values() if o.group_id == group]
        if not changed & {o.order_id for o in members}:
            total = sum(filled.get(o.order_id, 0.0) for o in members)
            assert total <= max(o.quantity for o in members)


def assert_group_exits(orders: dict[str, Order], filled: dict[str, float]) -> None:
    """Exits never fill more than their entry did."""
    for entry in orders.values():
        if entry.role is Role.ENTRY:
            exits = [o for o in orders.values() if o.parent_id == entry.order_id]
            total = sum(filled.get(o.order_id, 0.0) for o in exits)
            assert total <= filled.get(entry.order_id, 0.0)


@pytest.mark.parametrize("kind", [Kind.THREADED])
@settings(max_examples=5, deadline=None)
@given(played=scripts())
def test_a_threaded_service_says_the_same(
    kind: Kind, played: tuple[int, dict[int, list[EventBase]]]
) -> None:
    seed, script = played
    section = SECTIONS[4]
    threaded = run(section, seed, script, kind=kind)
    try:
        assert said(threaded) == said(run(section, seed, script))
    finally:
        threaded.bus.close()
