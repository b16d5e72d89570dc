"""Losses are judged at every T; the account is valued only where one may break a limit."""

from __future__ import annotations

from collections.abc import Mapping

from app.model import Window
from app.trading.data_events import MarketEvent
from app.trading.events import PortfolioStateEvent
from app.trading.marks import Marks
from app.trading.services.risk.equity import Equity
from app.trading.services.risk.halts import LossLimits

_NO_NET = -(2**63)


class LossGuard:
    """Looks ahead over the columns of a window for the first slice that may break a limit.

    What it says is what a valuation at every T would say. The highest equity counts at every T
    too; that of a T with a fill is the portfolio's word, which comes after the slice.
    """

    def __init__(self, limits: LossLimits, marks: Marks, index: Mapping[str, int]) -> None:
        self.alarm = False  # the next slice is to be valued
        self._limits = limits
        self._equity = Equity(marks, index)
        self._window: Window | None = None  # of which the slices before this one break nothing:
        self._clear = 0
        self._last = _NO_NET, 0  # net value and time of the newest slice, if not taken yet
        self._highest = _NO_NET  # net value that was taken

    def scan(self, event: MarketEvent) -> int:
        """The first slice that the account must be valued at, or as far as was looked."""
        self.alarm = False
        limits, equity = self._limits, self._equity
        if not (equity.varies and limits.armed):
            return event.high
        if limits.flattening is not None:
            self.alarm = True
            return event.low
        if event.window is not self._window or event.low >= self._clear:
            self.settle()
            ahead = equity.ahead(event.window, event.low, event.high)
            self._window, self._clear = event.window, event.low + limits.first_break(ahead)
        self.alarm = self._clear == event.low
        return min(self._clear, event.high)

    def note(self, event: MarketEvent) -> None:
        """These slices have been delivered; before they mark anything."""
        self.settle()
        if self._equity.varies and self._limits.from_highest:
            nets = self._equity.nets(event.window, event.low, event.high)
            if len(nets) > 1:
                self._take(int(nets[:-1].max()))
            self._last = int(nets[-1]), event.last_ns

    def settle(self) -> None:
        """Nothing more happens at the newest slice: its equity counts."""
        net, _ = self._last
        if net != _NO_NET:
            self._take(net)
            self._last = _NO_NET, 0

    def tell(self, state: PortfolioStateEvent) -> None:
        """The account was valued."""
        if self._last[1] < state.ts_event_ns:
            self.settle()
        self._last = _NO_NET, 0
        if self._equity.tell(state):
            self._highest = _NO_NET
            self.look_again()

    def look_again(self) -> None:
        """The limits are others, or the account is."""
        self._window = None

    def equity(self) -> float | None:
        """Of now, at all marks; None before the first valuation."""
        return self._equity.now() if self._equity.told else None

    def _take(self, net: int) -> None:
        if net > self._highest:
            self._highest = net
            self._limits.rise(self._equity.at(net))
