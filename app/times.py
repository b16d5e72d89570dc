"""Times at the edges: RFC 3339 text and aware datetimes to int nanoseconds, and back."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import TimeError

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS

_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ]((?!24)\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:[0-5]\d)",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def parse_time_ns(text: str) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time; a naive one is refused."""
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise TimeError(
            f"not a time with a zone: {text!r}; write RFC 3339, such as 2013-10-07T09:30:00-04:00"
        )
    day, clock, fraction, zone = match.groups()
    offset = "+00:00" if zone in "Zz" else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{offset}")
        whole = int(moment.timestamp())
    except (ValueError, OverflowError) as error:
        raise TimeError(f"not a time: {text!r} ({error})") from error
    result = whole * SECOND_NS + int((fraction or "").ljust(9, "0"))
    if not -(2**63) < result < 2**63:
        raise TimeError(f"time out of range: {text!r}; years 1678 to 2261 can be held")
    return result


def parse_date(text: str) -> date | None:
    """The date that ``text`` is, or None where it has not the form of one."""
    if not _DATE.fullmatch(text.strip()):
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise TimeError(f"not a date: {text!r} ({error})") from error


def format_time(ns: int) -> str:
    """RFC 3339 in UTC with as many decimals as needed."""
    whole, fraction = divmod(ns, SECOND_NS)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if fraction:
        text += f".{fraction:09d}".rstrip("0")
    return text + "Z"


def format_times(ns: NDArray[np.int64]) -> list[str]:
    """As ``format_time``, of a whole column; each distinct time is made once."""
    distinct, back = np.unique(ns, return_inverse=True)
    if not len(distinct):
        return []
    texts = _format_distinct(distinct)
    return [texts[i] for i in back.tolist()]


def _format_distinct(ns: NDArray[np.int64]) -> list[str]:
    stamps = ns.astype("datetime64[ns]")
    if not np.any(ns % SECOND_NS):
        found: Any = np.datetime_as_string(stamps.astype("datetime64[s]")).tolist()
        return [text + "Z" for text in found]
    found = np.datetime_as_string(stamps).tolist()
    return [text.rstrip("0").rstrip(".") + "Z" for text in found]


def datetime_to_ns(moment: datetime) -> int:
    """Exact nanoseconds of an aware datetime; a naive one is refused."""
    if moment.tzinfo is None:
        raise TimeError(f"a time without zone was given: {moment.isoformat()}; add one")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * SECOND_NS + delta.microseconds * 1_000
