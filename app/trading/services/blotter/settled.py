"""The blotter as it was settled at one time: orders, fills, signals, positions, the account."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import NamedTuple, TypeVar

from app.trading.context import RunContext
from app.trading.events import EventBase, FillEvent, PositionState, SignalEvent
from app.trading.money import money, plus
from app.trading.orders import OrderState
from app.trading.services.blotter.ledger import Ledger, Snapshot
from app.trading.services.blotter.marking import mark_since, price_of, valued
from app.trading.services.blotter.story import OrderView, tell
from app.trading.values import from_micros, market_value

T = TypeVar("T")
OPEN = frozenset(state for state in OrderState if not state.final)


class SignalView(NamedTuple):
    """A signal; ``outcome``: its order's id or the code of its refusal, None where neither came."""

    signal: SignalEvent
    outcome: str | None


class AccountView(NamedTuple):
    """The account at the prices of now; ``cash`` is exact, ``realised`` before costs."""

    cash: Decimal
    equity: float
    gross_exposure: float
    net_exposure: float
    realised: float
    unrealised: float
    fees: float
    open_orders: int
    halts: tuple[str, ...]


class Settled:
    """Never changes. Lists are worked out when they are asked for; they hold the newest
    ``limit``, oldest first. None of a filter lets all pass."""

    def __init__(
        self, now_ns: int, context: RunContext, ledger: Ledger, snapshot: Snapshot,
        initial_cash: float,
    ) -> None:  # fmt: skip
        self.now_ns = now_ns
        self._context, self._ledger, self._snapshot = context, ledger, snapshot
        self._initial_cash = initial_cash

    # -- orders ----------------------------------------------------------------------------------

    def order(self, order_id: str, until_ns: int | None = None) -> OrderView | None:
        """One order, as it stood at ``until_ns`` (by default now); None where there is none."""
        order = self._ledger.order(order_id, self._snapshot.orders)
        return None if order is None else tell(order, self.events(order_id, until_ns))

    def events(self, order_id: str, until_ns: int | None = None) -> list[EventBase]:
        """All that was said of an order, in order."""
        found = self._ledger.events(order_id, self._snapshot.entries)
        return [e for e in found if until_ns is None or e.ts_event_ns <= until_ns]

    def order_ids(self, limit: int) -> list[str]:
        """The newest, oldest first."""
        return self._ledger.orders[: self._snapshot.orders][-limit:]

    def children(self, order_id: str, until_ns: int | None = None) -> list[OrderView]:
        """A bracket's exits."""
        found = (self.order(one, until_ns) for one in self._ledger.children(order_id))
        return [view for view in found if view is not None]

    def orders(
        self, states: Collection[OrderState] | None = None, strategy: str | None = None,
        symbol: str | None = None, limit: int | None = None,
    ) -> list[OrderView]:  # fmt: skip
        if states is not None and OPEN.issuperset(states):
            ids: Iterable[str] = reversed(self._snapshot.open)
        else:
            ids = reversed(self._ledger.orders[: self._snapshot.orders])
        return _newest(self._matching(ids, states, strategy, symbol), limit)

    def _matching(
        self, ids: Iterable[str], states: Collection[OrderState] | None, strategy: str | None,
        symbol: str | None,
    ) -> Iterator[OrderView]:  # fmt: skip
        for order_id in ids:
            order = self._ledger.order(order_id, self._snapshot.orders)
            if order is None or not _fits(order.strategy_id, strategy, order.symbol, symbol):
                continue
            view = tell(order, self.events(order_id))
            if states is None or view.state in states:
                yield view

    # -- fills and signals -----------------------------------------------------------------------

    def fills(
        self, strategy: str | None = None, symbol: str | None = None, order_id: str | None = None,
        limit: int | None = None,
    ) -> list[FillEvent]:  # fmt: skip
        newest_first = reversed(self._ledger.fills[: self._snapshot.fills])
        found = (
            fill
            for fill in newest_first
            if _fits(fill.strategy_id, strategy, fill.symbol, symbol)
            and order_id in (None, fill.order_id)
        )
        return _newest(found, limit)

    def signals(
        self, strategy: str | None = None, symbol: str | None = None, limit: int | None = None
    ) -> list[SignalView]:
        ledger, entries = self._ledger, self._snapshot.entries
        newest_first = reversed(ledger.signals[: self._snapshot.signals])
        found = (
            SignalView(signal, ledger.outcome(signal.signal_id, entries))
            for signal in newest_first
            if _fits(signal.strategy_id, strategy, signal.symbol, symbol)
        )
        return _newest(found, limit)

    # -- the account -----------------------------------------------------------------------------

    def positions(
        self, strategy: str | None = None, symbol: str | None = None, closed: bool = False
    ) -> list[PositionState]:
        """At the prices of now, by strategy, then symbol; ``closed`` ones too."""
        found = []
        for key, (since_ns, state) in sorted(self._snapshot.positions.items()):
            if not (state.quantity or closed) or not _fits(key[0], strategy, key[1], symbol):
                continue
            found.append(valued(state, self._mark(since_ns, state)))
        return found

    def account(self) -> AccountView:
        """Cash, fees and realised P&L are the portfolio's; what hangs on prices is of now."""
        snapshot, state = self._snapshot, self._snapshot.state
        gross, net = self._exposures()
        if state is None:
            cash, realised, fees, cost = money(self._initial_cash), 0.0, 0.0, 0.0
        else:
            cash, realised, fees = Decimal(state.cash), state.realised, state.fees
            cost = state.net_exposure - state.unrealised
        return AccountView(
            cash=cash, equity=float(cash + net), gross_exposure=float(gross),
            net_exposure=float(net), realised=realised, unrealised=round(float(net) - cost, 8),
            fees=fees, open_orders=len(snapshot.open), halts=snapshot.halts,
        )  # fmt: skip

    def _exposures(self) -> tuple[Decimal, Decimal]:
        """Gross and net, of net quantities by symbol."""
        held: dict[str, tuple[float, float]] = {}
        for state in self.positions():
            quantity, _ = held.get(state.symbol, (0.0, 0.0))
            held[state.symbol] = plus(quantity, state.quantity), price_of(state)
        values = [market_value(quantity, price) for quantity, price in held.values()]
        return from_micros(sum(map(abs, values))), from_micros(sum(values))

    def _mark(self, since_ns: int, state: PositionState) -> float | None:
        if not state.quantity or since_ns >= self.now_ns:
            return None
        return mark_since(self._context, state, since_ns, self.now_ns)


def _fits(strategy: str, wanted: str | None, symbol: str, wanted_symbol: str | None) -> bool:
    return wanted in (None, strategy) and wanted_symbol in (None, symbol)


def _newest(newest_first: Iterable[T], limit: int | None) -> list[T]:
    found = list(islice(newest_first, limit))
    found.reverse()
    return found
