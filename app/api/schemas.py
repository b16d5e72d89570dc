"""What the bodies of the HTTP contract share; those of an area are in ``schemas_<area>``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Time = Annotated[
    str,
    Field(
        description="RFC 3339 in UTC, with as many decimals as needed.",
        examples=["2013-10-07T13:31:00Z"],
    ),
]
Day = Annotated[
    str,
    Field(description="Trading date.", examples=["2013-10-07"], pattern=r"^\d{4}-\d{2}-\d{2}$"),
]
Size = Annotated[
    int | float, Field(description="Shares or contracts; a whole number where the catalog's is.")
]
StateName = Literal[
    "STOPPED", "STARTING", "RUNNING", "PAUSED", "STOPPING", "COMPLETED", "FAILED"
]  # fmt: skip
RunStateName = Literal[
    "queued", "running", "completed", "stopped", "failed", "interrupted", "broken"
]  # fmt: skip
HoursName = Literal["regular", "extended", "all"]


class Body(BaseModel):
    """What a caller sends: unknown fields and other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(BaseModel):
    """What the server answers."""

    model_config = ConfigDict(extra="forbid")


class Login(Body):
    """What a browser logs in with."""

    key: str = Field(max_length=1024, description="The server's TAPEDECK_API_KEY.")


class FieldError(Answer):
    field: str = Field(description="Where: body.speed, query.limit, ...")
    message: str
    came: Any = Field(description="The input, shortened; null where nothing came.")
    allowed: str = Field(description="What would be taken.")


class Problem(BaseModel):
    """application/problem+json (RFC 9457)."""

    type: str = Field(description="What kind of problem, as a URN.")
    title: str
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What came, what is allowed, and what to do.")
    state: StateName | RunStateName | None = Field(
        None, description="409: the state of the session or run that forbids it."
    )
    errors: list[FieldError] | None = Field(None, description="422: every field that is wrong.")
    allowed: list[str] | None = Field(None, description="405: the methods that are.")
    nearest: list[str] | None = Field(None, description="404: names like the one that came.")


class CommandInfo(Answer):
    number: int = Field(description="Commands are numbered in order of arrival.")
    time: Time
    seq: int = Field(description="The last slice before it took effect.")


class Health(Answer):
    status: Literal["ok"]


class Ready(Answer):
    status: Literal["ready"]
