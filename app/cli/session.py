"""``tapedeck session``: a running server's session, started, looked at and moved in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.remote import SERVER, Key, Url, plain, print_fields, print_list, print_rows, server_at
from app.cli.show import FAILURE, Json, print_json, split_list
from app.cli.trading import add_to as add_trading
from app.errors import RequestError

if TYPE_CHECKING:
    from app.client import Session

cli = typer.Typer(
    help="Drive a server's session from the shell: play, step, go in time, trade, look.",
    epilog="Example: tapedeck session start ALFA BRVO --start 2024-12-02 --end 2024-12-03",
    no_args_is_help=True,
)

Symbols = Annotated[list[str] | None, typer.Argument(help="Symbols as in the catalog; '*' is all.")]
Start = Annotated[str | None, typer.Option(help="First trading date, or a time with a zone.")]
End = Annotated[str | None, typer.Option(help="Last trading date (inside), or a time.")]
Config = Annotated[
    str | None,
    typer.Option(help="A configuration in the server's TAPEDECK_CONFIGS_DIR, in place of symbols."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another value for one of its keys; repeats."),
]
Streams = Annotated[str | None, typer.Option(help="bars_1m, trades, quotes, by commas.")]
Speed = Annotated[float | None, typer.Option(min=0, help="Times real time; 0: no waiting.")]
Paused = Annotated[bool, typer.Option("--paused", help="Start it, and wait for a command.")]
Factor = Annotated[float, typer.Argument(min=0, help="Times real time; 0: no waiting.")]
Unit = Annotated[str, typer.Argument(help="slice, bar or day.")]
Count = Annotated[int, typer.Option(min=1, help="So many of them.")]
Time = Annotated[str, typer.Argument(help="A time with a zone, such as 2024-12-02T15:00:00Z.")]
MaybeTime = Annotated[str | None, typer.Argument(help="A time with a zone; or --until.")]
Until = Annotated[str | None, typer.Option(help="fill, gap or close.")]
Symbol = Annotated[str | None, typer.Option(help="Until the price of this symbol ...")]
Above = Annotated[float | None, typer.Option(help="... is above it.")]
Below = Annotated[float | None, typer.Option(help="... is below it.")]


@cli.command("show", epilog="Example: tapedeck session show --json")
def show(url: Url = SERVER, api_key: Key = None, json: Json = False) -> None:
    """State, time, speed, progress and digest; exit code 1 where the session FAILED."""
    with server_at(url, api_key) as deck:
        _print(deck.session(), json)


@cli.command(
    "start", epilog="Example: tapedeck session start ALFA --start 2024-12-02 --end 2024-12-03"
)
def start(
    symbols: Symbols = None, start: Start = None, end: End = None, config: Config = None,
    sets: Sets = None, streams: Streams = None, speed: Speed = None, paused: Paused = False,
    url: Url = SERVER, api_key: Key = None, json: Json = False,
) -> None:  # fmt: skip
    """Start a session, of symbols, or one that trades by a configuration."""
    with server_at(url, api_key) as deck:
        if config is not None:
            if symbols or start or end or streams:
                raise RequestError(
                    "--config says symbols, days and streams; change them with --set"
                )
            _print(deck.start_trading(config, sets or (), speed=speed, start_paused=paused), json)
            return
        if not symbols or start is None or end is None or sets:
            raise RequestError("give symbols, --start and --end, or --config with --set")
        _print(
            deck.start(
                symbols, start, end, streams=split_list(streams), speed=speed, start_paused=paused
            ),
            json,
        )


@cli.command("pause", epilog="Example: tapedeck session pause")
def pause(url: Url = SERVER, api_key: Key = None, json: Json = False) -> None:
    """Stop the market's time."""
    with server_at(url, api_key) as deck:
        _print(deck.pause(), json)


@cli.command("resume", epilog="Example: tapedeck session resume")
def resume(url: Url = SERVER, api_key: Key = None, json: Json = False) -> None:
    """Go on."""
    with server_at(url, api_key) as deck:
        _print(deck.resume(), json)


@cli.command("stop", epilog="Example: tapedeck session stop")
def stop(url: Url = SERVER, api_key: Key = None, json: Json = False) -> None:
    """End the session; what was delivered stays readable."""
    with server_at(url, api_key) as deck:
        _print(deck.stop(), json)


@cli.command("speed", epilog="Example: tapedeck session speed 600")
def speed(speed: Factor, url: Url = SERVER, api_key: Key = None, json: Json = False) -> None:
    """Change how fast time goes, at once."""
    with server_at(url, api_key) as deck:
        _print(deck.set_speed(speed), json)


@cli.command("step", epilog="Example: tapedeck session step bar --count 5")
def step(
    unit: Unit = "slice", count: Count = 1, url: Url = SERVER, api_key: Key = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Step a paused session by slices, minutes or days; returns when it is there."""
    if unit not in ("slice", "bar", "day"):
        raise RequestError(f"unit is {unit!r}; allowed: slice, bar, day")
    with server_at(url, api_key) as deck:
        _print(deck.step(unit, count), json)  # type: ignore[arg-type]  # checked above


@cli.command("seek", epilog="Example: tapedeck session seek 2024-12-02T15:00:00Z")
def seek(time: Time, url: Url = SERVER, api_key: Key = None, json: Json = False) -> None:
    """Go to a time, ahead or behind; returns when the session is PAUSED there."""
    with server_at(url, api_key) as deck:
        _print(deck.seek(time), json)


@cli.command("run-to", epilog="Example: tapedeck session run-to --symbol ALFA --above 183.5")
def run_to(
    time: MaybeTime = None, until: Until = None, symbol: Symbol = None, above: Above = None,
    below: Below = None, url: Url = SERVER, api_key: Key = None, json: Json = False,
) -> None:  # fmt: skip
    """Run on to a time, the next fill, gap or close, or a price; then PAUSED."""
    if sum(wish is not None for wish in (time, until, symbol)) != 1:
        raise RequestError("say one of: a time, --until, or --symbol with --above or --below")
    if until not in (None, "fill", "gap", "close"):
        raise RequestError(f"--until is {until!r}; allowed: fill, gap, close")
    if (symbol is None) != (above is None and below is None):
        raise RequestError("a price needs --symbol, and --above or --below")
    event: Any = until
    if symbol is not None:
        edges = {"above": above, "below": below}
        event = {"symbol": symbol} | {k: v for k, v in edges.items() if v is not None}
    with server_at(url, api_key) as deck:
        _print(deck.run_to(time, until=event), json)


@cli.command("days", epilog="Example: tapedeck session days --json")
def days(url: Url = SERVER, api_key: Key = None, json: Json = False) -> None:
    """The trading days so far: prices, volume and quality of each symbol."""
    with server_at(url, api_key) as deck:
        found = plain(deck.days())
    if json:
        print_json(found)
        return
    rows = [
        {"day": day["day"], "symbol": name} | record
        for day in found["days"]
        for name, record in day["symbols"].items()
    ]
    for row in rows:
        row["quality"] = None if row["quality"] is None else round(row["quality"], 1)
    names = ("day", "symbol", "open", "high", "low", "close", "volume", "bars", "quality")
    print_rows("Days", rows, dict(zip(names, names, strict=True)))


@cli.command("streams", epilog="Example: tapedeck session streams")
def streams(url: Url = SERVER, api_key: Key = None, json: Json = False) -> None:
    """Each stream: rows that wait, rows that were delivered, how far it is complete."""
    columns = {
        "symbol": "symbol", "stream": "stream", "queued": "queued", "delivered": "delivered",
        "complete_through": "complete through", "ended": "ended",
    }  # fmt: skip
    with server_at(url, api_key) as deck:
        print_list(deck.streams(), "streams", columns, json, title="Streams")


def _print(session: Session, json: bool) -> None:
    found = plain(session)
    if json:
        print_json(found)
    else:
        progress = found.pop("progress") or {}
        found["discarded"] = {k: v for k, v in (found["discarded"] or {}).items() if v} or None
        command = found.pop("command")
        found["command"] = None if command is None else f"at {command['time']}"
        print_fields("Session", [*found.items(), *progress.items()])
    if session.state == "FAILED":
        raise typer.Exit(FAILURE)


add_trading(cli)
