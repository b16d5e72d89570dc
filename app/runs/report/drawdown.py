"""Drawdowns of the equity at every T at which it changed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.model import Floats, Ints
from app.runs.report.facts import ReportInput
from app.runs.report.files import Account
from app.runs.report.values import Missing, Statistics, tidy
from app.times import SECOND_NS, format_time


class Falls(NamedTuple):
    """Equity below its highest so far, as a negative fraction, the initial cash at row 0."""

    ts_ns: Ints  # of row 0 that of row 1: the account stood at its initial cash until then
    equity: Floats
    peak: Floats
    fall: Floats


def falls_of(account: Account, initial: float) -> Falls:
    times = np.concatenate([account.ts_ns[:1], account.ts_ns])
    equity = np.concatenate([[initial], account.equity])[: len(times) or 1]
    peak = np.maximum.accumulate(equity)
    return Falls(times, equity, peak, equity / peak - 1)


def drawdowns(account: Account, facts: ReportInput) -> Statistics:
    """The deepest drawdown, its length, and the longest one.

    A drawdown lasts from the first mark below a peak to the first that regains it, or to the end
    of the run: equity is a step function, so the account stood at its peak until it left it.
    """
    falls = falls_of(account, facts.initial_cash)
    if not np.any(falls.fall < 0):
        return _none()
    end_ns = facts.end_ns(int(falls.ts_ns[-1]))
    starts, ends = _spells(falls, end_ns)
    low = int(np.argmin(falls.fall))
    own = int(starts.searchsorted(low, "right")) - 1
    begun_ns, over_ns = int(falls.ts_ns[starts[own]]), int(ends[own])
    regained = own + 1 < len(starts) or float(falls.fall[-1]) == 0.0
    return {
        "max_drawdown": float(falls.fall[low]),
        "max_drawdown_amount": tidy(float(falls.equity[low] - falls.peak[low])),
        "max_drawdown_start": format_time(begun_ns),
        "max_drawdown_trough": format_time(int(falls.ts_ns[low])),
        "max_drawdown_end": format_time(over_ns) if regained else Missing("not yet regained"),
        "max_drawdown_length_s": (over_ns - begun_ns) / SECOND_NS,
        "longest_drawdown_s": int((ends - falls.ts_ns[starts]).max()) / SECOND_NS,
    }


def _spells(falls: Falls, end_ns: int) -> tuple[Ints, Ints]:
    """First rows of the stretches below a peak, and the times at which they were over."""
    below = falls.fall < 0
    edges = np.flatnonzero(np.diff(below)) + 1  # row 0 is a peak, so the first edge goes down
    starts, over = edges[::2], edges[1::2]
    times = falls.ts_ns[over]
    return starts, np.append(times, end_ns) if len(over) < len(starts) else times


def _none() -> Statistics:
    never = Missing("equity was never below its peak")
    return {
        "max_drawdown": 0.0,
        "max_drawdown_amount": 0.0,
        "max_drawdown_start": never,
        "max_drawdown_trough": never,
        "max_drawdown_end": never,
        "max_drawdown_length_s": 0.0,
        "longest_drawdown_s": 0.0,
    }
