"""What a strategy asks for: the orders that leave, and the calls that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import RequestError
from app.trading.context import Instrument
from app.trading.events import (
    CancelRequestEvent,
    ModifyRequestEvent,
    OrderApprovedEvent,
    OrderRejectedEvent,
    OrderRequestEvent,
    SignalEvent,
)
from app.trading.orders import Order, OrderState, OrderType, Role, Side, TimeInForce
from app.trading.strategy import Context
from tests.trading.harness import Stage, bar, minute
from tests.trading.strategy.support import (
    HEAD,
    fill,
    ids,
    make,
    requested,
    section,
    strategy,
    update,
)

HOLDER = HEAD + (
    "class A(Strategy):\n"
    "    def on_start(self, ctx): self.ctx, self.asks, self.got = ctx, [], []\n"
    "    def on_bar(self, ctx, bar):\n"
    "        for ask in self.asks: self.got.append(ask(ctx))\n"
    "        self.asks.clear()\n"
)


class Asker:
    """A strategy that does what a test tells it, at the next bar."""

    def __init__(self, folder: Path, **terms: Any) -> None:
        self.stage = Stage(["AAA", "BBB", "CCC"], **terms)
        self.runner = make(self.stage, folder, HOLDER, section(symbols=["AAA", "BBB"]))
        self.strategy = strategy(self.runner)
        self.stage.start()
        self.minutes = 0

    @property
    def ctx(self) -> Context:
        ctx: Context = self.strategy.ctx
        return ctx

    def ask(self, *asks: Any) -> list[Any]:
        self.strategy.asks, self.strategy.got = list(asks), []
        self.stage.play(bar(0, minute(self.minutes), 1, 1, 1, 1))
        self.minutes += 1
        found: list[Any] = self.strategy.got
        return found

    def order(self, *args: Any, **terms: Any) -> Order:
        """The order that one call sends."""
        self.ask(lambda ctx: ctx.order(*args, **terms))
        return requested(self.stage)[-1]

    def tell(self, order: Order, state: OrderState, filled: float = 0.0) -> None:
        self.stage.send(update(order, state, self.stage.engine.now_ns, filled))


@pytest.fixture
def asker(tmp_path: Path) -> Asker:
    return Asker(tmp_path)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, {"type": OrderType.MARKET}),
        ({"limit": 9}, {"type": OrderType.LIMIT, "limit_price": 9.0}),
        ({"stop": 11}, {"type": OrderType.STOP, "stop_price": 11.0}),
        (
            {"stop": 11, "limit": 12},
            {"type": OrderType.STOP_LIMIT, "stop_price": 11.0, "limit_price": 12.0},
        ),
        ({"trail": 0.5}, {"type": OrderType.TRAILING_STOP, "trail": 0.5}),
        ({"trail_bps": 50}, {"type": OrderType.TRAILING_STOP, "trail": 50.0, "trail_in_bps": True}),
        ({"type": "market_on_open"}, {"type": OrderType.MARKET_ON_OPEN}),
        ({"type": OrderType.MARKET_ON_CLOSE}, {"type": OrderType.MARKET_ON_CLOSE}),
        ({"type": "limit", "limit": 9}, {"type": OrderType.LIMIT, "limit_price": 9.0}),
        (
            {"limit": np.float64(9), "tif": "gtc", "post_only": True, "reduce_only": True,
             "tag": "x"},
            {"type": OrderType.LIMIT, "limit_price": 9.0, "tif": TimeInForce.GTC,
             "post_only": True, "reduce_only": True, "tag": "x"},
        ),
    ],
)  # fmt: skip
def test_an_order_has_the_terms_that_were_given(
    asker: Asker, terms: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert asker.order("AAA", "sell", np.int64(7), **terms) == Order(
        order_id="one-1", strategy_id="one", symbol="AAA", side=Side.SELL, quantity=7.0,
        created_ns=minute(1), **expected,
    )  # fmt: skip
    (event,) = asker.stage.seen.of(OrderRequestEvent)
    assert (event.ts_event_ns, event.strategy_id) == (minute(1), "one")


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"symbol": "AAB"}, "'AAB' is no symbol of this strategy; nearest: AAA"),
        ({"symbol": "CCC"}, "'CCC' is no symbol of this strategy; nearest: AAA, BBB"),
        ({"side": "long"}, "side is 'long'; allowed: buy, sell"),
        ({"quantity": 0}, "quantity is 0; needed: a number above 0"),
        ({"quantity": -5}, "quantity is -5; needed: a number above 0"),
        ({"quantity": float("nan")}, "quantity is nan; needed"),
        ({"quantity": float("inf")}, "quantity is inf; needed"),
        ({"quantity": "5"}, "quantity is '5'; needed"),
        ({"quantity": True}, "quantity is True; needed"),
        ({"limit": -1}, "limit is -1; needed: a number above 0"),
        ({"type": "limitt"}, "type is 'limitt'; allowed: market, limit, stop"),
        ({"type": "limit"}, "a limit order needs limit; given: none"),
        ({"type": "market", "limit": 5}, "a market order needs no price; given: limit"),
        ({"type": "stop_limit", "stop": 5}, "a stop_limit order needs limit and stop; given: stop"),
        ({"limit": 5, "trail": 1}, "no order type has limit and trail together"),
        ({"trail": 1, "trail_bps": 1}, "trail and trail_bps were both given"),
        ({"trail_bps": 10_000}, "trail_bps is 10000; needed: below 10000"),
        ({"tif": "week"}, "tif is 'week'; allowed: day, gtc, ioc, fok"),
        ({"post_only": True}, "post_only was given for a market order; it is for limit orders"),
        ({"limit": 10, "stop_loss": 10}, "stop_loss at 10 and the entry at 10 of a buy order"),
        ({"limit": 10, "take_profit": 9}, "the entry at 10 and take_profit at 9 of a buy order"),
        ({"take_profit": 9, "stop_loss": 9.5}, "stop_loss at 9.5 and take_profit at 9 of a buy"),
        (
            {"side": "sell", "take_profit": 9.5, "stop_loss": 9},
            "stop_loss at 9 and take_profit at 9.5 of a sell order; needed: stop_loss above",
        ),
        ({"take_profit": 9, "reduce_only": True}, "a reduce_only order cannot have take_profit"),
        ({"take_profit": 9, "exit_tif": "x"}, "exit_tif is 'x'; allowed: day"),
        ({"stop_loss": 0}, "stop_loss is 0; needed: a number above 0"),
        ({"tag": 7}, "tag is 7; needed: text"),
        ({"tag": "a\ud800"}, "tag is 'a\\ud800'; needed: text"),
        ({"reduce_only": "yes"}, "reduce_only is 'yes'; needed: True or False"),
        ({"limit": 5, "post_only": 1}, "post_only is 1; needed: True or False"),
    ],
)
def test_a_bad_order_is_refused_at_the_call(asker: Asker, terms: dict[str, Any], said: str) -> None:
    given = {"symbol": "AAA", "side": "buy", "quantity": 5, **terms}
    with pytest.raises(RequestError) as caught:
        asker.ctx.order(**given)
    assert said in str(caught.value)
    assert asker.ctx.open_orders() == ()
    assert asker.order("AAA", "buy", 1).order_id == "one-1"  # no number was used up


def test_a_bracket_is_one_request(asker: Asker) -> None:
    (entry_id,) = asker.ask(
        lambda ctx: ctx.order("AAA", "sell", 5, stop=9, take_profit=7, stop_loss=10, tag="t")
    )
    (event,) = asker.stage.seen.of(OrderRequestEvent)
    same: dict[str, Any] = {
        "strategy_id": "one", "symbol": "AAA", "quantity": 5.0, "created_ns": minute(1),
        "group_id": "one-1", "tag": "t",
    }  # fmt: skip
    child: dict[str, Any] = {"side": Side.BUY, "parent_id": "one-1", "reduce_only": True}
    assert event.orders == (
        Order(order_id="one-1", side=Side.SELL, type=OrderType.STOP, stop_price=9.0,
              role=Role.ENTRY, **same),
        Order(order_id="one-2", type=OrderType.LIMIT, limit_price=7.0, role=Role.TAKE_PROFIT,
              **same, **child),
        Order(order_id="one-3", type=OrderType.STOP, stop_price=10.0, role=Role.STOP_LOSS,
              **same, **child),
    )  # fmt: skip
    assert entry_id == "one-1"
    assert [o.order_id for o in asker.ctx.children("one-1")] == ["one-2", "one-3"]
    assert asker.order("BBB", "buy", 1).order_id == "one-4"


@pytest.mark.parametrize(
    ("terms", "tifs"),
    [
        ({"stop_loss": 1, "tif": "gtc"}, ["gtc", "gtc"]),
        ({"take_profit": 9, "exit_tif": "gtc"}, ["day", "gtc"]),
        ({"take_profit": 9, "stop_loss": 1, "tif": "ioc"}, ["ioc", "day", "day"]),
    ],
)
def test_exits_are_good_as_long_as_their_entry_or_as_said(
    asker: Asker, terms: dict[str, Any], tifs: list[str]
) -> None:
    asker.order("AAA", "buy", 5, **terms)
    assert [o.tif.value for o in requested(asker.stage)] == tifs


def test_an_oco_group_is_one_request(asker: Asker) -> None:
    high = {"symbol": "AAA", "side": "sell", "quantity": 5, "limit": 11}
    low = {"symbol": "AAA", "side": "sell", "quantity": 5, "stop": 9, "tif": "gtc"}
    (got,) = asker.ask(lambda ctx: ctx.oco([high, low]))
    (event,) = asker.stage.seen.of(OrderRequestEvent)
    assert got == ("one-1", "one-2") == tuple(ids(event.orders))
    assert [(o.role, o.group_id, o.type) for o in event.orders] == [
        (Role.OCO, "one-1", OrderType.LIMIT), (Role.OCO, "one-1", OrderType.STOP)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("orders", "said"),
    [
        ([], "0 orders; needed: two or more, all in one symbol"),
        ([{"symbol": "AAA", "side": "buy", "quantity": 1}], "1 orders; needed"),
        (
            [{"symbol": s, "side": "buy", "quantity": 1} for s in ("AAA", "BBB")],
            "2 orders; needed: two or more, all in one symbol",
        ),
        ([{"symbol": "AAA", "side": "buy"}], "an order without quantity"),
        ([{"limits": 4}], "an order has no 'limits'; nearest: limit"),
    ],
)
def test_a_bad_oco_group_is_refused(asker: Asker, orders: Any, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        asker.ctx.oco(orders)
    assert said in str(caught.value)


def test_signals(asker: Asker) -> None:
    got = asker.ask(
        lambda ctx: ctx.signal("AAA", 1), lambda ctx: ctx.signal("BBB", -1, 0.5, tag="x")
    )
    assert got == ["one-s1", "one-s2"]
    assert [
        (e.signal_id, e.symbol, e.direction, e.strength, e.tag)
        for e in asker.stage.seen.of(SignalEvent)
    ] == [("one-s1", "AAA", 1, 1.0, ""), ("one-s2", "BBB", -1, 0.5, "x")]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("CCC", 1), "'CCC' is no symbol"),
        (("AAA", 2), "direction is 2; needed: 1 long, -1 short or 0 flat"),
        (("AAA", "long"), "direction is 'long'"),
        (("AAA", 1, 0), "strength is 0; needed: a number above 0"),
        (("AAA", 1, 1.5), "strength is 1.5; needed: above 0, at most 1"),
        (("AAA", 1, 1, None), "tag is None; needed: text"),
    ],
)
def test_a_bad_signal_is_refused(asker: Asker, args: tuple[Any, ...], said: str) -> None:
    with pytest.raises(RequestError) as caught:
        asker.ctx.signal(*args)
    assert said in str(caught.value)


def held(asker: Asker, quantity: float, symbol: str = "AAA") -> None:
    """The strategy holds this, and has no orders."""
    side = Side.BUY if quantity > 0 else Side.SELL
    order = Order(order_id="one-0", strategy_id="one", symbol=symbol, side=side,
                  type=OrderType.MARKET, quantity=abs(quantity), created_ns=0)  # fmt: skip
    asker.stage.send(fill(order, asker.stage.engine.now_ns, 10.0))


@pytest.mark.parametrize(
    ("before", "target", "expected"),
    [
        (0, 100, ("buy", 100, False)),
        (0, -100, ("sell", 100, False)),
        (0, 0, None),
        (100, 100, None),
        (100, 150, ("buy", 50, False)),
        (100, 40, ("sell", 60, True)),
        (100, 0, ("sell", 100, True)),
        (100, -20, ("sell", 120, False)),
        (-100, -40, ("buy", 60, True)),
        (-100, -150, ("sell", 50, False)),
    ],
)
def test_target_position_orders_what_is_missing(
    asker: Asker, before: float, target: float, expected: tuple[str, float, bool] | None
) -> None:
    if before:
        held(asker, before)
    (got,) = asker.ask(lambda ctx: ctx.target_position("AAA", target))
    orders = requested(asker.stage)
    if expected is None:
        assert (got, orders) == (None, [])
    else:
        assert [(o.side.value, o.quantity, o.reduce_only) for o in orders] == [expected]
        assert got == orders[0].order_id


def test_open_orders_count_towards_a_target(asker: Asker) -> None:
    """Of an OCO group its largest order, of a bracket its entry; exits at a price do not."""
    held(asker, 100)
    sell = {"symbol": "AAA", "side": "sell", "quantity": 40}
    asker.ask(
        lambda ctx: ctx.order("AAA", "buy", 30, limit=5),
        lambda ctx: ctx.order("AAA", "buy", 20, take_profit=20, stop_loss=5),
        lambda ctx: ctx.oco([{**sell, "limit": 15}, {**sell, "stop": 5, "quantity": 35}]),
        lambda ctx: ctx.order("AAA", "sell", 100, limit=15, reduce_only=True),
        lambda ctx: ctx.order("AAA", "sell", 7, reduce_only=True),
        lambda ctx: ctx.order("BBB", "buy", 1000),
    )  # fmt: skip
    # 100 + 30 + 20 - 40 - 7 = 103
    asker.ask(
        lambda ctx: ctx.target_position("AAA", 103), lambda ctx: ctx.target_position("AAA", 110)
    )
    (last,) = requested(asker.stage)[-1:]
    assert (last.side, last.quantity) == (Side.BUY, 7.0)
    assert asker.ask(lambda ctx: ctx.target_position("AAA", 110)) == [None]


def test_what_is_being_cancelled_does_not_count_towards_a_target(asker: Asker) -> None:
    asker.ask(lambda ctx: ctx.order("AAA", "buy", 30, stop=5, stop_loss=4))
    assert asker.ask(
        lambda ctx: ctx.cancel_all(), lambda ctx: ctx.target_position("AAA", 0)
    ) == [1, None]  # fmt: skip


@pytest.mark.parametrize("quantity", [float("nan"), float("inf")])
def test_a_target_is_a_number(asker: Asker, quantity: float) -> None:
    with pytest.raises(RequestError, match="needed: a number, negative for short"):
        asker.ctx.target_position("AAA", quantity)


def test_a_target_may_be_of_another_type(asker: Asker) -> None:
    asker.ask(lambda ctx: ctx.target_position("AAA", -5, type="market_on_close", tag="x"))
    (order,) = requested(asker.stage)
    assert (order.type, order.tag) == (OrderType.MARKET_ON_CLOSE, "x")


def test_cancel_asks_once(asker: Asker) -> None:
    order = asker.order("AAA", "buy", 5, limit=1)
    assert asker.ask(lambda ctx: ctx.cancel("one-1"), lambda ctx: ctx.cancel("one-1")) == [
        True, False,
    ]  # fmt: skip
    (event,) = asker.stage.seen.of(CancelRequestEvent)
    assert (event.order_id, event.strategy_id, event.ts_event_ns) == ("one-1", "one", minute(2))
    refused = OrderRejectedEvent(
        ts_event_ns=minute(2), order_id="one-1", strategy_id="one", symbol="AAA", code="x",
        reason="x", by="execution", request="cancel",
    )  # fmt: skip
    asker.stage.send(refused)
    assert asker.ask(lambda ctx: ctx.cancel("one-1")) == [True]
    asker.tell(order, OrderState.CANCELLED)
    assert asker.ask(
        lambda ctx: ctx.cancel("one-1"), lambda ctx: ctx.modify("one-1", limit=2),
        lambda ctx: ctx.cancel(""),
    ) == [False, False, False]  # fmt: skip


@pytest.mark.parametrize("order_id", ["one-2", "one-0", "one-s1", "two-1", "x", "one1"])
def test_an_order_that_never_was_is_refused(asker: Asker, order_id: str) -> None:
    asker.order("AAA", "buy", 5, limit=1)
    with pytest.raises(RequestError, match=f"no order '{order_id}' of this strategy; open: one-1"):
        asker.ctx.cancel(order_id)
    with pytest.raises(RequestError, match="no order"):
        asker.ctx.modify(order_id, limit=2)


def test_cancel_all(asker: Asker) -> None:
    """Exits that wait for their entry are not asked for; those of a filled one are."""
    asker.order("AAA", "buy", 5, limit=1)
    asker.order("AAA", "buy", 5, limit=1, take_profit=3, stop_loss=0.5)
    bracket = requested(asker.stage)[1:]
    asker.order("BBB", "buy", 5, limit=1)
    assert asker.ask(lambda ctx: ctx.cancel_all("BBB")) == [1]
    asker.stage.send(fill(bracket[0], minute(4), 1.0, quantity=2.0))
    assert asker.ask(lambda ctx: ctx.cancel_all()) == [4]
    cancelled = [e.order_id for e in asker.stage.seen.of(CancelRequestEvent)]
    assert cancelled == ["one-5", "one-1", "one-2", "one-3", "one-4"]


def test_cancel_all_of_a_waiting_bracket(asker: Asker) -> None:
    asker.order("AAA", "buy", 5, limit=1, take_profit=3, stop_loss=0.5)
    assert asker.ask(lambda ctx: ctx.cancel_all()) == [1]
    assert [e.order_id for e in asker.stage.seen.of(CancelRequestEvent)] == ["one-1"]


def test_modify(asker: Asker) -> None:
    asker.order("AAA", "buy", 5, stop=1, limit=2)
    assert asker.ask(lambda ctx: ctx.modify("one-1", quantity=7, limit=3)) == [True]
    (event,) = asker.stage.seen.of(ModifyRequestEvent)
    assert (event.order_id, event.quantity, event.limit_price, event.stop_price, event.trail) == (
        "one-1", 7.0, 3.0, None, None,
    )  # fmt: skip
    assert asker.ctx.open_orders()[0].limit_price == 2.0  # until execution says so


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({}, "nothing to modify; give quantity, limit, stop or trail"),
        ({"stop": 3}, "one-1 is a limit order; it has no stop"),
        ({"trail": 3}, "one-1 is a limit order; it has no trail"),
        ({"limit": 0}, "limit is 0; needed"),
        ({"quantity": 2}, "quantity is 2; one-1 has filled 2"),
    ],
)
def test_a_bad_change_is_refused(asker: Asker, terms: dict[str, Any], said: str) -> None:
    order = asker.order("AAA", "buy", 5, limit=1)
    asker.stage.send(fill(order, minute(1), 1.0, quantity=2.0))
    with pytest.raises(RequestError) as caught:
        asker.ctx.modify("one-1", **terms)
    assert said in str(caught.value)


def test_orders_that_risk_made_can_be_cancelled(asker: Asker) -> None:
    """Of a signal, or to flatten: their ids are not counted here."""
    asker.ask(lambda ctx: ctx.signal("AAA", 1))
    for order_id in ("one-s1", "one-flat1"):
        order = Order(order_id=order_id, strategy_id="one", symbol="AAA", side=Side.BUY,
                      type=OrderType.MARKET, quantity=5, created_ns=minute(1))  # fmt: skip
        asker.stage.send(OrderApprovedEvent(ts_event_ns=minute(1), orders=(order,)))
        assert asker.ctx.open_orders()[-1].order_id == order_id
        assert asker.ask(lambda ctx, o=order_id: ctx.cancel(o)) == [True]
        asker.tell(order, OrderState.CANCELLED)
        assert asker.ctx.cancel(order_id) is False


@pytest.mark.parametrize(
    ("tick", "price", "expected"),
    [(0.01, 10.006, 10.01), (0.05, 10.02, 10.0), (0.05, 10.03, 10.05), (0, 10.0061, 10.0061)],
)
def test_a_price_is_rounded_to_the_tick(
    tmp_path: Path, tick: float, price: float, expected: float
) -> None:
    asker = Asker(tmp_path, instruments={"AAA": Instrument("AAA", tick=tick)})
    assert asker.ctx.round_price("AAA", price) == expected


def test_in_on_end_nothing_can_be_ordered(tmp_path: Path) -> None:
    source = HEAD + (
        "class A(Strategy):\n    def on_end(self, ctx):\n        ctx.order('AAA', 'buy', 1)\n"
    )
    stage = Stage()
    make(stage, tmp_path, source)
    stage.start()
    with pytest.raises(Exception, match=r"line 4, in on_end: .* the run is over: nothing can be"):
        stage.engine.finish("completed")


def test_an_order_of_on_start_leaves(tmp_path: Path) -> None:
    source = HEAD + (
        "class A(Strategy):\n    def on_start(self, ctx):\n        ctx.order('AAA', 'buy', 1)\n"
    )
    stage = Stage()
    make(stage, tmp_path, source)
    stage.start()
    assert ids(requested(stage)) == ["one-1"]
