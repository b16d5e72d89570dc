"""``tapedeck live``: a configuration behind the stream of a running server."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from app.cli.backtest import Runs, Sets, described, exit_code_of, report_run
from app.cli.show import settings_of
from app.cli.stopping import run_stoppable
from app.cli.telling import logs_told
from app.times import format_time

if TYPE_CHECKING:
    from app.managers.system_manager.backtest import BacktestResult
    from app.trading.events import EventBase

EXAMPLE = "Example: tapedeck live run.yaml --url http://127.0.0.1:8000 --start --speed 60"

Config = Annotated[Path, typer.Argument(metavar="RUN.YAML", help="The configuration of the run.")]
Url = Annotated[str, typer.Option(help="URL of the server.")]
Key = Annotated[str | None, typer.Option("--api-key", envvar="TAPEDECK_API_KEY", help="Its key.")]
Start = Annotated[
    bool, typer.Option("--start", help="Start the session that the configuration asks for.")
]
Speed = Annotated[
    float | None, typer.Option(min=0, help="Of the session that --start starts; 0: no waiting.")
]
CatalogUri = Annotated[
    str | None,
    typer.Option(
        "--catalog", help="Where corporate actions and halts are read; else there are none."
    ),
]
Record = Annotated[bool, typer.Option(" /--no-record", help="Leave no folder of the run.")]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print a JSON object a line, the result as the last one.")
]


def live(
    config: Config,
    url: Url = "http://127.0.0.1:8000",
    api_key: Key = None,
    start: Start = False,
    speed: Speed = None,
    sets: Sets = None,
    catalog: CatalogUri = None,
    runs: Runs = None,
    record: Record = True,
    json: JsonLines = False,
) -> None:
    """Run strategies on what a server streams; print signals, orders and fills as they come.

    Follows the server's session from its first slice to its end, and reconnects where the
    connection breaks. Exit codes as of backtest.
    """
    from app.live.run import LiveRun

    run = LiveRun.from_config(
        config, url, sets or (), api_key=api_key, catalog=catalog, runs=runs, record=record
    )
    tell = _print_json if json else _print_line

    def work() -> BacktestResult:
        with logs_told(settings_of().log_level):
            return run.run(tell, start=start, speed=speed)

    began_s = time.monotonic()
    result = run_stoppable("Live", work, run.stop)
    seconds = time.monotonic() - began_s
    if json:
        typer.echo(msgspec.json.encode(described(result, seconds)).decode())
    else:
        report_run(result, seconds, "Live")
    raise typer.Exit(exit_code_of(result))


def _print_json(event: EventBase) -> None:
    typer.echo(msgspec.json.encode(event).decode())


def _print_line(event: EventBase) -> None:
    name = str(event.__struct_config__.tag)
    for line in _LINES[name](event):
        typer.echo(f"{format_time(event.ts_event_ns)}  {name:<14}  {line}")


def _signal(event: Any) -> list[str]:
    view = {1: "long", -1: "short"}.get(event.direction, "flat")
    return [f"{event.signal_id} {event.symbol} {view}"]


def _approved(event: Any) -> list[str]:
    found = []
    for order in event.orders:
        prices = {"limit": order.limit_price, "stop": order.stop_price, "trail": order.trail}
        terms = "".join(f" {name} {price:g}" for name, price in prices.items() if price is not None)
        found.append(
            f"{order.order_id} {order.side} {order.quantity:g} {order.symbol} {order.type}{terms}"
        )
    return found


def _rejected(event: Any) -> list[str]:
    return [f"{event.order_id} {event.symbol} {event.code}: {event.reason}"]


def _fill(event: Any) -> list[str]:
    return [
        f"{event.order_id} {event.side} {event.quantity:g} {event.symbol} at {event.price:.10g}"
    ]


def _warning(event: Any) -> list[str]:
    return [f"{event.code}: {event.text}"]


_LINES: dict[str, Callable[[Any], list[str]]] = {
    "signal": _signal, "order_approved": _approved, "order_rejected": _rejected, "fill": _fill,
    "warning": _warning,
}  # fmt: skip


def add_to(cli: typer.Typer) -> None:
    cli.command(epilog=EXAMPLE)(live)
