"""What a stream client may say, checked; and what is said to one that says something else."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from app.api.frames import Channel
from app.api.json_text import read_json
from app.api.problems import validation_errors
from app.errors import RequestError, TimeError
from app.model import code_rank, parse_channel
from app.times import parse_time_ns
from app.trading.services.strategy.line import Ack, Read

STATUS = "status"
UNSUPPORTED, POLICY, TRY_LATER = 1003, 1008, 1013
DEFAULT_INTERVAL_MS = 100


class ViolationError(RequestError):
    """The client broke the protocol: an error frame, then the socket closes with ``close``."""

    def __init__(self, code: str, detail: str, close: int = POLICY) -> None:
        super().__init__(detail)
        self.code = code
        self.close = close


class RefusalError(RequestError):
    """Well-formed but not to be had now: an error frame, and the socket stays open."""

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.extra = extra


def _check_channel(name: str) -> str:
    if name != STATUS:
        try:
            parse_channel(name)
        except RequestError as error:
            raise ValueError(f"{error} and status") from error
    return name


CALLS = (
    "on_start", "on_day_start", "on_order", "on_fill", "on_reject", "on_timer", "on_day_end",
    "on_end",
)  # fmt: skip
MemberName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
ChannelName = Annotated[str, AfterValidator(_check_channel)]
Symbol = Annotated[str, Field(min_length=1, max_length=64)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Subscribe(_Message):
    """Replaces what the socket was subscribed to."""

    action: Literal["subscribe"]
    channels: list[ChannelName] = Field(min_length=1, max_length=100)
    symbols: list[Symbol] = Field(["*"], min_length=1, max_length=100_000)
    delivery: Literal["lossless", "conflate", "lockstep"] = "lossless"
    interval_ms: int | None = Field(None, ge=10, le=60_000)
    name: MemberName | None = None
    policy: Literal["pause", "drop", "fail"] | None = None
    # mypy knows no Literal of a tuple; pydantic does.
    calls: list[Literal[CALLS]] | None = Field(None, max_length=100)  # type: ignore[valid-type]
    rows: Literal["columns", "records"] = "columns"
    after: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _check_lockstep(self) -> Self:
        given = self.model_fields_set & {"name", "policy", "calls", "rows", "after"}
        if self.delivery != "lockstep" and given:
            raise ValueError(f"{', '.join(sorted(given))} goes with delivery 'lockstep' only")
        if self.delivery == "lockstep" and self.name is None:
            raise ValueError("delivery 'lockstep' needs a name")
        return self


class Resume(_Message):
    """Goes on after a slice; with a subscription of its own, or the one that stands."""

    action: Literal["resume"]
    epoch: int = Field(ge=1)
    after: int = Field(ge=0)
    session: str | None = Field(None, max_length=64)
    channels: list[ChannelName] | None = Field(None, min_length=1, max_length=100)
    symbols: list[Symbol] | None = Field(None, min_length=1, max_length=100_000)
    delivery: Literal["lossless"] | None = None


class Leave(_Message):
    """Leaves the barrier on purpose; the session goes on."""

    action: Literal["leave"]


class Fail(_Message):
    """The client's strategy has failed, and the run is to fail with it."""

    action: Literal["fail"]
    detail: str = Field(max_length=10_000)


_ACTIONS: dict[str, type[Subscribe] | type[Resume] | type[Leave] | type[Fail]] = {
    "subscribe": Subscribe, "resume": Resume, "leave": Leave, "fail": Fail,
}  # fmt: skip
_QUICK: dict[str, type[Ack] | type[Read]] = {"ack": Ack, "read": Read}  # many a second
_from_json: msgspec.json.Decoder[Ack | Read] = msgspec.json.Decoder(Ack | Read)
_from_msgpack: msgspec.msgpack.Decoder[Ack | Read] = msgspec.msgpack.Decoder(Ack | Read)
Message = Subscribe | Resume | Leave | Fail | Ack | Read


class Subscription(msgspec.Struct, frozen=True):
    """What a client wants, in a form that equal wishes share."""

    channels: tuple[Channel, ...]  # in the order of rows within a slice
    status: bool
    symbols: frozenset[str] | None  # None: all
    lossless: bool
    interval_s: float


def subscription_of(message: Subscribe | Resume) -> Subscription:
    """The wish that a message holds; ViolationError where its parts do not fit."""
    names = set(message.channels or ())
    channels = [Channel(*parse_channel(name)) for name in names - {STATUS}]
    symbols = message.symbols or ["*"]
    if "*" in symbols and len(symbols) > 1:
        raise ViolationError("malformed", f"symbols is {symbols[:5]}: '*' stands alone")
    conflate = isinstance(message, Subscribe) and message.delivery == "conflate"
    interval_ms = message.interval_ms if isinstance(message, Subscribe) else None
    if interval_ms is not None and not conflate:
        raise ViolationError("malformed", "interval_ms goes with delivery 'conflate' only")
    return Subscription(
        tuple(sorted(channels, key=lambda c: code_rank(c.code))),
        STATUS in names,
        None if "*" in symbols else frozenset(symbols),
        not conflate,
        (interval_ms or DEFAULT_INTERVAL_MS) / 1000,
    )


def read_message(data: str | bytes, encoding: str) -> Message:
    """A client's message; ViolationError says what is wrong with it."""
    quick = read_quick(data, encoding)
    if quick is not None:
        return quick
    plain = _decode(data, encoding)
    if not isinstance(plain, dict):
        raise ViolationError("malformed", "not an object with an action: subscribe or resume")
    action = str(plain.get("action"))
    if action in _QUICK:
        return _read_quick(plain, _QUICK[action])
    model = _ACTIONS.get(action)
    if model is None:
        raise ViolationError(
            "unknown_action",
            f"action is {plain.get('action')!r}; allowed: {', '.join((*_ACTIONS, *_QUICK))}",
        )
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        first = validation_errors([dict(e) for e in error.errors(include_url=False)])[0]
        detail = f"{first['field']}: {first['message']}"
        raise ViolationError("malformed", f"{detail}; came {first['came']!r:.100}") from error


def read_quick(data: str | bytes, encoding: str) -> Ack | Read | None:
    """What is said many times a second, read in one go; None where it is anything else."""
    try:
        if isinstance(data, str):
            return _from_json.decode(data)
        return _from_msgpack.decode(data) if encoding == "msgpack" else None
    except (msgspec.DecodeError, UnicodeError):
        return None


def _read_quick(plain: dict[str, Any], kind: type[Ack] | type[Read]) -> Ack | Read:
    try:
        if isinstance(plain.get("until"), str):
            plain["until"] = parse_time_ns(plain["until"])
        return msgspec.convert(plain, kind, strict=True)
    except (msgspec.ValidationError, TimeError) as error:
        raise ViolationError("malformed", f"{kind.__name__.lower()}: {error}") from error


def _decode(data: str | bytes, encoding: str) -> Any:
    try:
        if isinstance(data, str):
            return read_json(data)
        if encoding == "msgpack":
            return msgspec.msgpack.decode(data)
    except (json.JSONDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        kind = "JSON" if isinstance(data, str) else "msgpack"
        raise ViolationError("malformed", f"not {kind}: {error}", UNSUPPORTED) from error
    raise ViolationError("binary", "binary frames need ?encoding=msgpack", UNSUPPORTED)
