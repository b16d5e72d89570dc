"""``tapedeck session``, its engine: the account, and orders from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.remote import SERVER, Key, Url, plain, print_fields, print_list, print_rows, server_at
from app.cli.show import FAILURE, Json, out, print_json, table
from app.errors import RequestError

if TYPE_CHECKING:
    from app.client import OrderAnswer

ORDERS = {
    "id": "id", "symbol": "symbol", "side": "side", "quantity": "size", "type": "type",
    "limit_price": "limit", "stop_price": "stop", "state": "state", "filled": "filled",
    "average_price": "at", "code": "code",
}  # fmt: skip
FILLS = {
    "time": "time", "order": "order", "symbol": "symbol", "side": "side", "quantity": "size",
    "price": "price", "commission": "cost", "flags": "flags",
}  # fmt: skip
SIGNALS = {
    "time": "time", "id": "id", "symbol": "symbol", "direction": "view", "strength": "strength",
    "outcome": "became",
}  # fmt: skip
POSITIONS = {
    "strategy": "strategy", "symbol": "symbol", "quantity": "size", "average_price": "at",
    "mark": "mark", "market_value": "value", "unrealised": "open P&L", "realised": "P&L",
    "fees": "fees",
}  # fmt: skip
REASONS = {"time": "time", "source": "source", "code": "code", "reason": "why", "prices": "prices"}

Strategy = Annotated[str | None, typer.Option(help="Only of this strategy.")]
Symbol = Annotated[str | None, typer.Option(help="Only of this symbol.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many, the newest.")]
State = Annotated[str | None, typer.Option(help="open, or a state such as filled or rejected.")]
Which = Annotated[str, typer.Option(help="open, closed or all.")]
OrderId = Annotated[str, typer.Argument(metavar="ID", help="An order's id, as orders shows it.")]
MaybeOrder = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="One order, with all that became of it.")
]


def account(url: Url = SERVER, api_key: Key = None, json: Json = False) -> None:
    """Cash, equity, exposure, P&L and broken limits, at the prices of now."""
    with server_at(url, api_key) as deck:
        found = plain(deck.account())
    if json:
        print_json(found)
    else:
        print_fields("Account", found.items())


def positions(
    which: Which = "open", strategy: Strategy = None, symbol: Symbol = None, url: Url = SERVER,
    api_key: Key = None, json: Json = False,
) -> None:  # fmt: skip
    """What is held, by strategy and symbol, at the prices of now."""
    if which not in ("open", "closed", "all"):
        raise RequestError(f"--which is {which!r}; allowed: open, closed, all")
    with server_at(url, api_key) as deck:
        found = deck.positions(
            strategy=strategy, symbol=symbol,
            which=which,  # type: ignore[arg-type]  # checked above
        )  # fmt: skip
        print_list(found, "positions", POSITIONS, json)


def orders(
    order: MaybeOrder = None, state: State = None, strategy: Strategy = None,
    symbol: Symbol = None, limit: Limit = None, url: Url = SERVER, api_key: Key = None,
    json: Json = False,
) -> None:  # fmt: skip
    """The newest orders; or one, with its history and a bracket's exits."""
    with server_at(url, api_key) as deck:
        if order is not None:
            _print_order(deck.order(order), json)
            return
        found = deck.orders(state=state, strategy=strategy, symbol=symbol, limit=limit)
        print_list(found, "orders", ORDERS, json)


def fills(
    strategy: Strategy = None, symbol: Symbol = None,
    order: Annotated[str | None, typer.Option(help="Only of this order.")] = None,
    limit: Limit = None, url: Url = SERVER, api_key: Key = None, json: Json = False,
) -> None:  # fmt: skip
    """The newest fills."""
    with server_at(url, api_key) as deck:
        found = deck.fills(strategy=strategy, symbol=symbol, order=order, limit=limit)
        print_list(found, "fills", FILLS, json)


def signals(
    strategy: Strategy = None, symbol: Symbol = None, limit: Limit = None, url: Url = SERVER,
    api_key: Key = None, json: Json = False,
) -> None:  # fmt: skip
    """The newest signals of strategies, and what became of them."""
    with server_at(url, api_key) as deck:
        found = deck.signals(strategy=strategy, symbol=symbol, limit=limit)
        print_list(found, "signals", SIGNALS, json)


def order(
    symbol: Annotated[str, typer.Argument(help="What.")],
    side: Annotated[str, typer.Argument(help="buy or sell.")],
    quantity: Annotated[float, typer.Argument(help="Shares, above 0.")],
    type: Annotated[
        str | None, typer.Option(help="market, limit, stop, trailing_stop, market_on_close ...")
    ] = None,
    limit_price: Annotated[float | None, typer.Option("--limit", help="Limit price.")] = None,
    stop_price: Annotated[float | None, typer.Option("--stop", help="Stop price.")] = None,
    trail: Annotated[float | None, typer.Option(help="Distance, currency a share.")] = None,
    tif: Annotated[str | None, typer.Option(help="day, gtc, ioc or fok.")] = None,
    take_profit: Annotated[float | None, typer.Option(help="Price of a bracket's exit.")] = None,
    stop_loss: Annotated[float | None, typer.Option(help="Price of a bracket's exit.")] = None,
    tag: Annotated[str | None, typer.Option(help="Your word for it, kept with it.")] = None,
    url: Url = SERVER, api_key: Key = None, json: Json = False,
) -> None:  # fmt: skip
    """Send an order; exit code 1 where risk refuses it.

    --limit and --stop say the type where --type does not.
    """
    if side not in ("buy", "sell"):
        raise RequestError(f"side is {side!r}; allowed: buy, sell")
    priced = {(True, False): "limit", (False, True): "stop", (True, True): "stop_limit"}
    kind = type or priced.get((limit_price is not None, stop_price is not None))
    with server_at(url, api_key) as deck:
        found = deck.send_order(
            symbol, side, quantity, kind,  # type: ignore[arg-type]  # checked above
            limit_price=limit_price, stop_price=stop_price, trail=trail, tif=tif,
            take_profit=take_profit, stop_loss=stop_loss, tag=tag,
        )  # fmt: skip
    _print_order(found, json)
    if found.order.state == "rejected":
        raise typer.Exit(FAILURE)


def cancel(order: OrderId, url: Url = SERVER, api_key: Key = None, json: Json = False) -> None:
    """Cancel an order, of any strategy."""
    with server_at(url, api_key) as deck:
        _print_order(deck.cancel_order(order), json)


def why(
    order: OrderId, limit: Limit = None, url: Url = SERVER, api_key: Key = None, json: Json = False
) -> None:
    """Slice by slice since it came to rest: why an order did or did not fill."""
    with server_at(url, api_key) as deck:
        found = deck.why(order, limit=limit)
    title = f"{found.order.id}: {found.order.state}"
    print_list(found, "slices", REASONS, json, title)


def _print_order(answer: OrderAnswer, json: bool) -> None:
    found = plain(answer)
    if json:
        print_json(found)
        return
    order: dict[str, Any] = found["order"]
    history = order.pop("history")
    print_fields(f"Order {order['id']}", [(k, v) for k, v in order.items() if v is not False])
    steps = [(s["time"], s["state"], s["filled"], s["reason"]) for s in history]
    out.print(table("History", ["time", "state", "filled", "reason"], steps))
    if found["exits"]:
        print_rows("Its exits", found["exits"], ORDERS)


EXAMPLES: dict[Callable[..., None], str] = {
    account: "account --json",
    positions: "positions --which all",
    orders: "orders --state open",
    fills: "fills --symbol ALFA",
    signals: "signals --limit 20",
    order: "order ALFA buy 100 --limit 182.50 --take-profit 190 --stop-loss 180",
    cancel: "cancel manual-1",
    why: "why manual-1 --limit 10",
}


def add_to(cli: typer.Typer) -> None:
    for command, example in EXAMPLES.items():
        cli.command(epilog=f"Example: tapedeck session {example}")(command)
