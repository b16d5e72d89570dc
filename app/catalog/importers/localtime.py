"""Local wall time to UTC, with the two hours of the year that are not like the others."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from app.catalog.importers.cast import Mask
from app.errors import RequestError
from app.model import Ints
from app.times import DAY_NS, MINUTE_NS, SECOND_NS

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall time, the zone comes after

_QUARTER_NS = 15 * MINUTE_NS  # clocks are changed on whole quarters of an hour


class Resolved(NamedTuple):
    """Wall times in UTC: the first occurrence, and what is special about each."""

    first_ns: Ints
    second_ns: Ints  # the second occurrence where the wall time comes twice, else the same
    missing: Mask  # the clock never shows it: it was put forward over it


def load_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; RequestError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RequestError(
            f"unknown time zone {name!r}; give an IANA name such as America/New_York or UTC"
        ) from error


def resolve(wall_ns: Ints, zone: ZoneInfo) -> Resolved:
    """UTC of wall times given as nanoseconds since the wall's own 1970-01-01 00:00."""
    days, back = np.unique(wall_ns // DAY_NS, return_inverse=True)
    offsets = [_whole_day_offset_ns(zone, day) for day in days.tolist()]
    plain = np.array([0 if o is None else o for o in offsets], np.int64)
    first = wall_ns - plain[back]
    second = first.copy()
    for place in [i for i, offset in enumerate(offsets) if offset is None]:
        rows = np.flatnonzero(back == place)
        minutes, at = np.unique(wall_ns[rows] // MINUTE_NS, return_inverse=True)
        pairs = np.array([_offsets_ns(zone, m * 60) for m in minutes.tolist()], np.int64)
        first[rows] = wall_ns[rows] - pairs[at, 0]
        second[rows] = wall_ns[rows] - pairs[at, 1]
    # Over a gap the later offset is the greater one, so the order is turned round.
    missing: Mask = second < first
    return Resolved(first, second, missing)


def local_days(utc_ns: Ints, zone: ZoneInfo) -> Ints:
    """The zone's date of each time, as days since 1970-01-01."""
    quarters, back = np.unique(utc_ns // _QUARTER_NS, return_inverse=True)
    offsets = np.array([_utc_offset_ns(zone, q) for q in quarters.tolist()], np.int64)
    days: Ints = (utc_ns + offsets[back]) // DAY_NS
    return days


@lru_cache(maxsize=65_536)
def _utc_offset_ns(zone: ZoneInfo, quarter: int) -> int:
    moment = datetime.fromtimestamp(quarter * _QUARTER_NS // SECOND_NS, zone)
    return _delta_ns(moment.utcoffset())


@lru_cache(maxsize=65_536)
def _whole_day_offset_ns(zone: ZoneInfo, day: int) -> int | None:
    """The offset of a day on which the clock is not changed."""
    edges = {o for s in (day * 86_400, (day + 1) * 86_400) for o in _offsets_ns(zone, s)}
    return edges.pop() if len(edges) == 1 else None


@lru_cache(maxsize=65_536)
def _offsets_ns(zone: ZoneInfo, wall_s: int) -> tuple[int, int]:
    """Offsets of the first and of the second occurrence of a wall time."""
    wall = (_EPOCH + timedelta(seconds=wall_s)).replace(tzinfo=zone)
    return _delta_ns(wall.utcoffset()), _delta_ns(wall.replace(fold=1).utcoffset())


def _delta_ns(delta: timedelta | None) -> int:
    return int((delta or timedelta()).total_seconds()) * SECOND_NS
