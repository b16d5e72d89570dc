"""What is added look by look is what one look at the whole day shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.managers.system_manager import ReplaySession
from app.model import Stream, StreamType
from tests.core.harness import (
    DAY1,
    DAY2,
    DAY3,
    MINUTE,
    bar,
    open_ns,
    open_session,
    session_bars,
    write,
)

NAMES = ["AAA", "BBB", "CCC", "DDD"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole days, days with holes, bars before the opening, a symbol of one day alone."""
    root = tmp_path_factory.mktemp("catalog")
    random = np.random.default_rng(7)
    for day in (DAY1, DAY2, DAY3):
        early = [bar(open_ns(day) - m * MINUTE, 9.0, 7) for m in (40, 3)]
        write(root, "bars_1m", "AAA", day, early + session_bars(day))
        holes = sorted(random.choice(390, 60, replace=False).tolist())
        rows = session_bars(day, holes, 20.0)
        for row in rows:
            row["volume"], row["vwap"] = int(random.integers(1, 10**9)), 20.125
        write(root, "bars_1m", "BBB", day, rows)
    write(root, "bars_1m", "CCC", DAY2, session_bars(DAY2, range(200, 240)))
    write(root, "bars_1m", "DDD", DAY1, session_bars(DAY1))
    return root


def check(session: ReplaySession, names: list[str]) -> None:
    """Against the whole day, symbol by symbol."""
    data, view = session._branch.data, session.view()
    found = session.summary(names)
    assert found.view == view
    assert list(found.symbols) == names
    for name, one in found.symbols.items():
        day = data.get_session_metrics(name, view)
        shown = (one.open, one.high, one.low, one.volume, one.bars, one.quality)
        assert shown == (day.open, day.high, day.low, day.volume, day.bars, day.quality)
        newest = data.visible(Stream(name, StreamType.BAR, 1), view)[-1:]
        assert (b"" if one.bar is None else one.bar.tobytes()) == newest.tobytes()
        assert one.last == (float(newest["v"][0, 3]) if len(newest) else None)


@pytest.mark.parametrize("history_days", [0, 1])
@pytest.mark.parametrize("hours", ["regular", "extended"])
def test_looks_at_any_views_show_what_one_look_shows(
    root: Path, hours: str, history_days: int
) -> None:
    random = np.random.default_rng(history_days)
    with open_session(
        root, start=str(DAY1 if not history_days else DAY2), end=str(DAY3), hours=hours,
        history_days=history_days, start_paused=True, symbols=NAMES, allow_missing=True,
    ) as (_, _, session):  # fmt: skip
        names = list(session.symbols)  # one has no rows after the first day
        check(session, names)
        for _ in range(25):
            kind = random.choice(["bar", "slice", "day", "back"], p=[0.5, 0.3, 0.1, 0.1])
            if kind == "back":
                day = session.days[session.view().day]
                step = session.seek(max(day.first_ns, session.view().now_ns - 50 * MINUTE))
            else:
                step = session.step(kind, 1 if kind == "day" else int(random.integers(1, 90)))
            step.result(60)
            check(session, names)
            if random.random() < 0.5:
                check(session, names[1:3])
            if session.ended:
                break
