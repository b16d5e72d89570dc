"""An order's life is what a model of it says, whatever comes in whatever order.

The model shares no code with the application: which states follow which, at which price a bar
fills, and what a day's end leaves.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.trading.execution.kit import Pit, order
from tests.trading.harness import DAYS, bar, minute

PRICES = st.integers(-3, 3).map(lambda ticks: 100 + 0.25 * ticks)  # touches are common
PLENTY = 1e9  # shares of every bar: volume bounds no fill


class Model:
    """One order."""

    def __init__(self, type: str, side: str, level: float, tif: str) -> None:
        self.type, self.buys, self.level, self.tif = type, side == "buy", level, tif
        self.state, self.quantity = "working", 100.0
        self.fill: tuple[float, float] | None = None

    def meet(self, opened: float, high: float, low: float) -> None:
        """A bar that begins after the order came."""
        if self.state == "working" and (price := self.price_in(opened, high, low)) is not None:
            self.state, self.fill = "filled", (self.quantity, price)

    def price_in(self, opened: float, high: float, low: float) -> float | None:
        """A limit wants a price below its own, and fills inside a bar once that was passed; a
        stop wants one at or above its own, and a touch is enough (for a buyer)."""
        if self.type == "market":
            return opened
        if self.type == "limit":
            at_open = opened <= self.level if self.buys else opened >= self.level
            inside = low < self.level if self.buys else high > self.level
        else:
            at_open = opened >= self.level if self.buys else opened <= self.level
            inside = high >= self.level if self.buys else low <= self.level
        return opened if at_open else self.level if inside else None


class OrderMachine(RuleBasedStateMachine):
    """Orders of one symbol, approved as they come."""

    numbers = Bundle("numbers")

    def __init__(self) -> None:
        super().__init__()
        self.pit = Pit()
        self.orders: dict[int, Model] = {}
        self.refused: list[tuple[str, str]] = []
        self.minute = 0

    def teardown(self) -> None:
        self.pit.bus.close()

    @rule(
        target=numbers, type=st.sampled_from(["market", "limit", "stop"]),
        side=st.sampled_from(["buy", "sell"]), level=PRICES, tif=st.sampled_from(["day", "gtc"]),
    )  # fmt: skip
    def approve(self, type: str, side: str, level: float, tif: str) -> int:
        number = len(self.orders) + 1
        terms: dict[str, Any] = {} if type == "market" else {type: level}
        self.orders[number] = Model(type, side, level, tif)
        self.pit.approve(order(number, type, side, tif=tif, **terms))
        return number

    @rule(prices=st.tuples(PRICES, PRICES, PRICES, PRICES))
    def play(self, prices: tuple[float, float, float, float]) -> None:
        opened, closed = prices[0], prices[3]
        high, low = max(prices), min(prices)
        start_ns = minute(self.minute, DAYS[self.pit.day])
        self.minute += 1
        self.pit.play(bar(0, start_ns, opened, high, low, closed, PLENTY))
        for one in self.orders.values():
            one.meet(opened, high, low)

    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        self.pit.cancel(number)
        if self.orders[number].state == "working":
            self.orders[number].state = "cancelled"
        else:
            self.refused.append((str(number), "cancel_final_order"))

    @rule()
    def cancel_nothing(self) -> None:
        self.pit.cancel(999)
        self.refused.append(("999", "cancel_unknown_order"))

    @rule(number=numbers, quantity=st.sampled_from([1.0, 50.0, 200.0]))
    def change_quantity(self, number: int, quantity: float) -> None:
        self.pit.modify(number, quantity=quantity)
        if self.orders[number].state == "working":
            self.orders[number].quantity = quantity
        else:
            self.refused.append((str(number), "modify_final_order"))

    @rule(number=numbers, level=PRICES)
    def change_level(self, number: int, level: float) -> None:
        one = self.orders[number]
        name = "stop_price" if one.type == "stop" else "limit_price"
        self.pit.modify(number, **{name: level})
        if one.state != "working":
            self.refused.append((str(number), "modify_final_order"))
        elif one.type == "market":
            self.refused.append((str(number), "modify_no_such_term"))
        else:
            one.level = level

    @rule()
    @precondition(lambda self: self.pit.day + 1 < len(DAYS))
    def roll(self) -> None:
        self.pit.roll()
        self.minute = 0
        for one in self.orders.values():
            if one.state == "working" and one.tif == "day":
                one.state = "expired"

    @invariant()
    def agrees(self) -> None:
        """States, fills and refusals are the model's; an end is an end."""
        for number, one in self.orders.items():
            updates = self.pit.updates(number)
            assert updates[-1].state.value == one.state
            assert [u for u in updates[:-1] if u.state.final] == []
            assert updates[-1].quantity == one.quantity
            found = [(f.quantity, f.price) for f in self.pit.fills if f.order_id == f"s-{number}"]
            assert found == ([] if one.fill is None else [one.fill])
        assert self.pit.rejected() == self.refused


def test_any_requests_and_bars() -> None:
    run_state_machine_as_test(
        OrderMachine,
        settings=settings(
            max_examples=60, stateful_step_count=25, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
