"""The risk service: it listens, keeps the book, and evaluates wishes together at the trigger.

Signals, order requests and modify requests wait for the trigger, and are judged in the order
they came in. Portfolio values the account at each T before risk is triggered, so the newest
equity is that of T, with all its fills.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from app.trading.bus import EventBus, Kind, Phase
from app.trading.data_events import MarketEvent
from app.trading.events import (
    CorporateActionEvent,
    DayOpenEvent,
    FillEvent,
    ModifyRequestEvent,
    OrderRejectedEvent,
    OrderRequestEvent,
    OrderUpdateEvent,
    PortfolioStateEvent,
    RiskEvaluationTriggerEvent,
    RiskHaltEvent,
    SessionCloseEvent,
    SignalEvent,
    WarningEvent,
)
from app.trading.marks import Marks
from app.trading.money import plus
from app.trading.sections import HaltAction, RiskSection
from app.trading.service import BacktestService
from app.trading.services.risk.book import Book
from app.trading.services.risk.guard import LossGuard
from app.trading.services.risk.halts import LossLimits, LossWatch
from app.trading.services.risk.judge import Judge
from app.trading.services.risk.limits import Moment
from app.trading.services.risk.signals import Signals

Wish = SignalEvent | OrderRequestEvent | ModifyRequestEvent


class RiskEngine(BacktestService):
    """Sizes signals and approves or refuses orders, with all that is reserved counted."""

    NAME: ClassVar[str] = "risk"
    RANK: ClassVar[int] = 40
    PHASE: ClassVar[Phase | None] = Phase.MARKET

    def __init__(self, event_bus: EventBus, section: RiskSection) -> None:
        super().__init__(event_bus)
        self._index = {symbol: i for i, symbol in enumerate(self.context.symbols)}
        self._marks = Marks(len(self.context.symbols))
        self._marked: set[int] = set()  # symbols that are known to have a mark from the data
        self._book = Book()
        self._judge = Judge(section, self.context, self._book, self.publish)
        signals = Signals(section, self._judge)
        self._answers: dict[type, Callable[[Any], None]] = {
            SignalEvent: signals.signal,
            OrderRequestEvent: self._judge.request,
            ModifyRequestEvent: self._judge.modify,
        }
        self._losses = LossLimits(section.daily_loss, section.drawdown)
        self._guard = LossGuard(self._losses, self._marks, self._index)
        self.looks_ahead = section.daily_loss is not None or section.drawdown is not None
        self._wishes: list[Wish] = []
        self._equity: float | None = None
        self._close_ns = 0
        self._closed = False  # the session, at this T

    @classmethod
    def from_config(cls, section: RiskSection, event_bus: EventBus) -> Self:
        """``section.budgets`` has the strategies' budgets."""
        return cls(event_bus, section)

    def handlers(self) -> Mapping[type, Callable[[Any], None]]:
        wait = self._wishes.append
        return {
            MarketEvent: self._on_market if self.looks_ahead else self._marks.note,
            SignalEvent: wait,
            OrderRequestEvent: wait,
            ModifyRequestEvent: wait,
            RiskEvaluationTriggerEvent: self._on_trigger,
            FillEvent: self._on_fill,
            OrderUpdateEvent: self._on_update,
            OrderRejectedEvent: self._on_rejected,
            PortfolioStateEvent: self._on_state,
            CorporateActionEvent: self._on_action,
            DayOpenEvent: self._on_day_open,
            SessionCloseEvent: self._on_close,
        }

    def attach(self, kind: Kind = Kind.INLINE) -> None:
        super().attach(kind)
        self._judge.publish = self.publish

    def scan(self, event: MarketEvent) -> int:
        """The first slice at which a loss may break a limit."""
        return self._guard.scan(event)

    def alert(self) -> bool:
        """Whether that is the next one."""
        return self._guard.alarm

    def _on_market(self, event: MarketEvent) -> None:
        self._guard.note(event)
        self._marks.note(event)

    # -- wishes --------------------------------------------------------------------------------

    def _on_trigger(self, event: RiskEvaluationTriggerEvent) -> None:
        if not (self._wishes or self._closed):
            return
        self._begin(event.ts_event_ns)
        if self._closed:
            self._closed = False
            self._look_overnight(event.ts_event_ns)
        for wish in self._wishes:
            self._answers[type(wish)](wish)
        self._wishes.clear()

    def _begin(self, now_ns: int) -> None:
        moment = Moment(now_ns, self._close_ns, self._equity or 0.0, self._marks.prices)
        self._judge.begin(moment, self._losses.refusal)

    def _look_overnight(self, now_ns: int) -> None:
        """Positions are told of, not closed: entries were held to it before."""
        refusal = self._judge.limits.overnight_refusal()
        if refusal is not None:
            code, text = refusal
            self.publish(WarningEvent(ts_event_ns=now_ns, code=code.value, text=text))

    # -- what execution says -------------------------------------------------------------------

    def _on_fill(self, event: FillEvent) -> None:
        symbol = self._index[event.symbol]
        line = self._book.line(event.strategy_id, symbol)
        self._book.move(line, plus(line.position, event.quantity * event.side.sign))
        if symbol not in self._marked:
            if self._marks.time_ns(symbol):
                self._marked.add(symbol)
            else:  # as the portfolio values it
                self._marks.set(symbol, event.price)
        one = self._book.orders.get(event.order_id)
        if one is not None:
            one.heard = plus(one.heard, event.quantity)
            line.stale = True

    def _on_update(self, event: OrderUpdateEvent) -> None:
        if event.state.final:
            self._book.drop(event.order_id)
        else:
            self._book.update(event)

    def _on_rejected(self, event: OrderRejectedEvent) -> None:
        if event.by != "execution":
            return
        if event.request == "order":
            self._book.drop(event.order_id)
        elif event.request == "modify":
            self._book.restore(event.order_id)

    # -- the account ---------------------------------------------------------------------------

    def _on_state(self, event: PortfolioStateEvent) -> None:
        self._equity = event.equity
        if not self.looks_ahead:
            return
        self._guard.tell(event)
        broken = list(self._losses.judge(event.equity))
        if broken:
            self._guard.look_again()
        flattening = self._losses.flattening
        if broken or (flattening is not None and self._book.held):
            self._begin(event.ts_event_ns)
            for watch in broken:
                self._halt(watch)
            if flattening is not None:
                self._judge.flatten(flattening.code.value)

    def _halt(self, watch: LossWatch) -> None:
        """Tell of a broken limit, and cancel what its action says."""
        assert watch.broken is not None
        self._tell(watch, watch.broken.reason, active=True)
        action = watch.limit.action
        if action is HaltAction.BLOCK:
            return
        every = action is HaltAction.FLATTEN
        orders = [o for o in self._book.orders.values() if o.entry or (every and not o.is_market)]
        self._judge.cancel(orders, watch.code.value)

    def _tell(self, watch: LossWatch, reason: str, *, active: bool) -> None:
        self.publish(
            RiskHaltEvent(
                ts_event_ns=self._judge.now_ns, scope="account", code=watch.code.value,
                action=watch.limit.action.value, reason=reason, active=active,
            )
        )  # fmt: skip

    def _on_day_open(self, event: DayOpenEvent) -> None:
        self._close_ns = event.close_ns
        self._guard.settle()
        self._guard.look_again()
        lifted = self._losses.open_day(self._guard.equity())
        if lifted is not None:
            self._begin(event.ts_event_ns)
            self._tell(lifted, "another day has opened", active=False)

    def _on_close(self, event: SessionCloseEvent) -> None:
        self._closed = True

    def _on_action(self, event: CorporateActionEvent) -> None:
        if event.kind != "split":
            return
        symbol = self._index[event.symbol]
        self._marks.split(symbol, event.ratio)
        self._book.split(symbol, event.ratio, self.context.instrument(event.symbol).lot)
