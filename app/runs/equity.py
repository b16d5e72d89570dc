"""The equity curve of a run as others draw it: thinned, with its drawdown and its days."""

from __future__ import annotations

from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from app.model import Floats, Ints
from app.runs.folder import RunFolder
from app.runs.report.downsample import extremes
from app.runs.report.local_time import local_ns


class Curve(NamedTuple):
    """The account at ``ts_ns``; ``drawdown`` is at most 0, a fraction of the highest before."""

    rows: int
    ts_ns: Ints
    equity: Floats
    drawdown: Floats
    days: list[tuple[str, float]]  # local date, change of equity


def read_curve(folder: RunFolder, initial: float, zone: ZoneInfo, points: int) -> Curve:
    """A run's curve in at most about ``points`` points, up to its last flush."""
    table = folder.table("equity")
    ts_ns: Ints = table["ts_ns"].cast(pa.int64()).to_numpy()
    equity: Floats = table["equity"].to_numpy()
    if not len(equity):
        return Curve(0, ts_ns, equity, equity, [])
    peak = np.maximum.accumulate(np.concatenate([[initial], equity]))[1:]
    drawdown = np.divide(equity, peak, out=np.ones_like(equity), where=peak > 0) - 1
    at = extremes(equity, points)
    return Curve(
        len(equity), ts_ns[at], equity[at], drawdown[at],
        _days(ts_ns, equity, initial, zone),
    )  # fmt: skip


def _days(ts_ns: Ints, equity: Floats, initial: float, zone: ZoneInfo) -> list[tuple[str, float]]:
    dates = local_ns(ts_ns, zone).astype("datetime64[ns]").astype("datetime64[D]")
    last = np.flatnonzero(np.append(dates[1:] != dates[:-1], True))
    changes = np.diff(np.concatenate([[initial], equity[last]]))
    return list(zip(dates[last].astype(str).tolist(), changes.tolist(), strict=True))
