"""Whatever batches come: the limits hold whichever of the approved orders fill, at the marks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.trading.events import CancelRequestEvent, OrderRejectedEvent, SignalEvent
from app.trading.orders import Order, OrderState, OrderType
from tests.trading.risk.desk import Desk, approved

MARKS = {"AAA": 100.0, "BBB": 50.0}
EQUITY = 10_000.0
STRATEGIES = ("s1", "s2")
LIMITS: dict[str, Any] = {
    "intraday_buying_power": 1.5, "overnight_buying_power": 1.5, "cash_buffer_pct": 0.1,
    "gross_leverage": 1.3, "max_position_quantity": 90.0, "max_position_pct": 0.8,
    "budgets": {"s1": 0.6}, "shortable": ["AAA"], "sizing": {"value": 0.4},
}  # fmt: skip
MOST = {"gross": 13_000.0, "s1": 0.6 * 1.5 * 9000, "AAA": 80.0, "BBB": 90.0}

names = {"symbol": st.sampled_from(sorted(MARKS)), "strategy": st.sampled_from(STRATEGIES)}
orders = st.fixed_dictionaries(
    {
        **names,
        "side": st.sampled_from(["buy", "sell"]),
        "quantity": st.integers(1, 120),
        "kind": st.sampled_from(["market", "limit", "stop", "market_on_close"]),
        "reduce_only": st.booleans(),
    }
)
signals = st.fixed_dictionaries(
    {**names, "direction": st.sampled_from([-1, 0, 1]), "strength": st.sampled_from([0.2, 1.0])}
)
batches = st.lists(st.lists(orders | signals, min_size=1, max_size=6), min_size=1, max_size=5)
positions = st.dictionaries(
    st.tuples(st.sampled_from(STRATEGIES), st.sampled_from(sorted(MARKS))),
    st.integers(-60, 100).filter(bool),
    max_size=4,
)


class Model:
    """Positions and open orders as the test itself counts them."""

    def __init__(self, desk: Desk, held: dict[tuple[str, str], int]) -> None:
        self.desk = desk
        self.held = Counter[tuple[str, str]]()
        self.open: dict[str, Order] = {}
        for (strategy, symbol), quantity in held.items():
            desk.hold(quantity, symbol, strategy, MARKS[symbol])
            self.held[strategy, symbol] = quantity

    def wish(self, drawn: dict[str, Any]) -> Order | SignalEvent:
        terms = dict(drawn)
        if "direction" in terms:
            return self.desk.signal(**terms)
        kind, mark = terms.pop("kind"), MARKS[terms["symbol"]]
        if kind == "limit":  # at its limit a buy costs no less than the mark
            terms["limit_price"] = mark + (1 if terms["side"] == "buy" else -1)
        if kind == "stop":
            terms["stop_price"] = mark + (1 if terms["side"] == "buy" else -1)
        return self.desk.order(type=kind, **terms)

    def in_order(self, batch: list[dict[str, Any]]) -> list[Order | SignalEvent]:
        """Reduce-only orders first, and none beside an open order that opens on its side: they
        are taken whatever they make of it."""
        opening = {
            (o.strategy_id, o.symbol, o.side) for o in self.open.values() if not o.reduce_only
        }
        drawn = sorted(batch, key=lambda one: not one.get("reduce_only", False))
        wishes = [self.wish(one) for one in drawn]
        return [
            w for w in wishes
            if isinstance(w, SignalEvent) or not w.reduce_only
            or (w.strategy_id, w.symbol, w.side) not in opening
        ] or [self.desk.signal(0)]  # fmt: skip

    def ask(self, wishes: Sequence[Order | SignalEvent]) -> list[Any]:
        said = self.desk.ask(*wishes)
        for event in said:
            if type(event) is CancelRequestEvent:
                gone = self.open.pop(event.order_id)
                self.desk.update(gone, OrderState.CANCELLED)
            self.open.update({o.order_id: o for o in approved([event])})
        return said

    def fill(self, order: Order) -> None:
        """All of it, or what reduce-only leaves of it."""
        line = order.strategy_id, order.symbol
        del self.open[order.order_id]
        quantity = order.quantity
        if order.reduce_only:
            quantity = min(quantity, max(0.0, -order.side.sign * self.held[line]))
        if not quantity:
            self.desk.update(order, OrderState.CANCELLED)
            return
        self.held[line] += int(order.side.sign * quantity)
        self.desk.fill(order, MARKS[order.symbol], quantity)

    def sizes(self) -> dict[str, float]:
        """Gross of all and of s1, and each side of each symbol."""
        values = {line: abs(q) * MARKS[line[1]] for line, q in self.held.items()}
        found: dict[str, float] = {
            "gross": sum(values.values()),
            "s1": sum(v for (strategy, _), v in values.items() if strategy == "s1"),
        }
        for symbol in MARKS:
            mine = [q for (_, name), q in self.held.items() if name == symbol]
            found[f"{symbol} long"] = sum(q for q in mine if q > 0)
            found[f"{symbol} short"] = -sum(q for q in mine if q < 0)
        return found


@settings(max_examples=150, deadline=None)
@given(positions, batches, st.randoms(use_true_random=False))
def test_limits_hold_whatever_fills(
    held: dict[tuple[str, str], int], drawn: list[list[dict[str, Any]]], chance: Any
) -> None:
    model = Model(Desk(EQUITY, **LIMITS), held)
    first = model.sizes()
    for batch in drawn:
        model.ask(model.in_order(batch))
        ready = list(model.open.values())
        chance.shuffle(ready)
        for order in ready[: chance.randint(0, len(ready))]:
            if order.order_id in model.open:
                model.fill(order)
        for name, size in model.sizes().items():
            most = MOST.get(name) or MOST[name[:3]]
            assert size <= max(most, first[name]) + 1e-6, name
        short = {line: q for line, q in model.held.items() if q < 0 and line[1] == "BBB"}
        assert all(q >= held.get(line, 0) for line, q in short.items())


@settings(max_examples=100, deadline=None)
@given(positions.filter(bool), st.lists(orders, min_size=1, max_size=6), st.data())
def test_exits_are_never_refused(
    held: dict[tuple[str, str], int], before: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Among other orders of the batch, in pieces, with every limit broken and losses halted."""
    section: dict[str, Any] = {**LIMITS, "gross_leverage": 0.01, "daily_loss": {"limit_pct": 0.0}}
    model = Model(Desk(EQUITY, **section), held)
    exits: list[Order] = []
    for (strategy, symbol), quantity in held.items():
        part = data.draw(st.integers(1, abs(quantity)))
        side = "sell" if quantity > 0 else "buy"
        exits += [
            model.desk.order(side, size, symbol, strategy=strategy)
            for size in (part, abs(quantity) - part)
            if size
        ]
    others = [model.wish({**one, "reduce_only": False}) for one in before]
    entries = [
        o for o in others
        if isinstance(o, Order)
        and o.side.sign * held.get((o.strategy_id, o.symbol), 0) >= 0
    ]  # fmt: skip
    wishes = data.draw(st.permutations([*exits, *entries]))
    said = model.ask(wishes)
    refused = {e.order_id for e in said if type(e) is OrderRejectedEvent}
    assert refused == {o.order_id for o in entries}
    for order in exits:
        model.fill(model.open[order.order_id])
    assert not any(model.held.values())


@settings(max_examples=100, deadline=None)
@given(positions, batches, st.randoms(use_true_random=False))
def test_flat_signals_end_in_no_position_and_no_orders(
    held: dict[tuple[str, str], int], drawn: list[list[dict[str, Any]]], chance: Any
) -> None:
    model = Model(Desk(EQUITY, **LIMITS), held)
    for batch in drawn:
        model.ask([model.wish(one) for one in batch])
        for order in chance.sample(list(model.open.values()), len(model.open) // 2):
            model.fill(order)
    model.ask([model.desk.signal(0, 1.0, x, s) for s in STRATEGIES for x in sorted(MARKS)])
    assert all(o.type is OrderType.MARKET for o in model.open.values())
    for order in list(model.open.values()):
        model.fill(order)
    assert not any(model.held.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(orders | signals, min_size=1, max_size=8), st.data())
def test_net_exposure_holds_whichever_entries_fill(
    drawn: list[dict[str, Any]], data: st.DataObject
) -> None:
    section: dict[str, Any] = {
        "net_leverage": 0.5,
        "intraday_buying_power": 4.0,
        "shortable": "all",
    }
    model = Model(Desk(EQUITY, **section), {})
    model.ask([model.wish(one) for one in drawn])
    entries = [o for o in model.open.values() if not o.reduce_only]
    chosen = data.draw(st.lists(st.sampled_from(entries), unique=True)) if entries else []
    net = sum(o.signed_quantity * MARKS[o.symbol] for o in chosen)
    assert abs(net) <= 0.5 * EQUITY + 1e-6
