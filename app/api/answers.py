"""The session's answers as plain data; ``moment`` writes times as the encoding has them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.responses import Response

from app.api.columns import item_rows
from app.model import Ints, Items, StreamType, channel_name, join_items
from app.times import MINUTE_NS, format_time

if TYPE_CHECKING:
    from app.managers.system_manager import ReplaySession, SessionStatus
    from app.managers.system_manager.answers import DayRecord, Summary
    from app.managers.time_manager import View

Moment = Callable[[int], Any]
REASONS = ("before_hours", "in_break", "after_hours", "late", "duplicate", "invalid")
_SESSION_FIELDS = (
    "id", "state", "time", "epoch", "seq", "speed", "lag_ms", "trading_day", "progress", "digest",
    "discarded", "error", "run",
)  # fmt: skip


class OrjsonResponse(Response):
    """JSON of plain data and numpy; NaN is null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dump_json(content)


def dump_json(content: Any) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def maybe(ns: int | None, moment: Moment = format_time) -> Any:
    return None if ns is None else moment(ns)


def session_body(status: SessionStatus | None, moment: Moment = format_time) -> dict[str, Any]:
    """``GET /session``; STOPPED and nulls where there is no session."""
    if status is None:
        return {field: "STOPPED" if field == "state" else None for field in _SESSION_FIELDS}
    progress = status.progress
    return {
        "id": status.id,
        "state": str(status.state),
        "time": maybe(status.time_ns, moment),
        "epoch": status.epoch,
        "seq": status.seq,
        "speed": status.speed,
        "lag_ms": None if status.lag_ns is None else status.lag_ns / 1e6,
        "trading_day": day_text(status.trading_day),
        "progress": {
            "days_done": progress.days_done,
            "days_total": progress.days_total,
            "items_delivered": progress.items_delivered,
            "fraction": progress.fraction,
            "eta_s": progress.eta_s,
        },
        "digest": status.digest or None,  # none before the first view
        "discarded": dict.fromkeys(REASONS, 0) | dict(status.discarded),
        "error": status.error,
        "run": status.run,
    }


def day_text(day: Any) -> str | None:
    return None if day is None else str(day.isoformat())


def trading_day(session: ReplaySession, view: View) -> str | None:
    """The date of the view's trading day."""
    days = session.days
    return day_text(days[view.day].date) if 0 <= view.day < len(days) else None


def plan_body(session: ReplaySession) -> dict[str, Any]:
    """``GET /session/plan``."""
    config = session.config
    return {
        "id": session.id,
        "symbols": list(config.symbols),
        "streams": sorted({channel_name(s.type, s.interval_min) for s in config.streams}),
        "intervals": [f"{n}m" for n in sorted({1, *config.derived_intervals})] + ["1d"],
        "start": config.start,
        "end": config.end,
        "calendar": config.calendar.name,
        "time_zone": str(config.calendar.zone),
        "hours": config.hours,
        "history_days": config.history_days,
        "trades": session.desk is not None,
        "days": [
            {
                "day": day_text(day.date), "open": format_time(day.open_ns),
                "close": format_time(day.close_ns), "half_day": day.half_day,
            }
            for day in session.days[config.first_day :]
        ],
    }  # fmt: skip


def data_body(
    session: ReplaySession, view: View, symbols: Any, moment: Moment = format_time
) -> dict[str, Any]:
    """``GET /session/data``: one committed view, and the bodies of its symbols."""
    return {
        "time": moment(view.now_ns),
        "epoch": view.epoch,
        "seq": view.seq,
        "trading_day": trading_day(session, view),
        "symbols": symbols,
    }


def symbol_bodies(
    session: ReplaySession,
    summary: Summary,
    moment: Moment = format_time,
    only: Collection[str] | None = None,
) -> dict[str, Any]:
    """The newest of each symbol."""
    found = {name: one for name, one in summary.symbols.items() if only is None or name in only}
    bars = _rows(session, StreamType.BAR, {n: s.bar for n, s in found.items()}, summary, moment)
    trades = _rows(
        session, StreamType.TRADE, {n: s.trade for n, s in found.items()}, summary, moment
    )
    quotes = _rows(
        session, StreamType.QUOTE, {n: s.quote for n, s in found.items()}, summary, moment
    )
    return {
        name: {
            "last": one.last,
            "bar": bars.get(name),
            "trade": trades.get(name),
            "quote": quotes.get(name),
            "open": one.open,
            "high": one.high,
            "low": one.low,
            "volume": sized(one.volume, session.integral(name, StreamType.BAR)),
            "bars": one.bars or None,
            "quality": one.quality,
            "prev_close": one.prev_close,
        }
        for name, one in found.items()
    }


def _rows(
    session: ReplaySession, kind: StreamType, newest: Mapping[str, Items | None],
    summary: Summary, moment: Moment,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """By symbol its item, of those that have one."""
    there = {name: items for name, items in newest.items() if items is not None and len(items)}
    if not there:
        return {}
    items = join_items([one[:1] for one in there.values()])
    starts_ns = items["release_ns"].astype(np.int64)
    if kind is StreamType.BAR:
        starts_ns -= items["stream"].astype(np.int64) * MINUTE_NS
    integral = np.array([session.integral(name, kind) for name in there])
    rows = item_rows(kind, items, starts_ns, summary.words, integral, moment)
    return dict(zip(there, rows, strict=True))


def sized(value: float | None, whole: bool) -> float | int | None:
    """A sum of sizes as an int where the sizes are."""
    return int(value) if whole and value is not None else value


def gap_bodies(gaps: Any) -> list[dict[str, Any]]:
    return [
        {"start": format_time(g.start_ns), "end": format_time(g.end_ns), "minutes": g.minutes}
        for g in gaps
    ]


def days_body(session: ReplaySession, records: list[DayRecord]) -> dict[str, Any]:
    """``GET /session/days``."""
    return {"days": [_day_body(session, record) for record in records]}


def _day_body(session: ReplaySession, record: DayRecord) -> dict[str, Any]:
    return {
        "day": day_text(record.day),
        "open": format_time(record.open_ns),
        "close": format_time(record.close_ns),
        "half_day": record.half_day,
        "symbols": {
            symbol: {
                "open": day.open, "high": day.high, "low": day.low, "close": day.close,
                "volume": sized(day.volume, session.integral(symbol, StreamType.BAR)),
                "bars": day.bars, "expected": day.expected, "quality": day.quality,
                "gaps": gap_bodies(day.gaps), "official_close": day.official_close,
                "close_source": day.close_source,
            }
            for symbol, day in record.symbols.items()
        },
    }  # fmt: skip


class Names:
    """What the rows of a session's windows mean as text and numbers."""

    def __init__(self, session: ReplaySession) -> None:
        self._session = session
        self.words = session.words
        self._symbols = np.array(session.symbols, object)
        self._integral: dict[StreamType, NDArray[np.int8]] = {}  # by symbol: 1, 0, or -1 unasked

    def symbols_of(self, items: Items) -> list[str]:
        """The symbol of every row."""
        found: list[str] = self._symbols[items["symbol"]].tolist()
        return found

    def symbol_of(self, number: int) -> str:
        return self._session.symbols[number]

    def is_integral(self, kind: StreamType, number: int) -> bool:
        """Whether sizes of a symbol are whole numbers at the source."""
        known = self._integral.setdefault(kind, np.full(len(self._symbols), -1, np.int8))
        if known[number] < 0:
            known[number] = self._session.integral(self._session.symbols[number], kind)
        return bool(known[number])

    def starts_of(self, kind: StreamType, items: Items) -> Ints:
        """A bar's start, on its grid; a trade's or quote's own time."""
        if kind is StreamType.BAR:
            return self._session.bar_starts(items)
        release: Ints = items["release_ns"]
        return release

    def integral_of(self, kind: StreamType, items: Items) -> NDArray[np.bool_]:
        """Row by row, whether sizes are whole numbers at the source."""
        known = self._integral.setdefault(kind, np.full(len(self._symbols), -1, np.int8))
        symbols = items["symbol"]
        rows = known[symbols]
        if (rows < 0).any():
            for index in np.unique(symbols[rows < 0]).tolist():
                known[index] = self._session.integral(str(self._symbols[index]), kind)
            rows = known[symbols]
        whole: NDArray[np.bool_] = rows > 0
        return whole
