"""The stable codes of execution, each with its sentence: refusals, reasons, and why nothing fills.

A refusal that begins with ``cancel_`` or ``modify_`` is of that request alone (``request`` of the
event says so too): the order that it names stays as it is.
"""

from __future__ import annotations

from enum import StrEnum


class Reject(StrEnum):
    """Codes of ``OrderRejectedEvent``."""

    UNKNOWN_SYMBOL = "unknown_symbol"
    DUPLICATE_ORDER_ID = "duplicate_order_id"
    BAD_QUANTITY = "bad_quantity"
    BAD_PRICE = "bad_price"
    TIF_NOT_ALLOWED = "tif_not_allowed"
    POST_ONLY_NOT_LIMIT = "post_only_not_limit"
    POST_ONLY_WOULD_TAKE = "post_only_would_take"
    MOC_AFTER_CUTOFF = "moc_after_cutoff"
    UNKNOWN_PARENT = "unknown_parent"
    GROUP_REFUSED = "group_refused"
    CANCEL_UNKNOWN_ORDER = "cancel_unknown_order"
    CANCEL_FINAL_ORDER = "cancel_final_order"
    CANCEL_AFTER_CLOSE = "cancel_after_close"
    MODIFY_UNKNOWN_ORDER = "modify_unknown_order"
    MODIFY_FINAL_ORDER = "modify_final_order"
    MODIFY_AFTER_CLOSE = "modify_after_close"
    MODIFY_BELOW_FILLED = "modify_below_filled"
    MODIFY_NO_SUCH_TERM = "modify_no_such_term"
    MODIFY_BAD_TERM = "modify_bad_term"


class Reason(StrEnum):
    """``reason`` of ``OrderUpdateEvent``, beside the text of a cancel request."""

    SESSION_CLOSED = "session_closed"  # a DAY order's session is over
    NO_OFFICIAL_CLOSE = "no_official_close"
    HALTED = "halted"  # the symbol, at the close
    SIBLING_FILLED = "sibling_filled"
    EXIT_FILLED = "exit_filled"  # the rest of an entry whose exit has begun
    ENTRY_FILLED = "entry_filled"
    ENTRY_CANCELLED = "entry_cancelled"
    ENTRY_EXPIRED = "entry_expired"
    ENTRY_REJECTED = "entry_rejected"
    NOTHING_TO_REDUCE = "nothing_to_reduce"
    NOT_FILLED_AT_ONCE = "not_filled_at_once"  # the rest of an IOC, a whole FOK
    SPLIT = "split"
    MODIFIED = "modified"
    TRIGGERED = "triggered"


class Why(StrEnum):
    """Why one row of its price source did or did not fill an order."""

    FILLS = "fills"
    PARTLY = "fills_partly"
    BEGAN_BEFORE = "began_before_order"
    POST_CLOSE = "post_close"
    ZERO_VOLUME = "zero_volume"
    SPANS_SPLIT = "spans_split"
    ONE_SIDED = "one_sided_quote"
    CROSSED = "crossed_quote"
    NOT_ELIGIBLE = "trade_not_eligible"
    HALTED = "halted"
    LIMIT_NOT_REACHED = "limit_not_reached"
    LIMIT_TOUCHED = "limit_only_touched"
    STOP_NOT_REACHED = "stop_not_reached"
    TRIGGERED = "triggered_limit_not_reached"
    LEVEL_SET = "trailing_level_set"
    NOT_AT_ONCE = "not_at_once"
    WOULD_TAKE = "post_only_would_take"
    ENTRY_BAR = "entry_within_bar"
    SIBLING_FIRST = "sibling_first"
    NO_LIQUIDITY = "no_liquidity"
    NOTHING_TO_REDUCE = "nothing_to_reduce"
    WAITS_FOR_ENTRY = "waits_for_entry"
    WAITS_FOR_CLOSE = "waits_for_close"
    NOT_AT_REST = "not_at_rest"


FILLS = Why.FILLS  # a member found through its class costs a call
SENTENCES: dict[Why, str] = {
    Why.FILLS: "The order filled.",
    Why.PARTLY: "A part of the order filled; what it may use, or may reduce, was smaller.",
    Why.BEGAN_BEFORE: "The data begins before the order came to rest.",
    Why.POST_CLOSE: "Nothing fills between the close and the end of the grace.",
    Why.ZERO_VOLUME: "Nothing traded in the bar.",
    Why.SPANS_SPLIT: "The bar holds prices of both sides of a split.",
    Why.ONE_SIDED: "The quote lacks a side.",
    Why.CROSSED: "The quote is crossed: its ask is below its bid.",
    Why.NOT_ELIGIBLE: "The trade may not set the last price.",
    Why.HALTED: "The symbol was halted.",
    Why.LIMIT_NOT_REACHED: "The market did not reach the limit.",
    Why.LIMIT_TOUCHED: "The market only touched the limit.",
    Why.STOP_NOT_REACHED: "The market did not reach the stop.",
    Why.TRIGGERED: "The stop was reached, but it is not sure that the limit was, after that.",
    Why.LEVEL_SET: "The first price that a trailing stop sees sets its level.",
    Why.NOT_AT_ONCE: "The order fills at once or not at all, and it could not.",
    Why.WOULD_TAKE: "A post-only order would have taken liquidity.",
    Why.ENTRY_BAR: "The entry filled within this bar: what came after it is not known.",
    Why.SIBLING_FIRST: "Another order of its group comes first in this row.",
    Why.NO_LIQUIDITY: "The liquidity that orders may use was taken, or less than a lot.",
    Why.NOTHING_TO_REDUCE: "The order may only reduce a position, and there was none.",
    Why.WAITS_FOR_ENTRY: "The order waits for its entry to fill.",
    Why.WAITS_FOR_CLOSE: "The order fills at the official close.",
    Why.NOT_AT_REST: "The order does not rest: it is on its way, or waits for its session.",
}
