"""What a stream client may say, checked; and what is said to one that says something else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.api.frames import Channel
from app.api.problems import validation_errors
from app.errors import RequestError
from app.model import code_rank, parse_channel

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


ChannelName = Annotated[str, AfterValidator(_check_channel)]
Symbol = Annotated[str, Field(min_length=1, max_length=64)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Subscribe(_Message):
    """Replaces what the socket was subscribed to."""

    action: Literal["subscribe"]
    channels: list[ChannelName] = Field(min_length=1, max_length=100)
    symbols: list[Symbol] = Field(["*"], min_length=1, max_length=100_000)
    delivery: Literal["lossless", "conflate"] = "lossless"
    interval_ms: int | None = Field(None, ge=10, le=60_000)


class Resume(_Message):
    """Goes on after a slice; with a subscription of its own, or the one that stands."""

    action: Literal["resume"]
    epoch: int = Field(ge=1)
    after: int = Field(ge=0)
    session: str | None = Field(None, max_length=64)
    channels: list[ChannelName] | None = Field(None, min_length=1, max_length=100)
    symbols: list[Symbol] | None = Field(None, min_length=1, max_length=100_000)
    delivery: Literal["lossless"] | None = None


_ACTIONS: dict[str, type[Subscribe] | type[Resume]] = {"subscribe": Subscribe, "resume": Resume}


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


def read_message(data: str | bytes, encoding: str) -> Subscribe | Resume:
    """A client's message; ViolationError says what is wrong with it."""
    plain = _decode(data, encoding)
    if not isinstance(plain, dict):
        raise ViolationError("malformed", "not an object with an action: subscribe or resume")
    model = _ACTIONS.get(str(plain.get("action")))
    if model is None:
        raise ViolationError(
            "unknown_action", f"action is {plain.get('action')!r}; allowed: subscribe, resume"
        )
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        first = validation_errors([dict(e) for e in error.errors(include_url=False)])[0]
        detail = f"{first['field']}: {first['message']}"
        raise ViolationError("malformed", f"{detail}; came {first['came']!r:.100}") from error


def _decode(data: str | bytes, encoding: str) -> Any:
    try:
        if isinstance(data, str):
            return orjson.loads(data)
        if encoding == "msgpack":
            return msgspec.msgpack.decode(data)
    except (orjson.JSONDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        kind = "JSON" if isinstance(data, str) else "msgpack"
        raise ViolationError("malformed", f"not {kind}: {error}", UNSUPPORTED) from error
    raise ViolationError("binary", "binary frames need ?encoding=msgpack", UNSUPPORTED)
