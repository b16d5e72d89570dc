"""``tapedeck catalog``, ``import`` and ``doctor``: data at rest from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Run
from tests.client.small_catalog import DAYS, MINUTES, TRADES, bar_table, day_path_of, write

CSV = """symbol,ts,open,high,low,close,volume
AIG,2013-10-07T13:30:00Z,50,51,49,50.5,100
AIG,2013-10-07T13:31:00Z,50,51,49,-1,100
AIG,2013-10-07T13:32:00Z,50,51,49,50.5,100
"""


def test_list_shows_symbols_and_datasets(run: Run, small_catalog: Path, tmp_path: Path) -> None:
    done = run("catalog", "list", small_catalog, "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["broken"] == []
    assert found["symbols"]["AIG"]["trades"] == {
        "first": "2013-10-07T13:30:00Z", "last": "2013-10-07T13:59:30Z", "days": 1,
        "rows": TRADES,
    }  # fmt: skip
    assert found["symbols"]["BRK/B"]["bars_1m"]["rows"] == 2 * MINUTES
    shown = run("catalog", "list", small_catalog)
    assert "2013-10-08 19:59" in shown.stdout
    assert (tmp_path / ".tapedeck").is_dir()


def test_list_takes_the_setting_and_says_when_there_is_none(
    run: Run, small_catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("catalog", "list")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "DATA_CATALOG_URI" in done.stderr
    monkeypatch.setenv("DATA_CATALOG_URI", str(small_catalog))
    assert "BRK/B" in run("catalog", "list").stdout


def test_list_names_broken_files_and_exits_with_1(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    write(root / day_path_of("bars_1m", "AIG", DAYS[0]), bar_table(DAYS[0], 50.0))
    bad = root / day_path_of("bars_1m", "AIG", DAYS[1])
    bad.write_bytes(b"PAR1 this is not Parquet")
    done = run("catalog", "list", root)
    assert done.exit_code == 1
    assert "AIG" in done.stdout
    assert done.stderr.startswith("broken: ")
    assert bad.name in done.stderr
    assert len(json.loads(run("catalog", "list", root, "--json").stdout)["broken"]) == 1


def test_build_brings_a_large_file_into_the_layout(run: Run, tmp_path: Path) -> None:
    tables = [
        bar_table(day, 50.0).append_column("symbol", pa.array([symbol] * MINUTES))
        for day in reversed(DAYS)
        for symbol in ("BAC", "AIG")
    ]
    write(tmp_path / "source" / "bars_1m.parquet", pa.concat_tables(tables))
    done = run("catalog", "build", tmp_path / "source", "--to", tmp_path / "built")
    assert done.exit_code == 0, done.output
    assert f"{4 * MINUTES:,}" in done.stdout
    path = tmp_path / "built" / day_path_of("bars_1m", "AIG", DAYS[0])
    assert pq.read_table(path).num_rows == MINUTES
    again = run("catalog", "build", tmp_path / "source", "--to", tmp_path / "built", "--json")
    assert json.loads(again.stdout)["rows_written"] == 4 * MINUTES


def test_build_keeps_a_cache_that_a_replay_plays_from(
    run: Run, small_catalog: Path, tmp_path: Path
) -> None:
    done = run("catalog", "build", small_catalog, "--cache", "--start", str(DAYS[0]), "--json")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)["cache"]
    assert (made["symbols"], made["last"]) == (2, str(DAYS[1]))
    path = tmp_path / made["path"]
    assert path.stat().st_size < made["bytes"] < 200 * made["rows"]
    shown = run("catalog", "build", small_catalog, "--cache", "--symbols", "AIG")
    assert "disk space (MB)" in shown.stdout
    assert len(list(path.parent.glob("prepared-*.arrow"))) == 2


def test_build_of_a_catalog_and_its_cache_at_once(run: Run, tmp_path: Path) -> None:
    table = bar_table(DAYS[0], 50.0)
    write(tmp_path / "source" / "bars_1m" / "symbol=AIG" / "all.parquet", table)
    done = run(
        "catalog", "build", tmp_path / "source", "--to", tmp_path / "built", "--cache", "--json"
    )
    found = json.loads(done.stdout)
    assert found["rows_written"] == MINUTES
    assert found["cache"]["rows"] > MINUTES


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "name what is to be made"),
        (["--to", "x", "--start", "2013-10-07"], "give --cache"),
        (["--cache", "--start", "2013-10-07T13:30Z"], "whole days"),
        (["--cache", "--symbols", "NONE"], "has no symbol"),
    ],
)  # fmt: skip
def test_build_says_what_is_missing(
    run: Run, small_catalog: Path, options: list[str], said: str
) -> None:
    done = run("catalog", "build", small_catalog, *options)
    assert done.exit_code in (1, 2)
    assert said in done.stderr


def test_build_of_nothing_is_an_error(run: Run, tmp_path: Path) -> None:
    done = run("catalog", "build", tmp_path, "--to", tmp_path / "built")
    assert (done.exit_code, "no Parquet files" in done.stderr) == (1, True)


def test_import_csv_counts_what_it_rejects(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(CSV)
    done = run("import", "csv", "bars.csv", "--to", "catalog")
    assert done.exit_code == 0, done.output
    assert "Rejected rows" in done.stdout
    assert "bars.csv row 3" in done.stdout
    path = tmp_path / "catalog" / day_path_of("bars_1m", "AIG", DAYS[0])
    assert pq.read_table(path).num_rows == 2
    found = json.loads(run("import", "csv", "bars.csv", "--to", "catalog", "--json").stdout)
    assert (found["rows_read"], found["rows_written"]) == (3, 2)


def test_import_csv_takes_a_column_map(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("d\tt\to\th\tl\tc\tv\n20131007\t09:31\t1\t2\t1\t2\t5\n")
    columns = ["ts=d + t", "open=o", "high=h", "low=l", "close=c", "volume=v"]
    options = [piece for column in columns for piece in ("--column", column)]
    done = run(
        "import", "csv", "b.csv", "--to", "c", "--symbol", "X", "--time-format", "%Y%m%d %H:%M",
        "--stamped", "end", "--delimiter", "tab", *options,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (path,) = (tmp_path / "c").rglob("*.parquet")
    stamp = pq.read_table(path).column("ts")[0].as_py()
    assert stamp.isoformat() == "2013-10-07T13:30:00+00:00"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--column", "ts"], "write NAME=SOURCE"),
        (["--column", "ts=a", "--column", "ts=b"], "names ts twice"),
        (["--column", "price=a"], "'price' is not allowed"),
        (["--stamped", "middle"], "'middle' is not allowed"),
    ],
)
def test_wrong_import_options_are_usage_errors(
    run: Run, tmp_path: Path, options: list[str], words: str
) -> None:
    (tmp_path / "bars.csv").write_text(CSV)
    done = run("import", "csv", "bars.csv", "--to", "catalog", *options)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert words in done.stderr


def test_an_import_that_writes_nothing_is_exit_code_1(run: Run, tmp_path: Path) -> None:
    header, _, bad, *_ = CSV.splitlines()
    (tmp_path / "bars.csv").write_text(f"{header}\n{bad}\n")
    done = run("import", "csv", "bars.csv", "--to", "catalog")
    assert (done.exit_code, "Rejected rows" in done.stdout) == (1, True)


def test_import_parquet(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "in" / "AIG.parquet", bar_table(DAYS[0], 50.0))
    done = run("import", "parquet", "in", "--to", "catalog", "--json")
    assert json.loads(done.stdout)["rows_written"] == MINUTES


def test_import_lean(run: Run, real_data: Path, tmp_path: Path) -> None:
    done = run("import", "lean", real_data / "lean", "--to", "catalog", "--symbols", "SHY")
    assert done.exit_code == 0, done.output
    assert list((tmp_path / "catalog" / "bars_1m" / "symbol=SHY").iterdir())
    assert "Skipped files" in done.stdout


def test_doctor_finds_nothing_in_good_data(run: Run, small_catalog: Path) -> None:
    done = run("doctor", small_catalog, "--datasets", "bars_1m", "--symbols", "AIG")
    assert (done.exit_code, "nothing found" in done.stdout) == (0, True)


def test_doctor_shows_errors_with_their_mend_and_exits_with_1(run: Run, tmp_path: Path) -> None:
    bars = bar_table(DAYS[0], 50.0)
    low = pa.array([1000.0, *bars.column("low").to_pylist()[1:]])
    path = tmp_path / "catalog" / day_path_of("bars_1m", "AIG", DAYS[0])
    write(path, bars.set_column(bars.column_names.index("low"), "low", low))
    done = run("doctor", tmp_path / "catalog")
    assert done.exit_code == 1
    assert "ohlc" in done.stdout
    assert "What to do" in done.stdout
    found = run("doctor", tmp_path / "catalog", "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["errors"] >= 1


def test_doctor_of_nothing_is_an_error(run: Run, small_catalog: Path, tmp_path: Path) -> None:
    done = run("doctor", tmp_path / "absent")
    assert (done.exit_code, "is not a folder" in done.stderr) == (1, True)
    done = run("doctor", small_catalog, "--calendar", "XNYX")
    assert (done.exit_code, "nearest: XNYS" in done.stderr) == (2, True)
