"""Cash and positions are equity, and gains, costs and other cash explain it: to the last digit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from app.trading.context import CorporateAction
from app.trading.events import (
    CashEvent,
    EventBase,
    FillEvent,
    PortfolioStateEvent,
    PositionState,
    RoundTripEvent,
)
from app.trading.sections import PortfolioSection
from tests.trading.harness import DAYS, bar, minute
from tests.trading.portfolio.desk import Desk, fill

SYMBOLS = ("AAA", "BBB")
SECTION = PortfolioSection(
    margin_interest_bps=900.0, cash_interest_bps=150.0, borrow_bps=450.0, initial_cash=50_000.0
)

cents = st.integers(500, 1500).map(lambda c: c / 100)
quantities = st.sampled_from([1, 3, 7, 50, 100, 333, -1, -3, -10, -50, -100, -333])


class Event(NamedTuple):
    """At a minute of a day: a bar of both symbols, then a fill."""

    day: int
    minute: int
    marks: tuple[float, float]
    symbol: str
    strategy: str
    quantity: int
    price: float
    commission: float
    fees: float


@st.composite
def any_event(draw: st.DrawFn) -> Event:
    return Event(
        draw(st.integers(0, 2)), draw(st.integers(0, 300)), draw(st.tuples(cents, cents)),
        draw(st.sampled_from(SYMBOLS)), draw(st.sampled_from(["one", "two"])), draw(quantities),
        draw(cents), draw(st.sampled_from([0.0, 0.35, 1.0])), draw(st.sampled_from([0.0, 0.01])),
    )  # fmt: skip


@st.composite
def any_action(draw: st.DrawFn) -> CorporateAction:
    """Of the weekend, Monday or Tuesday."""
    day = DAYS[0].date + timedelta(days=draw(st.integers(1, 4)))
    symbol = draw(st.sampled_from(SYMBOLS))
    if draw(st.booleans()):
        ratio = draw(st.sampled_from([2.0, 7.0, 1.5, 0.1, 0.5, 1 / 3]))
        return CorporateAction(symbol, day, "split", ratio)
    return CorporateAction(symbol, day, "dividend", amount=draw(cents) / 10)


class Bookkeeper:
    """Adds up what the portfolio says, in the order in which it does."""

    def __init__(self) -> None:
        self.other_cash = Decimal(0)  # that no gain explains
        self.positions: dict[tuple[str, str], PositionState] = {}

    def check(self, events: Sequence[EventBase]) -> int:
        states = 0
        for event in events:
            if isinstance(event, CashEvent) and event.kind != "split_fraction":
                self.other_cash += Decimal(event.amount)
            if isinstance(event, PortfolioStateEvent):
                self._check(event)
                states += 1
        return states

    def _check(self, state: PortfolioStateEvent) -> None:
        for position in state.positions:
            self.positions[position.strategy_id, position.symbol] = position
        exact = [Decimal(repr(x)) for x in (state.equity, state.net_exposure)]
        realised, unrealised, fees = (
            Decimal(repr(x)) for x in (state.realised, state.unrealised, state.fees)
        )
        assert Decimal(state.cash) + exact[1] == exact[0]
        gained = exact[0] - Decimal(50_000)
        assert gained == realised + unrealised - fees + self.other_cash
        told = self.positions.values()
        assert sum(Decimal(repr(p.realised)) for p in told) == realised
        assert sum(Decimal(repr(p.fees)) for p in told) == fees


def run(events: Sequence[Event], actions: Sequence[CorporateAction], again: bool = False) -> Desk:
    desk = Desk(SYMBOLS, section=SECTION, actions=actions)
    desk.market.last_ns.update({0: DAYS[2].end_ns, 1: DAYS[2].end_ns})
    desk.start()
    numbers = iter(range(1, 99))
    played = 0
    for one in sorted(events):
        while desk.day < one.day:
            desk.roll()
        start = minute(one.minute, DAYS[one.day])
        if start > played:
            played = start
            desk.play(*(bar(i, start, m, m, m, m) for i, m in enumerate(one.marks)))
        desk.send(*([booked(next(numbers), desk.engine.now_ns, one)] * (2 if again else 1)))
    while desk.day < 2:
        desk.roll()
    desk.end()
    desk.engine.finish("completed")
    return desk


def booked(number: int, now_ns: int, one: Event) -> FillEvent:
    return fill(
        number, now_ns, one.quantity, one.price, symbol=one.symbol, strategy=one.strategy,
        commission=one.commission, fees=one.fees,
    )  # fmt: skip


@settings(deadline=None)
@given(st.lists(any_event(), max_size=12), st.lists(any_action(), max_size=3))
def test_it_all_adds_up(events: list[Event], actions: list[CorporateAction]) -> None:
    desk = run(events, actions)
    assert Bookkeeper().check(desk.seen.events) == len(desk.states) >= 3


@settings(deadline=None)
@given(st.lists(any_event(), max_size=12))
def test_round_trips_add_up_to_what_was_realised(events: list[Event]) -> None:
    """Of positions that are closed again at the end, all costs are in the round trips too."""
    desk = run(events, [])
    at_ns = desk.engine.now_ns
    held = [(s, i) for s in SYMBOLS for i in ("one", "two")]
    for number, (symbol, strategy) in enumerate(held, 900):
        left = sum(e.quantity for e in events if (e.symbol, e.strategy) == (symbol, strategy))
        if left:
            desk.send(
                fill(number, at_ns, -left, 9.99, symbol=symbol, strategy=strategy, commission=1.0)
            )
    state = desk.state
    assert state.net_exposure == state.gross_exposure == state.unrealised == 0
    pnl = sum((Decimal(repr(t.pnl)) for t in desk.trips), Decimal(0))
    costs = sum((Decimal(repr(t.costs)) for t in desk.trips), Decimal(0))
    assert pnl + costs == Decimal(repr(state.realised))
    assert costs == Decimal(repr(state.fees))
    assert all(t.mae is not None and t.mfe is not None and t.mae <= t.mfe for t in desk.trips)


@settings(deadline=None)
@given(st.lists(any_event(), max_size=8), st.lists(any_action(), max_size=2))
def test_fills_that_come_twice_change_nothing(
    events: list[Event], actions: list[CorporateAction]
) -> None:
    once, twice = run(events, actions), run(events, actions, again=True)
    assert told(once) == told(twice)
    assert last_of_each_time(once.states) == last_of_each_time(twice.states)


def last_of_each_time(states: Sequence[PortfolioStateEvent]) -> dict[int, tuple[object, ...]]:
    return {s.ts_event_ns: (s.cash, s.equity, s.realised, s.unrealised, s.fees) for s in states}


def told(desk: Desk) -> list[dict[str, object]]:
    """Round trips and cash, but when they were made."""
    return [
        {name: getattr(e, name) for name in e.__struct_fields__ if name != "ts_created_ns"}
        for e in desk.seen.events
        if isinstance(e, RoundTripEvent | CashEvent)
    ]
