"""A session as a picture in the terminal: state, progress, prices, and the keys that move it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.cli.show import cell_text, table
from app.times import format_time

if TYPE_CHECKING:
    from app.client import Account, Data, End, Session, SymbolData, Tapedeck

T = TypeVar("T")
NO_SESSION = 409
_COLUMNS = ("symbol", "last", "change %", "open", "high", "low", "volume", "bars", "quality")


class Board:
    """The newest that is known of a session, as a picture."""

    def __init__(self, deck: Tapedeck, symbols: list[str] | None) -> None:
        self._deck = deck
        self.symbols = symbols
        self.session: Session = deck.session()
        self.data: Data | None = None
        self.account: Account | None = None  # of a session that trades
        self._plain_id: str | None = None  # a session that does not
        self.said = ""  # of keys: what they are, or what the last one came to
        self.refresh()

    def refresh(self) -> None:
        """Ask the server again: the session, and one view of its data."""
        self.session = self._deck.session()
        self.data = self._read(lambda: self._deck.data(self.symbols))
        self.account = None
        if self.session.id != self._plain_id:
            self.account = self._read(self._deck.account)
            self._plain_id = self.session.id if self.account is None else None

    @staticmethod
    def _read(ask: Callable[[], T]) -> T | None:
        """None where there is no session, or none that trades."""
        from app.client import ServerProblem

        try:
            return ask()
        except ServerProblem as problem:
            if problem.status != NO_SESSION:
                raise
            return None

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

        return {
            "session": to_plain(self.session), "data": to_plain(self.data),
            "account": to_plain(self.account),
        }  # fmt: skip

    def __rich__(self) -> Group:
        said = Text(self.said, style="dim")
        return Group(self._heading(), self._bar(), self._money(), self._prices(), said)

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

    def _money(self) -> Text:
        account = self.account
        if account is None:
            return Text("")
        made = account.equity - account.initial_cash
        return Text(
            f"equity {account.equity:,.2f} {account.currency}  P&L {made:+,.2f}  "
            f"gross {account.gross_exposure:,.2f}  open orders {account.open_orders}"
            + "".join(f"  {halt}" for halt in account.halts)
        )

    def _prices(self) -> Table | Text:
        if self.data is None:
            return Text("")
        rows = [
            (symbol, s.last, _change(s), s.open, s.high, s.low, s.volume, s.bars,
             None if s.quality is None else round(s.quality, 1))
            for symbol, s in self.data.symbols.items()
        ]  # fmt: skip
        return table(f"seq {cell_text(self.data.seq)}", _COLUMNS, rows)


def _change(symbol: SymbolData) -> float | None:
    """Per cent since the previous close."""
    if symbol.last is None or not symbol.prev_close:
        return None
    return round(100 * (symbol.last / symbol.prev_close - 1), 2)


def _stacked(first: Table, second: Text) -> Table:
    both = Table.grid()
    both.add_row(first)
    both.add_row(second)
    return both
