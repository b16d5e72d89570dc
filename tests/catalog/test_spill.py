"""The external sort against a plain stable sort."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalog.spill import Spill, split_rows

TS = pa.timestamp("ns", "UTC")


def rows(times: list[int], first: int = 0) -> pa.Table:
    stamps = pa.array(times, pa.int64()).cast(TS)
    return pa.table({"ts": stamps, "n": list(range(first, first + len(times)))})


def read(spill: Spill[str], key: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for piece in spill.read_sorted(key):
        stamps = piece.column("ts").cast(pa.int64()).to_pylist()
        found += zip(stamps, piece.column("n").to_pylist(), strict=True)
    return found


@settings(max_examples=60, deadline=None)
@given(
    chunks=st.lists(
        st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 9), max_size=40)), max_size=12
    ),
    memory_rows=st.integers(1, 100),
)
def test_as_a_stable_sort_of_each_partition(
    chunks: list[tuple[str, list[int]]], memory_rows: int
) -> None:
    wanted: dict[str, list[tuple[int, int]]] = {}
    with Spill[str](memory_rows) as spill:
        number = 0
        for key, times in chunks:
            spill.add(key, rows(times, number))
            wanted.setdefault(key, []).extend((t, number + i) for i, t in enumerate(times))
            number += len(times)
        wanted = {k: sorted(v, key=lambda r: r[0]) for k, v in wanted.items() if v}
        assert set(spill.keys) == set(wanted)
        for key, expected in wanted.items():
            assert spill.rows(key) == len(expected)
            assert read(spill, key) == expected


def test_a_great_partition_is_merged_from_runs_in_bounded_pieces() -> None:
    random = np.random.default_rng(1)
    times = random.integers(0, 5_000, 20_000)
    with Spill[str](2_000) as spill:
        for at in range(0, len(times), 500):
            spill.add("a", rows(times[at : at + 500].tolist(), at))
        pieces = list(spill.read_sorted("a"))
    assert len(pieces) > 5
    assert max(p.num_rows for p in pieces) <= 10 * 256
    whole = pa.concat_tables(pieces)
    order = np.argsort(times, kind="stable")
    assert whole.column("n").to_pylist() == order.tolist()


def test_tables_with_other_columns_and_sizes_become_one() -> None:
    plain = pa.table(
        {"ts": pa.array([2], TS), "size": [100], "suspicious": [True], "exchange": ["N"]}
    )
    rich = pa.table(
        {
            "ts": pa.array([1], TS),
            "size": [0.5],
            "suspicious": [False],
            "updates_last": [False],
            "exchange": pa.array(["P"]).dictionary_encode(),
            "auction": ["open"],
        }
    )
    for memory_rows in (1, 100):
        with Spill[str](memory_rows) as spill:
            spill.add("a", plain)
            spill.add("a", rich)
            found = pa.concat_tables(spill.read_sorted("a")).to_pydict()
        assert found["size"] == [0.5, 100.0]
        assert found["exchange"] == ["P", "N"]
        assert found["auction"] == ["open", None]
        # A suspicious trade whose source says nothing of eligibility updates nothing.
        assert found["updates_last"] == [False, False]


@pytest.mark.parametrize(("name", "value"), [("suspicious", False), ("updates_volume", True)])
def test_a_missing_truth_value_has_its_meaning(name: str, value: bool) -> None:
    with Spill[str](100) as spill:
        spill.add("a", pa.table({"ts": pa.array([1], TS)}))
        spill.add("a", pa.table({"ts": pa.array([2], TS), name: [not value]}))
        found = pa.concat_tables(spill.read_sorted("a"))
    assert found.column(name).to_pylist() == [value, not value]


def test_two_schemas_in_one_flush_keep_their_order() -> None:
    with Spill[str](4) as spill:
        spill.add("a", rows([5, 5]))
        spill.add("a", rows([5], 2).append_column("more", pa.array([1.0])))
        spill.add("a", rows([5, 5], 3))
        assert [n for _, n in read(spill, "a")] == [0, 1, 2, 3, 4]


def test_rows_are_split_by_code_in_their_order() -> None:
    codes = np.array([3, 1, 3, 2, 1])
    found = list(split_rows(rows([0, 0, 0, 0, 0]), codes))
    assert [(code, part.column("n").to_pylist()) for code, part in found] == [
        (1, [1, 4]),
        (2, [3]),
        (3, [0, 2]),
    ]
    assert all(low[0] < high[0] for low, high in pairwise(found))
    assert list(split_rows(rows([]), np.array([], np.int64))) == []
