"""Why risk refuses: stable codes, and a sentence that says what came and what is allowed."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Code(StrEnum):
    """Codes of ``OrderRejectedEvent``; they never change their meaning."""

    # what was sent makes no sense, whatever the account
    UNKNOWN_SYMBOL = "unknown_symbol"
    UNKNOWN_ORDER = "unknown_order"
    DUPLICATE_ORDER = "duplicate_order"
    BAD_SIGNAL = "bad_signal"
    BAD_QUANTITY = "bad_quantity"
    MISSING_PRICE = "missing_price"
    BAD_PRICE = "bad_price"
    TICK = "tick"
    BAD_GROUP = "bad_group"
    GROUP_REFUSED = "group_refused"  # another order of its group was refused
    # the terms of one entry
    NO_PRICE = "no_price"
    LOT = "lot"
    MIN_QUANTITY = "min_quantity"
    MAX_QUANTITY = "max_quantity"
    MIN_NOTIONAL = "min_notional"
    PRICE_BAND = "price_band"
    SIZED_TO_ZERO = "sized_to_zero"
    # halts
    SYMBOL_HALTED = "symbol_halted"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    # limits, counted with all that is reserved
    NOT_SHORTABLE = "not_shortable"
    MAX_OPEN_ORDERS = "max_open_orders"
    MAX_POSITION_QUANTITY = "max_position_quantity"
    MAX_POSITION_PCT = "max_position_pct"
    GROSS_LEVERAGE = "gross_leverage"
    NET_LEVERAGE = "net_leverage"
    BUDGET = "budget"
    BUYING_POWER = "buying_power"
    OVERNIGHT_BUYING_POWER = "overnight_buying_power"
    CASH_BUFFER = "cash_buffer"


class Refusal(NamedTuple):
    code: Code
    reason: str


def cash(amount: float) -> str:
    """An amount of currency in a sentence."""
    return f"{amount:,.2f}"


def number(value: float) -> str:
    """A quantity or a price in a sentence, without the zeros that say nothing."""
    text = f"{value:,.8f}"
    return text.rstrip("0").rstrip(".")


def percent(fraction: float) -> str:
    return f"{number(fraction * 100)} %"


def above(value: float, limit: float) -> bool:
    """Whether a value breaks a limit, by more than floats err."""
    return value > limit + 1e-9 * max(1.0, abs(limit))
