"""Rows of Parquet tables as items: types, nulls and what cannot be held."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.schema import NO_TIME_NS, check_schema, is_integral, known_columns, table_items
from app.errors import CatalogError
from app.model import ITEM, QUOTE_CODE, TRADE_CODE, Dictionary, Flag
from app.times import MINUTE_NS
from tests.catalog.made import OPEN_NS, bars, quotes, stamps, trades

_ELIGIBLE = Flag.LAST | Flag.HIGH_LOW | Flag.VOLUME


def _values(dataset: str, table: pa.Table) -> Any:
    return table_items(dataset, table, Dictionary())[0]["v"]


def test_items_are_packed_records() -> None:
    assert ITEM.itemsize == 72
    items, sequence = table_items("bars_1m", bars(rows=2), Dictionary())
    assert items.dtype == ITEM
    assert sequence is None
    assert items["stream"].tolist() == [1, 1]
    assert items["flags"].tolist() == [int(Flag.COMPLETE)] * 2


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "+05:30"])
def test_times_of_any_unit_and_zone(unit: str, zone: str) -> None:
    ts = stamps([OPEN_NS, None, OPEN_NS + 10**9], unit).cast(pa.timestamp(unit, zone))
    table = trades(rows=3, ts=ts)
    check_schema("trades", table.schema, "file")
    items, _ = table_items("trades", table, Dictionary())
    assert items["release_ns"].tolist() == [OPEN_NS, NO_TIME_NS, OPEN_NS + 10**9]


def test_a_bar_is_released_at_its_end_and_a_null_time_stays_one() -> None:
    items, _ = table_items("bars_1m", bars(rows=2, ts=stamps([None, OPEN_NS])), Dictionary())
    assert items["release_ns"].tolist() == [NO_TIME_NS, OPEN_NS + MINUTE_NS]


@pytest.mark.parametrize("kind", ["int8", "uint16", "int32", "int64", "uint64", "float", "double"])
def test_numbers_of_any_width(kind: str) -> None:
    column = pa.array([1, None, 100], getattr(pa, {"float": "float32", "double": "float64"}
                                              .get(kind, kind))())  # fmt: skip
    found = _values("trades", trades(rows=3, size=column))[:, 1].tolist()
    assert found[0] == 1.0
    assert math.isnan(found[1])
    assert found[2] == 100.0


@pytest.mark.parametrize("nulls", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_whole_numbers_from_two_to_the_53_are_invalid(nulls: bool, sign: int) -> None:
    edge = 2**53
    column = [sign * n for n in (1, edge - 1, edge, edge + 1, 2**62)]
    table = bars(rows=6, volume=pa.array([*column, None if nulls else 0], pa.int64()))
    found = _values("bars_1m", table)[:, 4].tolist()
    assert found[:2] == [sign * 1.0, sign * (edge - 1.0)]
    assert all(math.isnan(v) for v in found[2:5])


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=8))
def test_a_whole_number_is_held_exactly_or_not_at_all(numbers: list[int | None]) -> None:
    table = bars(rows=len(numbers), volume=pa.array(numbers, pa.int64()))
    for number, found in zip(numbers, _values("bars_1m", table)[:, 4].tolist(), strict=True):
        assert math.isnan(found) or int(found) == number
        if number is not None and abs(number) < 2**53:
            assert found == number


def test_unsigned_numbers_beyond_a_signed_one_are_invalid() -> None:
    table = bars(rows=2, volume=pa.array([5, 2**64 - 1], pa.uint64()))
    found = _values("bars_1m", table)[:, 4].tolist()
    assert found[0] == 5.0
    assert math.isnan(found[1])


# -- texts ---------------------------------------------------------------------------------


_TEXTS = ["N", None, "Q", "N", ""]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(_TEXTS),
        pa.array(_TEXTS, pa.large_string()),
        pa.array(_TEXTS).dictionary_encode(),
        pa.array(_TEXTS, pa.large_string()).dictionary_encode(),
        pa.array(_TEXTS).dictionary_encode(null_encoding="encode"),
        pa.DictionaryArray.from_arrays(pa.array([0, None, 1, 2, 3], pa.int8()),
                                       pa.array(["N", "Q", "N", ""])),
    ],
    ids=["string", "large_string", "dictionary", "large dictionary", "null in the dictionary",
         "a word twice"],
)  # fmt: skip
def test_texts_of_any_type(column: pa.Array) -> None:
    table = trades(rows=5, exchange=column)
    check_schema("trades", table.schema, "file")
    words = Dictionary()
    items, _ = table_items("trades", table, words)
    assert words.look_up(items["v"][:, 2]) == _TEXTS


def test_texts_of_several_chunks_share_one_dictionary() -> None:
    words = Dictionary()
    words.add("P")
    column = pa.chunked_array([pa.array(["A", "P"]), pa.array(["P", "B"])])
    items, _ = table_items("trades", trades(rows=4, exchange=column, conditions=column), words)
    assert words.look_up(items["v"][:, 2]) == ["A", "P", "P", "B"]
    assert words.look_up(items["v"][:, 3]) == ["A", "P", "P", "B"]
    assert words.words == ["P", "A", "B"]


@pytest.mark.parametrize("dataset", ["trades", "quotes"])
def test_absent_and_null_texts_are_null(dataset: str) -> None:
    table = {"trades": trades, "quotes": quotes}[dataset](rows=2, exchange=pa.nulls(2))
    other = "conditions" if dataset == "trades" else "side"
    table = table.drop_columns([other])
    check_schema(dataset, table.schema, "file")
    items, _ = table_items(dataset, table, Dictionary())
    at = 2 if dataset == "trades" else 4
    assert items["v"][:, at : at + 2].tolist() == [[-1.0, -1.0]] * 2


# -- trades and quotes ---------------------------------------------------------------------


def test_eligibility_by_default_is_all_that_is_not_suspicious() -> None:
    items, _ = table_items("trades", trades(rows=2, suspicious=[True, False]), Dictionary())
    assert items["stream"].tolist() == [TRADE_CODE] * 2
    assert items["flags"].tolist() == [int(Flag.SUSPICIOUS), int(_ELIGIBLE)]
    without = trades(rows=2).drop_columns(["suspicious"])
    assert table_items("trades", without, Dictionary())[0]["flags"].tolist() == [_ELIGIBLE] * 2


def test_eligibility_by_the_columns_that_say_it() -> None:
    table = trades(
        rows=3, suspicious=[True, False, False], updates_last=[True, False, True],
        updates_high_low=[False, True, True], auction=["open", "close", None],
    )  # fmt: skip
    flags = table_items("trades", table, Dictionary())[0]["flags"].tolist()
    assert flags == [
        Flag.SUSPICIOUS | Flag.LAST | Flag.AUCTION_OPEN,
        Flag.HIGH_LOW | Flag.VOLUME | Flag.AUCTION_CLOSE,
        _ELIGIBLE,
    ]


@pytest.mark.parametrize(
    "auction",
    [pa.array(["open", None]).dictionary_encode(), pa.array(["open", None], pa.large_string())],
)
def test_auctions_of_any_text_type(auction: pa.Array) -> None:
    table = trades(rows=2, suspicious=[False, False], auction=auction)
    flags = table_items("trades", table, Dictionary())[0]["flags"].tolist()
    assert flags == [_ELIGIBLE | Flag.AUCTION_OPEN, _ELIGIBLE]


def test_auctions_that_are_all_null_are_none() -> None:
    table = trades(rows=2, suspicious=[False, False], auction=pa.nulls(2))
    assert table_items("trades", table, Dictionary())[0]["flags"].tolist() == [_ELIGIBLE] * 2


@pytest.mark.parametrize("name", ["suspicious", "updates_last", "updates_volume"])
def test_a_null_truth_makes_the_trade_invalid(name: str) -> None:
    column = pa.array([True, None, False], pa.bool_())
    prices = _values("trades", trades(rows=3, **{name: column}))[:, 0].tolist()
    assert [math.isnan(p) for p in prices] == [False, True, False]


def test_a_quote_may_lack_a_side() -> None:
    table = quotes(rows=2, bid=[None, 1.0], bid_size=pa.array([None, 5], pa.int64()))
    items, _ = table_items("quotes", table, Dictionary())
    assert items["stream"].tolist() == [QUOTE_CODE] * 2
    assert np.isnan(items["v"][0, :2]).all()
    assert items["v"][1, :2].tolist() == [1.0, 5.0]


def test_a_bar_may_come_without_vwap() -> None:
    assert np.isnan(_values("bars_1m", bars(rows=2).drop_columns(["vwap"]))[:, 5]).all()


def test_a_table_without_rows() -> None:
    for dataset, make in (("bars_1m", bars), ("trades", trades), ("quotes", quotes)):
        items, _ = table_items(dataset, make(rows=0), Dictionary())
        assert len(items) == 0


# -- what a file may have ------------------------------------------------------------------


def test_what_a_file_may_have() -> None:
    schema = trades(rows=1, sequence=[1], other=["x"]).schema
    check_schema("trades", schema, "file")
    assert "other" not in known_columns("trades", schema)
    assert known_columns("trades", schema)[-1] == "sequence"
    assert is_integral("trades", schema)
    assert not is_integral("quotes", quotes(rows=1, bid_size=[0.5]).schema)


@pytest.mark.parametrize(
    ("column", "kind", "says"),
    [
        ("ts", pa.timestamp("ns"), "needed: timestamp with a zone"),
        ("ts", pa.date32(), "needed: timestamp with a zone"),
        ("price", pa.decimal128(10, 2), "column 'price' is decimal128"),
        ("size", pa.bool_(), "column 'size' is bool"),
        ("exchange", pa.binary(), "column 'exchange' is binary"),
        ("sequence", pa.float64(), "column 'sequence' is double; needed: integer"),
    ],
)
def test_wrong_types_name_file_column_and_need(column: str, kind: pa.DataType, says: str) -> None:
    table = trades(rows=1, sequence=[1])
    fields = [pa.field(f.name, kind) if f.name == column else f for f in table.schema]
    with pytest.raises(CatalogError, match=says) as caught:
        check_schema("trades", pa.schema(fields), "the/file.parquet")
    assert str(caught.value).startswith("the/file.parquet: ")


def test_real_types_of_other_writers(tmp_path: Any) -> None:
    """As pandas writes: nanoseconds, and text by dictionary; read back through a file."""
    when = [datetime(2024, 1, 2, 14, 30, tzinfo=UTC) + timedelta(seconds=i) for i in range(3)]
    table = trades(
        rows=3, ts=pa.array(when), exchange=pa.array(["N", "Q", "N"]).dictionary_encode()
    )
    pq.write_table(table, tmp_path / "file.parquet")
    back = pq.read_table(tmp_path / "file.parquet")
    words = Dictionary()
    items, _ = table_items("trades", back, words)
    assert items["release_ns"].tolist() == [OPEN_NS + i * 10**9 for i in range(3)]
    assert words.look_up(items["v"][:, 2]) == ["N", "Q", "N"]
