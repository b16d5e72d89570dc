"""Where two runs part, by hand-made runs that part at a known place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.errors import RunError
from app.runs.diff import Difference, diff_runs, differences
from app.runs.folder import RunFolder
from app.runs.manifest import RunState
from app.runs.spec import StrategyFile
from app.runs.store import RunStore
from app.runs.writer import AuditWriter
from app.trading.data_events import EquityEvent
from app.trading.events import WarningEvent
from tests.runs.conftest import OpenStore
from tests.runs.made import recorded, spec
from tests.runs.test_writer import curve


def run_of(
    store: RunStore, tmp_path: Path, *texts: str, ended: bool = True, **fields: Any
) -> RunFolder:
    """A run whose events are warnings of these texts."""
    handle = store.create(spec(tmp_path, **fields))
    writer = AuditWriter(handle.path)
    for ts_ns, text in enumerate(texts):
        writer.add(WarningEvent(ts_event_ns=ts_ns, code="said", text=text))
    writer.flush()
    if ended:
        writer.close()
        handle.finish(RunState.COMPLETED, events=writer.events, events_digest=writer.events_digest)
    else:
        handle.release()
    return store.open(handle.id)


def test_two_runs_of_the_same_are_equal(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    runs = [store.open(recorded(store, tmp_path, cut)) for cut in (30, 1)]
    found = diff_runs(*runs)
    assert found.equal
    assert (found.first_event, found.came_to, found.summary, found.made_of) == (None, (), (), ())


def test_the_first_event_at_which_they_part(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    found = diff_runs(
        run_of(store, tmp_path, "a", "b", "c", "d"), run_of(store, tmp_path, "a", "b", "x", "y")
    )
    assert not found.equal
    assert found.first_event is not None
    assert found.first_event.seq == 3
    assert found.first_event.a == {
        "type": "warning", "ts_event_ns": 2, "code": "said", "text": "c", "symbol": None,
        "strategy_id": None,
    }  # fmt: skip
    assert found.first_event.fields == (Difference("text", "c", "x"),)
    assert [d.path for d in found.came_to] == ["events_digest"]


@pytest.mark.parametrize("ended", [True, False])
def test_one_run_goes_on(open_store: OpenStore, tmp_path: Path, ended: bool) -> None:
    store = open_store()
    short = run_of(store, tmp_path, "a", ended=ended)
    long = run_of(store, tmp_path, "a", "b", ended=ended)
    for found, names in ((diff_runs(short, long), "ab"), (diff_runs(long, short), "ba")):
        assert found.first_event is not None
        assert found.first_event.seq == 2
        assert getattr(found.first_event, names[0]) is None
        assert getattr(found.first_event, names[1])["text"] == "b"


def test_parting_of_real_orders_names_the_field(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    found = diff_runs(
        store.open(recorded(store, tmp_path)), store.open(recorded(store, tmp_path, price=10.75))
    )
    assert found.first_event is not None
    assert (found.first_event.seq, found.first_event.fields) == (
        4, (Difference("orders[0].limit_price", 10.5, 10.75),),
    )  # fmt: skip
    row = next(d for d in found.came_to if d.path == "orders[0]")
    assert (row.a["limit_price"], row.b["limit_price"]) == (10.5, 10.75)
    assert isinstance(row.a["submitted_ns"], int)


def test_what_they_were_made_of_says_nothing_against_them(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    other = tmp_path / "other.py"
    other.write_text("VALUE = 2\n")
    found = diff_runs(
        run_of(store, tmp_path, "a"),
        run_of(
            store, tmp_path, "a", seed=8, config={"backtest": {"name": "small"}, "risk": [1, 2]},
            strategies=[StrategyFile("a", "other.py", other)], data=[],
        ),
    )  # fmt: skip
    assert found.equal
    assert [d.path for d in found.made_of] == [
        "config.data.symbols[0]", "config.risk[0]", "config.risk[1]", "data",
        "data.actions", "data.bars_1m/AAA.parquet", "seed", "strategies.a",
    ]  # fmt: skip
    assert Difference("seed", 7, 8) in found.made_of
    assert Difference("data.actions", "cd", None) in found.made_of


def test_a_curve_that_differs_though_events_do_not(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    runs = [curve_of(store, tmp_path, count, 3) for count in (10, 10, 11)]
    assert diff_runs(runs[0], runs[1]).equal
    found = diff_runs(runs[0], runs[2])
    assert not found.equal
    assert found.came_to == (
        Difference(
            "equity[10]",
            None,
            {"ts_ns": 10, "equity": 10.0, "cash": 10.5, "gross": -10.0, "net": 20.0},
        ),
    )


def curve_of(store: RunStore, tmp_path: Path, *counts: int) -> RunFolder:
    handle = store.create(spec(tmp_path))
    writer = AuditWriter(handle.path)
    event: EquityEvent = curve(0, counts[0])
    writer.add_equity(event)
    writer.close()
    handle.finish(RunState.COMPLETED, events=0, events_digest=writer.events_digest)
    return store.open(handle.id)


def test_other_bytes_of_the_same_rows_are_no_difference(
    open_store: OpenStore, tmp_path: Path
) -> None:
    """Another version of the Parquet library writes its name into the files."""
    store = open_store()
    ended = curve_of(store, tmp_path, 10)
    running = store.create(spec(tmp_path))
    writer = AuditWriter(running.path)
    writer.add_equity(curve(0, 10))
    writer.flush()
    assert [d.path for d in diff_runs(ended, running).came_to] == [
        "events", "events_digest", "state",
    ]  # fmt: skip
    running.release()


def test_summaries_are_compared_by_field(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    runs = []
    for summary in ({"return": 1.0, "by": {"AAA": 1}}, {"return": 1.0, "by": {"AAA": 2, "B": 3}}):
        handle = store.create(spec(tmp_path))
        handle.finish(RunState.COMPLETED, summary=summary)
        runs.append(handle)
    found = diff_runs(runs[0], runs[1])
    assert not found.equal
    assert found.summary == (Difference("by.AAA", 1, 2), Difference("by.B", None, 3))


def test_a_broken_run_is_not_compared(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    runs = [run_of(store, tmp_path, text) for text in "ab"]
    (runs[1].path / "events.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match=r"events\.parquet: cannot be read"):
        diff_runs(*runs)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1, 1.0, []),
        ({"x": None}, {}, ["", "x"]),
        ({"x": {}}, {"x": {"y": 1}}, ["x", "x.y"]),
        ([1, [2, 3]], [1, [2, 4], 5], ["[1][1]", "[2]"]),
        ({"x": [{"y": "a"}]}, {"x": [{"y": "b"}]}, ["x[0].y"]),
    ],
)
def test_differences_have_paths(a: Any, b: Any, expected: list[str]) -> None:
    assert [d.path for d in differences(a, b)] == expected
