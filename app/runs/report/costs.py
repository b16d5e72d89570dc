"""What trading cost, and what became of the orders."""

from __future__ import annotations

import numpy as np

from app.runs.report.files import Fills, Orders
from app.runs.report.journal import Journal
from app.runs.report.values import Missing, Statistics, all_missing, divide, total

_BPS = 10_000
_ARRIVAL = ("arrival_slippage", "arrival_slippage_bps")
FINAL_STATES = ("filled", "cancelled", "expired", "rejected")


def cost_statistics(fills: Fills, journal: Journal) -> Statistics:
    """Costs of all fills in currency; what slippage took is inside the prices already."""
    commission, fees = total(fills.commission), total(fills.fees)
    slippage = total(fills.slippage * fills.quantity)
    costs = total([commission, fees, slippage])
    bps = divide(costs * _BPS, total(fills.notional), "nothing was traded")
    return {
        "commission": commission,
        "fees": fees,
        "slippage": slippage,
        "costs": costs,
        "costs_bps": bps,
        **_against_arrival(fills),
        "dividends": journal.cash_of("dividend"),
        "financing": journal.cash_of("borrow", "interest"),
    }


def _against_arrival(fills: Fills) -> Statistics:
    """Shortfall against the price known when the order came to rest; adverse is positive."""
    known = ~np.isnan(fills.arrival)
    if not known.any():
        why = "no fill has an arrival price" if len(known) else "nothing was filled"
        return all_missing(_ARRIVAL, why)
    arrival, quantity = fills.arrival[known], fills.quantity[known]
    worse = fills.sign[known] * (fills.price[known] - arrival) * quantity
    base = total(arrival * quantity)
    return {
        "arrival_slippage": total(worse),
        "arrival_slippage_bps": divide(total(worse) * _BPS, base, "arrival prices are zero"),
    }


def execution_statistics(fills: Fills, orders: Orders, journal: Journal) -> Statistics:
    """Counts of orders and fills."""
    states = dict.fromkeys(FINAL_STATES, 0)
    for name, count in zip(orders.state.names, np.bincount(orders.state.codes), strict=True):
        if name in states:
            states[name] = int(count)
    ended = sum(states.values())
    share: float | Missing = divide(states["filled"], ended, "no order came to an end")
    return {
        "orders": len(orders.state.codes),
        **{f"orders_{name}": count for name, count in states.items()},
        "orders_fill_rate": share,
        "refusals": sum(journal.refusals.values()),
        "fills": len(fills.price),
        "fills_partial": fills.flags.get("partial", 0),
        "fills_ambiguous": fills.flags.get("ambiguous", 0),
        "fills_optimistic": fills.flags.get("optimistic", 0),
    }
