"""Calls about a session's engine: its account, its orders, and orders from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import orjson
from fastapi import FastAPI, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import OrjsonResponse
from app.api.answers_trading import (
    account_body,
    fill_body,
    head,
    order_body,
    position_body,
    reason_body,
    signal_body,
)
from app.api.auth import PREFIX
from app.api.documents import answers
from app.api.order_entry import faults, make_request
from app.api.problems import invalid
from app.api.requests import WHOLE
from app.api.routes_data import MOST_ROWS, After, Wait
from app.api.schemas_trading import (
    Account,
    Fills,
    OrderAnswer,
    OrderCommandAnswer,
    OrderFilterName,
    Orders,
    OrderStart,
    Positions,
    Signals,
    Why,
)
from app.api.services import Services
from app.api.work import Key
from app.errors import NotFoundError, StateError, nearest
from app.times import format_time
from app.trading.events import (
    FROM_OUTSIDE,
    CancelRequestEvent,
    EventBase,
    OrderRejectedEvent,
)
from app.trading.orders import OrderState
from app.trading.services.blotter.settled import OPEN
from app.trading.services.execution.explain import explain

if TYPE_CHECKING:
    from app.managers.data_manager.commands import Outcome
    from app.managers.system_manager import ReplaySession
    from app.managers.system_manager.desk import TradingDesk
    from app.managers.time_manager import View
    from app.trading.services.blotter import OrderView, Settled

OrderId = Annotated[str, Path(max_length=128, examples=["manual-1"])]
StateFilter = Annotated[
    OrderFilterName | None,
    Query(description="Only orders in this state; open: that have not ended."),
]
Which = Annotated[
    Literal["open", "closed", "all"], Query(description="closed: quantity 0, held before.")
]
Strategy = Annotated[str | None, Query(max_length=64, description="Only of this strategy.")]
Symbol = Annotated[str | None, Query(max_length=64, description="Only in this symbol.")]
OfOrder = Annotated[str | None, Query(max_length=128, description="Only of this order.")]
Limit = Annotated[int, WHOLE, Query(ge=1, le=MOST_ROWS, description="The newest so many.")]


class _Look(NamedTuple):
    """A session's engine as it is settled at one committed view."""

    view: View
    desk: TradingDesk
    settled: Settled

    def answer(self, body: dict[str, Any]) -> Response:
        return OrjsonResponse(head(self.view) | body)

    def order(self, order_id: str) -> OrderView:
        """NotFoundError names orders like it."""
        found = self.settled.order(order_id)
        if found is None:
            known = self.settled.order_ids(MOST_ROWS)
            close = ", ".join(nearest(order_id, known)) or "none"
            raise NotFoundError(f"this session has no order {order_id!r}; nearest: {close}")
        return found

    def order_answer(self, order: OrderView, until_ns: int | None = None) -> dict[str, Any]:
        exits = self.settled.children(order.order.order_id, until_ns)
        return {"order": order_body(order), "exits": [order_body(one) for one in exits]}


def _look(session: ReplaySession) -> _Look:
    """StateError where the session has no engine."""
    found = session.look()
    if found is None:
        raise StateError("this session has no engine; start one with a config", session.state)
    desk, view, settled = found
    return _Look(view, desk, settled)


def add_trading_routes(app: FastAPI, services: Services) -> None:
    """All calls about a session's engine; 409 where it has none."""
    _add_account_routes(app, services)
    _add_list_routes(app, services)
    _add_order_routes(app, services)
    _add_command_routes(app, services)


async def _polled(
    services: Services, request: Request, after: int | None, wait_s: float | None,
    make: Callable[[_Look], dict[str, Any]],
) -> Response:  # fmt: skip
    """An answer of one view, made on a thread: lists may be long, marks are looked up."""
    _look(services.session())  # without an engine nobody waits for it
    session = await services.polled(request, after, wait_s)

    def read() -> Response:
        look = _look(session)
        return look.answer(make(look))

    return await asyncio.to_thread(read)


def _add_account_routes(app: FastAPI, services: Services) -> None:
    @app.get(
        PREFIX + "/session/account", response_model=Account, tags=["trading"],
        summary="Cash, equity and exposure", responses=answers(409),
    )  # fmt: skip
    async def get_account(request: Request, after: After = None, wait_s: Wait = None) -> Response:
        """At the prices of now."""
        return await _polled(
            services, request, after, wait_s, lambda look: account_body(look.desk, look.settled)
        )

    @app.get(
        PREFIX + "/session/positions", response_model=Positions, tags=["trading"],
        summary="Positions by strategy and symbol", responses=answers(409),
    )  # fmt: skip
    async def get_positions(
        request: Request, strategy: Strategy = None, symbol: Symbol = None, which: Which = "open",
        after: After = None, wait_s: Wait = None,
    ) -> Response:  # fmt: skip
        """At the prices of now."""

        def make(look: _Look) -> dict[str, Any]:
            found = look.settled.positions(strategy, symbol, closed=which != "open")
            wanted = [one for one in found if which != "closed" or not one.quantity]
            return {"positions": [position_body(one) for one in wanted]}

        return await _polled(services, request, after, wait_s, make)


def _add_list_routes(app: FastAPI, services: Services) -> None:
    @app.get(
        PREFIX + "/session/fills", response_model=Fills, tags=["trading"],
        summary="The newest fills", responses=answers(409),
    )  # fmt: skip
    async def get_fills(
        request: Request, strategy: Strategy = None, symbol: Symbol = None, order: OfOrder = None,
        limit: Limit = 1000, after: After = None, wait_s: Wait = None,
    ) -> Response:  # fmt: skip
        return await _polled(
            services, request, after, wait_s, lambda look: {
                "fills": [fill_body(f) for f in look.settled.fills(strategy, symbol, order, limit)]
            },
        )  # fmt: skip

    @app.get(
        PREFIX + "/session/signals", response_model=Signals, tags=["trading"],
        summary="The newest signals, and what became of them", responses=answers(409),
    )  # fmt: skip
    async def get_signals(
        request: Request, strategy: Strategy = None, symbol: Symbol = None, limit: Limit = 1000,
        after: After = None, wait_s: Wait = None,
    ) -> Response:  # fmt: skip
        return await _polled(
            services, request, after, wait_s, lambda look: {
                "signals": [signal_body(s) for s in look.settled.signals(strategy, symbol, limit)]
            },
        )  # fmt: skip


def _add_order_routes(app: FastAPI, services: Services) -> None:
    @app.get(
        PREFIX + "/session/orders", response_model=Orders, tags=["trading"],
        summary="The newest orders, with their history", responses=answers(409),
    )  # fmt: skip
    async def get_orders(
        request: Request, state: StateFilter = None, strategy: Strategy = None,
        symbol: Symbol = None, limit: Limit = 1000, after: After = None, wait_s: Wait = None,
    ) -> Response:  # fmt: skip
        states = None if state is None else OPEN if state == "open" else {OrderState(state)}

        def make(look: _Look) -> dict[str, Any]:
            found = look.settled.orders(states, strategy, symbol, limit)
            return {"orders": [order_body(one) for one in found]}

        return await _polled(services, request, after, wait_s, make)

    @app.get(
        PREFIX + "/session/orders/{id}", response_model=OrderAnswer, tags=["trading"],
        summary="One order", responses=answers(404, 409),
    )  # fmt: skip
    async def get_order(
        request: Request, id: OrderId, after: After = None, wait_s: Wait = None
    ) -> Response:
        return await _polled(
            services, request, after, wait_s, lambda look: look.order_answer(look.order(id))
        )

    @app.get(
        PREFIX + "/session/orders/{id}/why", response_model=Why, tags=["trading"],
        summary="Why an order did or did not fill", responses=answers(404, 409),
    )  # fmt: skip
    async def get_why(
        request: Request, id: OrderId, limit: Limit = 1000, after: After = None,
        wait_s: Wait = None,
    ) -> Response:  # fmt: skip
        """Every slice of its price source since it came to rest, as far as the session keeps it."""
        return await _polled(services, request, after, wait_s, lambda look: _why(look, id, limit))


def _why(look: _Look, order_id: str, limit: int) -> dict[str, Any]:
    view, settled, desk = look.order(order_id), look.settled, look.desk
    events = settled.events(order_id)
    if view.order.parent_id is not None:
        events = settled.events(view.order.parent_id) + events
    found = []
    if view.code is None or len(events) > 1:  # one that was refused at once met nothing
        found = explain(
            view.order, events, desk.context, desk.config.execution, look.view.now_ns, limit
        )
    return {"order": order_body(view), "slices": [reason_body(one) for one in found]}


# -- orders from outside -------------------------------------------------------------------------


def _add_command_routes(app: FastAPI, services: Services) -> None:
    @app.post(
        PREFIX + "/session/orders", status_code=201, response_model=OrderCommandAnswer,
        tags=["trading"], summary="Send an order", responses=answers(404, 409, 413, 415, 503),
    )  # fmt: skip
    async def send_order(body: OrderStart, idempotency_key: Key = None) -> Response:
        """Between two slices; answered when all that follows from it at that time is settled.

        Risk may refuse it: then its state is rejected, with a code.
        """
        errors = faults(body)
        if errors:
            return invalid(errors)
        found = await _once(services, body, idempotency_key)
        location = f"{PREFIX}/session/orders/{found['order']['id']}"
        return OrjsonResponse(found, 201, {"Location": location})

    @app.delete(
        PREFIX + "/session/orders/{id}", response_model=OrderCommandAnswer, tags=["trading"],
        summary="Cancel an order", responses=answers(404, 409, 503),
    )  # fmt: skip
    async def cancel_order(id: OrderId) -> Response:
        """Of any strategy; a bracket's exits go with an entry that has not filled. 409 where it
        has ended, or cannot be cancelled any more."""
        return OrjsonResponse(await _cancel(services, id))


async def _once(services: Services, body: OrderStart, key: str | None) -> dict[str, Any]:
    """The answer to an order, sent now unless its key says that it was sent before."""

    def begin() -> asyncio.Future[dict[str, Any]]:
        session = _live(services)
        _check_order(session, body)
        return asyncio.ensure_future(_send(services, session, body))

    return await asyncio.shield(services.keys.once(key, orjson.dumps(body.model_dump()), begin))


def _live(services: Services) -> ReplaySession:
    """The session, where orders can be sent to it."""
    services.check_open()
    session = services.session()
    _look(session)
    if session.ended:
        raise StateError(f"the session is {session.state}: it takes no orders", session.state)
    return session


def _check_order(session: ReplaySession, body: OrderStart) -> None:
    """What can be said of it before it is sent."""
    if body.symbol not in session.symbols:
        close = ", ".join(nearest(body.symbol, session.symbols)) or ", ".join(session.symbols[:5])
        raise NotFoundError(f"this session has no symbol {body.symbol!r}; nearest: {close}")
    make_request(body, lambda count: [""] * count, 0)


async def _send(services: Services, session: ReplaySession, body: OrderStart) -> dict[str, Any]:
    ids = list[str]()

    def make(now_ns: int) -> EventBase:
        desk = session.desk  # a seek may have put another in its place
        assert desk is not None
        request = make_request(body, desk.number_orders, now_ns)
        ids.extend(order.order_id for order in request.orders)
        return request

    outcome = await services.bridge.follow(session.trade(make))
    return _command_body(session, ids[0], outcome)


async def _cancel(services: Services, order_id: str) -> dict[str, Any]:
    session = _live(services)
    found = _look(session).order(order_id)
    if not found.live:
        raise StateError(f"order {order_id} is {found.state}", session.state)
    strategy = found.order.strategy_id
    outcome = await services.bridge.follow(
        session.trade(
            lambda now_ns: CancelRequestEvent(
                ts_event_ns=now_ns, strategy_id=strategy, order_id=order_id, reason=FROM_OUTSIDE
            )
        )
    )
    _check_cancelled(session, order_id, outcome)
    return _command_body(session, order_id, outcome)


def _check_cancelled(session: ReplaySession, order_id: str, outcome: Outcome) -> None:
    """StateError where execution refused it."""
    said = _look(session).settled.events(order_id, outcome.time_ns)
    last = said[-1] if said else None
    if isinstance(last, OrderRejectedEvent) and last.request == "cancel":
        raise StateError(f"order {order_id}: {last.reason} ({last.code})", session.state)


def _command_body(session: ReplaySession, order_id: str, outcome: Outcome) -> dict[str, Any]:
    """An order as it stood when the command was settled."""
    look = _look(session)
    order = look.settled.order(order_id, outcome.time_ns)
    if order is None:
        raise StateError(f"a seek went back before order {order_id}: it is no more", session.state)
    time = format_time(outcome.time_ns)
    return {
        "time": time, "epoch": look.view.epoch, "seq": outcome.seq,
        **look.order_answer(order, outcome.time_ns),
        "command": {"number": outcome.number, "time": time, "seq": outcome.seq},
    }  # fmt: skip
