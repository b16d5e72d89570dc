"""What a live run asks a server: which session there is, what it has, what it came to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from app.calendar import TradingDay
from app.client import Session, StreamInfo, Tapedeck
from app.day_table import Grid
from app.errors import RequestError, StateError
from app.live.windows import WindowMaker
from app.managers.system_manager.config import SessionConfig, SessionDays
from app.model import Ints, Stream, StreamType, channel_name, parse_channel, pick_items
from app.times import MINUTE_NS
from app.trading.context import Close
from app.trading.sections import DataSection

_MOST_ROWS = 10_000  # of one answer
_AUCTION_NS = 10 * MINUTE_NS  # after the close, in which a closing auction may print


class Offer(NamedTuple):
    """What of a session a run takes: ``streams`` with the numbers of the days that have rows."""

    session_id: str
    symbols: tuple[str, ...]  # by code point
    streams: dict[Stream, frozenset[int]]

    @property
    def channels(self) -> list[str]:
        return sorted({stream.channel for stream in self.streams})


def start_session(deck: Tapedeck, wish: SessionConfig) -> Session:
    """Start the session that a configuration asks for, paused before its first slice."""
    return deck.start(
        wish.symbols, wish.start, wish.end, streams=wish.streams, speed=wish.speed,
        calendar=wish.calendar, hours=wish.hours, derived_intervals=wish.derived_intervals,
        history_days=wish.history_days, start_paused=True, allow_missing=wish.allow_missing,
    )  # fmt: skip


def find_offer(deck: Tapedeck, data: DataSection, span: SessionDays) -> Offer:
    """The session that the server has; StateError without one, RequestError where it does not
    have what the configuration names."""
    session = deck.session()
    if session.id is None:
        raise StateError(
            "the server has no session; start one, or let this command do it with --start",
            session.state,
        )
    _check_days(session, span)
    there = deck.streams().streams
    symbols = _symbols(there, data)
    days = span.days[span.first_day :]
    streams = {
        Stream(info.symbol, *parse_channel(info.stream)): _day_numbers(info, days, span.first_day)
        for info in there
        if info.symbol in symbols and _is_wanted(info.stream, data)
    }
    _check_streams(streams, symbols, data)
    return Offer(session.id, symbols, streams)


def _check_days(session: Session, span: SessionDays) -> None:
    """Whether the session replays the days of the configuration."""
    days = span.days[span.first_day :]
    progress, today = session.progress, session.trading_day
    if progress is None or today is None:
        raise StateError(f"session {session.id} is {session.state}", session.state)
    place = min(progress.days_done, progress.days_total - 1)
    if progress.days_total != len(days) or days[place].date != today:
        raise RequestError(
            f"session {session.id} has {progress.days_total} trading days, of which number "
            f"{place + 1} is {today}; the configuration has {len(days)}, {days[0].date} to "
            f"{days[-1].date}; let both name the same start, end and calendar"
        )


def _symbols(there: Sequence[StreamInfo], data: DataSection) -> tuple[str, ...]:
    known = {info.symbol for info in there}
    wanted = known if data.symbols == ["*"] else set(data.symbols)
    missing = sorted(wanted - known)
    if missing and not data.allow_missing:
        raise RequestError(f"the server's session has no {', '.join(missing[:20])}")
    if not wanted & known:
        raise RequestError("the server's session has none of the configuration's symbols")
    return tuple(sorted(wanted & known))


def _is_wanted(channel: str, data: DataSection) -> bool:
    kind, interval = parse_channel(channel)
    if kind is not StreamType.BAR:
        return data.streams is None or channel in data.streams
    if data.streams is not None and not {"bars_1m", "trades"} & set(data.streams):
        return False
    return interval == 1 or interval in data.derived_intervals


def _check_streams(
    streams: dict[Stream, frozenset[int]], symbols: Sequence[str], data: DataSection
) -> None:
    missing = [
        f"{symbol} {channel}"
        for symbol in symbols
        for channel in data.streams or ()
        if Stream(symbol, *parse_channel(channel)) not in streams
    ]
    if missing and not data.allow_missing:
        raise RequestError(f"the server's session does not have: {', '.join(missing[:20])}")
    intervals = {s.interval_min for s in streams if s.type is StreamType.BAR}
    lacking = [f"{n}m" for n in data.derived_intervals if intervals and n not in intervals]
    if lacking:
        raise RequestError(
            f"the server's session derives no bars of {', '.join(lacking)}, which "
            "data.derived_intervals names"
        )


def _day_numbers(info: StreamInfo, days: Sequence[TradingDay], first_day: int) -> frozenset[int]:
    return frozenset(
        number
        for number, day in enumerate(days, first_day)
        if any(first <= day.date <= last for first, last in info.days)
    )


def look_back(deck: Tapedeck, offer: Offer, span: SessionDays, maker: WindowMaker) -> list[Any]:
    """Items of the bars released before the session's first slice, stream by stream."""
    grid = Grid(span.days)
    days = [day.date for day in span.days[: span.first_day + 1]]
    found = []
    for stream in sorted(offer.streams, key=lambda s: (s.symbol, s.rank)):
        if stream.type is StreamType.BAR:
            for table in _bar_tables(deck, stream, days):
                items = _bar_items(stream, table, grid, maker)
                found.append(pick_items(items, items["release_ns"] <= span.look_back_ns))
    return found


def _bar_tables(deck: Tapedeck, stream: Stream, days: Sequence[date]) -> list[Any]:
    interval = f"{stream.interval_min}m"
    table = deck.bars(stream.symbol, interval, limit=_MOST_ROWS)
    if table.num_rows < _MOST_ROWS:
        return [table]
    return [deck.bars(stream.symbol, interval, limit=_MOST_ROWS, day=day) for day in days]


def _bar_items(stream: Stream, table: Any, grid: Grid, maker: WindowMaker) -> Any:
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    columns["symbol"] = np.full(table.num_rows, stream.symbol, object)
    starts: Ints = columns.pop("ts").view(np.int64)
    release = starts + stream.interval_min * MINUTE_NS
    short = columns["partial"].astype(bool)
    release[short] = grid.end_ns[grid.part_of(starts[short])[0]]
    return maker.items(channel_name(stream.type, stream.interval_min), columns, release)


def official_closes(deck: Tapedeck, offer: Offer, day: TradingDay) -> dict[int, Close]:
    """By symbol number the closes of a finished day, of what the stream itself does not show.

    A daily table's is known at the day's end. A closing auction may have printed after the
    delivered hours: it is taken as known ten minutes after the close.
    """
    records = deck.days().days
    if deck.session().id != offer.session_id:
        return {}  # the records are another session's
    found: dict[int, Close] = {}
    for record in records:
        if record.day != day.date:
            continue
        for number, symbol in enumerate(offer.symbols):
            known = record.symbols.get(symbol)
            if known is None or known.official_close is None:
                continue
            if known.close_source == "daily":
                found[number] = Close(known.official_close, "daily", day.end_ns)
            elif (
                known.close_source == "auction"
                and Stream(symbol, StreamType.TRADE) in offer.streams
            ):
                at_ns = max(day.end_ns, day.close_ns + _AUCTION_NS)
                found[number] = Close(known.official_close, "auction", at_ns)
    return found
