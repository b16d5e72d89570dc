"""Checks of single rows: values that no price or size can have."""

from __future__ import annotations

import numpy as np

from app.catalog.doctor.findings import Findings, Severity
from app.catalog.doctor.rows import Mask, Rows

_PRICES = {"bars_1m": ("open", "high", "low", "close"), "trades": ("price",), "quotes": ()}
_NEEDED = {
    "bars_1m": ("open", "high", "low", "close", "volume"),
    "trades": ("price", "size"),
    "quotes": (),
}
_TRUTHS = ("suspicious", "updates_last", "updates_high_low", "updates_volume")
_MAY_LACK = ("vwap", "bid", "bid_size", "ask", "ask_size")


def report(
    findings: Findings, severity: Severity, check: str, rows: Rows, bad: Mask, said: str = ""
) -> None:
    """One finding for the rows that are ``bad``; nothing where none is."""
    count = int(np.count_nonzero(bad))
    if count:
        first = int(np.argmax(bad))
        example = f"{said}: {rows.text(first)}" if said else rows.text(first)
        findings.add(severity, check, rows.place(first), example, count)


def check_values(rows: Rows, findings: Findings) -> Rows:
    """Report what cannot be; the rows that are left can be replayed."""
    bad = np.zeros(len(rows), bool)
    for name in (*_NEEDED[rows.dataset], *_TRUTHS):
        if name in rows.values:
            absent = rows.is_null(name)
            report(findings, Severity.ERROR, "null", rows, absent, f"{name} is null")
            bad |= absent
    for name in (*_NEEDED[rows.dataset], *_MAY_LACK):
        if name in rows.values:
            bad |= _impossible(rows, name, findings)
    if rows.dataset == "quotes":
        bad |= _lacking_sides(rows, findings)
    good = rows.take(~bad) if bad.any() else rows
    for name in _PRICES[rows.dataset]:
        zero = good.values[name] == 0
        report(findings, Severity.WARNING, "zero_price", good, zero, f"{name} is 0")
    if rows.dataset == "bars_1m":
        _check_ohlc(good, findings)
    return good


def _impossible(rows: Rows, name: str, findings: Findings) -> Mask:
    """Rows where a number is NaN, infinite or negative; a null one is not their matter."""
    column = rows.values[name]
    not_a_number = np.isnan(column) & ~rows.is_null(name)
    infinite, negative = np.isinf(column), column < 0
    if name in _MAY_LACK:
        said = f"{name} is NaN"
        report(findings, Severity.WARNING, "nan_for_null", rows, not_a_number, said)
        not_a_number = np.zeros(len(rows), bool)
    for check, found in (("nan", not_a_number), ("infinite", infinite), ("negative", negative)):
        report(findings, Severity.ERROR, check, rows, found, f"{name} is {check}")
    return not_a_number | infinite | negative


def _lacking_sides(rows: Rows, findings: Findings) -> Mask:
    """A quote may lack a whole side, price and size, but not half of one, and not both."""
    bad = np.zeros(len(rows), bool)
    nothing = np.ones(len(rows), bool)
    for side in ("bid", "ask"):
        no_price, no_size = np.isnan(rows.values[side]), np.isnan(rows.values[f"{side}_size"])
        half = no_price != no_size
        report(findings, Severity.ERROR, "half_side", rows, half, f"half of the {side} is null")
        bad |= half
        nothing &= no_price & no_size
    report(findings, Severity.ERROR, "null", rows, nothing, "both sides are null")
    return bad | nothing


def _check_ohlc(rows: Rows, findings: Findings) -> None:
    opened, high, low, close = (rows.values[n] for n in ("open", "high", "low", "close"))
    wrong = (high < np.maximum(opened, close)) | (low > np.minimum(opened, close)) | (high < low)
    report(findings, Severity.ERROR, "ohlc", rows, wrong)
