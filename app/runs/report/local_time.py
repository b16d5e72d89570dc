"""Exchange time: for hours, dates and axes that people read."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from app.model import Ints
from app.times import MINUTE_NS, SECOND_NS

HOUR_NS = 60 * MINUTE_NS
_STEP_NS = 15 * MINUTE_NS  # no zone has changed its offset within a quarter of an hour


def local_ns(ts_ns: Ints, zone: ZoneInfo) -> Ints:
    """Nanoseconds of the exchange's wall clock, as if it were UTC."""
    steps, back = np.unique(ts_ns // _STEP_NS, return_inverse=True)
    offsets = np.array([_offset_ns(int(step) * _STEP_NS, zone) for step in steps], np.int64)
    return ts_ns + offsets[back] if len(steps) else ts_ns


def local_ms(ts_ns: Ints, zone: ZoneInfo) -> list[int]:
    """The same in milliseconds, for an axis of times."""
    found: list[int] = (local_ns(ts_ns, zone) // 1_000_000).tolist()
    return found


def local_text(ts_ns: int, zone: ZoneInfo) -> str:
    """Date and minute on the exchange's wall clock; seconds where there are any."""
    moment = datetime.fromtimestamp(ts_ns // SECOND_NS, UTC).astimezone(zone)
    return moment.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")


def _offset_ns(ts_ns: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(ts_ns // SECOND_NS, UTC).astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds()) * SECOND_NS
