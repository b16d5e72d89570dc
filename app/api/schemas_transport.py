"""The bodies of the calls that go anywhere in a session's time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.api.schemas import Body

# For the page only: the errors of a time that is none are better said in words.
_PATTERN = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$"
_TIME = Field(
    max_length=64, examples=["2013-10-07T14:30:00Z"], json_schema_extra={"pattern": _PATTERN},
    description="A time of the session, with a zone; between two days it is the end of the first.",
)  # fmt: skip
Level = Annotated[float, Field(allow_inf_nan=False)]


class Seek(Body):
    """Where to go."""

    time: Annotated[str, _TIME]


class Price(Body):
    """The next 1m bar that closes, or eligible trade, beyond a price."""

    symbol: str = Field(min_length=1, max_length=64, examples=["SPY"])
    above: Level | None = Field(None, description="It is higher.", examples=[168.9])
    below: Level | None = Field(None, description="It is lower.")


class RunTo(Body):
    """Where to stop: one of the two."""

    time: Annotated[str, _TIME] | None = None
    until: Literal["fill", "gap", "close"] | Price | None = Field(
        None,
        description="fill: after the next fill of an order. gap: when a regular minute without "
        "a 1m bar of some symbol has ended, with which a gap begins. close: at the next close.",
    )
