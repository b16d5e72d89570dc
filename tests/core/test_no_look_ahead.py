"""A test that alters the future: with every item after T changed, all up to T is the same."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from app.managers.system_manager import ReplaySession
from app.managers.system_manager.answers import Answer
from app.model import FIELDS, TEXTS, StreamType
from app.times import format_time
from tests.core.harness import (
    DAY1,
    DAY2,
    MINUTE,
    SECOND,
    Recorder,
    bar,
    open_ns,
    open_session,
    quote,
    session_bars,
    trade,
    write,
)

RANGE: dict[str, Any] = {"start": str(DAY1), "end": str(DAY2), "history_days": 1}
T_NS = [open_ns(DAY1) + m * MINUTE + s for m, s in ((7, 0), (200, 1), (389, 0), (390, 0))] + [
    open_ns(DAY2) - 1,
    open_ns(DAY2) + 3 * MINUTE,
]


def _catalog(root: Path, after_ns: int | None) -> Path:
    """The same rows up to ``after_ns``; everything released later is different."""
    dice = random.Random(5)
    for day in (DAY1, DAY2):
        start = open_ns(day)
        bars = session_bars(day, [m for m in range(391) if m % 17])
        ticks = [start + dice.randrange(390 * 60) * SECOND for _ in range(300)]
        trades = [trade(t, 10 + dice.random()) for t in sorted(ticks)]
        trades.append(trade(start + 390 * MINUTE + 480 * SECOND, 12.34, auction="close"))
        trades = [{"auction": None, **t} for t in trades]
        quotes = [quote(t, 9 + dice.random()) for t in sorted(ticks)]
        if after_ns is not None:
            bars = [b if b["ts"] + MINUTE <= after_ns else _other(b) for b in bars]
            bars = [b for b in bars if b["ts"] + MINUTE <= after_ns or b["ts"] // MINUTE % 3]
            trades = [t if t["ts"] <= after_ns else {**t, "price": 77.7} for t in trades]
            quotes = [q if q["ts"] <= after_ns else {**q, "bid": 1.0, "side": "X"} for q in quotes]
        write(root, "bars_1m", "AAA", day, bars)
        write(root, "trades", "AAA", day, trades)
        write(root, "quotes", "AAA", day, quotes)
    return root


def _other(row: dict[str, Any]) -> dict[str, Any]:
    return bar(row["ts"], 500.0, 1)


def _upto(root: Path, target_ns: int) -> tuple[Any, ...]:
    """All that anyone can see at the last slice at or before ``target_ns``."""
    recorder = Recorder(rows=1)
    with open_session(root, recorder=recorder, start_paused=True, **RANGE) as (_, _, session):
        while session.view().now_ns < target_ns:
            before = session.view().now_ns
            done = session.step("bar", 1).result(10)
            assert done.time_ns > before
            if done.time_ns > target_ns:
                break
        seen = [w.items.tobytes() for w in recorder.windows if w.times_ns[-1] <= target_ns]
        return (*_answers(session, target_ns), seen)


def _answers(session: ReplaySession, target_ns: int) -> tuple[Any, ...]:
    view = session.view()
    if view.now_ns > target_ns:  # a day's last boundary: what it shows may lie after the target
        return ()
    summary = session.summary(None).symbols["AAA"]
    ticks = [session.ticks("AAA", k, 10_000, None, None) for k in StreamType if k != "bars"]
    bars = [session.bars("AAA", i, 10_000, None, None) for i in ("1m", "5m", "15m", "1d")]
    return (
        format_time(view.now_ns),
        view.digest,
        summary._replace(bar=None, trade=None, quote=None),
        [_shown(answer) for answer in bars + ticks],
        session.quality("AAA"),
        session.day_records(),
        session.status().discarded,
    )


def _shown(answer: Answer) -> list[Any]:
    """Rows with their texts: how a text is numbered inside is nobody's business."""
    found: list[Any] = [row.tobytes()[:16] for row in answer.items]
    for place, field in enumerate(FIELDS[answer.stream.type]):
        column = answer.items["v"][:, place]
        found.append(answer.words.look_up(column) if field in TEXTS else column.tobytes())
    return found


@pytest.mark.parametrize("target_ns", T_NS)
def test_alter_the_future(tmp_path: Path, target_ns: int) -> None:
    target_ns -= target_ns % MINUTE if target_ns % MINUTE != MINUTE - 1 else 0
    truth = _upto(_catalog(tmp_path / "one", None), target_ns)
    altered = _upto(_catalog(tmp_path / "two", target_ns), target_ns)
    assert truth == altered
    assert truth != _upto(_catalog(tmp_path / "three", target_ns - 5 * MINUTE), target_ns) or (
        target_ns == open_ns(DAY2) - 1
    ), "the check can fail"


def test_every_reader_stops_at_now(tmp_path: Path) -> None:
    """Columns are filled ahead of the clock; no public reader shows a row released later."""
    root = _catalog(tmp_path, None)
    with open_session(root, start_paused=True, **RANGE) as (_, _, session):
        for _ in range(60):
            session.step("slice", 7).result(10)
            now_ns = session.view().now_ns
            for interval in ("1m", "5m", "15m", "1d"):
                answer = session.bars("AAA", interval, 10_000, None, None)
                assert answer.view.now_ns == now_ns
                assert (answer.items["release_ns"] <= now_ns).all()
            for kind in (StreamType.TRADE, StreamType.QUOTE):
                assert (
                    session.ticks("AAA", kind, 10_000, None, None).items["release_ns"] <= now_ns
                ).all()
            gaps = session.quality("AAA").gaps
            assert all(gap.end_ns <= now_ns for gap in gaps)
