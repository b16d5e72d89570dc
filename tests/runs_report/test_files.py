"""Files that come in and files that go out."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.errors import RunError
from app.runs.report import write_report
from app.runs.report.columns import labels
from app.runs.report.csv_files import EQUITY_COLUMNS, TRADE_COLUMNS
from app.runs.report.values import Missing, split
from app.runs.tables import TABLES
from app.times import format_time
from tests.runs_report.made import DAYS, equity, facts, minute, trade, write_run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_trades_csv(tmp_path: Path) -> None:
    later = trade(
        -3.0, symbol='B,"x"', side="sell", quantity=2.0, costs=0.5, ts_event_ns=minute(20)
    )
    first = trade(5.0, mae=-1.5, mfe=6.0)
    run = write_run(tmp_path / "run", round_trips=[later, first])
    write_report(run, facts())
    rows = rows_of(run / "trades.csv")
    assert tuple(rows[0]) == TRADE_COLUMNS
    assert [row["trade"] for row in rows] == ["1", "2"]
    assert rows[0] == {
        "trade": "1", "strategy_id": "s", "symbol": "A", "side": "long", "quantity": "1.0",
        "entry_time": format_time(minute(5)), "entry_price": "100.0",
        "exit_time": format_time(minute(10)), "exit_price": "105.0", "pnl": "5.0",
        "return": "0.05", "costs": "0.0", "mae": "-1.5", "mfe": "6.0", "holding_s": "300.0",
    }  # fmt: skip
    assert (rows[1]["symbol"], rows[1]["side"], rows[1]["mae"]) == ('B,"x"', "short", "")
    assert float(rows[1]["return"]) == -3.0 / 200.0


def test_equity_csv(tmp_path: Path) -> None:
    rows = equity((minute(1), 1100.0), (minute(2), 1045.0), gross=400.0)
    run = write_run(tmp_path / "run", equity=rows)
    write_report(run, facts(benchmark={DAYS[1].date: 51.0}, benchmark_symbol="SPY"))
    first, second = rows_of(run / "equity.csv")
    assert tuple(first) == EQUITY_COLUMNS
    assert (first["date"], first["close_time"]) == ("2024-07-01", "2024-07-01T20:00:00Z")
    assert (first["equity"], first["cash"], first["gross"]) == ("1045.0", "645.0", "400.0")
    assert (first["pnl"], second["pnl"]) == ("45.0", "0.0")
    assert float(first["return"]) == pytest.approx(0.045)
    assert float(first["drawdown"]) == pytest.approx(-0.05)  # below the peak within the day
    assert (first["benchmark_close"], second["benchmark_close"]) == ("", "51.0")


def test_the_summary_is_json_without_nan(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", round_trips=[trade(5.0)])
    made = write_report(run, facts(coverage={"A": None}))
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["report_version"] == 1


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_json_cannot_hold_is_not_defined(value: float) -> None:
    values, reasons = split({"beta": value, "trades": 3, "pnl": 1.5, "cagr": Missing("few")})
    assert values == {"beta": None, "trades": 3, "pnl": 1.5, "cagr": None}
    assert reasons == {"beta": "too large to be told", "cagr": "few"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "fills.parquet").unlink()
    with pytest.raises(RunError, match=r"fills\.parquet: cannot be read"):
        write_report(run, facts())


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "orders.parquet").write_bytes(b"PAR1 but no table PAR1")
    with pytest.raises(RunError, match=r"orders\.parquet: cannot be read"):
        write_report(run, facts())


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    table = pq.read_table(run / "round_trips.parquet").drop_columns(["mae"])
    pq.write_table(table, run / "round_trips.parquet")
    with pytest.raises(RunError, match=r"round_trips\.parquet: no column mae; it has .*pnl"):
        write_report(run, facts())


@pytest.mark.parametrize(("text", "said"), [(None, "cannot be read"), ("{}", "no configuration")])
def test_a_manifest_without_configuration(tmp_path: Path, text: str | None, said: str) -> None:
    run = write_run(tmp_path / "run")
    (run / "manifest.json").unlink()
    if text is not None:
        (run / "manifest.json").write_text(text)
    with pytest.raises(RunError, match=f"manifest.json: .*{said}"):
        write_report(run, facts())


def test_nothing_is_written_of_a_run_that_cannot_be_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "manifest.json").unlink()
    with pytest.raises(RunError):
        write_report(run, facts())
    assert not [*run.glob("*.csv"), *run.glob("*.html")]


def test_labels_are_by_code_point_whatever_the_chunks() -> None:
    texts = pa.chunked_array([["b", "a"], [], ["c", "b", "B"]], pa.string())
    found = labels(pa.table({"t": texts}), "t")
    assert found.names == ["B", "a", "b", "c"]
    assert found.texts() == ["b", "a", "c", "b", "B"]


def test_other_encodings_of_the_same_columns_are_read(tmp_path: Path) -> None:
    """Dictionaries for texts and whole numbers for quantities."""
    run = write_run(tmp_path / "run", round_trips=[trade(5.0), trade(-1.0)])
    before = write_report(run, facts())
    table = pq.read_table(run / "round_trips.parquet")
    for name, kind in (("symbol", pa.dictionary(pa.int32(), pa.string())), ("pnl", pa.int64())):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(kind))
    pq.write_table(table, run / "round_trips.parquet", row_group_size=1)
    assert write_report(run, facts()) == before


def test_the_made_tables_are_those_of_a_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", round_trips=[trade(5.0)])
    for name, schema in TABLES.items():
        assert pq.read_schema(run / f"{name}.parquet").equals(schema), name


def test_a_position_that_was_closed_is_not_open(tmp_path: Path) -> None:
    def position(quantity: float) -> dict[str, Any]:
        return {"strategy_id": "s", "symbol": "A", "quantity": quantity, "average_price": 1.0}

    run = write_run(tmp_path / "run", positions=[position(5.0), position(0.0)])
    write_report(run, facts())
    assert "No position was open at the end." in (run / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("order_rejected", {"reason": "no code"}),
        ("warning", {"code": ["a", "list"], "text": "x"}),
        ("cash", {"kind": "dividend", "amount": "much"}),
        ("cash", [1, 2]),
    ],
)
def test_an_event_that_lacks_something_is_named(tmp_path: Path, topic: str, payload: Any) -> None:
    event = {"ts_event_ns": minute(3), "type": topic, "payload": payload}
    run = write_run(tmp_path / "run", events=[event])
    with pytest.raises(RunError, match=r"events\.parquet"):
        write_report(run, facts())
