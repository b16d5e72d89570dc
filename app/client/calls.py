"""Every call of the HTTP contract: its request, and how its answer is read.

Pure functions, shared by the sync and the async client: no socket is touched here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar
from urllib.parse import quote

import msgspec

from app.client import answers
from app.client.problems import ConnectionProblem
from app.errors import RequestError, TimeError
from app.times import datetime_to_ns, format_time

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
When = str | date | datetime  # a trading date, or a time with a zone
Day = str | date
Unit = Literal["slice", "bar", "day"]

ARROW = "application/vnd.apache.arrow.stream"
DEFAULT_WAIT_S = 60.0  # the longest that a long poll without wait_s is held


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how to read its answer from status and body."""

    method: str
    path: str
    read: Callable[[int, bytes], T]
    params: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    answers: tuple[int, ...] = ()  # statuses beside 2xx that ``read`` understands
    wait_s: float | None = 0.0  # how long the server may hold the answer; None: without bound


def json_of(kind: type[T]) -> Callable[[int, bytes], T]:
    """Reads a JSON answer as ``kind``."""
    decoder = msgspec.json.Decoder(kind, dec_hook=answers.read_hook)

    def read(_status: int, body: bytes) -> T:
        try:
            return decoder.decode(body)
        except (msgspec.DecodeError, TimeError) as error:
            raise ConnectionProblem(f"not an answer of this API version: {error}") from error

    return read


def read_table(_status: int, body: bytes) -> pa.Table:
    """Reads an Arrow IPC stream."""
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(body).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise ConnectionProblem(f"not an Arrow answer: {error}") from error


def when_text(value: When) -> str:
    """A date or a time as the contract writes it; text goes as it is."""
    if isinstance(value, datetime):
        return format_time(datetime_to_ns(value))
    return value.isoformat() if isinstance(value, date) else value


def _list(values: str | Sequence[str]) -> list[str]:
    return [values] if isinstance(values, str) else list(values)


def _encoded(symbol: str) -> str:
    """A symbol as a part of a path; ``.`` and ``..`` would be taken for folders."""
    return quote(symbol, safe="") if symbol.strip(".") else symbol.replace(".", "%2E")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _poll(after: int | None, wait_s: float | None) -> dict[str, Any]:
    """Parameters of a long poll, and how long it may last."""
    if after is None and wait_s is not None:
        raise RequestError("wait_s without after: give the seq after which an answer is wanted")
    params = {name: f"{value:g}" if name == "wait_s" else str(value)
              for name, value in _given(after=after, wait_s=wait_s).items()}  # fmt: skip
    held_s = 0.0 if after is None else DEFAULT_WAIT_S if wait_s is None else wait_s
    return {"params": params, "wait_s": held_s}


_SESSION = json_of(answers.Session)
_PLAN = json_of(answers.Plan)
_CLOCK = json_of(answers.Clock)
_DAYS = json_of(answers.Days)
_STREAMS = json_of(answers.Streams)
_DATA = json_of(answers.Data)
_QUALITY = json_of(answers.Quality)
_CATALOG = json_of(answers.Catalog)
_OBJECT = json_of(dict[str, Any])


def session() -> Call[answers.Session]:
    """The replay session as it stands; STOPPED with None fields where there is none."""
    return Call("GET", "/session", _SESSION)


def start(
    symbols: str | Sequence[str],
    start: When,
    end: When,
    *,
    streams: str | Sequence[str] | None = None,
    speed: float | None = None,
    calendar: str | None = None,
    hours: str | None = None,
    derived_intervals: Sequence[int] | None = None,
    history_days: int | None = None,
    start_paused: bool | None = None,
    allow_missing: bool | None = None,
    record: bool | None = None,
) -> Call[answers.Session]:
    """Creates a session and starts it; what is not given is the server's setting.

    With ``record`` it leaves the record of a run, whose id is its ``run``.

    ``symbols`` may be ``"*"``: all that the catalog has. ``start`` and ``end`` are trading
    dates, both inside, or times with a zone.
    """
    body = {"symbols": _list(symbols), "start": when_text(start), "end": when_text(end)}
    body |= _given(
        streams=None if streams is None else _list(streams),
        speed=speed, calendar=calendar, hours=hours,
        derived_intervals=None if derived_intervals is None else list(derived_intervals),
        history_days=history_days, start_paused=start_paused, allow_missing=allow_missing,
        record=record,
    )  # fmt: skip
    return Call("POST", "/session", _SESSION, body=body, wait_s=None)


def plan() -> Call[answers.Plan]:
    """What the session was asked to replay: symbols, streams, trading days; 409 without one."""
    return Call("GET", "/session/plan", _PLAN)


def pause() -> Call[answers.Session]:
    """Pauses the session."""
    return Call("POST", "/session/pause", _SESSION)


def resume() -> Call[answers.Session]:
    """Lets a paused session run on."""
    return Call("POST", "/session/resume", _SESSION)


def stop() -> Call[answers.Session]:
    """Stops the session; harmless where it has stopped."""
    return Call("POST", "/session/stop", _SESSION)


def step(
    unit: Unit = "slice",
    count: int = 1,
    *,
    wait_s: float | None = None,
    idempotency_key: str | None = None,
) -> Call[answers.Session]:
    """Steps a paused session by slices, 1m boundaries or days, and answers when it is done.

    After ``wait_s`` the answer comes as it is (state RUNNING) and the step goes on. Calls
    with the same ``idempotency_key`` are one step.
    """
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    params = {} if wait_s is None else {"wait_s": f"{wait_s:g}"}
    body = {"unit": unit, "count": count}
    return Call("POST", "/session/step", _SESSION, params, body, headers, wait_s=wait_s)


def set_speed(speed: float) -> Call[answers.Session]:
    """Changes the speed at once, running or paused: market seconds a wall second, 0 to 1e6; 0 is
    as fast as possible.
    """
    return Call("PATCH", "/session", _SESSION, body={"speed": speed})


def days() -> Call[answers.Days]:
    """The finished trading days and the running one, with prices, volume and quality."""
    return Call("GET", "/session/days", _DAYS)


def time() -> Call[answers.Clock]:
    """The market's time and hours."""
    return Call("GET", "/time", _CLOCK)


def streams() -> Call[answers.Streams]:
    """Queues and progress of every stream."""
    return Call("GET", "/streams", _STREAMS)


def data(
    symbols: str | Sequence[str] | None = None,
    *,
    after: int | None = None,
    wait_s: float | None = None,
) -> Call[answers.Data]:
    """One committed view of all or some symbols.

    With ``after`` (a ``seq``) it waits until a later view is committed, at most ``wait_s``.
    """
    poll = _poll(after, wait_s)
    if symbols is not None:
        poll["params"] |= {"symbols": ",".join(_list(symbols))}
    return Call("GET", "/session/data", _DATA, **poll)


def _rows(symbol: str, kind: str, params: dict[str, Any], poll: dict[str, Any]) -> Call[pa.Table]:
    poll["params"] |= {name: str(value) for name, value in params.items()}
    path = f"/session/data/{_encoded(symbol)}/{kind}"
    return Call("GET", path, read_table, headers={"Accept": ARROW}, **poll)


def bars(
    symbol: str,
    interval: str | None = None,
    *,
    limit: int | None = None,
    since: str | datetime | None = None,
    day: Day | None = None,
    adjust: Literal["split"] | None = None,
    after: int | None = None,
    wait_s: float | None = None,
) -> Call[pa.Table]:
    """The newest bars of a symbol as an Arrow table, oldest first: a row a bar.

    Columns: ``ts`` (timestamp[ns, UTC], the bar's start), ``open``, ``high``, ``low``, ``close``
    (currency), ``volume`` (shares; int64 where the catalog's are), ``vwap``, ``minutes``,
    ``complete``, ``partial``, ``post_close``.

    ``interval`` is ``1m`` (the default), a derived one such as ``5m``, or ``1d``; ``since``
    is exclusive, on ``ts``. ``adjust="split"`` gives them as of now, where there was a split.
    """
    params = _given(
        interval=interval, limit=limit, adjust=adjust,
        since=None if since is None else when_text(since),
        day=None if day is None else when_text(day),
    )  # fmt: skip
    return _rows(symbol, "bars", params, _poll(after, wait_s))


def trades(
    symbol: str,
    *,
    limit: int | None = None,
    since: str | datetime | None = None,
    after: int | None = None,
    wait_s: float | None = None,
) -> Call[pa.Table]:
    """The newest trades of a symbol's current day as an Arrow table, oldest first.

    Columns: ``ts`` (timestamp[ns, UTC]), ``price`` (currency), ``size`` (shares), ``exchange``,
    ``conditions``; ``limit`` is 1000 unless given. ``since`` is exclusive, on ``ts``.
    """
    params = _given(limit=limit, since=None if since is None else when_text(since))
    return _rows(symbol, "trades", params, _poll(after, wait_s))


def quotes(
    symbol: str,
    *,
    limit: int | None = None,
    since: str | datetime | None = None,
    after: int | None = None,
    wait_s: float | None = None,
) -> Call[pa.Table]:
    """The newest quotes of a symbol's current day as an Arrow table, oldest first.

    Columns: ``ts`` (timestamp[ns, UTC]), ``bid``, ``ask`` (currency), ``bid_size``,
    ``ask_size`` (shares); a missing side is null. ``limit`` and ``since`` are as of ``trades``.
    """
    params = _given(limit=limit, since=None if since is None else when_text(since))
    return _rows(symbol, "quotes", params, _poll(after, wait_s))


def quality(
    symbol: str, *, after: int | None = None, wait_s: float | None = None
) -> Call[answers.Quality]:
    """Coverage and gaps of a symbol's current day."""
    path = f"/session/data/{_encoded(symbol)}/quality"
    return Call("GET", path, _QUALITY, **_poll(after, wait_s))


def catalog() -> Call[answers.Catalog]:
    """What the catalog has."""
    return Call("GET", "/catalog", _CATALOG)


def health() -> Call[dict[str, Any]]:
    """Whether the server lives."""
    return Call("GET", "/health", _OBJECT)


def ready() -> Call[bool]:
    """Whether the server can start a session."""
    return Call("GET", "/ready", lambda status, _: status < 300, answers=(503,))


def metrics() -> Call[str]:
    """Prometheus metrics, as text."""
    return Call("GET", "/metrics", lambda _, body: body.decode())
