"""A prepared cache gives what the Parquet files give, byte for byte, or is not used."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.errors import CatalogError, RequestError
from app.managers.data_manager.backtest_stream_coordinator import get_coordinator
from app.managers.system_manager import (
    ReplaySession,
    SessionConfig,
    SessionDefaults,
    SystemManager,
)
from app.managers.system_manager import prepared as prepared_module
from app.managers.system_manager.backtest import BacktestEngine
from app.model import FIELDS, TEXTS, StreamType
from settings import load_settings
from tests.core.harness import (
    DAY1,
    DAY2,
    DAY3,
    MINUTE,
    SECOND,
    Recorder,
    Row,
    bar,
    open_ns,
    quote,
    session_bars,
    trade,
    write,
)
from tests.trading.whole.market import write_market

BUSY = Path(__file__).parents[1] / "trading" / "whole" / "strategies" / "busy.py"
DAYS = (DAY1, DAY2, DAY3)
SYMBOLS = ("AAA", "BBB")
PLAIN = SessionDefaults(speed=0)


def told(done: int, total: int, label: str) -> None:
    del done, total, label


def prepare(root: Path, cache: Path, defaults: SessionDefaults = PLAIN) -> Path:
    manager = SystemManager(str(root), defaults, cache)
    return manager.prepare(["*"], None, None, told).path


@contextmanager
def opened(
    root: Path, cache: Path | None, defaults: SessionDefaults = PLAIN, **wish: Any
) -> Iterator[tuple[ReplaySession, Recorder, bool]]:
    """A session that stands at its start, what it delivers, and whether it has a cache."""
    manager = SystemManager(str(root), defaults, cache)
    recorder = Recorder()
    manager.on_session(lambda session: session.attach(recorder))
    config = {"symbols": ["*"], "start": str(DAYS[0]), "end": str(DAYS[-1]), **wish}
    try:
        session = manager.start_session(SessionConfig(**config, start_paused=True))
        yield session, recorder, get_coordinator().upkeep is None
    finally:
        manager.close()


def shown(session: ReplaySession) -> dict[str, Any]:
    """All that a reader can see, as plain values."""
    view, status = session.view(), session.status()
    found: dict[str, Any] = {
        "view": view, "discarded": status.discarded, "days": session.day_records()[1],
        "progress": status.progress._replace(eta_s=None),
        "delivered": [(s.symbol, s.channel, s.delivered) for s in session.stream_stats()],
    }  # fmt: skip
    for symbol in session.symbols:
        for stream in session._branch.data.streams(symbol):
            if stream.type is StreamType.BAR:
                interval = f"{stream.interval_min}m"
                answer = session.bars(symbol, interval, 100_000, None, None)
            else:
                answer = session.ticks(symbol, stream.type, 100_000, None, None)
            items, texts = answer.items.copy(), []
            for column in (FIELDS[stream.type].index(t) for t in TEXTS if t in FIELDS[stream.type]):
                texts.append(answer.words.look_up(items["v"][:, column]))
                items["v"][:, column] = 0  # the number of a word is its source's own
            found[f"{symbol} {stream.channel}"] = (
                items.tobytes(), answer.starts_ns.tobytes(), answer.integral, texts,
            )  # fmt: skip
        found[f"{symbol} 1d"] = session.bars(symbol, "1d", 100, None, None).items.tobytes()
        found[f"{symbol} quality"] = session.quality(symbol)[1:]
    return found


def played(session: ReplaySession, recorder: Recorder, times_ns: list[int]) -> list[Any]:
    """What is shown at some times on the way, and at the end with all that was delivered."""
    found: list[Any] = []
    for time_ns in times_ns:
        if session.view().now_ns < time_ns < session.days[-1].end_ns:
            session.run_to(time_ns).result(20)
            found.append(shown(session))
    session.resume().result(20)
    assert session.wait(60), session.status()
    assert session.status().error is None
    items = b"".join(w.items.tobytes() for w in recorder.windows)
    return [*found, shown(session), session.stream_stats(), items]


# -- any rows, any cut ---------------------------------------------------------------------------

_SECONDS = st.integers(-1800, 25_200)  # around the hours


@st.composite
def _ticks(draw: st.DrawFn, /, make: Callable[..., Row], **texts: list[Any]) -> list[Row]:
    rows = []
    for second in sorted(draw(st.lists(_SECONDS, max_size=25))):
        words = {name: draw(st.sampled_from(values)) for name, values in texts.items()}
        rows.append(make(second * SECOND, draw(st.sampled_from([10.0, 11.5, -1.0])), **words))
    if len(rows) > 3 and draw(st.booleans()):
        rows[1], rows[-2] = rows[-2], rows[1]  # late ones
    return rows


@st.composite
def _bars(draw: st.DrawFn) -> list[Row]:
    minutes = sorted(draw(st.lists(st.integers(-30, 420), max_size=40)))  # some of them twice
    rows = [bar(m * MINUTE, draw(st.sampled_from([10.0, 11.0])), 100 + m) for m in minutes]
    if len(rows) > 3 and draw(st.booleans()):
        rows[0], rows[-1] = rows[-1], rows[0]
    return rows


TRADES: dict[str, list[Any]] = {
    "exchange": ["N", "Q", "P", None], "conditions": ["", "T", "I4"],
    "auction": [None, None, "close", "open"],
}  # fmt: skip
STREAMS = {
    "bars_1m": _bars(),
    "trades": _ticks(trade, **TRADES),
    "quotes": _ticks(quote, exchange=["N", "Z"], side=["A", "B", None]),
}
_DAY_ROWS = st.fixed_dictionaries(
    {
        (dataset, symbol, day): rows
        for dataset, rows in STREAMS.items()
        for symbol in SYMBOLS
        for day in DAYS
        if (symbol, dataset) != ("BBB", "bars_1m")  # its bars are made of trades
    }
)
_MAKE: dict[str, Callable[[int], Row]] = {"bars_1m": bar, "trades": trade, "quotes": quote}
_DAY = st.integers(0, 2)
_SPANS = st.lists(st.tuples(_DAY, _DAY, _DAY), min_size=1, max_size=2)
_STRAYS = st.lists(st.tuples(st.sampled_from(list(STREAMS)), _DAY, _DAY), max_size=1)


def write_days(root: Path, found: Any, strays: list[tuple[str, int, int]]) -> None:
    """Every stream has a row on each day; a stray is of one day and lies in another's file."""
    for (dataset, symbol, day), drawn in found.items():
        make = _MAKE[dataset]
        rows = [{**row, "ts": row["ts"] + open_ns(day)} for row in drawn]
        rows.append(make(open_ns(day) + 421 * MINUTE))
        rows.insert(0, make(open_ns(day) + (0 if dataset == "bars_1m" else SECOND)))
        rows += [
            make(open_ns(DAYS[of]) + 100 * MINUTE)
            for kind, of, where in strays
            if (kind, DAYS[where]) == (dataset, day)
        ]
        write(root, dataset, symbol, day, rows)


@settings(
    max_examples=15, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(
    rows=_DAY_ROWS, strays=_STRAYS, spans=_SPANS,
    stops=st.lists(st.tuples(_DAY, _SECONDS), max_size=2), read_rows=st.sampled_from([3, 8192]),
    hours=st.sampled_from(["regular", "extended", "all"]),
)  # fmt: skip
def test_both_ways_show_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: Any, strays: Any, spans: Any, stops: Any,
    read_rows: int, hours: str,
) -> None:  # fmt: skip
    root, cache = tmp_path_factory.mktemp("any"), tmp_path_factory.mktemp("cache")
    write_days(root, rows, strays)
    defaults = replace(PLAIN, hours=hours)
    prepare(root, cache, replace(defaults, read_rows=read_rows))
    times = sorted(open_ns(DAYS[day]) + second * SECOND for day, second in stops)
    for first, last, history in {(0, 2, 0), *((min(a, b), max(a, b), h) for a, b, h in spans)}:
        wish = {"start": str(DAYS[first]), "end": str(DAYS[last]), "history_days": history}
        ways = []
        for folder in (None, cache):
            with opened(root, folder, defaults, **wish) as (session, recorder, prepared):
                # Days of 24 hours touch: where one ends and begins is no matter of rows alone.
                assert folder is None or prepared or strays or hours == "all"
                ways.append(played(session, recorder, times))
        for one, other in zip(*ways, strict=True):
            assert one == other


# -- moved about ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of bars, trades with texts and closing auctions, quotes; some rows are wrong."""
    folder = tmp_path_factory.mktemp("market")
    for number, day in enumerate(DAYS):
        start = open_ns(day)
        bars = session_bars(day, [m for m in range(390) if m % 97])
        bars.insert(100, bars[99])
        bars.insert(50, bars[20])
        bars.append(bar(start + 400 * MINUTE))
        write(folder, "bars_1m", "AAA", day, bars)
        trades = [
            trade(start + s * SECOND, 20 + s / 1000, exchange="QNPZ"[(s // 4000 + number) % 4])
            for s in range(0, 23_400, 61)
        ]
        close = trade(start + 390 * MINUTE + 9 * SECOND, 44.0 + number, auction="close")
        trades = [{"auction": None, **row} for row in trades] + [close]
        write(folder, "trades", "BBB", day, trades)
        write(folder, "quotes", "BBB", day, [quote(row["ts"]) for row in trades[:-1:3]])
    return folder


@pytest.fixture(scope="module")
def cache(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    prepare(root, folder)
    return folder


def moved(root: Path, cache: Path | None) -> Iterator[Any]:
    with opened(root, cache, history_days=1) as (session, _, prepared):
        assert prepared == (cache is not None)
        for unit, count in (("slice", 7), ("bar", 30), ("day", 1), ("bar", 3)):
            session.step(unit, count).result(20)  # type: ignore[arg-type]
            yield shown(session)
        for time_ns in (
            open_ns(DAY2) + 50 * MINUTE, open_ns(DAY2) + 20 * MINUTE, open_ns(DAY1) + 5 * MINUTE,
            open_ns(DAY3) + 389 * MINUTE, open_ns(DAY2) + 391 * MINUTE,
        ):  # fmt: skip
            session.seek(time_ns).result(20)
            yield shown(session)
        session.set_speed(1_000_000).result(20)
        session.resume().result(20)
        assert session.wait(60)
        yield shown(session)
        yield session.stream_stats()


def test_steps_seeks_and_speeds_are_the_same(root: Path, cache: Path) -> None:
    for one, other in zip(moved(root, None), [*moved(root, cache)], strict=True):
        assert one == other


def test_a_backtest_is_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every event of a strategy that trades, warmed up by bars of days before."""
    catalog = write_market(tmp_path / "market", seed=5)
    wish = {
        "backtest": {"name": "fed", "start": str(DAY2), "end": str(DAY3)},
        "data": {"symbols": ["*"]},
        "strategies": [
            {"id": "busy", "file": str(BUSY), "name": "Brackets", "warmup": {"bars": 10}}
        ],
    }
    (tmp_path / "run.yaml").write_text(json.dumps(wish), "utf-8")
    digests = []
    for folder in (tmp_path / "none", tmp_path / "cache"):
        given = load_settings(None, data_catalog_uri=str(catalog), tapedeck_cache_dir=folder)
        manager = SystemManager.from_settings(given)
        if folder.name == "cache":
            manager.prepare(["*"], None, None, told)
        engine = BacktestEngine.from_config(
            tmp_path / "run.yaml", catalog=str(catalog), runs=tmp_path / "runs", report=False,
            settings=given,
        )  # fmt: skip
        with caplog.at_level(logging.INFO):
            result = engine.run()
        assert ("plays from the prepared cache" in caplog.text) == (folder.name == "cache")
        assert result.outcome == "completed", result.cause
        digests.append((result.digest, result.events_digest))
    assert digests[0] == digests[1]


# -- not used ------------------------------------------------------------------------------------


def _touched(root: Path, cache: Path) -> None:
    path = next((root / "quotes").rglob("*.parquet"))
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000_000))


def _added(root: Path, cache: Path) -> None:
    path = next((root / "bars_1m").rglob(f"*{DAY2}*"))
    shutil.copy(path, path.with_name(f"date={DAY2}-more.parquet"))


def _removed(root: Path, cache: Path) -> None:
    next((root / "bars_1m").rglob(f"*{DAY2}*")).unlink()


def _only(cache: Path, ending: str) -> Path:
    (path,) = cache.glob(f"prepared-*.{ending}")
    return path


def _flipped(ending: str, place: float) -> Callable[[Path, Path], None]:
    def flip(root: Path, cache: Path) -> None:
        path = _only(cache, ending)
        content = bytearray(path.read_bytes())
        content[int(place * (len(content) - 1))] ^= 1
        path.write_bytes(content)

    return flip


def _cut(ending: str) -> Callable[[Path, Path], None]:
    def cut(root: Path, cache: Path) -> None:
        path = _only(cache, ending)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return cut


STALE, DAMAGED = "files are not those", "is damaged"
CASES: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "changed": (_touched, STALE), "added": (_added, STALE), "removed": (_removed, STALE),
    "rows": (_flipped("arrow", 0.5), DAMAGED), "begin": (_flipped("arrow", 0), DAMAGED),
    "cut": (_cut("arrow"), DAMAGED), "manifest": (_flipped("msgpack", 0.5), DAMAGED),
    "its hash": (_flipped("msgpack", 0), DAMAGED), "half": (_cut("msgpack"), DAMAGED),
    "gone": (lambda root, cache: _only(cache, "arrow").unlink(), "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
def test_what_is_stale_or_damaged_is_told_and_not_used(
    root: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    mine = Path(shutil.copytree(root, tmp_path / "market", copy_function=shutil.copy2))
    folder = tmp_path / "cache"
    prepare(mine, folder)
    with opened(mine, folder) as (_, _, prepared):
        assert prepared
    harm, said = CASES[case]
    harm(mine, folder)
    with caplog.at_level(logging.WARNING), opened(mine, folder) as (session, _, prepared):
        assert not prepared
        session.resume().result(20)
        assert session.wait(60)
        digest = session.status().digest
    assert any(said in record.message for record in caplog.records), caplog.text
    prepare(mine, folder)  # and made again it is used
    with opened(mine, folder) as (session, _, prepared):
        assert prepared
        session.resume().result(20)
        assert session.wait(60)
        assert session.status().digest == digest


@pytest.mark.parametrize("name", ["exchange-calendars", "time zones", "code of tapedeck", "digest"])
def test_another_version_of_what_judges_the_rows_makes_it_unused(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:  # fmt: skip
    now = prepared_module.versions_of_now()
    assert name in now
    monkeypatch.setattr(prepared_module, "versions_of_now", lambda: now | {name: "another"})
    with caplog.at_level(logging.WARNING), opened(root, cache) as (_, _, prepared):
        assert not prepared
    assert f"another version of {name}" in caplog.text


@pytest.mark.parametrize(
    "other",
    [
        {"hours": "extended"}, {"derived_intervals": [5]}, {"symbols": ["AAA"]},
        {"streams": ["bars_1m"], "allow_missing": True}, {"calendar": "XLON"},
        {"start": "2013-10-04T15:00:00Z"}, {"end": "2013-10-08T15:00:00Z"},
    ],
    ids=str,
)  # fmt: skip
def test_a_session_of_other_settings_reads_the_files(
    root: Path, cache: Path, other: dict[str, Any]
) -> None:
    with opened(root, cache, **other) as (_, _, prepared):
        assert not prepared


def test_another_grace_reads_the_files(root: Path, cache: Path) -> None:
    with opened(root, cache, replace(PLAIN, grace_s=120)) as (_, _, prepared):
        assert not prepared


def test_it_is_not_used_where_the_settings_say_so(root: Path, cache: Path) -> None:
    with opened(root, cache, replace(PLAIN, from_cache=False)) as (_, _, prepared):
        assert not prepared


def test_days_that_are_added_later_leave_it_in_use(root: Path, tmp_path: Path) -> None:
    mine, folder = Path(shutil.copytree(root, tmp_path / "market")), tmp_path / "cache"
    prepare(mine, folder)
    write(mine, "bars_1m", "AAA", "2013-10-09", session_bars(DAY3.replace(day=9)))
    with opened(mine, folder) as (_, _, prepared):
        assert prepared


def test_rows_out_of_order_over_a_day_s_edge_keep_its_parts_from_use(tmp_path: Path) -> None:
    mine, folder = tmp_path / "market", tmp_path / "cache"
    for day in DAYS:
        rows = session_bars(day, range(60))
        late = [bar(open_ns(DAY1) + 300 * MINUTE)] if day == DAY2 else []
        write(mine, "bars_1m", "AAA", day, rows + late)
    prepare(mine, folder)
    spans = {(DAY1, DAY3): True, (DAY3, DAY3): True, (DAY2, DAY3): False, (DAY1, DAY1): False}
    for (first, last), fits in spans.items():
        with opened(mine, folder, start=str(first), end=str(last), history_days=0) as (
            _,
            _,
            prepared,
        ):
            assert prepared == fits, (first, last)


def test_a_cache_needs_a_folder_and_data(tmp_path: Path, root: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CatalogError, match="nothing to prepare"):
        prepare(tmp_path / "empty", tmp_path / "cache")
    with pytest.raises(RequestError, match="TAPEDECK_CACHE_DIR"):
        SystemManager(str(root), PLAIN, None).prepare(["*"], None, None, told)
    with pytest.raises(RequestError, match="whole days"):
        SystemManager(str(root), PLAIN, tmp_path).prepare(["*"], "2013-10-04T15:00Z", None, told)


def test_a_file_that_cannot_be_read_ends_a_build_and_leaves_nothing(
    root: Path, tmp_path: Path
) -> None:
    mine, folder = Path(shutil.copytree(root, tmp_path / "market")), tmp_path / "cache"
    manager = SystemManager(str(mine), PLAIN, folder)
    manager.catalog()
    broken = next((mine / "quotes").rglob("*.parquet"))
    content = bytearray(broken.read_bytes())
    content[10:200] = bytes(190)
    stamp = broken.stat()
    broken.write_bytes(content)
    os.utime(broken, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(CatalogError):
        manager.prepare(["*"], None, None, told)
    assert not list(folder.glob("prepared-*"))
