"""Signals: sized, and made into market orders of the day with the signal's id."""

from __future__ import annotations

import math

from msgspec.structs import replace

from app.trading.events import SignalEvent, WarningEvent
from app.trading.orders import Order, OrderType, Side
from app.trading.sections import RiskSection
from app.trading.services.risk.codes import Code, Refusal, number
from app.trading.services.risk.form import bad_signal
from app.trading.services.risk.judge import Judge, not_shortable
from app.trading.services.risk.line import Line
from app.trading.services.risk.sizing import Plan, plan, target

_SIDES = {1: Side.BUY, -1: Side.SELL}


class Signals:
    """What a signal becomes, in a batch that its ``judge`` has begun."""

    def __init__(self, section: RiskSection, judge: Judge) -> None:
        self._sizing, self._budgets = section.sizing, section.budgets
        self._judge = judge

    def signal(self, event: SignalEvent) -> None:
        """An order, a refusal, or nothing where the position is there already."""
        judge = self._judge
        fault, symbol = bad_signal(event), judge.symbol(event.symbol)
        if isinstance(symbol, Refusal):
            self._refuse(event, symbol)
            return
        if fault is not None:
            self._refuse(event, fault)
            return
        line = judge.book.line(event.strategy_id, symbol)
        wanted = self._target(event, symbol)
        shares = 0.0 if isinstance(wanted, Refusal) else wanted
        found = plan(line, event.direction, shares, judge.terms[symbol].lot)
        if found.cancels:
            judge.cancel(found.cancels, f"signal {event.signal_id}")
        if isinstance(wanted, Refusal) and line.position * event.direction >= 0:
            self._refuse(event, wanted)
        elif found.quantity > 0:
            self._follow(event, line, found)

    def _target(self, event: SignalEvent, symbol: int) -> float | Refusal:
        """Shares to hold, and why none where there can be none."""
        if event.direction == 0:
            return 0.0
        judge = self._judge
        terms, mark = judge.terms[symbol], judge.mark(symbol)
        if event.direction < 0 and not terms.shortable:
            return not_shortable(event.symbol)
        if math.isnan(mark):
            text = f"{event.symbol}: no bar or trade has come yet, so it cannot be sized"
            return Refusal(Code.NO_PRICE, text)
        part = event.strength * self._budgets.get(event.strategy_id, 1.0)
        shares = target(self._sizing, part, judge.limits.moment.equity, mark, terms.lot)
        if shares > 0:
            return shares
        text = f"it is sized to less than one lot of {number(terms.lot)} at {number(mark)}"
        return Refusal(Code.SIZED_TO_ZERO, text)

    def _follow(self, event: SignalEvent, line: Line, found: Plan) -> None:
        """An order for a plan; where what opens is refused, what closes remains."""
        judge = self._judge
        closes = found.quantity <= found.closing
        order = Order(
            order_id=event.signal_id, strategy_id=event.strategy_id, symbol=event.symbol,
            side=_SIDES[found.sign], type=OrderType.MARKET, quantity=found.quantity,
            created_ns=judge.now_ns, reduce_only=closes, tag=event.tag,
        )  # fmt: skip
        if closes:
            judge.approve(judge.take_exit(order, line), signal_id=event.signal_id)
            return
        one = judge.enter(order, line)
        if isinstance(one, Refusal) and found.closing > 0:
            self._warn(event, one)
            one = judge.take_exit(replace(order, quantity=found.closing), line)
        if isinstance(one, Refusal):
            self._refuse(event, one)
        else:
            judge.approve(one, signal_id=event.signal_id)

    def _refuse(self, event: SignalEvent, fault: Refusal) -> None:
        self._judge.refuse(event.signal_id, event.strategy_id, event.symbol, fault, "signal")

    def _warn(self, event: SignalEvent, fault: Refusal) -> None:
        text = f"signal {event.signal_id} only closes its position ({fault.code}): {fault.reason}"
        self._judge.publish(
            WarningEvent(
                ts_event_ns=self._judge.now_ns, code="signal_only_closes", text=text,
                symbol=event.symbol, strategy_id=event.strategy_id,
            )
        )  # fmt: skip
