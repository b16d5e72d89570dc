"""Calls that read the session's data and the catalog. Each of them can be a long poll."""

from __future__ import annotations

import asyncio
import re
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from fastapi import FastAPI, Path, Query
from pydantic import AfterValidator
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import OrjsonResponse, gap_bodies, maybe
from app.api.answers import day_text as text_of_day
from app.api.auth import PREFIX
from app.api.bar_texts import BarTexts, rows_text
from app.api.columns import arrow_stream, item_table
from app.api.data_views import DataViews
from app.api.documents import ARROW, answers, with_arrow
from app.api.problems import UnavailableError
from app.api.requests import NUMBER, WHOLE
from app.api.schemas_data import Bars, Catalog, Data, Quality, Quotes, Trades
from app.api.services import Services
from app.errors import CatalogError, RequestError, TimeError
from app.model import StreamType
from app.times import format_time, parse_date, parse_time_ns

if TYPE_CHECKING:
    from app.managers.system_manager.answers import Answer
    from app.managers.time_manager import View

MOST_ROWS = 10_000
_INLINE = 1000  # rows: more are read on a thread, so that others are not kept waiting

_INTERVAL = r"^([1-9][0-9]{0,3}m|1d)$"


def _interval(text: str) -> str:
    if not re.fullmatch(_INTERVAL, text):
        raise ValueError("1m, a derived interval of this session, or 1d")
    return text


Symbol = Annotated[str, Path(description="Percent-encoded, as BRK%2FB.", examples=["AIG"])]
Symbols = Annotated[
    str | None, Query(description="Comma-separated; all where absent.", examples=["AIG,BAC"])
]
Interval = Annotated[
    str,
    AfterValidator(_interval),
    Query(
        description="1m, a derived interval of this session, or 1d.",
        json_schema_extra={"pattern": _INTERVAL},
    ),
]
Limit = Annotated[
    int, WHOLE, Query(ge=1, le=MOST_ROWS, description="The newest so many.")
]  # fmt: skip
Since = Annotated[
    str | None, Query(max_length=64, description="RFC 3339; only items with a later ts.")
]
Day = Annotated[str | None, Query(max_length=10, description="YYYY-MM-DD; of this day only.")]
Adjust = Annotated[
    Literal["split"] | None,
    Query(description="split: prices and volumes as of now, where the catalog has a split."),
]
After = Annotated[
    int | None,
    WHOLE,
    Query(ge=0, le=2**63 - 1, description="Long poll: wait for a view after this seq."),
]
Wait = Annotated[
    float | None,
    NUMBER,
    Query(ge=0, allow_inf_nan=False, description="Seconds to wait; goes with after."),
]


def add_data_routes(app: FastAPI, services: Services) -> None:
    """The view of all symbols, quality, and what the catalog has."""
    views = DataViews()

    @app.get(
        PREFIX + "/session/data", response_model=Data, tags=["data"],
        summary="One committed view", responses=answers(404, 409),
    )  # fmt: skip
    async def get_data(
        request: Request, symbols: Symbols = None,
        after: After = None, wait_s: Wait = None,
    ) -> Response:  # fmt: skip
        wanted = _names(symbols)
        session = await services.polled(request, after, wait_s)
        view, body = await views.body(session, wanted)
        return OrjsonResponse(body, 200, _stamps(view))

    @app.get(
        PREFIX + "/session/data/{symbol:path}/quality", response_model=Quality, tags=["data"],
        summary="Coverage of the running day", responses=answers(404, 409),
    )  # fmt: skip
    async def get_quality(
        request: Request, symbol: Symbol,
        after: After = None, wait_s: Wait = None,
    ) -> Response:  # fmt: skip
        session = await services.polled(request, after, wait_s)
        found = session.quality(symbol)
        body = {
            "symbol": symbol, "day": text_of_day(found.day), "quality": found.quality,
            "received": found.received, "expected": found.expected, "gaps": gap_bodies(found.gaps),
        }  # fmt: skip
        return OrjsonResponse(body, 200, _stamps(found.view))

    @app.get(
        PREFIX + "/catalog", response_model=Catalog, tags=["data"],
        summary="What can be replayed", responses=answers(409, 503),
    )  # fmt: skip
    async def get_catalog(request: Request, after: After = None, wait_s: Wait = None) -> Response:
        """`broken` has a sentence for each file that cannot be used."""
        if after is not None or wait_s is not None:
            await services.polled(request, after, wait_s)
        return OrjsonResponse(await asyncio.to_thread(_catalog_body, services))


def add_item_routes(app: FastAPI, services: Services) -> None:
    """Lists of bars, trades and quotes; JSON or Arrow."""
    texts = BarTexts()

    @app.get(
        PREFIX + "/session/data/{symbol:path}/bars", response_model=Bars, tags=["data"],
        summary="The newest bars", responses=with_arrow(answers(404, 409)),
    )  # fmt: skip
    async def get_bars(
        request: Request, symbol: Symbol, interval: Interval = "1m",
        limit: Limit = 390, since: Since = None, day: Day = None, adjust: Adjust = None,
        after: After = None, wait_s: Wait = None,
    ) -> Response:  # fmt: skip
        since_ns, on_day = _since(since), _day(day)
        session = await services.polled(request, after, wait_s)
        answer = session.bars(symbol, interval, limit, since_ns, on_day, adjust is not None)
        plain = adjust is None and len(answer.items) <= _INLINE and not wants_arrow(request)
        rows = texts.rows(session.id, answer) if plain else None
        return await _answer(request, answer, interval, rows)

    @app.get(
        PREFIX + "/session/data/{symbol:path}/trades", response_model=Trades, tags=["data"],
        summary="The newest trades of the running day", responses=with_arrow(answers(404, 409)),
    )  # fmt: skip
    async def get_trades(
        request: Request, symbol: Symbol, limit: Limit = 1000,
        since: Since = None, day: Day = None,
        after: After = None, wait_s: Wait = None,
    ) -> Response:  # fmt: skip
        since_ns, on_day = _since(since), _day(day)
        session = await services.polled(request, after, wait_s)
        answer = session.ticks(symbol, StreamType.TRADE, limit, since_ns, on_day)
        return await _answer(request, answer)

    @app.get(
        PREFIX + "/session/data/{symbol:path}/quotes", response_model=Quotes, tags=["data"],
        summary="The newest quotes of the running day", responses=with_arrow(answers(404, 409)),
    )  # fmt: skip
    async def get_quotes(
        request: Request, symbol: Symbol, limit: Limit = 1000,
        since: Since = None, day: Day = None,
        after: After = None, wait_s: Wait = None,
    ) -> Response:  # fmt: skip
        since_ns, on_day = _since(since), _day(day)
        session = await services.polled(request, after, wait_s)
        answer = session.ticks(symbol, StreamType.QUOTE, limit, since_ns, on_day)
        return await _answer(request, answer)


def _catalog_body(services: Services) -> dict[str, Any]:
    try:
        catalog = services.manager.catalog()
        found, broken = catalog.summary(), catalog.broken_files
    except CatalogError as error:
        raise UnavailableError(f"the catalog cannot be read: {error}") from error
    symbols = {
        symbol: {
            name: {
                "first": maybe(e.first_ns), "last": maybe(e.last_ns), "days": e.days,
                "rows": e.rows,
            }
            for name, e in datasets.items()
        }
        for symbol, datasets in found.items()
    }  # fmt: skip
    return {"symbols": symbols, "broken": broken}


def _names(symbols: str | None) -> list[str] | None:
    if symbols is None or symbols == "*":
        return None
    names = list(dict.fromkeys(symbols.split(",")))
    if not all(names):
        raise RequestError(f"symbols is {symbols!r}; allowed: names with a comma between, or *")
    return names


def _since(text: str | None) -> int | None:
    try:
        return None if text is None else parse_time_ns(text)
    except TimeError as error:
        hint = " (a + in a query is written %2B)" if " " in (text or "") else ""
        raise RequestError(f"since: {error}{hint}") from error


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        day = parse_date(text)
    except TimeError as error:
        raise RequestError(f"day: {error}") from error
    if day is None:
        raise RequestError(f"day is {text!r}; allowed: a date such as 2013-10-07")
    return day


def _stamps(view: View) -> dict[str, str]:
    """Which view an answer shows; what a next long poll is to come after."""
    return {
        "Tapedeck-Time": format_time(view.now_ns),
        "Tapedeck-Epoch": str(view.epoch),
        "Tapedeck-Seq": str(view.seq),
    }


async def _answer(
    request: Request, answer: Answer, interval: str | None = None, rows: bytes | None = None
) -> Response:
    arrow = wants_arrow(request)
    if rows is not None or len(answer.items) <= _INLINE:
        return _encode(answer, interval, arrow, rows)
    return await asyncio.to_thread(_encode, answer, interval, arrow, None)


def _encode(answer: Answer, interval: str | None, arrow: bool, rows: bytes | None) -> Response:
    """``rows`` are the items as JSON, where they are known."""
    kind = answer.stream.type
    head: dict[str, Any] = {"symbol": answer.stream.symbol}
    if interval is not None:
        head["interval"] = interval
    head["time"] = format_time(answer.view.now_ns)
    headers = _stamps(answer.view)
    if arrow:
        table = item_table(kind, answer.items, answer.starts_ns, answer.words, answer.integral)
        data = arrow_stream(table, head | {k.lower(): v for k, v in headers.items()})
        return Response(data, 200, headers, ARROW)
    rows = rows_text(answer) if rows is None else rows
    return OrjsonResponse(head | {kind.value: orjson.Fragment(rows)}, 200, headers)


def wants_arrow(request: Request) -> bool:
    """Whether ``Accept`` names Arrow, and likes it no less than JSON."""
    likes = _likes(request.headers.get("accept", ""))
    arrow = likes.get(ARROW, 0.0)
    json = next((likes[n] for n in ("application/json", "application/*", "*/*") if n in likes), 0.0)
    return arrow > 0 and arrow >= json


def _likes(accept: str) -> dict[str, float]:
    """By media type the quality (0 to 1) that an ``Accept`` header gives it."""
    found: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        values = [p.partition("=")[2].strip() for p in parameters if p.startswith("q")]
        try:
            found[name] = float(values[0]) if values else 1.0
        except ValueError:
            found[name] = 0.0  # not to be read: not asked for
    return found
