"""Halts: of symbols, from the catalog, and of the account, by its losses."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.model import Floats
from app.times import format_time
from app.trading.context import RunContext
from app.trading.sections import HaltAction, LossLimit
from app.trading.services.risk.codes import Code, Refusal, cash, percent

_NEAR = 1e-9  # of a loss, by which a look ahead may be wrong
_FAR_NS = 2**62  # a halt without an end is told as one that ends later than this


class SymbolHalts:
    """Trading halts by symbol: from, until (exclusive)."""

    def __init__(self, context: RunContext) -> None:
        self._of: dict[str, list[tuple[int, int]]] = {}
        for symbol, from_ns, until_ns in sorted(context.halts):
            self._of.setdefault(symbol, []).append((from_ns, until_ns))

    def refusal(self, symbol: str, now_ns: int) -> Refusal | None:
        spans = self._of.get(symbol)
        if spans is None:
            return None
        begun = spans[: bisect_right(spans, now_ns, key=lambda span: span[0])]
        until_ns = max((until for _, until in begun), default=0)
        if now_ns >= until_ns:
            return None
        end = format_time(until_ns) if until_ns < _FAR_NS else "further notice"
        return Refusal(Code.SYMBOL_HALTED, f"{symbol} is halted until {end}; only exits are taken")


class LossWatch:
    """One loss limit: what it is measured from, and whether it is broken."""

    def __init__(self, code: Code, limit: LossLimit, base_name: str) -> None:
        self.code, self.limit = code, limit
        self.base: float | None = None  # equity at the day's open, or the highest
        self.broken: Refusal | None = None
        self._base_name = base_name

    def judge(self, equity: float) -> bool:
        """Whether this equity breaks the limit, which it did not before."""
        base = self.base
        if self.broken is not None or base is None or base <= 0:
            return False
        loss = (base - equity) / base
        if loss < self.limit.limit_pct - 1e-12:
            return False
        self.broken = Refusal(
            self.code,
            f"equity {cash(equity)} is {percent(round(loss, 6))} below {self._base_name}, "
            f"{cash(base)}; allowed: less than {percent(self.limit.limit_pct)}",
        )
        return True


class LossLimits:
    """The daily loss, from the equity at the day's open, and the drawdown, from the highest equity
    at a valuation. The first ends with the day, the second stays."""

    def __init__(self, daily: LossLimit | None, drawdown: LossLimit | None) -> None:
        self._daily = _watch(Code.DAILY_LOSS, daily, "that at the day's open")
        self._drawdown = _watch(Code.DRAWDOWN, drawdown, "its highest")
        self._watches = tuple(w for w in (self._daily, self._drawdown) if w is not None)

    @property
    def refusal(self) -> Refusal | None:
        """Why entries are refused; the first limit that is broken."""
        for watch in self._watches:
            if watch.broken is not None:
                return watch.broken
        return None

    @property
    def flattening(self) -> LossWatch | None:
        """A broken limit for which positions are to be closed."""
        broken = (w for w in self._watches if w.broken is not None)
        return next((w for w in broken if w.limit.action is HaltAction.FLATTEN), None)

    @property
    def armed(self) -> bool:
        """Whether equity must be known at every T while a position is open."""
        return any(w.broken is None for w in self._watches) or self.flattening is not None

    def open_day(self, equity: float | None) -> LossWatch | None:
        """A day opens with this equity; the limit that is lifted."""
        daily = self._daily
        if daily is None:
            return None
        lifted = daily if daily.broken is not None else None
        daily.base, daily.broken = equity, None
        return lifted

    @property
    def from_highest(self) -> bool:
        """Whether some limit hangs on the highest equity."""
        return self._drawdown is not None and self._drawdown.broken is None

    def rise(self, equity: float) -> None:
        """It was as high as this."""
        if self._drawdown is not None:
            self._drawdown.base = max(equity, self._drawdown.base or equity)

    def first_break(self, equities: Floats) -> int:
        """The first of these that may break a limit; their count if none does.

        One that breaks a limit is never passed over; one that is a hair from it may be named.
        """
        near = np.zeros(len(equities), np.bool_)
        if self._daily is not None:
            near |= _is_near(self._daily, equities, self._daily.base or 0.0)
        if self._drawdown is not None:
            highest = np.maximum.accumulate(equities)
            near |= _is_near(
                self._drawdown, equities, np.maximum(highest, self._drawdown.base or highest)
            )
        return int(near.argmax()) if near.any() else len(equities)

    def judge(self, equity: float) -> Iterator[LossWatch]:
        """A valuation; the limits that it breaks."""
        if self._daily is not None and self._daily.base is None:
            self._daily.base = equity
        self.rise(equity)
        return (w for w in self._watches if w.judge(equity))


def _is_near(watch: LossWatch, equities: Floats, base: Floats | float) -> NDArray[np.bool_]:
    """Which of these, measured from ``base``, break a limit that is not broken yet, or nearly."""
    if watch.broken is not None:
        return np.zeros(len(equities), np.bool_)
    return (base > 0) & (base - equities >= base * (watch.limit.limit_pct - _NEAR))


def _watch(code: Code, limit: LossLimit | None, base_name: str) -> LossWatch | None:
    return None if limit is None else LossWatch(code, limit, base_name)
