"""Which rows of a stream's files are delivered, and why the others are not: one SQL query.

A row is judged in this order: invalid; late, below the running maximum of the release
times of the valid rows before it; duplicate, a bar that starts with an earlier one that
was neither; then by the hours. Two files of a stream follow each other in order of date.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from urllib.parse import quote

import duckdb
import pandas as pd
import pyarrow as pa

from tests.oracle.days import MINUTE, Span

NUMBERS = {
    "bars_1m": ("open", "high", "low", "close", "volume"),
    "trades": ("price", "size"),
    "quotes": (),
}
TRUTHS = ("suspicious", "updates_last", "updates_high_low", "updates_volume")

_QUERY = """
with source as (
    select *, epoch_ns(ts) as start_ns, epoch_ns(ts) + {interval} as release_ns,
        ts is null or {invalid} as invalid,
        row_number() over (order by filename, file_row_number) as source_row
    from read_parquet({files}, filename = true, file_row_number = true,
        hive_partitioning = false, union_by_name = true)
    where ts is null or (epoch_ns(ts) >= {low} and epoch_ns(ts) < {high})
), timed as (
    select *, not invalid and coalesce(release_ns < max(release_ns) filter (not invalid) over (
        order by source_row rows between unbounded preceding and 1 preceding), false) as late
    from source
), first_of as (
    select *, {is_bar} and not invalid and not late and row_number() over (
        partition by start_ns, invalid, late order by source_row) > 1 as duplicate
    from timed
), placed as (
    select r.*, own.number as day, own.hours_end, past.midnight as past_midnight,
        coalesce(r.start_ns >= own.first, false) as begun,
        coalesce(r.start_ns >= own.break_start and r.start_ns < own.break_end, false) as on_break
    from first_of r
    asof left join days own on r.release_ns <= own."end"
    asof left join days past on r.release_ns > past."end"
)
select * exclude (invalid, late, duplicate, hours_end, past_midnight, begun, on_break),
    coalesce(start_ns >= hours_end, false) as post_close,
    case when invalid then 'invalid'
        when late then 'late'
        when duplicate then 'duplicate'
        when on_break then 'in_break'
        when begun then 'delivered'
        when start_ns < past_midnight then 'after_hours'
        else 'before_hours' end as verdict
from placed order by source_row
"""


def _bad(column: str) -> str:
    return f'("{column}" is null or not isfinite("{column}"::double) or "{column}"::double < 0)'


def _absent(column: str) -> str:
    """Where a number may lack, NaN is as good as null."""
    return f'("{column}" is null or isnan("{column}"::double))'


def _invalid(dataset: str, columns: list[str]) -> str:
    tests = [_bad(column) for column in NUMBERS[dataset]]
    tests += [f"{column} is null" for column in TRUTHS if column in columns]
    if dataset == "bars_1m":
        tests.append(f"(not {_absent('vwap')} and {_bad('vwap')})")
    if dataset == "quotes":
        for side in ("bid", "ask"):
            lacking = f"({_absent(side)} and {_absent(side + '_size')})"
            tests.append(f"(not {lacking} and ({_bad(side)} or {_bad(side + '_size')}))")
        tests.append(f"({_absent('bid')} and {_absent('ask')})")
    return " or ".join(tests)


def stream_files(root: Path, dataset: str, symbol: str, first: date, last: date) -> list[str]:
    """Files of the dates [first, last], in order."""
    folder = root / dataset / f"symbol={quote(symbol, safe='._-^=+')}"
    found = sorted(folder.glob("date=*.parquet"))
    return [str(f) for f in found if str(first) <= f.stem.removeprefix("date=") <= str(last)]


def judged_rows(files: list[str], dataset: str, span: Span) -> pa.Table:
    """Every row in source order with start_ns, release_ns, day, post_close and verdict."""
    connection = duckdb.connect()
    numbered = pd.DataFrame([day._asdict() | {"number": i} for i, day in enumerate(span.days)])
    numbered = numbered.drop(columns=["parts", "date"]).astype("Int64")
    connection.register("days", numbered)
    columns = connection.read_parquet(files, union_by_name=True).columns
    query = _QUERY.format(
        files=files,
        low=span.low,
        high=span.high,
        invalid=_invalid(dataset, columns),
        interval=MINUTE if dataset == "bars_1m" else 0,
        is_bar=dataset == "bars_1m",
    )
    return connection.sql(query).to_arrow_table()
