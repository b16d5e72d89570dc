"""A strategy's own view: positions from fills, orders from what it was told."""

from __future__ import annotations

from typing import Any

import pytest

from app.trading.events import OrderRejectedEvent
from app.trading.orders import Order, OrderState, OrderType, Role, Side
from app.trading.services.strategy.book import Book
from tests.trading.strategy.support import fill, update

T = 1_000


def order(number: int = 1, side: str = "buy", quantity: float = 100, **terms: Any) -> Order:
    return Order(
        order_id=f"one-{number}", strategy_id="one", symbol="AAA", side=Side(side),
        quantity=quantity, created_ns=T, **{"type": OrderType.MARKET, **terms},
    )  # fmt: skip


def reject(number: int, request: str = "order", by: str = "risk") -> OrderRejectedEvent:
    return OrderRejectedEvent(
        ts_event_ns=T, order_id=f"one-{number}", strategy_id="one", symbol="AAA", code="x",
        reason="x", by=by, request=request,
    )  # fmt: skip


def open_ids(book: Book) -> list[str]:
    return [o.order_id for o in book.open_orders()]


@pytest.mark.parametrize(
    ("fills", "quantity", "average"),
    [
        ([(100, 10)], 100, 10),
        ([(100, 10), (100, 13)], 200, 11.5),
        ([(100, 10), (300, 14)], 400, 13),  # (1000 + 4200) / 400
        ([(100, 10), (-40, 20)], 60, 10),  # a reduction leaves the average
        ([(100, 10), (-100, 20)], 0, None),
        ([(100, 10), (-150, 20)], -50, 20),  # through zero: the price that opened
        ([(-100, 10), (-100, 20)], -200, 15),
        ([(-100, 10), (30, 5)], -70, 10),
        ([(-100, 10), (130, 5)], 30, 5),
        ([(0.1, 1), (0.2, 1)], 0.3, 1),  # without dust
        ([(0.1, 1), (0.2, 1), (-0.3, 1)], 0, None),
    ],
)
def test_positions_come_of_fills(
    fills: list[tuple[float, float]], quantity: float, average: float | None
) -> None:
    book = Book()
    for number, (signed, price) in enumerate(fills):
        side = "buy" if signed > 0 else "sell"
        book.fill(fill(order(number, side, abs(signed)), T, price))
    assert book.position("AAA") == quantity
    assert book.average_price("AAA") == (average if average is None else pytest.approx(average))
    assert book.positions() == ({"AAA": quantity} if quantity else {})


def test_an_order_is_open_from_its_sending_to_its_end() -> None:
    book, one = Book(), order(type=OrderType.LIMIT, limit_price=9.0)
    book.take(one)
    assert book.open_orders()[0].state is OrderState.NEW
    book.take(one, OrderState.ACCEPTED)
    book.update(update(one, OrderState.WORKING, T))
    (there,) = book.open_orders()
    assert (there.state, there.quantity, there.remaining, there.signed_remaining) == (
        OrderState.WORKING, 100, 100, 100,
    )  # fmt: skip
    book.update(update(one, OrderState.EXPIRED, T))
    assert book.open_orders() == ()
    book.update(update(one, OrderState.EXPIRED, T))  # what is not known is no matter
    book.fill(fill(one, T, 9.0))
    assert book.position("AAA") == 100


@pytest.mark.parametrize("state", [OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REJECTED])
def test_final_states_end_an_order(state: OrderState) -> None:
    book, one = Book(), order()
    book.take(one)
    book.update(update(one, state, T))
    assert book.order("one-1") is None


@pytest.mark.parametrize("fill_first", [True, False])
def test_position_and_open_quantity_always_agree(fill_first: bool) -> None:
    """Whether the fill or the state comes first: held and still coming are 100 together."""
    book, one = Book(), order(side="sell")
    book.take(one)
    steps = [
        lambda: book.fill(fill(one, T, 10, quantity=30)),
        lambda: book.update(update(one, OrderState.PARTIALLY_FILLED, T, 30)),
        lambda: book.fill(fill(one, T, 10, quantity=70)),
        lambda: book.update(update(one, OrderState.FILLED, T, 100)),
    ]
    for at in (0, 1, 2, 3) if fill_first else (1, 0, 3, 2):
        steps[at]()
        assert book.position("AAA") + book.coming("AAA") == -100
    assert book.position("AAA") == -100
    assert book.order("one-1") is None


def test_a_filled_order_ends_with_what_it_filled() -> None:
    """An exit whose entry filled less than was asked for."""
    book, one = Book(), order()
    book.take(one)
    book.update(update(one, OrderState.FILLED, T, 60))
    book.fill(fill(one, T, 10, quantity=60))
    assert book.order("one-1") is None


def test_new_terms_are_taken_over() -> None:
    book, one = Book(), order(type=OrderType.LIMIT, limit_price=9.0)
    book.take(one)
    book.update(update(order(quantity=50, type=OrderType.LIMIT, limit_price=8.0),
                       OrderState.WORKING, T))  # fmt: skip
    (there,) = book.open_orders()
    assert (there.quantity, there.limit_price) == (50, 8.0)


def test_refusals() -> None:
    group: dict[str, Any] = {"group_id": "one-1", "role": Role.OCO}
    book = Book()
    for one in (order(1, **group), order(2, **group), order(3)):
        book.take(one)
    for request in ("modify", "cancel"):
        book.reject(reject(1, request))
    assert open_ids(book) == ["one-1", "one-2", "one-3"]
    book.reject(reject(2))  # risk refuses a group as one
    assert open_ids(book) == ["one-3"]
    book.reject(reject(1))
    book.take(order(3), OrderState.ACCEPTED)
    book.reject(reject(3, by="execution"))
    assert open_ids(book) == []


def test_execution_refuses_one_of_an_accepted_group() -> None:
    group: dict[str, Any] = {"group_id": "one-1", "role": Role.OCO}
    book = Book()
    for one in (order(1, **group), order(2, **group)):
        book.take(one)
        book.take(one, OrderState.ACCEPTED)
    book.reject(reject(1, by="execution"))
    assert open_ids(book) == ["one-2"]


@pytest.mark.parametrize(
    ("held", "ratio", "lot", "quantity", "average"),
    [
        (100, 7.0, 1, 700, 645.57 / 7),
        (-100, 7.0, 1, -700, 645.57 / 7),
        (15, 0.1, 1, 1, 6455.7),  # half a share is paid in cash
        (15, 0.1, 0.1, 1.5, 6455.7),
        (5, 0.1, 1, 0, None),
        (100, 1.5, 1, 150, 430.38),
        (9, 1 / 3, 1, 3, 645.57 * 3),
    ],
)
def test_a_split_moves_the_position(
    held: float, ratio: float, lot: float, quantity: float, average: float | None
) -> None:
    book = Book()
    book.fill(fill(order(1, "buy" if held > 0 else "sell", abs(held)), T, 645.57))
    book.split("AAA", ratio, lot)
    book.split("BBB", 5.0, lot)
    assert book.position("AAA") == quantity
    assert book.average_price("AAA") == (average if average is None else pytest.approx(average))


def test_a_split_moves_open_orders() -> None:
    book = Book()
    book.take(order(1, type=OrderType.STOP_LIMIT, limit_price=700.0, stop_price=693.0))
    book.take(order(2))
    book.fill(fill(order(1), T, 693.0, quantity=30))
    book.split("AAA", 7.0, 1)
    first, second = book.open_orders()
    assert (first.quantity, first.filled, first.remaining) == (700, 210, 490)
    assert (first.limit_price, first.stop_price) == (100.0, 99.0)
    assert (second.quantity, second.limit_price) == (700, None)
