"""``tapedeck watch``: a running server in the terminal, live."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live

from app.cli.board import Board
from app.cli.keys import Controls, keys_of
from app.cli.show import Json, err, out, print_json, split_list

if TYPE_CHECKING:
    from app.client import Message, Tapedeck

CHANNELS = ("status", "bars_1m", "trades", "quotes")

Url = Annotated[str, typer.Argument(help="URL of the server.")]
Key = Annotated[str | None, typer.Option("--api-key", envvar="TAPEDECK_API_KEY", help="Its key.")]
Symbols = Annotated[str | None, typer.Option(help="Only these symbols, by commas.")]
Interval = Annotated[int, typer.Option(min=100, max=60_000, help="Milliseconds between pictures.")]
Once = Annotated[bool, typer.Option("--once", help="Print one picture and leave.")]


def watch(
    url: Url = "http://127.0.0.1:8000",
    api_key: Key = None,
    symbols: Symbols = None,
    interval_ms: Interval = 250,
    once: Once = False,
    json: Json = False,
) -> None:
    """Show a server's session and prices, live, until the session ends or Ctrl-C.

    Keys: space plays and pauses; right and left go a bar on and back, with shift (or up and down)
    to the end of the day and to its open, a dot a slice on; + and - change the speed, 0 is no
    waiting; q leaves. --json prints one
    picture for programs. Exit code 1 where the session FAILED.
    """
    from app.client import Tapedeck

    with Tapedeck(url, api_key) as deck:
        board = Board(deck, split_list(symbols))
        if json:
            print_json(board.to_dict())
        elif once or board.is_over:
            out.print(board)
        else:
            try:
                _watch(deck, board, interval_ms)
            except KeyboardInterrupt:
                err.print("left; the session goes on")
        if board.session.state == "FAILED":
            raise typer.Exit(1)


def _watch(deck: Tapedeck, board: Board, interval_ms: int) -> None:
    """A new picture at most every interval, until the session's end or the key to leave."""
    from app.client import End

    symbols = board.symbols or "*"
    stream = deck.stream(CHANNELS, symbols, delivery="conflate", interval_ms=interval_ms)
    with stream, Live(board, console=out, auto_refresh=False) as live:

        def tell(text: str) -> None:
            board.said = text
            live.refresh()

        live.refresh()
        shown_s = time.monotonic()
        with keys_of(sys.stdin, Controls(deck, tell, stream.close)):
            for message in stream:
                if _is_due(message, time.monotonic() - shown_s, interval_ms):
                    _refresh(board, message)
                    live.update(board, refresh=True)
                    shown_s = time.monotonic()
                if isinstance(message, End) or board.is_over:
                    return


def _refresh(board: Board, message: Message) -> None:
    """A server that stops answers no more, but its last frames say how the session ended."""
    from app.client import ConnectionProblem, End

    try:
        board.refresh()
    except ConnectionProblem:
        if isinstance(message, End):
            board.take(message)  # else the stream goes on, or says that it broke


def _is_due(message: Message, since_s: float, interval_ms: int) -> bool:
    """Rows wait for the next picture; a change of state is shown at once."""
    from app.client import Slices

    return not isinstance(message, Slices) or since_s * 1000 >= interval_ms


def add_to(cli: typer.Typer) -> None:
    cli.command(epilog="Example: tapedeck watch http://127.0.0.1:8000 --symbols AIG,BAC")(watch)
