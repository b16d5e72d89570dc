"""``tapedeck watch``: a running server in the terminal, live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.cli.show import Json, cell_text, err, out, print_json, split_list, table
from app.times import format_time

if TYPE_CHECKING:
    from app.client import Data, End, Message, Session, Tapedeck

CHANNELS = ("status", "bars_1m", "trades", "quotes")
NO_SESSION = 409
_COLUMNS = ("symbol", "last", "open", "high", "low", "volume", "bars", "quality", "prev close")

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
    """Show a server's session and prices until the session ends or Ctrl-C.

    --json prints one picture for programs. Exit code 1 where the session FAILED.
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


class Board:
    """The newest that is known of a session, as a picture."""

    def __init__(self, deck: Tapedeck, symbols: list[str] | None) -> None:
        self._deck = deck
        self.symbols = symbols
        self.session: Session = deck.session()
        self.data: Data | None = None
        self.refresh()

    def refresh(self) -> None:
        """Ask the server again: the session, and one view of its data."""
        from app.client import ServerProblem

        self.session = self._deck.session()
        try:
            self.data = self._deck.data(self.symbols)
        except ServerProblem as problem:
            if problem.status != NO_SESSION:
                raise
            self.data = None

    def take(self, end: End) -> None:
        """What the end of the stream says of the session."""
        from app.client import Session
        from app.client.answers import convert

        self.session = convert(end.raw, Session)

    @property
    def is_over(self) -> bool:
        """Whether there was a session and it has ended."""
        return self.session.id is not None and self.session.ended

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, in the words of the HTTP contract."""
        from app.client.answers import to_plain

        return {"session": to_plain(self.session), "data": to_plain(self.data)}

    def __rich__(self) -> Group:
        return Group(self._heading(), self._bar(), self._prices())

    def _heading(self) -> Table:
        session = self.session
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            Text(session.state, style="bold red" if session.state == "FAILED" else "bold"),
            "" if session.time_ns is None else format_time(session.time_ns),
            "no session" if session.id is None else f"session {session.id}",
            "" if session.speed is None else f"speed {session.speed:g}",
            "" if not session.lag_ms else f"lag {session.lag_ms:,.0f} ms",
        )
        if session.error:
            return _stacked(grid, Text(session.error, style="red"))
        return grid

    def _bar(self) -> Table:
        progress = self.session.progress
        grid = Table.grid(padding=(0, 2))
        if progress is None:
            return grid
        eta = "" if progress.eta_s is None else f"ETA {progress.eta_s:,.0f} s"
        grid.add_row(
            ProgressBar(total=1.0, completed=progress.fraction or 0.0, width=30),
            f"{progress.days_done}/{progress.days_total} days",
            f"{progress.items_delivered:,} items", eta,
        )  # fmt: skip
        lost = {k: v for k, v in (self.session.discarded or {}).items() if v}
        said = ", ".join(f"{reason} {count:,}" for reason, count in lost.items())
        return _stacked(grid, Text(f"discarded: {said}")) if said else grid

    def _prices(self) -> Table | Text:
        if self.data is None:
            return Text("")
        rows = [
            (symbol, s.last, s.open, s.high, s.low, s.volume, s.bars,
             None if s.quality is None else round(s.quality, 1), s.prev_close)
            for symbol, s in self.data.symbols.items()
        ]  # fmt: skip
        return table(f"seq {cell_text(self.data.seq)}", _COLUMNS, rows)


def _stacked(first: Table, second: Text) -> Table:
    both = Table.grid()
    both.add_row(first)
    both.add_row(second)
    return both


def _watch(deck: Tapedeck, board: Board, interval_ms: int) -> None:
    """A new picture at most every interval, until the session's end."""
    from app.client import End

    symbols = board.symbols or "*"
    stream = deck.stream(CHANNELS, symbols, delivery="conflate", interval_ms=interval_ms)
    with stream, Live(board, console=out, auto_refresh=False) as live:
        live.refresh()
        shown_s = time.monotonic()
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
